//! Whole answers: Cohere's into the canonical reply.

use serde_json::Value;

use super::error::{malformed, unreadable};
use crate::chat::part::{Part, PartContent, Reasoning, ToolCall, ToolCallKind};
use crate::chat::reply::{ChatReply, Choice, FinishReason};
use crate::chat::usage::Usage;
use crate::error::{InvalidCall, ProviderError};
use crate::json::{Members, integer};

/// Provider answer of status 2xx → canonical reply.
pub(crate) fn decode(body: &[u8]) -> Result<ChatReply, ProviderError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the provider's answer is not JSON: {error}")))?;
    reply_from(value).map_err(|problem| unreadable(&problem))
}

fn reply_from(value: Value) -> Result<ChatReply, InvalidCall> {
    let mut members = Members::of(value, "")?;
    let mut message = members.require_object("message")?;
    let parts = parts_from(&mut message)?;
    message.take("role");
    let native = members.take_loose_text("finish_reason");
    let choice = Choice {
        parts,
        finish_reason: native.as_deref().map(finish_reason),
        native_finish_reason: native,
        logprobs: members.take("logprobs"),
        message_extra: message.rest(),
        ..Choice::default()
    };
    Ok(ChatReply {
        id: members.take_loose_text("id"),
        choices: vec![choice],
        usage: members.take("usage").as_ref().and_then(usage_from),
        extra: members.rest(),
        ..ChatReply::default()
    })
}

/// What the model planned before it called tools is said like any text.
fn parts_from(message: &mut Members) -> Result<Vec<Part>, InvalidCall> {
    let mut parts = Vec::new();
    let plan = message.take_text("tool_plan")?;
    parts.extend(plan.filter(|plan| !plan.is_empty()).map(Part::text));
    for piece in message.take_array("content")?.unwrap_or_default() {
        parts.extend(part_from(piece));
    }
    let citations = message.take_array("citations")?.unwrap_or_default();
    let mut last_first = parts.iter_mut().rev();
    let of_text = last_first.find_map(|part| match &mut part.content {
        PartContent::Text { citations, .. } => Some(citations),
        _ => None,
    });
    if let Some(own) = of_text {
        *own = citations;
    }
    for call in message.take_array("tool_calls")?.unwrap_or_default() {
        parts.push(Part::new(PartContent::ToolCall(call_from(&call))));
    }
    Ok(parts)
}

fn part_from(piece: Value) -> Option<Part> {
    match piece["type"].as_str() {
        Some("thinking") => {
            let text = piece["thinking"].as_str().unwrap_or_default();
            Some(Part::new(PartContent::Reasoning(Reasoning {
                text: text.to_owned(),
                ..Reasoning::default()
            })))
        }
        Some("text") => {
            let text = piece["text"].as_str().filter(|text| !text.is_empty())?;
            Some(Part::text(text))
        }
        _ => Some(Part::new(PartContent::Native(piece))),
    }
}

/// A tool call as far as it is known; in a stream its arguments follow.
pub(super) fn call_from(call: &Value) -> ToolCall {
    let function = &call["function"];
    ToolCall {
        id: call["id"].as_str().unwrap_or_default().to_owned(),
        name: function["name"].as_str().unwrap_or_default().to_owned(),
        arguments: match &function["arguments"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        kind: ToolCallKind::Function,
    }
}

/// Cohere's word for why it stopped.
pub(super) fn finish_reason(native: &str) -> FinishReason {
    match native.to_ascii_uppercase().as_str() {
        "MAX_TOKENS" | "ERROR_LIMIT" => FinishReason::Length,
        "TOOL_CALL" => FinishReason::ToolCalls,
        "ERROR_TOXIC" => FinishReason::ContentFilter,
        "ERROR" | "TIMEOUT" => FinishReason::Error,
        _ => FinishReason::Stop,
    }
}

/// The tokens that were processed; where Cohere does not say, those it bills.
pub(super) fn usage_from(usage: &Value) -> Option<Usage> {
    let counts = [&usage["tokens"], &usage["billed_units"]]
        .into_iter()
        .find(|counts| counts["input_tokens"].is_number() || counts["output_tokens"].is_number())?;
    let input = count(&counts["input_tokens"]);
    let cached = count(&usage["cached_tokens"]).min(input);
    Some(Usage {
        uncached_input_tokens: input - cached,
        cache_read_tokens: cached,
        output_tokens: count(&counts["output_tokens"]),
        ..Usage::default()
    })
}

/// Cohere writes its counts as floating point.
fn count(value: &Value) -> u64 {
    let whole = integer(value).and_then(|count| u64::try_from(count).ok());
    whole.unwrap_or_default()
}
