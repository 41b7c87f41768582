//! Whole answers → the canonical reply.

use serde_json::{Map, Value, json};

use super::answer_parts::{Ids, Piece, begun, pieces};
use super::citations::annotations;
use super::error::{embedded, malformed};
use super::types::{BLOCK_REASONS, FINISH_REASONS, member, name_of};
use super::usage::usage_from;
use crate::chat::Extra;
use crate::chat::part::{Content, Part, PartContent, ToolCallKind};
use crate::chat::reply::{ChatReply, Choice, FinishReason};
use crate::error::ProviderError;

/// How many answers one may hold.
pub(super) const MAX_CHOICES: usize = 128;
/// How many parts an answer may have.
pub(super) const MAX_PARTS: usize = 100_000;

/// Members of a candidate that say what an answer rests on and how it was judged.
const OF_CANDIDATES: [&str; 6] = [
    "groundingMetadata",
    "citationMetadata",
    "urlContextMetadata",
    "safetyRatings",
    "avgLogprobs",
    "finishMessage",
];

/// Provider answer of status 2xx → canonical reply.
pub(crate) fn decode(body: &[u8]) -> Result<ChatReply, ProviderError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the provider's answer is not JSON: {error}")))?;
    if !value.is_object() {
        return Err(malformed("the provider's answer is not an object"));
    }
    if !value["error"].is_null() {
        return Err(embedded(&value));
    }
    let mut ids = Ids::of(body);
    let candidates = value["candidates"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let mut choices = Vec::with_capacity(candidates.len());
    for (position, candidate) in candidates.iter().enumerate().take(MAX_CHOICES) {
        choices.push(choice(candidate, position, &mut ids)?);
    }
    if choices.is_empty() {
        choices.push(blocked(&value).ok_or_else(|| malformed("the answer holds no candidates"))?);
    }
    Ok(ChatReply {
        id: text(&value, "responseId"),
        model: text(&value, "modelVersion"),
        created: None,
        choices,
        usage: usage_from(member(&value, "usageMetadata")),
        extra: answer_extra(&value),
    })
}

fn choice(candidate: &Value, position: usize, ids: &mut Ids) -> Result<Choice, ProviderError> {
    let given = candidate["content"]["parts"].as_array();
    let given = given.map_or(&[][..], Vec::as_slice);
    if given.len() > MAX_PARTS {
        return Err(malformed("the answer holds too many parts"));
    }
    let mut parts: Vec<Part> = Vec::with_capacity(given.len());
    for part in given {
        for piece in pieces(part, ids) {
            add(&mut parts, piece);
        }
    }
    let text = Content::of(parts.clone()).joined_text();
    let found = annotations(candidate, &text);
    let last_text = parts
        .iter_mut()
        .rev()
        .find_map(|part| match &mut part.content {
            PartContent::Text { citations, .. } => Some(citations),
            _ => None,
        });
    if let Some(citations) = last_text {
        *citations = found;
    }
    let native = name_of(&FINISH_REASONS, member(candidate, "finishReason"));
    let calls = parts.iter().any(is_call);
    Ok(Choice {
        index: index_of(candidate, position),
        parts,
        finish_reason: native.as_deref().map(|native| finish_reason(native, calls)),
        native_finish_reason: native,
        stop_sequence: None,
        logprobs: logprobs(member(candidate, "logprobsResult")),
        extra: candidate_extra(candidate),
        message_extra: Extra::new(),
    })
}

/// Adds a piece; readable thinking is joined with its signature.
fn add(parts: &mut Vec<Part>, piece: Piece<'_>) {
    if let (Piece::SignatureOfThought(signature), Some(last)) = (&piece, parts.last_mut())
        && let PartContent::Reasoning(reasoning) = &mut last.content
        && reasoning.signature.is_none()
        && reasoning.encrypted.is_none()
    {
        reasoning.signature = Some(signature.clone());
        return;
    }
    parts.push(begun(piece));
}

fn is_call(part: &Part) -> bool {
    matches!(&part.content, PartContent::ToolCall(call) if call.kind != ToolCallKind::Server)
}

pub(super) fn index_of(candidate: &Value, position: usize) -> u32 {
    let index = candidate["index"].as_u64().unwrap_or(position as u64);
    u32::try_from(index).unwrap_or(u32::MAX)
}

pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    member(value, name).as_str().map(str::to_owned)
}

/// Why, normalised. Gemini stops for its own tools as for anything else.
pub(super) fn finish_reason(native: &str, calls_tools: bool) -> FinishReason {
    match native {
        "STOP" | "FINISH_REASON_UNSPECIFIED" if calls_tools => FinishReason::ToolCalls,
        "STOP" | "FINISH_REASON_UNSPECIFIED" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => FinishReason::ContentFilter,
        _ => FinishReason::Error,
    }
}

/// The answer to a prompt that was not answered.
pub(super) fn blocked(value: &Value) -> Option<Choice> {
    let feedback = member(value, "promptFeedback");
    let reason = name_of(&BLOCK_REASONS, member(feedback, "blockReason"))?;
    let mut extra = Extra::new();
    extra.insert("prompt_feedback".to_owned(), feedback.clone());
    Some(Choice {
        finish_reason: Some(FinishReason::ContentFilter),
        native_finish_reason: Some(reason),
        extra,
        ..Choice::default()
    })
}

/// What an answer rests on and how it was judged, under LangChain's names.
pub(super) fn candidate_extra(candidate: &Value) -> Extra {
    let mut extra = Extra::new();
    for name in OF_CANDIDATES {
        let value = member(candidate, name);
        if !value.is_null() {
            extra.insert(super::types::snake(name), value.clone());
        }
    }
    extra
}

pub(super) fn answer_extra(value: &Value) -> Extra {
    let mut extra = Map::new();
    for name in ["createTime", "modelStatus"] {
        if let Some(found) = value.get(name).filter(|found| !found.is_null()) {
            extra.insert(super::types::snake(name), found.clone());
        }
    }
    extra
}

/// Log probabilities in OpenAI's shape.
pub(super) fn logprobs(result: &Value) -> Option<Value> {
    let chosen = member(result, "chosenCandidates").as_array()?;
    let tops = member(result, "topCandidates").as_array();
    let one = |candidate: &Value| {
        let token = candidate["token"].as_str().unwrap_or_default();
        json!({
            "token": token,
            "logprob": member(candidate, "logProbability"),
            "bytes": token.as_bytes(),
        })
    };
    let content: Vec<Value> = chosen
        .iter()
        .enumerate()
        .map(|(index, candidate)| {
            let mut written = one(candidate);
            let alternatives = tops.and_then(|tops| tops.get(index)?["candidates"].as_array());
            let alternatives = alternatives.into_iter().flatten().map(one);
            written["top_logprobs"] = alternatives.collect();
            written
        })
        .collect();
    Some(json!({"content": content, "refusal": null}))
}
