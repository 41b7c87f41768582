//! Tools and which of them must be called, between their JSON and the canonical types.

use serde_json::{Map, Value, json};

use super::types::object;
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Tool, ToolChoice, ToolKind};
use crate::error::{InvalidCall, Losses};
use crate::json::{Members, invalid};

/// Tools of the provider's that LangChain lets a client choose by their type alone.
const CHOSEN_BY_TYPE: [&str; 8] = [
    "apply_patch",
    "code_interpreter",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "tool_search",
    "web_search",
    "web_search_preview",
];

/// Reads one entry of `tools`.
pub(super) fn parse_tool(value: Value, path: &str) -> Result<Tool, InvalidCall> {
    let mut members = Members::of(value, path)?;
    let kind = members.peek("type").and_then(Value::as_str);
    let kind = kind.unwrap_or_default().to_owned();
    let kind = match kind.as_str() {
        "function" => ToolKind::Function {
            name: members.require_text("name")?,
            description: members.take_text("description")?,
            parameters: members.take("parameters"),
            strict: members.take_flag("strict")?,
        },
        "custom" => ToolKind::Custom {
            name: members.require_text("name")?,
            description: members.take_text("description")?,
            format: members.take("format").map(nested),
        },
        "" => return Err(members.error("type", "is missing")),
        kind => {
            let is_computer_use = kind.starts_with("computer");
            let declaration = members.rest();
            let kind = if is_computer_use {
                ToolKind::ComputerUse { declaration }
            } else {
                ToolKind::Native { declaration }
            };
            return Ok(Tool {
                kind,
                cache: None,
                extra: Map::new(),
            });
        }
    };
    members.take("type");
    Ok(Tool {
        kind,
        cache: None,
        extra: members.rest(),
    })
}

/// A grammar as chat completions have it, which the canonical type holds.
fn nested(format: Value) -> Value {
    match format {
        Value::Object(mut members) if members.get("type") == Some(&json!("grammar")) => {
            members.shift_remove("type");
            json!({"type": "grammar", "grammar": members})
        }
        other => other,
    }
}

/// A grammar as the Responses API has it.
fn flat(format: &Value) -> Value {
    match &format["grammar"] {
        Value::Object(grammar) => {
            let mut flat = object(json!({"type": "grammar"}));
            flat.extend(grammar.clone());
            Value::Object(flat)
        }
        _ => format.clone(),
    }
}

/// Reads `tool_choice`.
pub(super) fn parse_tool_choice(value: Option<Value>) -> Result<Option<ToolChoice>, InvalidCall> {
    let Some(value) = value else { return Ok(None) };
    let kind = value["type"].as_str();
    Ok(Some(match (&value, kind, value["name"].as_str()) {
        (Value::String(choice), ..) => match choice.as_str() {
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Required,
            "none" => ToolChoice::None,
            _ => {
                return Err(invalid(
                    "tool_choice",
                    "must be auto, required, none or an object",
                ));
            }
        },
        (Value::Object(_), Some("function" | "custom"), Some(name)) => {
            ToolChoice::Named(name.to_owned())
        }
        (Value::Object(_), ..) => ToolChoice::Native(value),
        _ => return Err(invalid("tool_choice", "must be a string or an object")),
    }))
}

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn write(
    call: &ChatCall,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    let mut tools = Vec::with_capacity(call.tools.len());
    for tool in &call.tools {
        if tool.cache.is_some() {
            losses.add("tools.cache_control");
        }
        tools.extend(tool_json(tool, call, losses)?);
    }
    if !tools.is_empty() {
        body.insert("tools".to_owned(), tools.into());
    }
    if let Some(choice) = tool_choice_json(call, losses) {
        body.insert("tool_choice".to_owned(), choice);
    }
    if let Some(is_parallel) = call.parallel_tool_calls {
        body.insert("parallel_tool_calls".to_owned(), is_parallel.into());
    }
    Ok(())
}

fn tool_json(
    tool: &Tool,
    call: &ChatCall,
    losses: &mut Losses,
) -> Result<Option<Value>, InvalidCall> {
    let mut written = match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            strict,
        } => {
            let mut function = object(json!({"type": "function", "name": name}));
            let members = [
                ("description", description.as_deref().map(Value::from)),
                ("parameters", parameters.clone()),
                ("strict", strict.map(Value::from)),
            ];
            for (name, value) in members {
                function.extend(value.map(|value| (name.to_owned(), value)));
            }
            function
        }
        ToolKind::Custom {
            name,
            description,
            format,
        } => {
            let mut custom = object(json!({"type": "custom", "name": name}));
            let description = description.as_deref().map(Value::from);
            custom.extend(description.map(|text| ("description".to_owned(), text)));
            custom.extend(
                format
                    .as_ref()
                    .map(|format| ("format".to_owned(), flat(format))),
            );
            custom
        }
        ToolKind::ComputerUse { .. } if call.dialect == WireFormat::AnthropicMessages => {
            return Err(invalid(
                "tools",
                "hold a computer-use tool of Anthropic's, which OpenAI does not know",
            ));
        }
        ToolKind::ComputerUse { declaration } => declaration.clone(),
        ToolKind::Native { .. } if call.dialect == WireFormat::AnthropicMessages => {
            losses.add("tools.native");
            return Ok(None);
        }
        ToolKind::Native { declaration } => with_partial_images(declaration, call),
    };
    for (name, value) in &tool.extra {
        match (name.as_str(), value) {
            // Chat completions nest what the Responses API says flat.
            ("function" | "custom", Value::Object(inner)) => written.extend(inner.clone()),
            _ if call.dialect == WireFormat::AnthropicMessages => {
                losses.add(format!("tools.{name}"));
            }
            _ => {
                written.insert(name.clone(), value.clone());
            }
        }
    }
    Ok(Some(Value::Object(written)))
}

/// A stream of a picture needs a number of sketches; LangChain asks for one.
fn with_partial_images(declaration: &Map<String, Value>, call: &ChatCall) -> Map<String, Value> {
    let mut tool = declaration.clone();
    let is_picture = tool.get("type") == Some(&json!("image_generation"));
    if is_picture && call.stream && call.dialect == WireFormat::OpenAiChat {
        tool.entry("partial_images").or_insert(json!(1));
    }
    tool
}

fn tool_choice_json(call: &ChatCall, losses: &mut Losses) -> Option<Value> {
    Some(match call.tool_choice.as_ref()? {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Named(name) => {
            let tool = call.tools.iter().find(|tool| tool.name() == Some(name));
            match tool.map(|tool| &tool.kind) {
                Some(ToolKind::Custom { .. }) => json!({"type": "custom", "name": name}),
                None if CHOSEN_BY_TYPE.contains(&name.as_str()) => json!({ "type": name }),
                _ => json!({"type": "function", "name": name}),
            }
        }
        ToolChoice::Native(_) if call.dialect == WireFormat::AnthropicMessages => {
            losses.add("tool_choice");
            return None;
        }
        ToolChoice::Native(choice) => flat_choice(choice),
    })
}

/// A choice among some of the tools, which chat completions nest.
fn flat_choice(choice: &Value) -> Value {
    let Value::Object(allowed) = &choice["allowed_tools"] else {
        return choice.clone();
    };
    let mut flat = object(json!({"type": "allowed_tools"}));
    flat.extend(allowed.clone());
    for tool in flat
        .get_mut("tools")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let kind = tool["type"].as_str().unwrap_or_default().to_owned();
        if let Some(name) = tool[kind.as_str()].get("name").cloned() {
            *tool = json!({"type": kind, "name": name});
        }
    }
    Value::Object(flat)
}
