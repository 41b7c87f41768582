//! Pieces of a client's stream: how a block is begun, and by what it grows.

use serde_json::{Map, Value, json};

use super::response;
use crate::chat::event::Delta;
use crate::chat::part::{Part, PartContent, ToolCallKind};

/// How a block may be treated when another part interrupts it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thinking,
    /// A client's tool call: cannot be split.
    Call,
    Other,
}

/// How a part is begun: the empty block, and what it already holds as deltas. None where
/// Anthropic's clients know no such block.
pub(super) fn opening(part: &Part) -> Option<(Map<String, Value>, Kind, Vec<Delta>)> {
    let mut block = response::answer_block(part)?;
    let mut deltas = Vec::new();
    let kind = match &part.content {
        PartContent::Text { text, citations } => {
            block.insert("text".to_owned(), json!(""));
            block.shift_remove("citations");
            deltas.push(Delta::Text(text.clone()));
            deltas.extend(citations.iter().cloned().map(Delta::Citation));
            Kind::Text
        }
        PartContent::Refusal { text } => {
            block.insert("text".to_owned(), json!(""));
            deltas.push(Delta::Text(text.clone()));
            Kind::Text
        }
        PartContent::Reasoning(reasoning) if block.contains_key("thinking") => {
            block.insert("thinking".to_owned(), json!(""));
            block.insert("signature".to_owned(), json!(""));
            deltas.push(Delta::Reasoning(reasoning.text.clone()));
            deltas.extend(reasoning.signature.clone().map(Delta::Signature));
            Kind::Thinking
        }
        PartContent::ToolCall(call) => {
            block.insert("input".to_owned(), json!({}));
            deltas.push(Delta::Arguments(call.arguments.clone()));
            match call.kind {
                ToolCallKind::Server => Kind::Other,
                _ => Kind::Call,
            }
        }
        _ => Kind::Other,
    };
    deltas.retain(|delta| !is_empty(delta));
    Some((block, kind, deltas))
}

/// Adds a delta to those that wait, joined to the last where that says the same.
pub(super) fn grow(deltas: &mut Vec<Delta>, delta: &Delta) {
    match (deltas.last_mut(), delta) {
        (Some(Delta::Text(last)), Delta::Text(more))
        | (Some(Delta::Arguments(last)), Delta::Arguments(more))
        | (Some(Delta::Reasoning(last)), Delta::Reasoning(more)) => last.push_str(more),
        _ => deltas.push(delta.clone()),
    }
}

fn is_empty(delta: &Delta) -> bool {
    match delta {
        Delta::Text(text) | Delta::Arguments(text) | Delta::Reasoning(text) => text.is_empty(),
        _ => false,
    }
}

/// Whether a citation is in Anthropic's shape.
fn is_citation(citation: &Value) -> bool {
    let kind = citation.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.ends_with("_location"))
}

/// Writes by what a block grows. None where Anthropic's clients know no such growth.
pub(super) fn delta_value(delta: &Delta) -> Option<Value> {
    Some(match delta {
        Delta::Text(text) => json!({"type": "text_delta", "text": text}),
        Delta::Arguments(json) => json!({"type": "input_json_delta", "partial_json": json}),
        Delta::Reasoning(text) => json!({"type": "thinking_delta", "thinking": text}),
        Delta::Signature(text) => json!({"type": "signature_delta", "signature": text}),
        Delta::Citation(citation) if is_citation(citation) => {
            json!({"type": "citations_delta", "citation": citation})
        }
        Delta::Native(delta) if delta.get("type").is_some() => delta.clone(),
        Delta::Citation(_) | Delta::Native(_) => return None,
    })
}
