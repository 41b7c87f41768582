//! A client's request → canonical call. The way on is in `encode.rs`.
//!
//! Items that a model makes stand side by side here; elsewhere one turn holds them. All
//! items between two of the client's are one assistant message, as long as that holds
//! one message item at most.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::encode::{LOGPROBS, TEXT};
use super::items::{parse_output, parse_tool_result};
use super::state;
use super::tools::{parse_tool, parse_tool_choice};
use super::types::parse_content;
use crate::chat::WireFormat;
use crate::chat::call::{
    ChatCall, Message, ReasoningRequest, ResponseFormat, Role, Sampling, ToolChoice,
};
use crate::chat::part::{Content, Part, PartContent};
use crate::error::InvalidCall;
use crate::json::{Members, invalid};

/// The id of the text that stands in `instructions`.
pub(super) const INSTRUCTIONS: &str = "instructions";

/// Reads a request. `model` and `models` are routing's and left out.
pub(crate) fn parse(body: &[u8]) -> Result<ChatCall, InvalidCall> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| invalid("", &format!("body is not JSON: {error}")))?;
    let mut members = Members::of(body, "")?;
    let member = |name: &str| {
        members
            .peek(name)
            .map(|value| Cow::Owned(value.to_string()))
    };
    state::refuse(&member)?;
    members.take("model");
    members.take("models");
    let messages = parse_messages(&mut members)?;
    let tools: Result<_, _> = members
        .take_array("tools")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(index, tool)| parse_tool(tool, &format!("tools[{index}]")))
        .collect();
    let stream = members.take_flag("stream")?.unwrap_or_default();
    Ok(ChatCall {
        dialect: WireFormat::OpenAiResponses,
        messages,
        tools: tools?,
        tool_choice: parse_choice(&mut members)?,
        parallel_tool_calls: members.take_flag("parallel_tool_calls")?,
        response_format: parse_format(&mut members)?,
        sampling: parse_sampling(&mut members)?,
        reasoning: parse_reasoning(&mut members)?,
        stream,
        // A stream of this format always ends with its usage.
        stream_usage: stream.then_some(true),
        extra: members.rest(),
    })
}

fn parse_choice(members: &mut Members) -> Result<Option<ToolChoice>, InvalidCall> {
    parse_tool_choice(members.take("tool_choice"))
}

fn parse_messages(members: &mut Members) -> Result<Vec<Message>, InvalidCall> {
    let mut messages = Vec::new();
    match members.take("instructions") {
        None => {}
        Some(Value::String(text)) => {
            let mut part = Part::text(text);
            part.extra.insert("id".to_owned(), INSTRUCTIONS.into());
            let content = Content {
                parts: vec![part],
                is_bare_text: true,
            };
            messages.push(Message::new(Role::System, content));
        }
        Some(_) => return Err(invalid("instructions", "must be a string")),
    }
    match members.take("input") {
        None => return Err(invalid("input", "is missing")),
        Some(Value::String(text)) => {
            messages.push(Message::new(Role::User, Content::bare(text)));
        }
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                parse_item(item, &format!("input[{index}]"), &mut messages)?;
            }
        }
        Some(_) => return Err(invalid("input", "must be a string or an array")),
    }
    Ok(messages)
}

/// The text of `instructions`, where the call came with some.
pub(super) fn instructions(call: &ChatCall) -> Option<&str> {
    let part = call.messages.first()?.content.parts.first()?;
    match &part.content {
        PartContent::Text { text, .. } if part.extra.get("id")? == INSTRUCTIONS => Some(text),
        _ => None,
    }
}

fn parse_item(value: Value, path: &str, messages: &mut Vec<Message>) -> Result<(), InvalidCall> {
    let mut members = Members::of(value, path)?;
    let text = |name: &str| {
        members
            .peek(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let (kind, role) = (text("type"), text("role"));
    let kind = kind.unwrap_or_else(|| {
        let is_message = role.is_some() || members.peek("content").is_some();
        if is_message {
            "message"
        } else {
            "item_reference"
        }
        .to_owned()
    });
    if kind == "item_reference" {
        return Err(invalid(
            path,
            "refers to an item, but no items are kept here: send the item itself",
        ));
    }
    if kind == "message" && role.as_deref() != Some("assistant") {
        messages.push(parse_client_message(members)?);
        return Ok(());
    }
    if let Some(result) = parse_tool_result(&kind, &mut members)? {
        let mut part = result;
        part.extra = members.rest();
        messages.push(Message::new(Role::Tool, Content::of(vec![part])));
        return Ok(());
    }
    if is_clients(&kind) {
        let part = Part::new(PartContent::Native(Value::Object(members.rest())));
        messages.push(Message::new(Role::User, Content::of(vec![part])));
        return Ok(());
    }
    let is_message = kind == "message";
    members.take("role");
    let content = parse_output(Value::Object(members.rest()), path)?;
    add_output(content, is_message, messages);
    Ok(())
}

/// Items that a client makes beside messages and the answers of its tools.
fn is_clients(kind: &str) -> bool {
    kind.ends_with("_output")
        || matches!(
            kind,
            "mcp_approval_response"
                | "additional_tools"
                | "configuration_update"
                | "compaction_trigger"
        )
}

fn parse_client_message(mut members: Members) -> Result<Message, InvalidCall> {
    let role = match members.require_text("role")?.as_str() {
        "user" => Role::User,
        "system" => Role::System,
        "developer" => Role::Developer,
        _ => {
            return Err(members.error("role", "must be user, assistant, system or developer"));
        }
    };
    let content = members.take("content");
    if content.is_none() {
        return Err(members.error("content", "is missing"));
    }
    let content = parse_content(content, &members.path_of("content"))?;
    // Where an item stands in an answer says nothing of a client's message.
    for implied in ["type", "id", "status"] {
        members.take(implied);
    }
    Ok(Message {
        role,
        name: None,
        content,
        extra: members.rest(),
    })
}

/// Adds what a model said, thought or called to its turn.
fn add_output(content: Content, is_message: bool, messages: &mut Vec<Message>) {
    let is_said = |part: &Part| {
        matches!(
            part.content,
            PartContent::Text { .. } | PartContent::Refusal { .. }
        )
    };
    match messages.last_mut() {
        Some(turn)
            if turn.role == Role::Assistant
                && !(is_message && turn.content.parts.iter().any(is_said)) =>
        {
            turn.content.is_bare_text |= content.is_bare_text;
            turn.content.parts.extend(content.parts);
        }
        _ => messages.push(Message::new(Role::Assistant, content)),
    }
}

/// Takes the format out of `text`; the rest of it stays.
fn parse_format(members: &mut Members) -> Result<Option<ResponseFormat>, InvalidCall> {
    let Some(mut text) = members.take_object(TEXT)? else {
        return Ok(None);
    };
    let kind = text.peek("format").map(|format| format["type"].clone());
    let format = match kind.as_ref().and_then(Value::as_str) {
        Some("text") => Some(ResponseFormat::Text),
        Some("json_object") => Some(ResponseFormat::JsonObject),
        Some("json_schema") => {
            let mut format = text.require_object("format")?;
            let parsed = ResponseFormat::JsonSchema {
                name: format.require_text("name")?,
                description: format.take_text("description")?,
                strict: format.take_flag("strict")?,
                schema: format
                    .take("schema")
                    .ok_or_else(|| format.error("schema", "is missing"))?,
            };
            Some(parsed)
        }
        // A kind that is newer than this code stays.
        _ => None,
    };
    if format.is_some() {
        text.take("format");
    }
    members.put_back(TEXT, text);
    Ok(format)
}

fn parse_sampling(members: &mut Members) -> Result<Sampling, InvalidCall> {
    let include = members.peek("include").and_then(Value::as_array);
    let wants_logprobs = include.is_some_and(|include| include.iter().any(|item| item == LOGPROBS));
    Ok(Sampling {
        temperature: members.take_number("temperature")?,
        top_p: members.take_number("top_p")?,
        max_tokens: members.take_integer("max_output_tokens")?,
        logprobs: wants_logprobs.then_some(true),
        top_logprobs: members.take_integer("top_logprobs")?,
        ..Sampling::default()
    })
}

fn parse_reasoning(members: &mut Members) -> Result<Option<ReasoningRequest>, InvalidCall> {
    let native = match members.take("reasoning") {
        None => return Ok(None),
        Some(Value::Object(native)) => native,
        Some(_) => return Err(invalid("reasoning", "must be an object")),
    };
    let effort = native.get("effort").and_then(Value::as_str);
    Ok(Some(ReasoningRequest {
        effort: effort.map(str::to_owned),
        budget_tokens: None,
        native: Some(Value::Object(native)),
    }))
}

/// Members that say how an answer is delivered or kept, and nothing of what it says: a
/// provider of another format does without them.
pub(crate) fn is_immaterial(name: &str, value: &Value) -> bool {
    match name {
        "store" | "background" => *value == Value::Bool(false),
        "truncation" => value == "disabled",
        "include" => value.as_array().is_some_and(|items| {
            let is_quiet = |item: &Value| item == "reasoning.encrypted_content" || item == LOGPROBS;
            items.iter().all(is_quiet)
        }),
        "stream_options" => true,
        TEXT => value == &Value::Object(Map::new()),
        _ => false,
    }
}
