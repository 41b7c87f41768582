//! Tools and calls of them, between their JSON and the canonical types.

use serde_json::{Value, json};

use super::types::{Foreign, cache_control, extend, object, parse_cache_marker};
use crate::chat::Extra;
use crate::chat::call::{Tool, ToolKind};
use crate::chat::part::{Part, PartContent, ToolCall, ToolCallKind};
use crate::error::InvalidCall;
use crate::json::Members;

/// Reads one entry of `tools`.
pub(super) fn parse_tool(value: Value, path: &str) -> Result<Tool, InvalidCall> {
    let mut members = Members::of(value, path)?;
    let kind = members
        .peek("type")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let has = |name: &str| members.peek(name).is_some();
    let is_bare_function =
        kind.is_none() && has("name") && (has("input_schema") || has("parameters"));
    let is_schema =
        has("title") && has("properties") && kind.as_deref().is_none_or(|kind| kind == "object");
    match kind.as_deref() {
        Some("function") | None if members.peek("function").is_some() => {
            let mut function = members.require_object("function")?;
            members.take("type");
            let kind = ToolKind::Function {
                name: function.require_text("name")?,
                description: function.take_text("description")?,
                parameters: function.take("parameters"),
                strict: function.take_flag("strict")?,
            };
            members.put_back("function", function);
            // A marker beside the function stays there: LangChain carries none into
            // another format.
            Ok(Tool {
                kind,
                cache: None,
                extra: members.rest(),
            })
        }
        Some("custom") if members.peek("custom").is_some() => {
            let mut custom = members.require_object("custom")?;
            members.take("type");
            let kind = ToolKind::Custom {
                name: custom.require_text("name")?,
                description: custom.take_text("description")?,
                format: custom.take("format"),
            };
            Ok(Tool {
                kind,
                cache: None,
                extra: members.rest(),
            })
        }
        // Anthropic's shape and OpenAI's older one, which LangChain takes for functions too.
        None if is_bare_function => {
            let cache = parse_cache_marker(&mut members);
            let kind = ToolKind::Function {
                name: members.require_text("name")?,
                description: members.take_text("description")?,
                parameters: members
                    .take("input_schema")
                    .or_else(|| members.take("parameters")),
                strict: members.take_flag("strict")?,
            };
            let extra = members.rest();
            Ok(Tool { kind, cache, extra })
        }
        // A bare JSON schema is a function of its title.
        _ if is_schema => {
            let kind = ToolKind::Function {
                name: members.require_text("title")?,
                description: members.take_text("description")?,
                strict: None,
                parameters: Some(Value::Object(members.rest())),
            };
            Ok(Tool {
                kind,
                cache: None,
                extra: Extra::new(),
            })
        }
        Some("function") => Err(members.error("function", "is missing")),
        kind => Ok(native_tool(kind.unwrap_or_default(), members)),
    }
}

/// A tool that the provider runs or defines. Every vendor's computer-use tool says so
/// in its type (Gemini's in the name of its one member).
fn native_tool(kind: &str, members: Members) -> Tool {
    let is_computer_use = kind == "computer"
        || kind.starts_with("computer_use")
        || kind.starts_with("computer_2")
        || kind.starts_with("computer_toolset")
        || members.peek("computer_use").is_some();
    let declaration = members.rest();
    Tool {
        kind: if is_computer_use {
            ToolKind::ComputerUse { declaration }
        } else {
            ToolKind::Native { declaration }
        },
        cache: None,
        extra: Extra::new(),
    }
}

/// Writes one entry of `tools`. None where chat completions cannot say it.
pub(super) fn tool_json(tool: &Tool, foreign: Foreign) -> Option<Value> {
    let mut whole = match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            strict,
        } => {
            let mut function = object(json!({"name": name}));
            if let Some(description) = description {
                function.insert("description".to_owned(), description.as_str().into());
            }
            if let Some(strict) = strict {
                function.insert("strict".to_owned(), (*strict).into());
            }
            if let Some(parameters) = parameters {
                function.insert("parameters".to_owned(), parameters.clone());
            }
            object(json!({"type": "function", "function": function}))
        }
        ToolKind::Custom {
            name,
            description,
            format,
        } => {
            let mut custom = object(json!({"name": name}));
            if let Some(description) = description {
                custom.insert("description".to_owned(), description.as_str().into());
            }
            if let Some(format) = format {
                custom.insert("format".to_owned(), format.clone());
            }
            object(json!({"type": "custom", "custom": custom}))
        }
        ToolKind::ComputerUse { .. } | ToolKind::Native { .. } => return None,
    };
    if foreign == Foreign::Keep {
        if let Some(marker) = &tool.cache {
            whole.insert("cache_control".to_owned(), cache_control(marker));
        }
        extend(&mut whole, &tool.extra);
    }
    Some(Value::Object(whole))
}

/// Reads one entry of `tool_calls`.
pub(super) fn parse_tool_call(value: Value, path: &str) -> Result<Part, InvalidCall> {
    let mut members = Members::of(value, path)?;
    let kind = members.take_text("type")?;
    let id = members.take_text("id")?.unwrap_or_default();
    let call = if kind.as_deref() == Some("custom") {
        let mut custom = members.require_object("custom")?;
        ToolCall {
            id,
            name: custom.require_text("name")?,
            arguments: custom.take_text("input")?.unwrap_or_default(),
            kind: ToolCallKind::Custom,
        }
    } else {
        let mut function = members.require_object("function")?;
        ToolCall {
            id,
            name: function.require_text("name")?,
            arguments: match function.take("arguments") {
                None => String::new(),
                Some(Value::String(text)) => text,
                // Some servers and clients write the arguments as JSON itself.
                Some(other) => other.to_string(),
            },
            kind: ToolCallKind::Function,
        }
    };
    Ok(Part {
        content: PartContent::ToolCall(call),
        cache: None,
        extra: members.rest(),
    })
}

/// Writes one entry of `tool_calls`.
pub(super) fn tool_call_json(call: &ToolCall) -> Value {
    match call.kind {
        ToolCallKind::Custom => json!({
            "id": call.id, "type": "custom",
            "custom": {"name": call.name, "input": call.arguments},
        }),
        _ => json!({
            "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }),
    }
}
