//! Anthropic's messages, against requests and answers captured from LangChain.
//!
//! `tests/vectors/README.md` says where the vectors come from and how they compare.

use domain::model_configuration::ModelSettings;
use http::HeaderMap;
use providers::chat::WireFormat;
use providers::chat::accumulator::Accumulator;
use providers::chat::part::{Part, PartContent, ToolCallKind};
use providers::chat::reply::{ChatReply, FinishReason};
use providers::error::{ErrorKind, InvalidCall, ProviderError};
use providers::protocol::{self, Encoded};
use providers::target::Target;
use serde_json::{Map, Value, json};

const VECTORS: &str = include_str!("../vectors/anthropic.jsonl");

/// Vectors that answer differently on purpose, and the rule that says so.
const DIFFERENT: &[(&str, &str)] = &[
    // `tool_choice: none` means no tool call; LangChain forces a tool named "none".
    ("anthropic/tools_none", "tool_choice_none_means_none"),
    // Unknown parameters go into the body, where the SDK would raise an error.
    ("anthropic/model_kwargs", "unknown_parameters_are_sent"),
    (
        "anthropic/context_management_nobeta",
        "unknown_parameters_are_sent",
    ),
    // Whose key a call takes is decided before anything is encoded.
    ("anthropic/no_api_key", "key_is_not_part_of_encoding"),
    // Input tokens are reported when a stream starts; LangChain looks at its end only.
    (
        "anthropic/resp/stream_tool",
        "input_tokens_of_a_stream_count",
    ),
    (
        "anthropic/resp/stream_tool_no_args",
        "input_tokens_of_a_stream_count",
    ),
    // Usage is always read: metering needs it.
    ("anthropic/resp/stream_usage_false", "usage_is_always_read"),
];

fn vectors(kind: &str) -> impl Iterator<Item = Value> {
    VECTORS
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(move |vector| vector["kind"] == kind)
}

fn rule(vector: &Value) -> Option<&'static str> {
    let id = vector["id"].as_str().unwrap();
    let found = DIFFERENT.iter().find(|(other, _)| *other == id);
    found.map(|(_, rule)| *rule)
}

pub(crate) fn settings(config: &Value) -> ModelSettings {
    ModelSettings {
        name: "test".to_owned(),
        description: None,
        provider: config["provider"].as_str().unwrap().to_owned(),
        model: config["model"].as_str().unwrap().to_owned(),
        temperature: config["temperature"].as_f64(),
        max_tokens: config["max_tokens"].as_i64(),
        timeout_seconds: config["timeout_seconds"].as_f64(),
        max_retries: config["max_retries"].as_i64(),
        additional_params: config["additional_params"].as_object().cloned(),
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    }
}

/// The chat-completions request that says what LangChain was told.
pub(crate) fn client_request(input: &Value) -> Value {
    let mut request = input.as_object().unwrap().clone();
    if let Some(Value::Object(more)) = request.remove("invoke_kwargs") {
        request.extend(more);
    }
    if let Some(structured) = request.remove("structured_output") {
        let schema = structured["schema"].as_object().unwrap().clone();
        let name = schema["title"].clone();
        if matches!(
            structured["method"].as_str(),
            None | Some("function_calling")
        ) {
            let mut parameters = schema;
            parameters.remove("title");
            let description = parameters.remove("description");
            request.insert(
                "tools".to_owned(),
                json!([{"type": "function", "function": {
                    "name": name, "description": description, "parameters": parameters,
                }}]),
            );
            request.insert(
                "tool_choice".to_owned(),
                json!({"type": "function", "function": {"name": name}}),
            );
        } else {
            let format = json!({"name": name, "schema": schema});
            request.insert(
                "response_format".to_owned(),
                json!({"type": "json_schema", "json_schema": format}),
            );
        }
    }
    Value::Object(request)
}

fn encode(vector: &Value) -> Result<Encoded, InvalidCall> {
    let target = Target::new(&settings(&vector["config"]))?;
    let body = client_request(&vector["input"]).to_string();
    let call = protocol::parse(WireFormat::OpenAiChat, body.as_bytes())?;
    protocol::encode(&call, &target)
}

/// Nulls count as absent, and text that holds JSON counts as that JSON.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => normal(&inner),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), normal(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// What of a request differs from what LangChain sends.
fn difference(encoded: &Encoded, expected: &Value) -> Option<String> {
    let request = &encoded.request;
    let origin = format!(
        "{}://{}",
        request.uri.scheme_str().unwrap(),
        request.uri.authority().unwrap()
    );
    let query: Map<String, Value> =
        url::form_urlencoded::parse(request.uri.query().unwrap_or("").as_bytes())
            .map(|(key, value)| (key.into_owned(), value.into_owned().into()))
            .collect();
    let there = json!({
        "method": request.method.as_str(), "origin": origin, "path": request.uri.path(),
        "query": query,
    });
    for part in ["method", "origin", "path", "query"] {
        if there[part] != expected[part] {
            return Some(format!(
                "{part}: {} instead of {}",
                there[part], expected[part]
            ));
        }
    }
    for (name, value) in expected["headers"].as_object().unwrap() {
        let sent = request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        if name != "x-api-key" && sent != value.as_str() {
            return Some(format!("header {name}: {sent:?} instead of {value}"));
        }
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let (body, wanted) = (normal(&body), normal(&expected["body"]));
    (body != wanted).then(|| format!("body:\n  {body}\ninstead of\n  {wanted}"))
}

#[test]
fn every_request_is_the_one_that_langchain_sends() {
    let mut failures = Vec::new();
    let mut passed = 0;
    for vector in vectors("request") {
        let problem = match encode(&vector) {
            Ok(encoded) => difference(&encoded, &vector["expected"]),
            Err(error) => Some(error.to_string()),
        };
        match (problem, rule(&vector)) {
            (Some(problem), None) => failures.push(format!("{}: {problem}", vector["id"])),
            (None, Some(rule)) => failures.push(format!("{} does not need {rule}", vector["id"])),
            _ => passed += 1,
        }
    }
    assert!(
        failures.is_empty(),
        "{passed} pass\n{}",
        failures.join("\n")
    );
}

#[test]
fn what_langchain_refuses_is_refused_with_advice() {
    for vector in vectors("request_error") {
        match (encode(&vector), rule(&vector)) {
            (Err(error), None) => assert!(error.message.len() > 20, "{}: {error}", vector["id"]),
            (Ok(_), Some(_)) => {}
            (outcome, rule) => panic!("{}: {outcome:?} under {rule:?}", vector["id"]),
        }
    }
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

/// The stream of a vector as its bytes.
pub(crate) fn stream_bytes(events: &[Value]) -> Vec<u8> {
    let event = |event: &Value| {
        let name = event["type"].as_str().unwrap();
        format!("event: {name}\ndata: {event}\n\n")
    };
    events.iter().map(event).collect::<String>().into_bytes()
}

pub(crate) fn gather(target: &Target, bytes: &[u8]) -> Result<ChatReply, ProviderError> {
    let mut decoder = protocol::Decoder::new(target, now());
    let mut events = Vec::new();
    decoder.push(bytes, &mut events)?;
    decoder.finish(&mut events)?;
    let mut accumulator = Accumulator::new();
    for event in events {
        accumulator.push(event)?;
    }
    accumulator.finish()
}

fn reply(vector: &Value) -> Result<ChatReply, ProviderError> {
    let target = Target::new(&settings(&vector["config"])).unwrap();
    if let Some(events) = vector["provider_stream"].as_array() {
        return gather(&target, &stream_bytes(events));
    }
    let status = u16::try_from(vector["provider_status"].as_u64().unwrap()).unwrap();
    let body = vector["provider_response"].to_string();
    protocol::decode(&target, status, &HeaderMap::new(), body.as_bytes(), now())
}

fn text(parts: &[Part]) -> String {
    let text = |part: &Part| match &part.content {
        PartContent::Text { text, .. } => Some(text.clone()),
        _ => None,
    };
    parts.iter().filter_map(text).collect()
}

fn tool_calls(parts: &[Part]) -> Value {
    let call = |part: &Part| match &part.content {
        PartContent::ToolCall(call) if call.kind != ToolCallKind::Server => {
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
            Some(json!({"name": call.name, "args": arguments, "id": call.id, "type": "tool_call"}))
        }
        _ => None,
    };
    parts.iter().filter_map(call).collect()
}

fn usage(reply: &ChatReply, expected: &Value) -> Option<String> {
    let usage = reply.usage.unwrap_or_default();
    let there = json!({
        "input_tokens": usage.input_tokens(),
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens() + usage.output_tokens,
    });
    for (key, value) in there.as_object().unwrap() {
        if &expected[key] != value {
            return Some(format!("{key}: {value} instead of {}", expected[key]));
        }
    }
    let cache_read = expected["input_token_details"]["cache_read"].as_u64();
    (cache_read.unwrap_or(0) != usage.cache_read_tokens).then(|| "cache_read".to_owned())
}

#[test]
fn every_answer_is_read_as_langchain_reads_it() {
    for vector in vectors("response").filter(|vector| !vector["ai_message"].is_null()) {
        let id = &vector["id"];
        let message = &vector["ai_message"];
        let reply = reply(&vector).unwrap_or_else(|error| panic!("{id}: {error}"));
        let choice = &reply.choices.first().cloned().unwrap_or_default();
        assert_eq!(
            text(&choice.parts),
            message["text"].as_str().unwrap(),
            "{id}"
        );
        let calls = normal(&tool_calls(&choice.parts));
        assert_eq!(calls, normal(&message["tool_calls"]), "{id}");
        if let Some(reason) = message["response_metadata"]["stop_reason"].as_str() {
            assert_eq!(choice.native_finish_reason.as_deref(), Some(reason), "{id}");
        }
        let problem = usage(&reply, &message["usage_metadata"]);
        assert_eq!(
            problem.is_some(),
            rule(&vector).is_some(),
            "{id}: {problem:?}"
        );
        if let Some(blocks) = vector["provider_response"]["content"].as_array() {
            let rendered = protocol::render(WireFormat::AnthropicMessages, &reply, "m");
            let rendered: Value = serde_json::from_slice(&rendered).unwrap();
            assert_eq!(
                &normal(&rendered["content"]),
                &normal(&json!(blocks)),
                "{id}"
            );
            assert_eq!(
                rendered["stop_reason"],
                vector["provider_response"]["stop_reason"]
            );
        }
    }
}

#[test]
fn structured_answers_hold_what_langchain_parses() {
    for vector in vectors("response").filter(|vector| !vector["parsed"].is_null()) {
        let reply = reply(&vector).unwrap();
        let parts = &reply.choices[0].parts;
        let calls = tool_calls(parts);
        let parsed = match calls.get(0) {
            Some(call) => call["args"].clone(),
            None => serde_json::from_str(&text(parts)).unwrap(),
        };
        assert_eq!(parsed, vector["parsed"], "{}", vector["id"]);
    }
}

#[test]
fn failures_have_the_kind_that_langchain_gives_them() {
    for vector in vectors("response").filter(|vector| !vector["error"].is_null()) {
        let error = reply(&vector).unwrap_err();
        let kind = match vector["error"]["type"].as_str().unwrap() {
            "AnthropicInvalidRequestError"
            | "AnthropicContextOverflowError"
            | "ContentTooLargeError" => ErrorKind::InvalidRequest,
            "AnthropicAPIError" => ErrorKind::Server,
            "AnthropicOverloadedError" | "APIStatusError" => ErrorKind::Overloaded,
            other => panic!("{other}"),
        };
        assert_eq!(error.kind, kind, "{}", vector["id"]);
        assert!(error.code.is_some() && !error.message.is_empty());
    }
}

#[test]
fn stop_reasons_are_normalised() {
    let cases = [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("pause_turn", FinishReason::Stop),
        ("refusal", FinishReason::Refusal),
        ("something_new", FinishReason::Stop),
    ];
    let vector = vectors("response").next().unwrap();
    let target = Target::new(&settings(&vector["config"])).unwrap();
    for (native, reason) in cases {
        let body = json!({"content": [], "stop_reason": native}).to_string();
        let reply = protocol::decode(&target, 200, &HeaderMap::new(), body.as_bytes(), now());
        let choice = &reply.unwrap().choices[0];
        assert_eq!(choice.finish_reason, Some(reason));
        assert_eq!(choice.native_finish_reason.as_deref(), Some(native));
    }
}
