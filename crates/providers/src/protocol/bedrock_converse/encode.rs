//! Canonical call → provider request: the one that LangChain's `ChatBedrockConverse` sends.

use serde_json::{Map, Value, json};

use super::blocks::BlockWriter;
use super::models::Streaming;
use super::types::encode_blobs;
use super::{cache, configuration, conversation, tools};
use crate::catalog::Protocol;
use crate::chat::WireFormat;
use crate::chat::call::ChatCall;
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::protocol::Encoded;
use crate::target::{HttpRequest, Target};

/// Writes the request.
pub(crate) fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    let mut losses = Losses::of(Protocol::BedrockConverse);
    let model = configuration::model(target);
    let mut body = configuration::body(call, target, &model, &mut losses)?;
    tools::encode(call, target, &model, &mut body, &mut losses)?;
    let mut writer = BlockWriter::new(&model, call.dialect, &mut losses);
    let (said, mut messages) = conversation::encode(call, &mut writer)?;
    let mut system = configured_system(target);
    system.extend(said);
    guard_last_turn(target, &mut messages);
    if let Some(control) = call.extra.get("cache_control").filter(|_| is_openai(call)) {
        cache::apply(control, &model, &mut system, &mut messages, &mut body);
    }
    if !body.contains_key("toolConfig") && tools::are_used(&messages) {
        tools::as_text(&mut messages);
    }
    let request = request(call, target, (system, messages), body)?;
    Ok(Encoded {
        request,
        losses: losses.into_vec(),
    })
}

fn is_openai(call: &ChatCall) -> bool {
    call.dialect == WireFormat::OpenAiChat
}

/// Whether the answer is fetched piece by piece.
pub(crate) fn streams(call: &ChatCall, target: &Target) -> bool {
    let is_allowed = match configuration::setting(target, "disable_streaming") {
        Some(Value::Bool(is_disabled)) => !is_disabled,
        Some(Value::String(word)) if word == "tool_calling" => call.tools.is_empty(),
        _ => match configuration::model(target).streaming() {
            Streaming::Always => true,
            Streaming::WithoutTools => call.tools.is_empty(),
            Streaming::Never => false,
        },
    };
    target.wants_stream(call.stream) && is_allowed && !tools::has_system_tool(call)
}

/// The configuration's own system prompts, which come first.
fn configured_system(target: &Target) -> Vec<Value> {
    let prompts = configuration::setting(target, "system").and_then(Value::as_array);
    let prompts = prompts.into_iter().flatten();
    prompts
        .map(|prompt| match prompt {
            Value::String(text) => json!({ "text": text }),
            block => block.clone(),
        })
        .collect()
}

/// Marks the last turn of the user's as the one that the guardrail judges.
fn guard_last_turn(target: &Target, messages: &mut [Value]) {
    if configuration::setting(target, "guard_last_turn_only") != Some(&Value::Bool(true)) {
        return;
    }
    let mut turns = messages.iter_mut().rev();
    let Some(Value::Array(content)) = turns
        .find(|turn| turn["role"] == "user")
        .and_then(|turn| turn.get_mut("content"))
    else {
        return;
    };
    let guarded = |text: &Value| json!({"guardContent": {"text": { "text": text }}});
    let mut has_text = false;
    for block in content.iter_mut() {
        if let Some(text) = block.get("text") {
            has_text = true;
            *block = guarded(text);
        }
    }
    if !has_text {
        content.push(guarded(&json!("[tool_result]")));
    }
}

fn request(
    call: &ChatCall,
    target: &Target,
    (mut system, mut messages): (Vec<Value>, Vec<Value>),
    body: Map<String, Value>,
) -> Result<HttpRequest, InvalidCall> {
    if let Some(Value::Array(raw)) = configuration::setting(target, "raw_blocks") {
        messages.clone_from(raw);
        system.clear();
        let contents = messages
            .iter_mut()
            .filter_map(|turn| turn["content"].as_array_mut());
        contents.flatten().for_each(encode_blobs);
    }
    let mut whole = Map::with_capacity(body.len() + 2);
    whole.insert("messages".to_owned(), Value::Array(messages));
    whole.insert("system".to_owned(), Value::Array(system));
    whole.extend(body);
    let body = serde_json::to_vec(&whole)
        .map_err(|error| invalid("", &format!("cannot be written as JSON: {error}")))?;
    Ok(HttpRequest {
        method: http::Method::POST,
        uri: target.uri(streams(call, target)).clone(),
        headers: target.headers.clone(),
        body: body.into(),
    })
}
