//! Whole answers, in both directions.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::error;
use super::{types, usage};
use crate::chat::Extra;
use crate::chat::part::{Part, PartContent};
use crate::chat::reply::{ChatReply, Choice, FinishReason};
use crate::error::ProviderError;

/// Members of an answer that mean something to Anthropic's clients only.
pub(super) const ANSWER_EXTRAS: [&str; 4] = [
    "container",
    "context_management",
    "diagnostics",
    "stop_details",
];

/// Reads a whole answer.
pub(crate) fn decode(body: &[u8]) -> Result<ChatReply, ProviderError> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|cause| error::malformed(format!("the answer is not JSON: {cause}")))?;
    let Value::Object(mut answer) = answer else {
        return Err(error::malformed("the answer is not a JSON object"));
    };
    if let Some(failure) = answer
        .get("error")
        .filter(|_| !answer.contains_key("content"))
    {
        return Err(error::from_value(failure, None));
    }
    let Some(Value::Array(blocks)) = answer.shift_remove("content") else {
        return Err(error::malformed("the answer holds no list `content`"));
    };
    Ok(reply_from(answer, blocks))
}

fn reply_from(mut answer: Map<String, Value>, blocks: Vec<Value>) -> ChatReply {
    for implied in ["type", "role"] {
        answer.shift_remove(implied);
    }
    let native_reason = types::take_string(&mut answer, "stop_reason");
    let stop_sequence = types::take_string(&mut answer, "stop_sequence");
    let usage = answer.shift_remove("usage").filter(Value::is_object);
    let mut reply = ChatReply {
        id: types::take_string(&mut answer, "id"),
        model: types::take_string(&mut answer, "model"),
        created: None,
        choices: vec![Choice {
            index: 0,
            parts: blocks.into_iter().map(types::part_from_block).collect(),
            finish_reason: native_reason.as_deref().map(finish_reason),
            native_finish_reason: native_reason,
            stop_sequence,
            ..Choice::default()
        }],
        usage: None,
        extra: Extra::new(),
    };
    answer.retain(|_, value| !value.is_null());
    reply.extra = answer;
    if let Some(usage) = usage {
        let mut counts = usage::UsageCounts::default();
        counts.update(&usage);
        reply.usage = Some(counts.usage());
        let further = usage::extras(&usage);
        if !further.is_empty() {
            reply
                .extra
                .insert("usage".to_owned(), Value::Object(further));
        }
    }
    reply
}

/// Why the model stopped, in canonical words.
pub(super) fn finish_reason(native: &str) -> FinishReason {
    match native {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::Refusal,
        // `pause_turn` and `compaction` end an answer that the client may have continued.
        _ => FinishReason::Stop,
    }
}

/// Why the model stopped, in Anthropic's words: the provider's own where it is one of them.
pub(super) fn stop_reason(
    reason: Option<FinishReason>,
    native: Option<&str>,
    has_stop_sequence: bool,
) -> &str {
    const WORDS: [&str; 8] = [
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "compaction",
        "refusal",
        "model_context_window_exceeded",
    ];
    if let Some(native) = native.filter(|native| WORDS.contains(native)) {
        return native;
    }
    match reason {
        Some(FinishReason::Length) => "max_tokens",
        Some(FinishReason::ToolCalls) => "tool_use",
        Some(FinishReason::ContentFilter | FinishReason::Refusal) => "refusal",
        _ if has_stop_sequence => "stop_sequence",
        _ => "end_turn",
    }
}

/// Writes a part of an answer as a block. None where Anthropic's clients know no such block.
pub(super) fn answer_block(part: &Part) -> Option<Map<String, Value>> {
    if let PartContent::Reasoning(reasoning) = &part.content {
        let is_hidden = reasoning.encrypted.is_some();
        if reasoning.signature.is_none() && !is_hidden {
            // The type asks for a signature; an empty one says that there is none.
            let block = json!({"type": "thinking", "thinking": reasoning.text, "signature": ""});
            return block.as_object().cloned();
        }
    }
    let block = types::block_from_part(part)?;
    types::is_answer_block(&block).then_some(block)
}

/// Writes a whole answer. Of several, Anthropic's format can say the first only.
pub(crate) fn render(reply: &ChatReply, model: &str) -> Bytes {
    let choice = reply.choices.first();
    let parts = choice.map_or(&[][..], |choice| &choice.parts);
    let is_refusal = parts
        .iter()
        .any(|part| matches!(part.content, PartContent::Refusal { .. }));
    let reason = match choice.and_then(|choice| choice.finish_reason) {
        Some(FinishReason::Stop) if is_refusal => Some(FinishReason::Refusal),
        reason => reason,
    };
    let stop_sequence = choice.and_then(|choice| choice.stop_sequence.as_deref());
    let native = choice.and_then(|choice| choice.native_finish_reason.as_deref());
    let extra = |key: &str| {
        let own = choice.and_then(|choice| choice.extra.get(key));
        own.or_else(|| reply.extra.get(key))
    };
    let mut usage = usage::value(&reply.usage.unwrap_or_default());
    if let (Some(further), Some(usage)) = (extra("usage"), usage.as_object_mut()) {
        usage.extend(usage::extras(further));
    }
    let mut answer = json!({
        "id": reply.id.as_deref().unwrap_or("msg"),
        "type": "message",
        "role": "assistant",
        "model": reply.model.as_deref().unwrap_or(model),
        "content": parts.iter().filter_map(answer_block).collect::<Vec<_>>(),
        "stop_reason": stop_reason(reason, native, stop_sequence.is_some()),
        "stop_sequence": stop_sequence,
        "usage": usage,
    });
    for key in ANSWER_EXTRAS {
        if let Some(value) = extra(key) {
            answer[key] = value.clone();
        }
    }
    Bytes::from(answer.to_string())
}
