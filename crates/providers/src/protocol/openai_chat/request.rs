//! Requests as clients write them: chat completions into the canonical call.

use serde_json::{Value, json};

use super::messages::FUNCTION_ROLE;
use super::response::take_reasoning;
use super::tools::{parse_tool, parse_tool_call};
use super::types::parse_content;
use crate::chat::call::{
    ChatCall, Message, ReasoningRequest, ResponseFormat, Role, Sampling, ToolChoice,
};
use crate::chat::part::{Content, Part, PartContent, ToolResult};
use crate::chat::{Extra, WireFormat};
use crate::error::InvalidCall;
use crate::json::{Members, invalid};

/// Client request → canonical call. `model` and `models` are routing's and left out.
pub(crate) fn parse(body: &[u8]) -> Result<ChatCall, InvalidCall> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| invalid("", &format!("body is not JSON: {error}")))?;
    let mut members = Members::of(body, "")?;
    members.take("model");
    members.take("models");
    let messages = members
        .take_array("messages")?
        .ok_or_else(|| invalid("messages", "is missing"))?;
    let messages: Result<_, _> = messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| parse_message(message, &format!("messages[{index}]")))
        .collect();
    let tools: Result<_, _> = members
        .take_array("tools")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(index, tool)| parse_tool(tool, &format!("tools[{index}]")))
        .collect();
    let stream = members.take_flag("stream")?.unwrap_or_default();
    Ok(ChatCall {
        dialect: WireFormat::OpenAiChat,
        messages: messages?,
        tools: tools?,
        tool_choice: parse_tool_choice(members.take("tool_choice"))?,
        parallel_tool_calls: members.take_flag("parallel_tool_calls")?,
        response_format: parse_response_format(&mut members)?,
        sampling: parse_sampling(&mut members)?,
        reasoning: parse_reasoning(&mut members)?,
        stream,
        stream_usage: parse_stream_usage(&mut members),
        extra: members.rest(),
    })
}

fn parse_message(value: Value, path: &str) -> Result<Message, InvalidCall> {
    let mut members = Members::of(value, path)?;
    let word = members.require_text("role")?;
    let role = match word.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => {
            let problem = "must be system, developer, user, assistant or tool";
            return Err(members.error("role", problem));
        }
    };
    let name = members.take_text("name")?;
    let content = members.take("content");
    let content = parse_content(content, &members.path_of("content"))?;
    let (name, content) = match role {
        Role::Assistant => (name, assistant_content(content, &mut members)?),
        Role::Tool => (None, tool_content(content, name, &mut members)?),
        _ => (name, content),
    };
    let mut extra = members.rest();
    if word == "function" {
        extra.insert(FUNCTION_ROLE.to_owned(), word.into());
    }
    Ok(Message {
        role,
        name,
        content,
        extra,
    })
}

/// An assistant's parts in the order it produced them: thinking, text, calls.
fn assistant_content(content: Content, members: &mut Members) -> Result<Content, InvalidCall> {
    let mut parts = take_reasoning(members)?;
    parts.extend(content.parts);
    if let Some(text) = members.take_text("refusal")? {
        parts.push(Part::new(PartContent::Refusal { text }));
    }
    for (index, call) in members
        .take_array("tool_calls")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let path = format!("{}[{index}]", members.path_of("tool_calls"));
        parts.push(parse_tool_call(call, &path)?);
    }
    join_repeated_calls(&mut parts);
    Ok(Content {
        parts,
        is_bare_text: content.is_bare_text,
    })
}

/// LangChain's messages may repeat a call as a block of Anthropic's. The call then stands
/// where the block stood, and keeps what only the block says.
fn join_repeated_calls(parts: &mut Vec<Part>) {
    for index in 0..parts.len() {
        let Some(PartContent::Native(block)) = parts.get(index).map(|part| &part.content) else {
            continue;
        };
        if block["type"] != "tool_use" {
            continue;
        }
        let id = block["id"].as_str();
        let named: Extra = ["toolset_name", "caller"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), block.get(name)?.clone())))
            .filter(|(_, value)| !value.is_null())
            .collect();
        // What code called is told by the block alone.
        let input = block
            .get("caller")
            .and(block.get("input"))
            .map(Value::to_string);
        let Some(position) = parts
            .iter()
            .position(|part| call_id(part) == id && id.is_some())
        else {
            continue;
        };
        let mut call = parts.remove(position);
        call.extra.extend(named);
        if let (PartContent::ToolCall(call), Some(input)) = (&mut call.content, input) {
            call.arguments = input;
        }
        let index = if position < index { index - 1 } else { index };
        parts[index] = call;
    }
}

fn call_id(part: &Part) -> Option<&str> {
    match &part.content {
        PartContent::ToolCall(call) => Some(&call.id),
        _ => None,
    }
}

fn tool_content(
    content: Content,
    name: Option<String>,
    members: &mut Members,
) -> Result<Content, InvalidCall> {
    // `status` is LangChain's; OpenAI has no word for a tool that failed.
    let status = members.take_text("status")?;
    let result = ToolResult {
        call_id: members.take_text("tool_call_id")?.unwrap_or_default(),
        name,
        content,
        is_error: status.as_deref() == Some("error"),
    };
    Ok(Content::of(vec![Part::new(PartContent::ToolResult(
        result,
    ))]))
}

fn parse_tool_choice(value: Option<Value>) -> Result<Option<ToolChoice>, InvalidCall> {
    let Some(value) = value else { return Ok(None) };
    let named = |kind: &str| value[kind]["name"].as_str().map(str::to_owned);
    Ok(Some(match &value {
        Value::String(choice) => match choice.as_str() {
            "auto" => ToolChoice::Auto,
            "required" | "any" => ToolChoice::Required,
            "none" => ToolChoice::None,
            name => ToolChoice::Named(name.to_owned()),
        },
        Value::Object(_) => match named("function").or_else(|| named("custom")) {
            Some(name) => ToolChoice::Named(name),
            None => ToolChoice::Native(value),
        },
        _ => return Err(invalid("tool_choice", "must be a string or an object")),
    }))
}

fn parse_response_format(members: &mut Members) -> Result<Option<ResponseFormat>, InvalidCall> {
    let kind = members
        .peek("response_format")
        .map(|format| format["type"].clone());
    match kind.as_ref().and_then(Value::as_str) {
        Some("text") => {
            members.take("response_format");
            Ok(Some(ResponseFormat::Text))
        }
        Some("json_object") => {
            members.take("response_format");
            Ok(Some(ResponseFormat::JsonObject))
        }
        Some("json_schema") => {
            let mut format = members.require_object("response_format")?;
            let mut schema = format.require_object("json_schema")?;
            let parsed = ResponseFormat::JsonSchema {
                name: schema.require_text("name")?,
                description: schema.take_text("description")?,
                strict: schema.take_flag("strict")?,
                schema: schema.take("schema").unwrap_or_else(|| json!({})),
            };
            format.put_back("json_schema", schema);
            format.take("type");
            members.put_back("response_format", format);
            Ok(Some(parsed))
        }
        // A kind that is newer than this code stays in `extra`.
        _ => Ok(None),
    }
}

fn parse_sampling(members: &mut Members) -> Result<Sampling, InvalidCall> {
    let bound = members.take_integer("max_completion_tokens")?;
    let older_bound = members.take_integer("max_tokens")?;
    let (stop, stop_is_bare_text) = match members.take("stop") {
        None => (Vec::new(), false),
        Some(Value::String(text)) => (vec![text], true),
        Some(Value::Array(items)) if items.is_empty() => {
            members.restore("stop", json!([]));
            (Vec::new(), false)
        }
        Some(Value::Array(items)) => {
            let text = |item: Value| match item {
                Value::String(text) => Ok(text),
                _ => Err(invalid("stop", "must hold strings")),
            };
            (
                items.into_iter().map(text).collect::<Result<_, _>>()?,
                false,
            )
        }
        Some(_) => return Err(invalid("stop", "must be a string or an array")),
    };
    Ok(Sampling {
        temperature: members.take_number("temperature")?,
        top_p: members.take_number("top_p")?,
        top_k: members.take_integer("top_k")?,
        max_tokens: bound.or(older_bound),
        max_tokens_has_older_name: bound.is_none() && older_bound.is_some(),
        stop,
        stop_is_bare_text,
        seed: members.take_integer("seed")?,
        frequency_penalty: members.take_number("frequency_penalty")?,
        presence_penalty: members.take_number("presence_penalty")?,
        candidates: members.take_integer("n")?,
        logprobs: members.take_flag("logprobs")?,
        top_logprobs: members.take_integer("top_logprobs")?,
    })
}

fn parse_reasoning(members: &mut Members) -> Result<Option<ReasoningRequest>, InvalidCall> {
    let effort = members.take_text("reasoning_effort")?;
    let native = members.take("reasoning");
    if effort.is_none() && native.is_none() {
        return Ok(None);
    }
    let inner = |name: &str| native.as_ref().and_then(|native| native.get(name));
    let inner_effort = inner("effort").and_then(Value::as_str).map(str::to_owned);
    Ok(Some(ReasoningRequest {
        effort: effort.or(inner_effort),
        budget_tokens: inner("max_tokens").and_then(Value::as_i64),
        native,
    }))
}

/// Takes `stream_options` apart if it says nothing else; otherwise it stays in `extra`.
fn parse_stream_usage(members: &mut Members) -> Option<bool> {
    let options = members.peek("stream_options")?.as_object()?;
    let include = options.get("include_usage").and_then(Value::as_bool);
    if options.len() == usize::from(include.is_some()) {
        members.take("stream_options");
    }
    include
}
