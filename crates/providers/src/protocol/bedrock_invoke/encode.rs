//! Canonical call → provider request: the one that LangChain sends, in Bedrock's envelope.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, ResponseFormat};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::protocol::bedrock_converse::configuration::{model, setting};
use crate::protocol::bedrock_converse::types::{python_json, text};
use crate::protocol::{Encoded, anthropic_messages};
use crate::target::{HttpRequest, Target};

/// What Bedrock calls the version of Anthropic's interface.
const VERSION: &str = "bedrock-2023-05-31";

/// Writes the request.
pub(crate) fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    let model = model(target);
    if !model.is_anthropic() {
        let problem = format!(
            "is not one of Anthropic's (`{}`), and only those are called through InvokeModel: \
             use the provider `bedrock_converse`, which reaches every model, or, where the model \
             is an ARN, name its vendor in `additional_params.provider`",
            model.vendor
        );
        return Err(invalid("model", &problem));
    }
    let is_older = target.provider.anthropic_messages.is_chat_bedrock;
    let format = call.response_format.as_ref();
    let format = format.filter(|_| is_older && call.dialect == WireFormat::OpenAiChat);
    let mut parts = match format {
        // It goes as it came.
        Some(_) => {
            let call = ChatCall {
                response_format: None,
                ..call.clone()
            };
            anthropic_messages::encode::parts(&call, target)?
        }
        None => anthropic_messages::encode::parts(call, target)?,
    };
    if let Some(format) = format.and_then(format_json) {
        parts.body.insert("response_format".to_owned(), format);
    }
    envelop(&mut parts.body, &parts.headers);
    guard(target, &mut parts.headers)?;
    if is_older {
        as_chat_bedrock(call, target, &mut parts.body, &mut parts.losses)?;
        write_headers(target, target.wants_stream(call.stream), &mut parts.headers);
    }
    // The address of Anthropic's beta interface is not Bedrock's.
    parts.uri = target.uri(target.wants_stream(call.stream)).clone();
    parts.into_encoded()
}

/// Takes out of the body what stands in the address, and puts in what the envelope asks for.
fn envelop(body: &mut Map<String, Value>, headers: &HeaderMap) {
    body.shift_remove("model");
    body.shift_remove("stream");
    body.entry("anthropic_version").or_insert(json!(VERSION));
    if let Some(betas) = headers
        .get("anthropic-beta")
        .and_then(|value| value.to_str().ok())
    {
        let betas: Vec<&str> = betas.split(',').collect();
        body.entry("anthropic_beta").or_insert(json!(betas));
    }
    if let Some(control) = body.shift_remove("cache_control") {
        mark_last_block(body, &control);
    }
}

/// Adds the betas that a client asked for in its own header, to the header and the body.
pub(crate) fn add_betas(request: &mut HttpRequest, asked: &str) {
    let uri = request.uri.clone();
    anthropic_messages::betas::add_betas(request, asked);
    request.uri = uri;
    let all = request
        .headers
        .get("anthropic-beta")
        .and_then(|value| value.to_str().ok());
    let Some(all) = all.map(|all| all.split(',').collect::<Vec<_>>()) else {
        return;
    };
    if let Ok(Value::Object(mut body)) = serde_json::from_slice(&request.body) {
        body.insert("anthropic_beta".to_owned(), json!(all));
        request.body = Value::Object(body).to_string().into();
    }
}

/// Bedrock takes marks of the cache on blocks only.
fn mark_last_block(body: &mut Map<String, Value>, control: &Value) {
    let messages = body.get_mut("messages").and_then(Value::as_array_mut);
    for message in messages.into_iter().flatten().rev() {
        match message.get_mut("content") {
            Some(content @ Value::String(_)) => {
                let said = content.take();
                *content = json!([{"type": "text", "text": said, "cache_control": control}]);
                return;
            }
            Some(Value::Array(blocks)) => {
                let mut objects = blocks.iter_mut().rev().filter_map(Value::as_object_mut);
                if let Some(block) = objects.find(|block| !is_about_code(block)) {
                    block.insert("cache_control".to_owned(), control.clone());
                    return;
                }
            }
            _ => {}
        }
    }
}

/// Whether a block belongs to the provider's own running of code, which takes no mark.
fn is_about_code(block: &Map<String, Value>) -> bool {
    let caller = block.get("caller").map(|caller| text(caller, "type"));
    caller.is_some_and(|kind| kind.starts_with("code_execution"))
}

/// Names the guardrail in headers.
fn guard(target: &Target, headers: &mut HeaderMap) -> Result<(), InvalidCall> {
    let config = ["guardrails", "guardrail_config"];
    let Some(config) = config.into_iter().find_map(|name| setting(target, name)) else {
        return Ok(());
    };
    let (identifier, version) = ("guardrailIdentifier", "guardrailVersion");
    if text(config, identifier).is_empty() || text(config, version).is_empty() {
        let problem = format!("needs both `{identifier}` and `{version}`");
        return Err(invalid("additional_params.guardrails", &problem));
    }
    insert(
        headers,
        "x-amzn-bedrock-guardrailidentifier",
        text(config, identifier),
    );
    insert(
        headers,
        "x-amzn-bedrock-guardrailversion",
        text(config, version),
    );
    match config.get("trace") {
        Some(Value::Bool(true)) => insert(headers, "x-amzn-bedrock-trace", "ENABLED"),
        Some(Value::String(trace)) if !trace.is_empty() => {
            insert(headers, "x-amzn-bedrock-trace", &trace.to_uppercase());
        }
        _ => {}
    }
    Ok(())
}

fn write_headers(target: &Target, wants_stream: bool, headers: &mut HeaderMap) {
    if wants_stream {
        insert(headers, "x-amzn-bedrock-accept", "application/json");
    }
    if let Some(tier) = setting(target, "service_tier").and_then(Value::as_str) {
        insert(headers, "x-amzn-bedrock-service-tier", tier);
    }
    if let Some(metadata) = setting(target, "request_metadata") {
        insert(
            headers,
            "x-amzn-bedrock-request-metadata",
            &python_json(metadata),
        );
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Where `ChatBedrock` forms a body otherwise than `ChatAnthropicBedrock`.
fn as_chat_bedrock(
    call: &ChatCall,
    target: &Target,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    if let Some(prompt) = setting(target, "system_prompt_with_tools").and_then(Value::as_str) {
        prepend_system(prompt, body);
    }
    if call.dialect != WireFormat::OpenAiChat {
        return Ok(());
    }
    for tool in body
        .get_mut("tools")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if tool.get("input_schema").is_some() && text(tool, "description").is_empty() {
            tool["description"] = tool["name"].clone();
        }
    }
    let messages = body.get_mut("messages").and_then(Value::as_array_mut);
    for (index, message) in messages.into_iter().flatten().enumerate() {
        let is_assistant = message["role"] == "assistant";
        match message.get_mut("content") {
            Some(content @ Value::String(_)) if is_assistant => {
                let said = content.take();
                let said = if said == "" { json!(".") } else { said };
                *content = json!([{"type": "text", "text": said}]);
            }
            Some(Value::Array(blocks)) => {
                for block in blocks {
                    as_chat_bedrock_block(block, index, losses)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn as_chat_bedrock_block(
    block: &mut Value,
    index: usize,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    let path = format!("messages[{index}].content");
    if block["type"] == "image" && block["source"]["type"] == "url" {
        return Err(invalid(
            &path,
            "links to an image, which Bedrock does not fetch: send the bytes in an address \
             `data:image/…;base64,…`",
        ));
    }
    if block["type"] == "tool_result"
        && let Value::Object(result) = block
    {
        if result.shift_remove("is_error") == Some(Value::Bool(true)) {
            losses.add("messages.tool_result.is_error");
        }
        let inner = result.get_mut("content").and_then(Value::as_array_mut);
        for block in inner.into_iter().flatten() {
            as_chat_bedrock_block(block, index, losses)?;
        }
    }
    Ok(())
}

fn prepend_system(prompt: &str, body: &mut Map<String, Value>) {
    let system = match body.get_mut("system").map(Value::take) {
        Some(Value::String(text)) => json!(format!("{prompt}\n{text}")),
        Some(Value::Array(mut blocks)) => {
            blocks.insert(0, json!({"type": "text", "text": prompt}));
            Value::Array(blocks)
        }
        _ if prompt.is_empty() => return,
        _ => json!(prompt),
    };
    body.insert("system".to_owned(), system);
}

/// A wish for a format as `ChatBedrock` passes it on.
fn format_json(format: &ResponseFormat) -> Option<Value> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(json!({"type": "json_object"})),
        ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut inner = Map::from_iter([("name".to_owned(), json!(name))]);
            if let Some(description) = description {
                inner.insert("description".to_owned(), json!(description));
            }
            if let Some(strict) = strict {
                inner.insert("strict".to_owned(), json!(strict));
            }
            inner.insert("schema".to_owned(), schema.clone());
            Some(json!({"type": "json_schema", "json_schema": inner}))
        }
    }
}
