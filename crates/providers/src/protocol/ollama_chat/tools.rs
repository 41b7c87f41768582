//! Tools, as far as Ollama's types say them.

use serde_json::{Map, Value, json};

use crate::chat::call::{Tool, ToolKind};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;

/// What Ollama knows of the schema of arguments.
const OF_PARAMETERS: &[&str] = &["type", "$defs", "items", "required", "properties"];
/// What it knows of one argument.
const OF_PROPERTY: &[&str] = &["type", "items", "description", "enum"];

/// The tools; what of their schemas Ollama has no word for is lost.
///
/// # Errors
/// When one is a computer-use tool, which is never lost in silence.
pub(super) fn tools_json(tools: &[Tool], losses: &mut Losses) -> Result<Vec<Value>, InvalidCall> {
    let mut written = Vec::with_capacity(tools.len());
    for tool in tools {
        match &tool.kind {
            ToolKind::Function {
                name,
                description,
                parameters,
                ..
            } => {
                let mut function = Map::new();
                function.insert("name".to_owned(), name.as_str().into());
                if let Some(description) = description {
                    function.insert("description".to_owned(), description.as_str().into());
                }
                if let Some(parameters) = parameters {
                    let parameters = parameters_json(parameters, losses);
                    function.insert("parameters".to_owned(), parameters);
                }
                written.push(json!({"type": "function", "function": function}));
            }
            ToolKind::ComputerUse { .. } => {
                let problem = "hold a computer-use tool, which Ollama cannot take";
                return Err(invalid("tools", problem));
            }
            ToolKind::Custom { .. } | ToolKind::Native { .. } => losses.add("tools.native"),
        }
    }
    Ok(written)
}

fn parameters_json(parameters: &Value, losses: &mut Losses) -> Value {
    let mut known = only(parameters, OF_PARAMETERS, losses);
    known.entry("type").or_insert_with(|| Value::from("object"));
    if let Some(Value::Object(properties)) = known.get_mut("properties") {
        for property in properties.values_mut() {
            *property = only(property, OF_PROPERTY, losses).into();
        }
    }
    known.into()
}

fn only(schema: &Value, known: &[&str], losses: &mut Losses) -> Map<String, Value> {
    let mut members = Map::new();
    for (name, value) in schema.as_object().into_iter().flatten() {
        if value.is_null() {
            continue;
        }
        if known.contains(&name.as_str()) {
            members.insert(name.clone(), value.clone());
        } else {
            losses.add(format!("tools.parameters.{name}"));
        }
    }
    members
}
