//! Asking a provider how many tokens a prompt has, without an answer to it.
//!
//! Sources: <https://platform.claude.com/docs/en/api/messages/count_tokens>,
//! <https://ai.google.dev/api/tokens>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde_json::{Map, Value, json};

use crate::catalog::Protocol;
use crate::error::{ErrorKind, InvalidCall, ProviderError};
use crate::json::invalid;
use crate::target::{HttpRequest, Target};

/// What of a request of Anthropic's is counted; anything else would be refused.
const ANTHROPIC: [&str; 9] = [
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "system",
    "thinking",
    "tool_choice",
];
/// The same of a request of Converse.
const CONVERSE: [&str; 4] = [
    "additionalModelRequestFields",
    "messages",
    "system",
    "toolConfig",
];
/// The same of a request to Vertex AI.
const VERTEX: [&str; 4] = ["contents", "generationConfig", "systemInstruction", "tools"];

/// Makes of a request for an answer the one that only counts its prompt.
///
/// # Errors
/// When the provider has no such request.
pub fn count_tokens(target: &Target, request: HttpRequest) -> Result<HttpRequest, InvalidCall> {
    let body = serde_json::from_slice(&request.body)
        .map_err(|error| invalid("", &format!("cannot be read again: {error}")))?;
    let path = request.uri.path();
    let counted = match target.protocol {
        Protocol::AnthropicMessages => path
            .ends_with("/v1/messages")
            .then(|| (format!("{path}/count_tokens"), anthropic(body))),
        Protocol::BedrockConverse => before(path, &["/converse", "/converse-stream"])
            .map(|start| (format!("{start}/count-tokens"), converse(body))),
        Protocol::BedrockInvoke => before(path, &["/invoke", "/invoke-with-response-stream"])
            .map(|start| (format!("{start}/count-tokens"), invoke(&request.body))),
        Protocol::GeminiGenerate => before(path, &[":generateContent", ":streamGenerateContent"])
            .map(|start| (format!("{start}:countTokens"), gemini(start, body))),
        Protocol::OpenaiChat
        | Protocol::OpenaiResponses
        | Protocol::OllamaChat
        | Protocol::CohereChat => None,
    };
    let Some((path, body)) = counted else {
        let name = &target.provider.display_name;
        let message = format!(
            "{name} counts no tokens ahead of a call. The usage of an answer says how many \
             there were."
        );
        return Err(InvalidCall {
            message,
            parameter: Some("model".to_owned()),
        });
    };
    Ok(HttpRequest {
        uri: with_path(&request.uri, &path)?,
        body: body.to_string().into(),
        ..request
    })
}

/// How many tokens the provider counted.
///
/// # Errors
/// When it does not say.
pub fn decode_count(target: &Target, body: &[u8]) -> Result<u64, ProviderError> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let name = match target.protocol {
        Protocol::GeminiGenerate => "totalTokens",
        Protocol::BedrockConverse | Protocol::BedrockInvoke => "inputTokens",
        _ => "input_tokens",
    };
    let said = answer.get(name).and_then(Value::as_u64);
    said.ok_or_else(|| {
        let message = format!("the provider's answer does not say `{name}`");
        ProviderError::new(ErrorKind::Malformed, message)
    })
}

/// What stands before one of the endings.
fn before<'a>(path: &'a str, endings: &[&str]) -> Option<&'a str> {
    endings.iter().find_map(|ending| path.strip_suffix(ending))
}

/// The address with another path, and without what asks for a stream of events.
fn with_path(uri: &Uri, path: &str) -> Result<Uri, InvalidCall> {
    let query = uri.query().filter(|query| *query != "alt=sse");
    let path = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    let path = path.parse();
    parts.path_and_query =
        Some(path.map_err(|error| invalid("model", &format!("makes no address: {error}")))?);
    Uri::from_parts(parts).map_err(|error| invalid("model", &format!("makes no address: {error}")))
}

fn only(mut body: Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    body.retain(|name, _| names.contains(&name.as_str()));
    body
}

fn anthropic(mut body: Map<String, Value>) -> Value {
    let tools = body.shift_remove("tools");
    let mut counted = only(body, &ANTHROPIC);
    counted.extend(tools.map(|tools| ("tools".to_owned(), tools)));
    Value::Object(counted)
}

fn converse(body: Map<String, Value>) -> Value {
    json!({"input": {"converse": only(body, &CONVERSE)}})
}

fn invoke(body: &[u8]) -> Value {
    json!({"input": {"invokeModel": {"body": STANDARD.encode(body)}}})
}

/// AI Studio counts a whole request that names its model; Vertex AI counts its pieces.
fn gemini(start: &str, body: Map<String, Value>) -> Value {
    if start.contains("/publishers/") || start.contains("/projects/") {
        return Value::Object(only(body, &VERTEX));
    }
    let model = start.find("/models/").or(start.find("/tunedModels/"));
    let model = model.map_or(start, |at| &start[at + 1..]);
    let mut counted = Map::from_iter([("model".to_owned(), Value::from(model))]);
    counted.extend(body);
    json!({ "generateContentRequest": counted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::WireFormat;
    use crate::protocol::{encode, parse};
    use crate::target::tests::target;

    fn counted(
        provider: &str,
        model: &str,
        parameters: &Value,
    ) -> Result<HttpRequest, InvalidCall> {
        let config = json!({"provider": provider, "model": model, "additional_params": parameters});
        let target = target(&config).unwrap();
        let call = json!({"model": "x", "messages": [{"role": "user", "content": "Hi."}],
            "system": "Be brief."});
        let call = parse(WireFormat::AnthropicMessages, call.to_string().as_bytes()).unwrap();
        count_tokens(&target, encode(&call, &target).unwrap().request)
    }

    fn body(request: &HttpRequest) -> Value {
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn only_the_prompt_is_sent_where_the_provider_counts() {
        let parameters = json!({"streaming": true, "top_k": 3});
        let request = counted("anthropic", "claude-sonnet-4-5", &parameters).unwrap();
        assert_eq!(
            request.uri,
            "https://api.anthropic.com/v1/messages/count_tokens"
        );
        let sent = body(&request);
        let mut names: Vec<_> = sent.as_object().unwrap().keys().collect();
        names.sort_unstable();
        assert_eq!(names, ["messages", "model", "system"]);

        let request = counted(
            "google_genai",
            "gemini-2.5-flash",
            &json!({"streaming": true}),
        );
        let request = request.unwrap();
        assert_eq!(
            request.uri,
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:countTokens"
        );
        let sent = &body(&request)["generateContentRequest"];
        assert_eq!(sent["model"], "models/gemini-2.5-flash");
        assert!(sent["contents"].is_array(), "{sent}");

        let region = json!({"region_name": "us-east-1"});
        let model = "anthropic.claude-sonnet-4-5-20250929-v1:0";
        let request = counted("bedrock_converse", model, &region).unwrap();
        assert!(
            request.uri.path().ends_with("/count-tokens"),
            "{}",
            request.uri
        );
        let sent = &body(&request)["input"]["converse"];
        assert!(
            sent["messages"].is_array() && sent["system"].is_array(),
            "{sent}"
        );
        assert!(sent.get("inferenceConfig").is_none(), "{sent}");
    }

    #[test]
    fn other_providers_are_named_with_what_to_do_instead() {
        let error = counted("openai", "gpt-4o-mini", &json!({})).unwrap_err();
        assert!(
            error.message.contains("OpenAI counts no tokens"),
            "{}",
            error.message
        );
    }

    #[test]
    fn a_count_is_read_or_its_absence_is_an_error() {
        let target = target(&json!({"provider": "anthropic", "model": "c"})).unwrap();
        assert_eq!(decode_count(&target, br#"{"input_tokens":7}"#).unwrap(), 7);
        for wrong in ["", "{}", r#"{"input_tokens":-1}"#, "[]"] {
            assert!(decode_count(&target, wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
