//! Tools and the choice among them, as LangChain says them to Cohere.

use serde_json::{Map, Value, json};

use crate::chat::call::{ChatCall, Tool, ToolChoice, ToolKind};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;

/// Writes `tools` and `tool_choice`.
///
/// # Errors
/// When a tool is a computer-use tool, which is never lost in silence.
pub(super) fn write_tools(
    call: &ChatCall,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    let mut tools = Vec::with_capacity(call.tools.len());
    for tool in &call.tools {
        tools.extend(tool_json(tool, losses)?);
    }
    // Cohere takes two words only; to choose one tool is to offer no other.
    let choice = match call.tool_choice.as_ref() {
        None | Some(ToolChoice::Auto) => None,
        Some(ToolChoice::Required) => Some("REQUIRED"),
        Some(ToolChoice::None) => Some("NONE"),
        Some(ToolChoice::Named(name)) => {
            tools.retain(|tool| tool["function"]["name"] == name.as_str());
            Some("REQUIRED")
        }
        Some(ToolChoice::Native(_)) => {
            losses.add("tool_choice");
            None
        }
    };
    if call.parallel_tool_calls == Some(false) {
        losses.add("parallel_tool_calls");
    }
    if tools.is_empty() {
        return Ok(());
    }
    body.insert("tools".to_owned(), tools.into());
    if let Some(choice) = choice {
        body.insert("tool_choice".to_owned(), choice.into());
    }
    Ok(())
}

fn tool_json(tool: &Tool, losses: &mut Losses) -> Result<Option<Value>, InvalidCall> {
    match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            ..
        } => Ok(Some(json!({
            "type": "function",
            "function": {
                "name": name,
                "description": description.as_deref().unwrap_or_default(),
                "parameters": parameters_json(parameters.as_ref(), losses),
            },
        }))),
        ToolKind::ComputerUse { .. } => {
            let problem = "hold a computer-use tool, which Cohere cannot take";
            Err(invalid("tools", problem))
        }
        ToolKind::Custom { .. } | ToolKind::Native { .. } => {
            losses.add("tools.native");
            Ok(None)
        }
    }
}

/// LangChain keeps of each argument its type and description, and takes every one that
/// has no default for required.
fn parameters_json(parameters: Option<&Value>, losses: &mut Losses) -> Value {
    let whole = parameters.and_then(|parameters| parameters["properties"].as_object());
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in whole.into_iter().flatten() {
        let text = schema["description"].as_str().unwrap_or_default();
        let mut property = Map::new();
        property.insert("description".to_owned(), text.into());
        if !schema["type"].is_null() {
            property.insert("type".to_owned(), schema["type"].clone());
        }
        properties.insert(name.clone(), property.into());
        for member in schema.as_object().into_iter().flat_map(Map::keys) {
            if !matches!(member.as_str(), "description" | "type" | "default") {
                losses.add(format!("tools.parameters.{member}"));
            }
        }
        if schema.get("default").is_none() {
            required.push(name.as_str());
        }
    }
    json!({"type": "object", "properties": properties, "required": required})
}
