//! `response` records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use providers::chat::accumulator::Accumulator;
use providers::chat::part::{PartContent, ToolCallKind};
use providers::chat::reply::ChatReply;
use providers::error::{ErrorKind, ProviderError};
use providers::protocol::{self, Decoder};
use providers::target::Target;
use serde_json::{Map, Value, json};

use super::Suite;
use super::compare::difference;
use super::record::Record;

/// The answer means to us what it means to LangChain.
pub(crate) fn means(_: &Suite, record: &Record) -> Result<(), String> {
    let target = Target::new(&record.settings()).map_err(|error| error.to_string())?;
    match (decode(record, &target), &record.error) {
        (Err(error), Some(expected)) => same_error(record, &error, expected),
        (Err(error), None) => Err(format!("not decoded: {error}")),
        (Ok(_), Some(_)) => Err("decoded although LangChain fails".to_owned()),
        (Ok(reply), None) => {
            if let Some(parsed) = &record.parsed {
                return same_parsed(&reply, parsed);
            }
            let message = record
                .ai_message
                .as_ref()
                .ok_or("nothing to compare with")?;
            same_message(&reply, message)
        }
    }
}

/// The reply of a record, whole or added up from its stream.
pub(crate) fn decode(record: &Record, target: &Target) -> Result<ChatReply, ProviderError> {
    let now = Timestamp::UNIX_EPOCH;
    if record.provider_stream.is_some() {
        let mut decoder = Decoder::new(target, now);
        let mut events = Vec::new();
        decoder.push(&stream_bytes(record), &mut events)?;
        decoder.finish(&mut events)?;
        let mut accumulator = Accumulator::new();
        for event in events {
            accumulator.push(event)?;
        }
        return accumulator.finish();
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &record.provider_headers {
        let name: HeaderName = name.parse().unwrap();
        let value = HeaderValue::from_str(value.as_str().unwrap_or_default()).unwrap();
        headers.insert(name, value);
    }
    let status = record.provider_status.unwrap_or(200);
    let body = match &record.provider_response {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    protocol::decode(target, status, &headers, body.as_bytes(), now)
}

/// The bytes of a record's stream.
pub(crate) fn stream_bytes(record: &Record) -> Vec<u8> {
    if let Some(frames) = &record.provider_stream_base64 {
        return STANDARD.decode(frames).unwrap();
    }
    stream_text(record).into_bytes()
}

/// The bytes of a record's stream, where they are text.
pub(crate) fn stream_text(record: &Record) -> String {
    let chunks = record.provider_stream.as_ref().and_then(Value::as_array);
    let mut text = String::new();
    for chunk in chunks.into_iter().flatten() {
        if record.stream_encoding == "ndjson" {
            text.push_str(&format!("{chunk}\n"));
            continue;
        }
        if record.stream_encoding == "sse_named" {
            let name = chunk["type"].as_str().unwrap_or_default();
            text.push_str(&format!("event: {name}\n"));
        }
        text.push_str(&format!("data: {chunk}\n\n"));
    }
    if record.stream_encoding == "sse_done" {
        text.push_str("data: [DONE]\n\n");
    }
    text
}

fn same_error(record: &Record, error: &ProviderError, expected: &Value) -> Result<(), String> {
    // Some integrations raise an error that keeps no status.
    let status = expected["status_code"].as_u64().map(|status| status as u16);
    let status = status.or(record.provider_status.filter(|status| *status >= 400));
    // Some integrations drop it.
    if status.is_some() && error.status != status {
        return Err(format!(
            "status: expected {status:?}, got {:?}",
            error.status
        ));
    }
    let classes: Vec<&str> = expected["mro"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let kinds = [
        ("ModelInvalidRequestError", &[ErrorKind::InvalidRequest][..]),
        ("ModelAuthenticationError", &[ErrorKind::Authentication]),
        ("ModelPermissionDeniedError", &[ErrorKind::Authentication]),
        ("ModelNotFoundError", &[ErrorKind::ModelNotFound]),
        ("ModelRateLimitError", &[ErrorKind::RateLimit]),
        ("ModelAPIError", &[ErrorKind::Server, ErrorKind::Overloaded]),
        ("botocore.ValidationException", &[ErrorKind::InvalidRequest]),
        (
            "botocore.AccessDeniedException",
            &[ErrorKind::Authentication],
        ),
        (
            "botocore.ResourceNotFoundException",
            &[ErrorKind::ModelNotFound],
        ),
        ("botocore.ThrottlingException", &[ErrorKind::RateLimit]),
    ];
    for (class, allowed) in kinds {
        let is_that = classes.iter().any(|known| known.ends_with(class));
        if is_that && !allowed.contains(&error.kind) {
            return Err(format!("kind: expected {allowed:?}, got {:?}", error.kind));
        }
    }
    Ok(())
}

fn text_of(reply: &ChatReply) -> String {
    let parts = reply
        .choices
        .first()
        .map_or(&[][..], |choice| &choice.parts);
    let texts = parts.iter().filter_map(|part| match &part.content {
        PartContent::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn same_parsed(reply: &ChatReply, parsed: &Value) -> Result<(), String> {
    let call = tool_calls(reply).0.first().map(|call| call["args"].clone());
    let actual = call.or_else(|| serde_json::from_str(&text_of(reply)).ok());
    match difference(parsed, &actual.unwrap_or_default(), "parsed") {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

/// The tool calls whose arguments are JSON objects, and the others.
fn tool_calls(reply: &ChatReply) -> (Vec<Value>, Vec<Value>) {
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for part in reply
        .choices
        .first()
        .into_iter()
        .flat_map(|choice| &choice.parts)
    {
        let PartContent::ToolCall(call) = &part.content else {
            continue;
        };
        // LangChain leaves a computer's actions in the message's content.
        if matches!(call.kind, ToolCallKind::Server | ToolCallKind::ComputerUse) {
            continue;
        }
        // No arguments at all are an empty object.
        let arguments = if call.arguments.is_empty() {
            "{}"
        } else {
            &call.arguments
        };
        match serde_json::from_str::<Map<String, Value>>(arguments) {
            Ok(arguments) => {
                valid.push(json!({"name": call.name, "args": arguments, "id": call.id}));
            }
            Err(_) => {
                invalid.push(json!({"name": call.name, "args": call.arguments, "id": call.id}))
            }
        }
    }
    (valid, invalid)
}

fn same_message(reply: &ChatReply, message: &Value) -> Result<(), String> {
    let (valid, invalid) = tool_calls(reply);
    let pick = |calls: &Value| -> Vec<Value> {
        let calls = calls.as_array().into_iter().flatten();
        calls
            .map(|call| json!({"name": call["name"], "args": call["args"], "id": call["id"]}))
            .collect()
    };
    let choice = reply.choices.first();
    let native = choice.and_then(|choice| choice.native_finish_reason.clone());
    let metadata = &message["response_metadata"];
    let words = ["finish_reason", "stop_reason", "stopReason"].map(|name| &metadata[name]);
    let finish = words
        .into_iter()
        .find(|reason| !reason.is_null())
        .cloned()
        .unwrap_or_default();
    let checks = [
        (message["text"].clone(), json!(text_of(reply)), "text"),
        (
            json!(pick(&message["tool_calls"])),
            json!(valid),
            "tool_calls",
        ),
        (
            json!(pick(&message["invalid_tool_calls"])),
            json!(invalid),
            "invalid_tool_calls",
        ),
        // Some integrations drop the reason.
        (
            finish.clone(),
            if finish.is_null() {
                finish
            } else {
                json!(native)
            },
            "finish_reason",
        ),
        (
            expected_usage(message),
            actual_usage(reply, message),
            "usage",
        ),
    ];
    for (expected, actual, name) in checks {
        if let Some(problem) = difference(&expected, &actual, name) {
            return Err(problem);
        }
    }
    Ok(())
}

/// LangChain's counts, as far as they have ours.
fn expected_usage(message: &Value) -> Value {
    let usage = &message["usage_metadata"];
    if usage.is_null() {
        return Value::Null;
    }
    json!({
        "input": usage["input_tokens"],
        "output": usage["output_tokens"],
        "cache_read": usage["input_token_details"]["cache_read"],
        "reasoning": usage["output_token_details"]["reasoning"],
    })
}

/// Our counts; a kind that LangChain does not mention is not compared.
fn actual_usage(reply: &ChatReply, message: &Value) -> Value {
    let Some(usage) = &reply.usage else {
        return Value::Null;
    };
    let expected = &message["usage_metadata"];
    let if_named = |named: &Value, count: u64| (!named.is_null()).then_some(count);
    json!({
        "input": usage.input_tokens(),
        "output": usage.output_tokens,
        "cache_read":
            if_named(&expected["input_token_details"]["cache_read"], usage.cache_read_tokens),
        "reasoning":
            if_named(&expected["output_token_details"]["reasoning"], usage.reasoning_tokens),
    })
}
