//! A client's request → canonical call. The way on is in `encode.rs`.

use serde_json::{Map, Value};

use super::types;
use crate::chat::WireFormat;
use crate::chat::call::{
    ChatCall, Message, ReasoningRequest, ResponseFormat, Role, Sampling, Tool, ToolChoice, ToolKind,
};
use crate::chat::part::Content;
use crate::error::InvalidCall;
use crate::json::{Members, invalid};

/// What a schema is called where a format demands a name. Anthropic's has none.
const SCHEMA_NAME: &str = "response";

/// Reads a request. `model` and `models` are routing's and left out.
pub(crate) fn parse(body: &[u8]) -> Result<ChatCall, InvalidCall> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| invalid("", &format!("body is not JSON: {error}")))?;
    let mut members = Members::of(body, "")?;
    members.take("model");
    members.take("models");
    let mut messages = parse_messages(&mut members)?;
    if let Some(system) = members.take("system") {
        let content = types::content_from(system)
            .ok_or_else(|| invalid("system", "must be a string or an array"))?;
        messages.insert(0, Message::new(Role::System, content));
    }
    let tools = members.take_array("tools")?.unwrap_or_default();
    let tools: Result<_, _> = tools
        .into_iter()
        .enumerate()
        .map(|(index, tool)| parse_tool(tool, &format!("tools[{index}]")))
        .collect();
    let (tool_choice, parallel_tool_calls) = parse_tool_choice(members.take("tool_choice"))?;
    let output = parse_output(&mut members)?;
    let stream = members.take_flag("stream")?.unwrap_or_default();
    let sampling = parse_sampling(&mut members)?;
    let reasoning = parse_reasoning(members.take("thinking"), output.effort);
    let mut extra = members.rest();
    if !output.rest.is_empty() {
        extra.insert("output_config".to_owned(), Value::Object(output.rest));
    }
    Ok(ChatCall {
        dialect: WireFormat::AnthropicMessages,
        messages,
        tools: tools?,
        tool_choice,
        parallel_tool_calls,
        response_format: output.format,
        sampling,
        reasoning,
        stream,
        // An Anthropic stream always ends with its usage.
        stream_usage: stream.then_some(true),
        extra,
    })
}

fn parse_messages(members: &mut Members) -> Result<Vec<Message>, InvalidCall> {
    members
        .take_array("messages")?
        .ok_or_else(|| invalid("messages", "is missing"))?
        .into_iter()
        .enumerate()
        .map(|(index, message)| parse_message(message, &format!("messages[{index}]")))
        .collect()
}

fn parse_message(message: Value, path: &str) -> Result<Message, InvalidCall> {
    let mut members = Members::of(message, path)?;
    let role = match members.require_text("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(members.error("role", "must be user, assistant or system")),
    };
    let content = match members.take("content") {
        Some(content) => parse_content(content)
            .ok_or_else(|| members.error("content", "must be a string or an array of blocks"))?,
        None => return Err(members.error("content", "is missing")),
    };
    Ok(Message {
        role,
        name: None,
        content,
        extra: members.rest(),
    })
}

fn parse_content(content: Value) -> Option<Content> {
    let is_blocks = content
        .as_array()
        .is_none_or(|blocks| blocks.iter().all(Value::is_object));
    if is_blocks {
        types::content_from(content)
    } else {
        None
    }
}

fn parse_tool(tool: Value, path: &str) -> Result<Tool, InvalidCall> {
    let mut members = match tool {
        Value::Object(members) => members,
        _ => return Err(invalid(path, "must be an object")),
    };
    let kind = members.get("type").and_then(Value::as_str);
    if kind.is_some_and(|kind| kind != "custom") {
        let is_computer_use =
            kind.is_some_and(|kind| kind.starts_with("computer_") || kind.starts_with("browser_"));
        return Ok(Tool {
            kind: if is_computer_use {
                ToolKind::ComputerUse {
                    declaration: members,
                }
            } else {
                ToolKind::Native {
                    declaration: members,
                }
            },
            cache: None,
            extra: Map::new(),
        });
    }
    let cache = types::take_cache_marker(&mut members);
    let mut members = Members::of(Value::Object(members), path)?;
    let kind = ToolKind::Function {
        name: members.require_text("name")?,
        description: members.take_text("description")?,
        parameters: members.take("input_schema"),
        strict: members.take_flag("strict")?,
    };
    Ok(Tool {
        kind,
        cache,
        extra: members.rest(),
    })
}

/// Which tool must be called, and whether several may be.
fn parse_tool_choice(
    value: Option<Value>,
) -> Result<(Option<ToolChoice>, Option<bool>), InvalidCall> {
    let Some(value) = value else {
        return Ok((None, None));
    };
    let mut members = Members::of(value.clone(), "tool_choice")?;
    let is_parallel = members
        .take_flag("disable_parallel_tool_use")?
        .map(|is_disabled| !is_disabled);
    let kind = members.require_text("type")?;
    let name = members.take_text("name")?;
    let has_more = !members.rest().is_empty();
    let choice = match (kind.as_str(), name) {
        ("auto", None) if !has_more => ToolChoice::Auto,
        ("any", None) if !has_more => ToolChoice::Required,
        ("none", None) if !has_more => ToolChoice::None,
        ("tool", Some(name)) if !has_more => ToolChoice::Named(name),
        _ => return Ok((Some(ToolChoice::Native(value)), None)),
    };
    Ok((Some(choice), is_parallel))
}

/// What `output_config` and its older form say.
struct Output {
    effort: Option<String>,
    format: Option<ResponseFormat>,
    rest: Map<String, Value>,
}

fn parse_output(members: &mut Members) -> Result<Output, InvalidCall> {
    let older = members.take("output_format");
    let mut config = match members.take_object("output_config")? {
        Some(config) => config,
        None => Members::of(Value::Object(Map::new()), "output_config")?,
    };
    let effort = config.take_text("effort")?;
    let written = config.take("format").or(older);
    let format = written.as_ref().and_then(json_schema);
    let mut rest = config.rest();
    if let Some(written) = written.filter(|_| format.is_none()) {
        rest.insert("format".to_owned(), written);
    }
    Ok(Output {
        effort,
        format,
        rest,
    })
}

/// A format of exactly the shape that the canonical type can hold.
fn json_schema(format: &Value) -> Option<ResponseFormat> {
    let format = format.as_object()?;
    if format.len() != 2 || format.get("type")?.as_str()? != "json_schema" {
        return None;
    }
    Some(ResponseFormat::JsonSchema {
        name: SCHEMA_NAME.to_owned(),
        description: None,
        schema: format.get("schema")?.clone(),
        strict: None,
    })
}

fn parse_reasoning(thinking: Option<Value>, effort: Option<String>) -> Option<ReasoningRequest> {
    if thinking.is_none() && effort.is_none() {
        return None;
    }
    let budget = thinking
        .as_ref()
        .and_then(|thinking| thinking.get("budget_tokens"));
    Some(ReasoningRequest {
        effort,
        budget_tokens: budget.and_then(Value::as_i64),
        native: thinking,
    })
}

fn parse_sampling(members: &mut Members) -> Result<Sampling, InvalidCall> {
    let stop = members
        .take_array("stop_sequences")?
        .unwrap_or_default()
        .into_iter()
        .map(|text| match text {
            Value::String(text) => Ok(text),
            _ => Err(invalid("stop_sequences", "must hold strings")),
        })
        .collect::<Result<_, _>>()?;
    Ok(Sampling {
        temperature: members.take_number("temperature")?,
        top_p: members.take_number("top_p")?,
        top_k: members.take_integer("top_k")?,
        max_tokens: members.take_integer("max_tokens")?,
        stop,
        ..Sampling::default()
    })
}
