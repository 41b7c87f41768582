//! JSON schemas in the form that Anthropic's structured outputs accept.
//!
//! Follows `transform_schema` of the `anthropic` Python package, which LangChain calls:
//! what the provider does not enforce moves into the description, where the model may
//! still heed it. One thing is added: a list of types becomes an `anyOf`, where that
//! function fails.

use serde_json::{Map, Value, json};

use crate::error::InvalidCall;

/// Formats of strings that the provider enforces.
const FORMATS: [&str; 10] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// Deeper schemas than this are refused rather than followed.
const MAX_DEPTH: usize = 64;

/// Rewrites a schema.
///
/// # Errors
/// When a part of it does not say what it is.
pub(super) fn transform(schema: &Value) -> Result<Value, InvalidCall> {
    transform_at(schema, 0)
}

fn transform_at(schema: &Value, depth: usize) -> Result<Value, InvalidCall> {
    if depth > MAX_DEPTH {
        return Err(invalid("is nested too deeply"));
    }
    let Value::Object(schema) = schema else {
        return Err(invalid("holds a part that is not an object"));
    };
    let mut rest = schema.clone();
    let mut strict = Map::new();
    if let Some(Value::Object(definitions)) = rest.shift_remove("$defs") {
        strict.insert("$defs".to_owned(), transform_members(&definitions, depth)?);
    }
    if let Some(reference) = rest.shift_remove("$ref") {
        strict.insert("$ref".to_owned(), reference);
        return Ok(Value::Object(strict));
    }
    if let Some(Value::Array(kinds)) = rest.get("type") {
        let kinds = kinds.clone();
        return any_of_types(&kinds, rest, depth);
    }
    let kind = rest.shift_remove("type");
    if !take_composition(&mut rest, &mut strict, depth)? {
        let kind = kind
            .clone()
            .ok_or_else(|| invalid("holds a part without `type`, `anyOf`, `oneOf` or `allOf`"))?;
        strict.insert("type".to_owned(), kind);
    }
    for key in ["enum", "description", "title"] {
        if let Some(value) = rest.shift_remove(key).filter(|value| !value.is_null()) {
            strict.insert(key.to_owned(), value);
        }
    }
    match kind.as_ref().and_then(Value::as_str) {
        Some("object") => take_object(&mut rest, &mut strict, depth)?,
        Some("string") => take_format(&mut rest, &mut strict),
        Some("array") => take_items(&mut rest, &mut strict, depth)?,
        Some("boolean" | "integer" | "number" | "null") => {}
        None if kind.is_none() => {}
        _ => return Err(invalid("holds a part of an unknown `type`")),
    }
    describe_rest(&rest, &mut strict);
    Ok(Value::Object(strict))
}

/// `{"type": ["string", "null"], …}` → one alternative for each type.
fn any_of_types(
    kinds: &[Value],
    mut rest: Map<String, Value>,
    depth: usize,
) -> Result<Value, InvalidCall> {
    let mut outer = Map::new();
    for key in ["description", "title"] {
        if let Some(value) = rest.shift_remove(key) {
            outer.insert(key.to_owned(), value);
        }
    }
    let mut alternatives = Vec::new();
    for kind in kinds {
        let mut alternative = if kind == "null" {
            Map::new()
        } else {
            rest.clone()
        };
        alternative.insert("type".to_owned(), kind.clone());
        alternatives.push(transform_at(&Value::Object(alternative), depth + 1)?);
    }
    outer.insert("anyOf".to_owned(), Value::Array(alternatives));
    Ok(Value::Object(outer))
}

/// Takes the first composition there is. Whether there was one.
fn take_composition(
    rest: &mut Map<String, Value>,
    strict: &mut Map<String, Value>,
    depth: usize,
) -> Result<bool, InvalidCall> {
    let found: Vec<(&str, Option<Value>)> = ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .map(|key| (key, rest.shift_remove(key)))
        .collect();
    for (key, value) in found {
        let Some(Value::Array(variants)) = value else {
            continue;
        };
        let variants: Result<Vec<Value>, _> = variants
            .iter()
            .map(|variant| transform_at(variant, depth + 1))
            .collect();
        // The provider knows no exclusive choice.
        let key = if key == "oneOf" { "anyOf" } else { key };
        strict.insert(key.to_owned(), Value::Array(variants?));
        return Ok(true);
    }
    Ok(false)
}

fn take_object(
    rest: &mut Map<String, Value>,
    strict: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), InvalidCall> {
    let properties = match rest.shift_remove("properties") {
        Some(Value::Object(properties)) => transform_members(&properties, depth)?,
        _ => json!({}),
    };
    strict.insert("properties".to_owned(), properties);
    rest.shift_remove("additionalProperties");
    strict.insert("additionalProperties".to_owned(), json!(false));
    if let Some(required) = rest
        .shift_remove("required")
        .filter(|value| !value.is_null())
    {
        strict.insert("required".to_owned(), required);
    }
    Ok(())
}

fn take_format(rest: &mut Map<String, Value>, strict: &mut Map<String, Value>) {
    let is_known = rest
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| FORMATS.contains(&format));
    if is_known && let Some(format) = rest.shift_remove("format") {
        strict.insert("format".to_owned(), format);
    }
}

fn take_items(
    rest: &mut Map<String, Value>,
    strict: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), InvalidCall> {
    if let Some(items) = rest.shift_remove("items").filter(|items| !items.is_null()) {
        strict.insert("items".to_owned(), transform_at(&items, depth + 1)?);
    }
    let is_enforced = matches!(rest.get("minItems").and_then(Value::as_i64), Some(0 | 1));
    if is_enforced && let Some(least) = rest.shift_remove("minItems") {
        strict.insert("minItems".to_owned(), least);
    }
    Ok(())
}

fn transform_members(members: &Map<String, Value>, depth: usize) -> Result<Value, InvalidCall> {
    let members: Result<Map<String, Value>, InvalidCall> = members
        .iter()
        .map(|(name, schema)| Ok((name.clone(), transform_at(schema, depth + 1)?)))
        .collect();
    Ok(Value::Object(members?))
}

/// Puts what is left into the description.
fn describe_rest(rest: &Map<String, Value>, strict: &mut Map<String, Value>) {
    if rest.is_empty() {
        return;
    }
    let constraints: Vec<String> = rest
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}: {text}"),
            other => format!("{key}: {}", python_text(other)),
        })
        .collect();
    let constraints = format!("{{{}}}", constraints.join(", "));
    let description = match strict.get("description").and_then(Value::as_str) {
        Some(text) => format!("{text}\n\n{constraints}"),
        None => constraints,
    };
    strict.insert("description".to_owned(), Value::String(description));
}

/// A value as Python shows it, since the description is written in Python.
fn python_text(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => python_string(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python_text).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{}: {}", python_string(key), python_text(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

fn python_string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for letter in text.chars() {
        match letter {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\\' => shown.push_str("\\\\"),
            letter if letter == quote => {
                shown.push('\\');
                shown.push(letter);
            }
            letter => shown.push(letter),
        }
    }
    shown.push(quote);
    shown
}

fn invalid(problem: &str) -> InvalidCall {
    InvalidCall {
        message: format!("the JSON schema of `response_format` {problem}"),
        parameter: Some("response_format.json_schema.schema".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_provider_does_not_enforce_moves_into_the_description() {
        let schema = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer", "minimum": 1, "description": "A number"},
                "s": {"type": "string", "format": "phone", "pattern": "^it's$"},
                "d": {"type": "string", "format": "date"},
                "l": {"type": "array", "items": {"oneOf": [{"type": "null"}]}, "minItems": 2,
                      "x": [true, null, {"a": "b"}]},
            },
            "additionalProperties": true,
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer", "description": "A number\n\n{minimum: 1}"},
                "s": {"type": "string", "description": "{format: phone, pattern: ^it's$}"},
                "d": {"type": "string", "format": "date"},
                "l": {"type": "array", "items": {"anyOf": [{"type": "null"}]},
                      "description": "{minItems: 2, x: [True, None, {'a': 'b'}]}"},
            },
            "additionalProperties": false,
        });
        assert_eq!(transform(&schema).unwrap(), expected);
    }

    #[test]
    fn definitions_and_references_are_followed() {
        let schema =
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "boolean", "const": true}}});
        let expected = json!({
            "$ref": "#/$defs/A",
            "$defs": {"A": {"type": "boolean", "description": "{const: True}"}},
        });
        assert_eq!(transform(&schema).unwrap(), expected);
    }

    #[test]
    fn a_list_of_types_becomes_alternatives() {
        let schema = json!({"type": ["string", "null"], "description": "d", "format": "uri"});
        let expected = json!({
            "description": "d",
            "anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}],
        });
        assert_eq!(transform(&schema).unwrap(), expected);
    }

    #[test]
    fn a_part_that_says_nothing_is_refused() {
        for schema in [
            json!({}),
            json!({"type": "object", "properties": {"a": {}}}),
            json!(true),
        ] {
            let error = transform(&schema).unwrap_err();
            assert!(error.message.contains("JSON schema"), "{error}");
        }
    }
}
