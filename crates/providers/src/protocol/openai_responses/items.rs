//! Items other than a client's messages: what a model says, thinks and calls, and what
//! tools answer. Clients send these back, so that both ways are needed in both roles.

use serde_json::{Value, json};

use super::types::{ITEM_MEMBERS, object, parse_content};
use crate::chat::Extra;
use crate::chat::part::{
    Content, Part, PartContent, Reasoning, ToolCall, ToolCallKind, ToolResult,
};
use crate::error::InvalidCall;
use crate::json::Members;

/// How the ids begin of thinking that another vendor than OpenAI has signed.
const SIGNED_ID: &str = "rs_qm_";

/// Reads one item of a model's. One of an unknown type is kept whole.
pub(super) fn parse_output(value: Value, path: &str) -> Result<Content, InvalidCall> {
    let mut members = Members::of(value, path)?;
    let kind = members.peek("type").and_then(Value::as_str);
    let content = match kind.unwrap_or("message") {
        "message" => return parse_message(members),
        "function_call" => PartContent::ToolCall(ToolCall {
            id: members.require_text("call_id")?,
            name: members.require_text("name")?,
            arguments: members.take_text("arguments")?.unwrap_or_default(),
            kind: ToolCallKind::Function,
        }),
        "custom_tool_call" => PartContent::ToolCall(ToolCall {
            id: members.require_text("call_id")?,
            name: members.require_text("name")?,
            arguments: members.take_text("input")?.unwrap_or_default(),
            kind: ToolCallKind::Custom,
        }),
        "computer_call" => computer_call(&mut members)?,
        "reasoning" => return parse_reasoning(members).map(|part| Content::of(vec![part])),
        _ => {
            let whole = Value::Object(members.rest());
            return Ok(Content::of(vec![Part::new(PartContent::Native(whole))]));
        }
    };
    members.take("type");
    Ok(Content::of(vec![Part {
        content,
        cache: None,
        extra: members.rest(),
    }]))
}

/// A message of the model's. What belongs to the item stands beside its first piece.
fn parse_message(mut members: Members) -> Result<Content, InvalidCall> {
    let content = members.take("content");
    let mut content = parse_content(content, &members.path_of("content"))?;
    if let Some(first) = content.parts.first_mut() {
        for name in ITEM_MEMBERS {
            if let Some(value) = members.take(name) {
                first.extra.insert(name.to_owned(), value);
            }
        }
    }
    Ok(content)
}

/// The action, or the batch of actions, in OpenAI's shape.
fn computer_call(members: &mut Members) -> Result<PartContent, InvalidCall> {
    let actions = members.take("actions").or_else(|| members.take("action"));
    Ok(PartContent::ToolCall(ToolCall {
        id: members.require_text("call_id")?,
        name: "computer".to_owned(),
        arguments: actions.unwrap_or_default().to_string(),
        kind: ToolCallKind::ComputerUse,
    }))
}

fn parse_reasoning(mut members: Members) -> Result<Part, InvalidCall> {
    let summary = members.take_array("summary")?.unwrap_or_default();
    let content = members.peek("content").and_then(Value::as_array);
    let texts = |pieces: &[Value]| {
        let texts: Vec<&str> = pieces
            .iter()
            .filter_map(|piece| piece["text"].as_str())
            .collect();
        texts.join("\n\n")
    };
    let mut text = texts(&summary);
    if text.is_empty() {
        text = texts(content.map_or(&[], Vec::as_slice));
    }
    let id = members.take_text("id")?;
    let encrypted = members.take_text("encrypted_content")?;
    members.take("type");
    let mut extra = members.rest();
    let has_both = !summary.is_empty() && extra.contains_key("content");
    if summary.len() > 1 || has_both {
        extra.insert("summary".to_owned(), Value::Array(summary));
    }
    // An id of ours says that the proof is another vendor's, given in its place.
    let is_foreign = id.as_deref().is_some_and(|id| id.starts_with(SIGNED_ID));
    let reasoning = match (is_foreign, encrypted) {
        (true, proof) if text.is_empty() => Reasoning {
            encrypted: proof,
            ..Reasoning::default()
        },
        (true, proof) => Reasoning {
            text,
            signature: proof,
            ..Reasoning::default()
        },
        (false, encrypted) => Reasoning {
            id,
            text,
            signature: None,
            encrypted,
        },
    };
    if is_foreign {
        extra.retain(|name, _| name == "summary");
    }
    Ok(Part {
        content: PartContent::Reasoning(reasoning),
        cache: None,
        extra,
    })
}

/// Reads what a tool answered. None where the item is something else.
pub(super) fn parse_tool_result(
    kind: &str,
    members: &mut Members,
) -> Result<Option<Part>, InvalidCall> {
    let is_plain = kind == "function_call_output";
    let is_computer = kind == "computer_call_output";
    if !is_plain && !is_computer && kind != "custom_tool_call_output" {
        return Ok(None);
    }
    let call_id = members.require_text("call_id")?;
    let output = members.take("output").map(|output| match output {
        // A screenshot stands alone.
        Value::Object(one) => Value::Array(vec![Value::Object(one)]),
        other => other,
    });
    let content = parse_content(output, &members.path_of("output"))?;
    if is_plain {
        members.take("type");
    }
    Ok(Some(Part::new(PartContent::ToolResult(ToolResult {
        call_id,
        name: None,
        content,
        is_error: false,
    }))))
}

/// Writes a piece of thinking as an item.
pub(super) fn reasoning_json(reasoning: &Reasoning, id: &str, extra: &Extra) -> Value {
    let summary = if reasoning.text.is_empty() || extra.contains_key("content") {
        json!([])
    } else {
        json!([{"type": "summary_text", "text": reasoning.text}])
    };
    let mut item = object(json!({"type": "reasoning", "id": id, "summary": summary}));
    let proof = reasoning
        .encrypted
        .as_ref()
        .or(reasoning.signature.as_ref());
    if let Some(proof) = proof {
        item.insert("encrypted_content".to_owned(), proof.as_str().into());
    }
    for (name, value) in extra.iter().filter(|(name, _)| *name != "index") {
        item.insert(name.clone(), without_index(value));
    }
    Value::Object(item)
}

/// Writes a call as an item, without id and status.
pub(super) fn tool_call_json(call: &ToolCall) -> Value {
    match call.kind {
        ToolCallKind::Custom => json!({
            "type": "custom_tool_call", "call_id": call.id, "name": call.name,
            "input": call.arguments,
        }),
        ToolCallKind::ComputerUse => {
            let actions: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
            let name = if actions.is_array() {
                "actions"
            } else {
                "action"
            };
            json!({"type": "computer_call", "call_id": call.id, name: actions})
        }
        ToolCallKind::Function | ToolCallKind::Server => json!({
            "type": "function_call", "call_id": call.id, "name": call.name,
            "arguments": if call.arguments.trim().is_empty() { "{}" } else { &call.arguments },
        }),
    }
}

/// The pieces of a list without their place in a stream, which LangChain leaves there.
pub(super) fn without_index(value: &Value) -> Value {
    let mut value = value.clone();
    for piece in value.as_array_mut().into_iter().flatten() {
        if let Value::Object(piece) = piece {
            piece.shift_remove("index");
        }
    }
    value
}
