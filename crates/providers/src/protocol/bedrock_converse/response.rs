//! Whole answers → canonical reply.

use serde_json::{Map, Value, json};

use super::citations;
use super::configuration;
use super::types::{media_type_of, take_text};
use crate::chat::Extra;
use crate::chat::part::{MediaSource, Part, PartContent, Reasoning, ToolCall, ToolCallKind};
use crate::chat::reply::{ChatReply, Choice, FinishReason};
use crate::chat::usage::Usage;
use crate::error::{ErrorKind, ProviderError};
use crate::target::Target;

/// Reads a whole answer.
pub(crate) fn decode(target: &Target, body: &[u8]) -> Result<ChatReply, ProviderError> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|cause| malformed(format!("the answer is not JSON: {cause}")))?;
    let Value::Object(mut answer) = answer else {
        return Err(malformed("the answer is not a JSON object"));
    };
    let content = answer
        .shift_remove("output")
        .and_then(|mut output| output.pointer_mut("/message/content").map(Value::take));
    let Some(Value::Array(blocks)) = content else {
        return Err(malformed(
            "the answer holds no `output`: is the endpoint one of Bedrock's runtime?",
        ));
    };
    let tags = configuration::model(target).reasoning_tags();
    let parts = blocks.into_iter().flat_map(parts_from_block);
    let parts = match tags {
        Some(tags) => parts.flat_map(|part| split_reasoning(part, tags)).collect(),
        None => parts.collect(),
    };
    let native = take_text(&mut answer, "stopReason");
    let fields = answer.get("additionalModelResponseFields");
    let choice = Choice {
        index: 0,
        parts,
        finish_reason: native.as_deref().map(finish_reason),
        native_finish_reason: native,
        stop_sequence: stop_sequence(fields),
        ..Choice::default()
    };
    let thinking = thinking_tokens(fields);
    let usage = answer.shift_remove("usage");
    answer.retain(|_, value| !value.is_null());
    Ok(ChatReply {
        id: None,
        model: Some(target.model.clone()),
        created: None,
        choices: vec![choice],
        usage: usage.as_ref().map(|usage| usage_from(usage, thinking)),
        extra: answer,
    })
}

/// Reads one block. Some hold several pieces.
pub(super) fn parts_from_block(block: Value) -> Vec<Part> {
    let Value::Object(mut members) = block else {
        return vec![Part::new(PartContent::Native(block))];
    };
    let part = |content| vec![Part::new(content)];
    let name = members.keys().next().cloned().unwrap_or_default();
    match (name.as_str(), members.shift_remove(&name)) {
        ("text", Some(Value::String(text))) => vec![Part::text(text)],
        ("toolUse", Some(Value::Object(call))) => part(PartContent::ToolCall(tool_call(&call))),
        ("serverToolUse", Some(Value::Object(call))) => {
            let mut call = tool_call(&call);
            call.kind = ToolCallKind::Server;
            part(PartContent::ToolCall(call))
        }
        ("reasoningContent", Some(reasoning)) => {
            part(PartContent::Reasoning(reasoning_from(&reasoning)))
        }
        ("citationsContent", Some(Value::Object(cited))) => cited_texts(cited),
        (kind @ ("image" | "video" | "document"), Some(media)) => match media_part(kind, &media) {
            Some(content) => part(content),
            None => part(PartContent::Native(json!({ kind: media }))),
        },
        (name, Some(value)) => part(PartContent::Native(json!({ name: value }))),
        (_, None) => Vec::new(),
    }
}

fn tool_call(call: &Map<String, Value>) -> ToolCall {
    let text = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default();
    ToolCall {
        id: text("toolUseId").to_owned(),
        name: text("name").to_owned(),
        arguments: match call.get("input") {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(input) => input.to_string(),
        },
        kind: match text("type") {
            "server_tool_use" => ToolCallKind::Server,
            _ => ToolCallKind::Function,
        },
    }
}

fn reasoning_from(reasoning: &Value) -> Reasoning {
    let text = |path: &str| {
        let text = reasoning.pointer(path).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    Reasoning {
        id: None,
        text: text("/reasoningText/text").unwrap_or_default(),
        signature: text("/reasoningText/signature"),
        encrypted: text("/redactedContent"),
    }
}

fn cited_texts(mut cited: Map<String, Value>) -> Vec<Part> {
    let mut take = |name: &str| match cited.shift_remove(name) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let (content, found) = (take("content"), take("citations"));
    let citations: Vec<Value> = found.into_iter().map(citations::from_bedrock).collect();
    let texts = content.iter().filter_map(|piece| piece["text"].as_str());
    texts
        .map(|text| {
            Part::new(PartContent::Text {
                text: text.to_owned(),
                citations: citations.clone(),
            })
        })
        .collect()
}

fn media_part(kind: &str, media: &Value) -> Option<PartContent> {
    let source = MediaSource::Base64 {
        media_type: media_type_of(kind, media.get("format")?.as_str()?),
        data: media.pointer("/source/bytes")?.as_str()?.to_owned(),
    };
    Some(match kind {
        "image" => PartContent::Image {
            source,
            detail: None,
        },
        "video" => PartContent::Video { source },
        _ => PartContent::Document {
            source,
            name: media.get("name").and_then(Value::as_str).map(str::to_owned),
        },
    })
}

/// Takes the thinking of models that think aloud out of their text.
fn split_reasoning(part: Part, (open, close): (&str, &str)) -> Vec<Part> {
    let PartContent::Text { text, .. } = &part.content else {
        return vec![part];
    };
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    let say = |text: &str, parts: &mut Vec<Part>| {
        if !text.trim().is_empty() {
            parts.push(Part::text(text));
        }
    };
    let mut has_pair = false;
    while let Some((before, after)) = rest.split_once(open)
        && let Some((inner, after)) = after.split_once(close)
    {
        has_pair = true;
        say(before, &mut parts);
        if !inner.trim().is_empty() {
            parts.push(Part::new(PartContent::Reasoning(Reasoning {
                text: inner.trim().to_owned(),
                ..Reasoning::default()
            })));
        }
        rest = after;
    }
    if !has_pair {
        return vec![part];
    }
    say(rest, &mut parts);
    parts
}

/// Why the model stopped, in canonical words.
pub(super) fn finish_reason(native: &str) -> FinishReason {
    match native {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => FinishReason::Error,
        "refusal" => FinishReason::Refusal,
        _ => FinishReason::Stop,
    }
}

/// The stop text, where the configuration asks for the model's own field of it.
pub(super) fn stop_sequence(fields: Option<&Value>) -> Option<String> {
    let text = fields?.get("stop_sequence")?.as_str()?;
    Some(text.to_owned())
}

/// The tokens of thinking, where the configuration asks for the model's own count.
pub(super) fn thinking_tokens(fields: Option<&Value>) -> Option<u64> {
    fields?
        .pointer("/usage/output_tokens_details/thinking_tokens")?
        .as_u64()
}

/// Tokens. Writes to the cache whose lifetime is not told count as five minutes.
pub(super) fn usage_from(usage: &Value, thinking: Option<u64>) -> Usage {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
    let details = usage.get("cacheDetails").and_then(Value::as_array);
    let written_for = |ttl: &str| -> u64 {
        let entries = details.into_iter().flatten();
        let of_it = entries.filter(|entry| entry["ttl"] == ttl);
        of_it
            .filter_map(|entry| entry["inputTokens"].as_u64())
            .fold(0, u64::saturating_add)
    };
    let (five_minutes, one_hour) = (written_for("5m"), written_for("1h"));
    let untold = if five_minutes + one_hour == 0 {
        count("cacheWriteInputTokens")
    } else {
        0
    };
    Usage {
        uncached_input_tokens: count("inputTokens"),
        cache_read_tokens: count("cacheReadInputTokens"),
        cache_write_5m_tokens: five_minutes + untold,
        cache_write_1h_tokens: one_hour,
        output_tokens: count("outputTokens"),
        reasoning_tokens: thinking.unwrap_or_default().min(count("outputTokens")),
    }
}

/// Members that the whole answer has and a stream says at its end.
pub(super) fn further(mut members: Map<String, Value>) -> Extra {
    members.retain(|_, value| !value.is_null());
    members
}

/// The failure that an answer, or a piece of one, is not the format.
pub(super) fn malformed(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.into())
}
