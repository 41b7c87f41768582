//! Whole answers: a provider's into the canonical reply, and a reply for a client.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::error::{decode_embedded, malformed, unreadable};
use super::tools::{parse_tool_call, tool_call_json};
use super::types::{parse_content, reasoning_details};
use crate::chat::Extra;
use crate::chat::part::{Part, PartContent, Reasoning, ToolCallKind};
use crate::chat::reply::{ChatReply, Choice, FinishReason};
use crate::chat::usage::Usage;
use crate::error::{InvalidCall, ProviderError};
use crate::json::Members;

/// Members of an answer that a client of this format is shown, whoever made it.
pub(super) const SHOWN: &[&str] = &[
    "system_fingerprint",
    "service_tier",
    "citations",
    "search_results",
    "images",
    "related_questions",
    "provider",
    "prompt_filter_results",
];

/// Provider answer of status 2xx → canonical reply.
pub(crate) fn decode(body: &[u8]) -> Result<ChatReply, ProviderError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the provider's answer is not JSON: {error}")))?;
    if !value["error"].is_null() && !value["choices"].is_array() {
        return Err(decode_embedded(&value));
    }
    reply_from(value).map_err(|problem| unreadable(&problem))
}

fn reply_from(value: Value) -> Result<ChatReply, InvalidCall> {
    let mut members = Members::of(value, "")?;
    let choices = members.take_array("choices")?.unwrap_or_default();
    if choices.is_empty() {
        return Err(members.error("choices", "is missing"));
    }
    let choices: Result<_, _> = choices
        .into_iter()
        .enumerate()
        .map(|(index, choice)| choice_from(choice, index))
        .collect();
    members.take("object");
    Ok(ChatReply {
        id: members.take_loose_text("id"),
        model: members.take_loose_text("model"),
        created: members.take_integer("created").unwrap_or_default(),
        choices: choices?,
        usage: members.take("usage").as_ref().and_then(usage_from),
        extra: members.rest(),
    })
}

fn choice_from(value: Value, position: usize) -> Result<Choice, InvalidCall> {
    let mut members = Members::of(value, format!("choices[{position}]"))?;
    let mut message = members.require_object("message")?;
    let parts = parts_from(&mut message)?;
    message.take("role");
    let native = members.take_loose_text("finish_reason");
    let index = members.take_integer("index").unwrap_or_default();
    Ok(Choice {
        index: index
            .and_then(|index| u32::try_from(index).ok())
            .unwrap_or_else(|| u32::try_from(position).unwrap_or_default()),
        parts,
        finish_reason: native.as_deref().map(finish_reason),
        native_finish_reason: native,
        stop_sequence: None,
        logprobs: members.take("logprobs"),
        extra: members.rest(),
        message_extra: message.rest(),
    })
}

fn parts_from(message: &mut Members) -> Result<Vec<Part>, InvalidCall> {
    let mut parts = take_reasoning(message)?;
    let content = message.take("content");
    let content = parse_content(content, &message.path_of("content"))?;
    let is_empty = |part: &Part| match &part.content {
        PartContent::Text { text, .. } => text.is_empty(),
        _ => false,
    };
    parts.extend(content.parts.into_iter().filter(|part| !is_empty(part)));
    let citations = message.take_array("annotations")?.unwrap_or_default();
    for part in parts.iter_mut().rev() {
        if let PartContent::Text { citations: own, .. } = &mut part.content {
            own.extend(citations);
            break;
        }
    }
    if let Some(text) = message.take_text("refusal")? {
        parts.push(Part::new(PartContent::Refusal { text }));
    }
    let calls = message.take_array("tool_calls")?.unwrap_or_default();
    for (index, call) in calls.into_iter().enumerate() {
        let path = format!("{}[{index}]", message.path_of("tool_calls"));
        parts.push(parse_tool_call(call, &path)?);
    }
    if let Some(call) = message.take("function_call") {
        let path = message.path_of("function_call");
        parts.push(parse_tool_call(json!({"function": call}), &path)?);
    }
    Ok(parts)
}

/// Thinking, in the order of preference: blocks with signatures, then bare text under
/// either of the names in use.
pub(super) fn take_reasoning(message: &mut Members) -> Result<Vec<Part>, InvalidCall> {
    let long = message.take_text("reasoning_content")?;
    let short = match message.peek("reasoning") {
        Some(Value::String(_)) => message.take_text("reasoning")?,
        _ => None,
    };
    let details = message.take_array("reasoning_details")?.unwrap_or_default();
    let mut parts: Vec<Part> = details.iter().filter_map(reasoning_from_detail).collect();
    let text = long.or(short).filter(|text| !text.is_empty());
    if let (true, Some(text)) = (parts.is_empty(), text) {
        parts.push(Part::new(PartContent::Reasoning(Reasoning {
            text,
            ..Reasoning::default()
        })));
    }
    Ok(parts)
}

/// OpenRouter's form of a piece of thinking.
fn reasoning_from_detail(detail: &Value) -> Option<Part> {
    let text = |name: &str| detail[name].as_str().map(str::to_owned);
    let reasoning = match detail["type"].as_str()? {
        "reasoning.text" => Reasoning {
            id: text("id"),
            text: text("text").unwrap_or_default(),
            signature: text("signature"),
            encrypted: None,
        },
        "reasoning.summary" => Reasoning {
            id: text("id"),
            text: text("summary").unwrap_or_default(),
            ..Reasoning::default()
        },
        "reasoning.encrypted" => Reasoning {
            id: text("id"),
            encrypted: Some(text("data")?),
            ..Reasoning::default()
        },
        _ => return None,
    };
    Some(Part::new(PartContent::Reasoning(reasoning)))
}

/// A provider's word for why it stopped.
pub(super) fn finish_reason(native: &str) -> FinishReason {
    match native {
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "safety" => FinishReason::ContentFilter,
        "refusal" => FinishReason::Refusal,
        "error" | "insufficient_system_resource" => FinishReason::Error,
        _ => FinishReason::Stop,
    }
}

/// Our word for why, in OpenAI's vocabulary.
pub(super) const fn finish_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filter",
        FinishReason::Error => "error",
    }
}

/// The tokens that a `usage` object counts. None where it counts nothing.
pub(crate) fn usage_from(usage: &Value) -> Option<Usage> {
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let input = usage["prompt_tokens"].as_u64();
    let output = usage["completion_tokens"].as_u64();
    if input.is_none() && output.is_none() {
        return None;
    }
    let (input, mut output) = (input.unwrap_or_default(), output.unwrap_or_default());
    let details = &usage["prompt_tokens_details"];
    let cached = details["cached_tokens"]
        .as_u64()
        .or(usage["prompt_cache_hit_tokens"].as_u64())
        .or(usage["cached_tokens"].as_u64())
        .unwrap_or_default()
        .min(input);
    let written = count(&details["cache_write_tokens"]).min(input - cached);
    let reasoning = count(&usage["completion_tokens_details"]["reasoning_tokens"]);
    // Some providers count reasoning beside the output; their total gives it away.
    let total = count(&usage["total_tokens"]);
    if reasoning > 0 && total == input.saturating_add(output).saturating_add(reasoning) {
        output = output.saturating_add(reasoning);
    }
    Some(Usage {
        uncached_input_tokens: input - cached - written,
        cache_read_tokens: cached,
        cache_write_5m_tokens: written,
        cache_write_1h_tokens: 0,
        output_tokens: output,
        reasoning_tokens: reasoning.min(output),
    })
}

/// Tokens as OpenAI counts them.
pub(super) fn usage_json(usage: &Usage) -> Value {
    let input = usage.input_tokens();
    json!({
        "prompt_tokens": input,
        "completion_tokens": usage.output_tokens,
        "total_tokens": input.saturating_add(usage.output_tokens),
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    })
}

/// Canonical reply → client answer. `model` stands in where the provider named none.
pub(crate) fn render(reply: &ChatReply, model: &str) -> Bytes {
    let choices: Vec<Value> = reply.choices.iter().map(choice_json).collect();
    let mut object = Map::new();
    let id = reply.id.as_deref().unwrap_or("chatcmpl-0");
    object.insert("id".to_owned(), id.into());
    object.insert("object".to_owned(), "chat.completion".into());
    object.insert(
        "created".to_owned(),
        reply.created.unwrap_or_default().into(),
    );
    let model = reply.model.as_deref().unwrap_or(model);
    object.insert("model".to_owned(), model.into());
    object.insert("choices".to_owned(), choices.into());
    if let Some(usage) = &reply.usage {
        object.insert("usage".to_owned(), usage_json(usage));
    }
    object.extend(shown(&reply.extra));
    Value::Object(object).to_string().into()
}

/// What of an answer's further members this format's clients know.
pub(super) fn shown(extra: &Extra) -> impl Iterator<Item = (String, Value)> + '_ {
    extra
        .iter()
        .filter(|(name, _)| SHOWN.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
}

fn choice_json(choice: &Choice) -> Value {
    let finish = choice.finish_reason.map(finish_word);
    json!({
        "index": choice.index,
        "message": message_json(&choice.parts, &choice.message_extra),
        "logprobs": choice.logprobs,
        "finish_reason": finish,
    })
}

fn message_json(parts: &[Part], extra: &Extra) -> Value {
    let mut text = String::new();
    let mut reasoning = String::new();
    let mut refusal: Option<String> = None;
    let mut calls = Vec::new();
    let mut annotations = Vec::new();
    for part in parts {
        match &part.content {
            PartContent::Text {
                text: piece,
                citations,
            } => {
                text.push_str(piece);
                annotations.extend(citations.iter().filter_map(annotation));
            }
            PartContent::Reasoning(piece) => reasoning.push_str(&piece.text),
            PartContent::Refusal { text } => refusal.get_or_insert_default().push_str(text),
            // A tool that the provider ran itself is nothing for the client to run.
            PartContent::ToolCall(call) if call.kind == ToolCallKind::Server => {}
            PartContent::ToolCall(call) => calls.push(tool_call_json(call)),
            _ => {}
        }
    }
    let says_nothing_else = calls.is_empty() && refusal.is_none();
    let content = (!text.is_empty() || says_nothing_else).then_some(text);
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    message.insert("content".to_owned(), content.into());
    message.insert("refusal".to_owned(), refusal.into());
    if !reasoning.is_empty() {
        message.insert("reasoning_content".to_owned(), reasoning.into());
    }
    let details = reasoning_details(parts);
    if !details.is_empty() {
        message.insert("reasoning_details".to_owned(), details.into());
    }
    if !annotations.is_empty() {
        message.insert("annotations".to_owned(), annotations.into());
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    if let Some(audio) = extra.get("audio") {
        message.insert("audio".to_owned(), audio.clone());
    }
    Value::Object(message)
}

/// A citation as an annotation. None where it is another vendor's.
pub(super) fn annotation(citation: &Value) -> Option<Value> {
    let kind = citation["type"].as_str()?;
    match kind {
        // The Responses API says flat what chat completions nest.
        "url_citation" if citation[kind].is_null() => {
            let mut nested = citation.as_object().cloned().unwrap_or_default();
            nested.shift_remove("type");
            Some(json!({"type": kind, kind: nested}))
        }
        "url_citation" | "file_citation" | "container_file_citation" | "file_path" => {
            Some(citation.clone())
        }
        _ => None,
    }
}
