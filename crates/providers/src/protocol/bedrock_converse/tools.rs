//! Canonical tools and tool choices → `toolConfig`.

use serde_json::{Map, Value, json};

use super::configuration::{FIELDS, setting};
use super::models::{Choice, Model};
use super::types::{self, camel_case, python_json};
use crate::chat::call::{ChatCall, Tool, ToolChoice, ToolKind};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::target::Target;

/// Writes `toolConfig` into the body. A call that must not use tools has none.
pub(super) fn encode(
    call: &ChatCall,
    target: &Target,
    model: &Model<'_>,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    if body.contains_key("toolConfig") {
        return Ok(());
    }
    let forces = matches!(
        call.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_))
    );
    if call.tools.is_empty() && forces {
        let problem = "asks for a tool, but the request declares none";
        return Err(invalid("tool_choice", problem));
    }
    if call.tools.is_empty() || call.tool_choice == Some(ToolChoice::None) {
        return Ok(());
    }
    let mut written = Vec::with_capacity(call.tools.len());
    for (index, tool) in call.tools.iter().enumerate() {
        write_tool(tool, index, &mut written, losses)?;
    }
    let mut config = Map::new();
    config.insert("tools".to_owned(), Value::Array(written));
    let fields = body.get(FIELDS).and_then(Value::as_object);
    let fields = fields.cloned().unwrap_or_default();
    if let Some(choice) = choice(call, target, model, &fields, losses)? {
        config.insert("toolChoice".to_owned(), choice);
    }
    body.insert("toolConfig".to_owned(), Value::Object(config));
    Ok(())
}

/// Whether the call has a tool that AWS runs, which it does not stream.
pub(super) fn has_system_tool(call: &ChatCall) -> bool {
    let is_system = |tool: &Tool| match &tool.kind {
        ToolKind::Native { declaration } => declaration.contains_key("systemTool"),
        _ => false,
    };
    call.tools.iter().any(is_system)
}

fn write_tool(
    tool: &Tool,
    index: usize,
    written: &mut Vec<Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            strict,
        } => {
            let schema = parameters.clone();
            let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
            let mut spec = specification(name, description.as_deref(), schema);
            if let Some(strict) = strict {
                spec["toolSpec"]["strict"] = json!(strict);
            }
            for member in tool.extra.keys() {
                losses.add(format!("tools.{member}"));
            }
            written.push(spec);
        }
        ToolKind::Custom { name, .. } => {
            let problem = format!(
                "`{name}` takes free text, which Bedrock's tools do not: declare a function"
            );
            return Err(invalid(&format!("tools[{index}]"), &problem));
        }
        ToolKind::ComputerUse { declaration } | ToolKind::Native { declaration } => {
            let tool = native(declaration).ok_or_else(|| foreign(declaration, index))?;
            written.push(tool);
        }
    }
    if let Some(marker) = &tool.cache {
        written.push(super::cache::point(marker.ttl.as_deref()));
    }
    Ok(())
}

fn specification(name: &str, description: Option<&str>, schema: Value) -> Value {
    let description = description.filter(|text| !text.is_empty());
    json!({"toolSpec": {
        "name": name,
        "description": description.unwrap_or(name),
        "inputSchema": {"json": without_null(schema)},
    }})
}

/// A tool, or a mark among the tools, in a shape of Bedrock's or Anthropic's.
fn native(declaration: &Map<String, Value>) -> Option<Value> {
    let text = |name: &str| declaration.get(name).and_then(Value::as_str);
    if let Some(point) = declaration
        .get("cachePoint")
        .or(declaration.get("cache_point"))
    {
        return point.get("type").map(|_| json!({"cachePoint": point}));
    }
    if let Some(system) = declaration.get("systemTool") {
        return Some(json!({"systemTool": system}));
    }
    if let Some(spec) = declaration.get("toolSpec").or(declaration.get("tool_spec")) {
        let spec = camel_case(json!({"name": spec["name"], "description": spec["description"]}));
        let schema = declaration
            .get("toolSpec")
            .map(|spec| &spec["inputSchema"]["json"])
            .or_else(|| {
                declaration
                    .get("tool_spec")
                    .map(|spec| &spec["input_schema"]["json"])
            })?;
        let (name, description) = (spec["name"].as_str()?, spec["description"].as_str());
        return Some(specification(name, description, schema.clone()));
    }
    if let (Some(name), Some(schema)) = (text("name"), declaration.get("input_schema")) {
        return Some(specification(name, text("description"), schema.clone()));
    }
    None
}

fn foreign(declaration: &Map<String, Value>, index: usize) -> InvalidCall {
    let kind = declaration.get("type").and_then(Value::as_str);
    let problem = format!(
        "is a tool (`{}`) that Bedrock's Converse does not know: declare a function, or, for \
         Anthropic's own tools, use the provider `anthropic_bedrock`",
        kind.unwrap_or("without a type")
    );
    invalid(&format!("tools[{index}]"), &problem)
}

/// A schema without the alternative of null, of which Bedrock allows few in a request:
/// an optional member can be left out all the same.
fn without_null(schema: Value) -> Value {
    let Value::Object(members) = schema else {
        return schema;
    };
    let mut rest = Map::with_capacity(members.len());
    for (name, value) in members {
        match (name.as_str(), value) {
            ("anyOf", Value::Array(variants)) => {
                let is_null =
                    |variant: &Value| variant.get("type").is_some_and(|kind| kind == "null");
                let (nulls, others): (Vec<_>, Vec<_>) = variants.into_iter().partition(is_null);
                let mut others: Vec<Value> = others.into_iter().map(without_null).collect();
                match (others.len(), others.pop()) {
                    (1, Some(Value::Object(only))) => rest.extend(only),
                    (_, Some(last)) => {
                        others.push(last);
                        rest.insert(name, Value::Array(others));
                    }
                    (_, None) => {
                        rest.insert(name, Value::Array(nulls));
                    }
                }
            }
            ("type", Value::Array(kinds)) => {
                let others: Vec<&Value> = kinds.iter().filter(|kind| *kind != "null").collect();
                let kind = match others[..] {
                    [] => Value::Array(kinds),
                    [only] => only.clone(),
                    _ => json!(others),
                };
                rest.insert(name, kind);
            }
            (_, value @ Value::Object(_)) => {
                rest.insert(name, without_null(value));
            }
            (_, Value::Array(items)) => {
                rest.insert(name, items.into_iter().map(without_null).collect());
            }
            (_, value) => {
                rest.insert(name, value);
            }
        }
    }
    Value::Object(rest)
}

/// The choice, as far as the model takes it.
fn choice(
    call: &ChatCall,
    target: &Target,
    model: &Model<'_>,
    fields: &Map<String, Value>,
    losses: &mut Losses,
) -> Result<Option<Value>, InvalidCall> {
    let configured = setting(target, "supports_tool_choice_values");
    let configured = configured.and_then(Value::as_array).map(|kinds| {
        let is_named = |choice: &&Choice| kinds.iter().any(|kind| kind == choice.as_str());
        Choice::ALL
            .iter()
            .copied()
            .filter(|choice| is_named(&choice))
            .collect::<Vec<_>>()
    });
    let supported = configured.unwrap_or_else(|| model.tool_choices(fields).to_vec());
    let (kind, value) = match &call.tool_choice {
        None | Some(ToolChoice::None) => return Ok(None),
        // What a model does that is told nothing.
        Some(ToolChoice::Auto) if !supported.contains(&Choice::Auto) => return Ok(None),
        Some(ToolChoice::Auto) => (Choice::Auto, json!({"auto": {}})),
        Some(ToolChoice::Required) => (Choice::Any, json!({"any": {}})),
        Some(ToolChoice::Named(name)) => (Choice::Tool, json!({"tool": {"name": name}})),
        Some(ToolChoice::Native(_)) => {
            losses.add("tool_choice");
            return Ok(None);
        }
    };
    if supported.contains(&kind) {
        return Ok(Some(value));
    }
    // One tool that is asked for by name is how a shape is asked for: the next best will do.
    let is_shape = kind == Choice::Tool && call.tools.len() == 1;
    if is_shape {
        losses.add("tool_choice");
        let takes_any = supported.contains(&Choice::Any);
        return Ok(takes_any.then(|| json!({"any": {}})));
    }
    if model.thinks(fields) && supported.contains(&Choice::Auto) {
        losses.add("tool_choice");
        return Ok(Some(json!({"auto": {}})));
    }
    let names: Vec<&str> = supported.iter().map(|choice| choice.as_str()).collect();
    let names = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    let problem = format!(
        "of the kind `{}` is not taken by {} (it takes: {names}): leave the choice to the model, \
         or list the kind in `supports_tool_choice_values`",
        kind.as_str(),
        model.base
    );
    Err(invalid("tool_choice", &problem))
}

/// Writes calls and answers as text, for a request that declares no tools, where Bedrock
/// refuses them.
pub(super) fn as_text(messages: &mut [Value]) {
    for message in messages {
        let Some(Value::Array(content)) = message.get_mut("content") else {
            continue;
        };
        let blocks = std::mem::take(content);
        content.extend(blocks.into_iter().filter_map(block_as_text));
    }
}

/// Whether the conversation calls tools.
pub(super) fn are_used(messages: &[Value]) -> bool {
    let contents = messages
        .iter()
        .filter_map(|message| message["content"].as_array());
    contents
        .flatten()
        .any(|block| block.get("toolUse").is_some() || block.get("toolResult").is_some())
}

fn block_as_text(block: Value) -> Option<Value> {
    if let Some(call) = block.get("toolUse") {
        let name = types::text(call, "name");
        let input = call
            .get("input")
            .filter(|input| input.as_object().is_none_or(|input| !input.is_empty()));
        let text = match input {
            Some(input) => format!("[Called {name} with parameters: {}]", python_json(input)),
            None => format!("[Called {name}]"),
        };
        return Some(json!({ "text": text }));
    }
    let Some(result) = block.get("toolResult") else {
        return Some(block);
    };
    let pieces = result["content"].as_array().into_iter().flatten();
    let text: String = pieces
        .map(|piece| match (piece.get("text"), piece.get("json")) {
            (Some(text), _) => text.as_str().unwrap_or_default().to_owned(),
            (None, Some(value)) => python_json(value),
            (None, None) => String::new(),
        })
        .collect();
    (!types::is_blank(&text)).then(|| json!({"text": format!("[Tool output: {text}]")}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_no_alternative() {
        let schema = json!({"type": "object", "properties": {
            "a": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "A"},
            "b": {"type": ["integer", "null"]},
            "c": {"anyOf": [{"type": "null"}]},
            "d": {"anyOf": [{"type": "string"}, {"type": "null"}, {"type": ["a", "b", "null"]}]},
        }});
        let expected = json!({"type": "object", "properties": {
            "a": {"type": "string", "description": "A"},
            "b": {"type": "integer"},
            "c": {"anyOf": [{"type": "null"}]},
            "d": {"anyOf": [{"type": "string"}, {"type": ["a", "b"]}]},
        }});
        assert_eq!(without_null(schema), expected);
    }
}
