//! Canonical tools and tool choices → `tools` and `tool_choice`.

use serde_json::{Map, Value, json};

use super::types;
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Tool, ToolChoice, ToolKind};
use crate::error::{InvalidCall, Losses};

/// How the types of Anthropic's own tools begin.
const NATIVE_PREFIXES: [&str; 12] = [
    "text_editor_2",
    "computer_2",
    "computer_toolset_2",
    "browser_toolset_2",
    "bash_2",
    "web_search_2",
    "web_fetch_2",
    "code_execution_2",
    "memory_2",
    "mcp_toolset",
    "tool_search_tool_",
    "advisor_2",
];

/// Members of a function's declaration that are Anthropic's own.
const OWN_MEMBERS: [&str; 4] = [
    "allowed_callers",
    "defer_loading",
    "eager_input_streaming",
    "input_examples",
];

/// Keys at the top of a function's schema that the provider refuses.
const REFUSED_COMPOSITIONS: [&str; 2] = ["oneOf", "anyOf"];

/// Writes `tools` and `tool_choice` into the body.
pub(super) fn encode(
    call: &ChatCall,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    let is_own = call.dialect == WireFormat::AnthropicMessages;
    let allowed = allowed_tools(call);
    let mut written = Vec::new();
    let mut dropped = Vec::new();
    for (index, tool) in call.tools.iter().enumerate() {
        let is_allowed = |names: &Vec<&str>| tool.name().is_some_and(|name| names.contains(&name));
        if !allowed.as_ref().is_none_or(is_allowed) {
            continue;
        }
        if is_own {
            written.push(Value::Object(own_tool(tool)));
        } else if has_refused_composition(tool) {
            dropped.push(tool.name().unwrap_or_default());
            losses.add("tools.parameters");
        } else {
            written.push(foreign_tool(tool, index, losses)?);
        }
    }
    if !is_own {
        check_dropped(call, &written, &dropped)?;
    }
    if written.is_empty() && !is_own {
        return match &call.tool_choice {
            Some(ToolChoice::Required | ToolChoice::Named(_)) => Err(invalid(
                "tool_choice",
                "asks for a tool, but the request declares none",
            )),
            _ => Ok(()),
        };
    }
    if !written.is_empty() {
        body.insert("tools".to_owned(), Value::Array(written));
    }
    if let Some(choice) = choice(call, losses) {
        body.insert("tool_choice".to_owned(), choice);
    }
    Ok(())
}

/// A tool of a call in this very format, with all its members.
fn own_tool(tool: &Tool) -> Map<String, Value> {
    let mut written = match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            strict,
        } => {
            let mut written = function(name, description.as_deref(), parameters.as_ref());
            if let Some(strict) = strict {
                written.insert("strict".to_owned(), json!(strict));
            }
            written
        }
        ToolKind::Custom { name, .. } => function(name, None, None),
        ToolKind::ComputerUse { declaration } | ToolKind::Native { declaration } => {
            declaration.clone()
        }
    };
    types::put_cache_marker(&mut written, tool.cache.as_ref());
    written.extend(tool.extra.clone());
    written
}

fn function(
    name: &str,
    description: Option<&str>,
    parameters: Option<&Value>,
) -> Map<String, Value> {
    let mut written = Map::new();
    written.insert("name".to_owned(), json!(name));
    let schema = parameters.cloned();
    let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    written.insert("input_schema".to_owned(), schema);
    if let Some(description) = description {
        written.insert("description".to_owned(), json!(description));
    }
    written
}

/// A tool of a call in another format, as LangChain declares it.
fn foreign_tool(tool: &Tool, index: usize, losses: &mut Losses) -> Result<Value, InvalidCall> {
    match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            strict,
        } => {
            if *strict == Some(true) {
                losses.add("tools.strict");
            }
            let mut function = function(name, description.as_deref(), parameters.as_ref());
            // LangChain takes a tool in Anthropic's shape as it is, if it is described.
            let is_taken = description.is_some();
            if is_taken {
                types::put_cache_marker(&mut function, tool.cache.as_ref());
            } else if tool.cache.is_some() {
                losses.add("tools.cache_control");
            }
            for (key, value) in &tool.extra {
                if is_taken && OWN_MEMBERS.contains(&key.as_str()) {
                    function.insert(key.clone(), value.clone());
                } else {
                    losses.add(format!("tools.{key}"));
                }
            }
            Ok(Value::Object(function))
        }
        ToolKind::Custom { name, .. } => Err(invalid(
            &format!("tools[{index}]"),
            &format!(
                "`{name}` takes free text, which Anthropic's tools do not: declare a function"
            ),
        )),
        ToolKind::ComputerUse { declaration } | ToolKind::Native { declaration } => {
            if is_anthropics(declaration) {
                return Ok(Value::Object(declaration.clone()));
            }
            let kind = declaration.get("type").and_then(Value::as_str);
            Err(invalid(
                &format!("tools[{index}]"),
                &format!(
                    "is a tool of another provider's (`{}`), which Anthropic does not run: \
                     leave it out, or declare Anthropic's own",
                    kind.unwrap_or("without a type")
                ),
            ))
        }
    }
}

fn is_anthropics(declaration: &Map<String, Value>) -> bool {
    let kind = declaration.get("type").and_then(Value::as_str);
    declaration.contains_key("input_schema")
        || kind.is_some_and(|kind| {
            NATIVE_PREFIXES
                .iter()
                .any(|prefix| kind.starts_with(prefix))
        })
}

fn has_refused_composition(tool: &Tool) -> bool {
    let ToolKind::Function {
        parameters: Some(schema),
        ..
    } = &tool.kind
    else {
        return false;
    };
    REFUSED_COMPOSITIONS
        .iter()
        .any(|key| schema.get(key).is_some())
}

/// A tool that is left out must be neither the only one nor one that is asked for.
fn check_dropped(call: &ChatCall, written: &[Value], dropped: &[&str]) -> Result<(), InvalidCall> {
    let is_wanted = match &call.tool_choice {
        Some(ToolChoice::Named(name)) => dropped.contains(&name.as_str()),
        Some(ToolChoice::Required) => true,
        _ => written.is_empty(),
    };
    if dropped.is_empty() || !is_wanted {
        return Ok(());
    }
    Err(invalid(
        "tools",
        &format!(
            "holds schemas with `anyOf` or `oneOf` at their top ({}), which Anthropic refuses: \
             move the choice below `properties`",
            dropped.join(", ")
        ),
    ))
}

/// The names that OpenAI's `allowed_tools` choice leaves to the model.
fn allowed_tools(call: &ChatCall) -> Option<Vec<&str>> {
    let Some(ToolChoice::Native(choice)) = &call.tool_choice else {
        return None;
    };
    let tools = choice
        .pointer("/allowed_tools/tools")
        .or_else(|| choice.get("tools"))?;
    let name = |tool: &'_ Value| tool.pointer("/function/name").is_some();
    let tools = tools.as_array()?;
    Some(
        tools
            .iter()
            .filter_map(|tool| {
                if name(tool) {
                    tool.pointer("/function/name")
                } else {
                    tool.get("name")
                }
            })
            .filter_map(Value::as_str)
            .collect(),
    )
}

fn choice(call: &ChatCall, losses: &mut Losses) -> Option<Value> {
    let is_own = call.dialect == WireFormat::AnthropicMessages;
    let mut choice = match &call.tool_choice {
        None => None,
        Some(ToolChoice::Auto) => Some(json!({"type": "auto"})),
        Some(ToolChoice::Required) => Some(json!({"type": "any"})),
        Some(ToolChoice::Named(name)) => Some(json!({"type": "tool", "name": name})),
        Some(ToolChoice::None) => return Some(json!({"type": "none"})),
        Some(ToolChoice::Native(native)) if is_own => Some(native.clone()),
        Some(ToolChoice::Native(native)) => match native_mode(native) {
            Some("required") => Some(json!({"type": "any"})),
            Some(_) => Some(json!({"type": "auto"})),
            None => {
                losses.add("tool_choice");
                None
            }
        },
    };
    if let Some(is_parallel) = call.parallel_tool_calls {
        let choice = choice.get_or_insert_with(|| json!({"type": "auto"}));
        choice["disable_parallel_tool_use"] = json!(!is_parallel);
    }
    choice
}

fn native_mode(native: &Value) -> Option<&str> {
    let mode = native
        .pointer("/allowed_tools/mode")
        .or_else(|| native.get("mode"));
    mode?.as_str()
}

fn invalid(parameter: &str, problem: &str) -> InvalidCall {
    InvalidCall {
        message: format!("`{parameter}` {problem}"),
        parameter: Some(parameter.to_owned()),
    }
}
