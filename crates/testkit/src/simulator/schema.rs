//! A value that fits a JSON schema: what the stand-in calls tools with.

use serde_json::{Map, Number, Value, json};

/// Schemas nested (or recursive) beyond this get null.
const DEPTH: usize = 16;

/// A value that fits `schema`. Always the same for the same schema.
///
/// `const`, `enum`, `default`, references into the schema, `anyOf`, `oneOf`,
/// `allOf`, types, bounds and the usual string formats are understood; patterns
/// are not.
#[must_use]
pub fn fitting(schema: &Value) -> Value {
    fit(schema, schema, DEPTH)
}

fn fit(root: &Value, schema: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(fixed) = fixed(schema) {
        return fixed.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#'));
        return target.map_or(Value::Null, |target| fit(root, target, depth - 1));
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(first) = schema[choice].get(0) {
            return fit(root, first, depth - 1);
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        return merged(all.iter().map(|part| fit(root, part, depth - 1)));
    }
    match kind(schema) {
        "object" => object(root, schema, depth),
        "array" => array(root, schema, depth),
        "string" => json!(string(schema)),
        "integer" => Value::Number(Number::from(integer(schema))),
        "number" => number(schema),
        "boolean" => json!(true),
        _ => Value::Null,
    }
}

fn fixed(schema: &Value) -> Option<&Value> {
    schema
        .get("const")
        .or_else(|| schema["enum"].get(0))
        .or_else(|| schema.get("default"))
}

fn kind(schema: &Value) -> &str {
    let stated = match &schema["type"] {
        Value::String(kind) => Some(kind.as_str()),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null"),
        _ => None,
    };
    stated.unwrap_or(if schema.get("items").is_some() {
        "array"
    } else {
        "object"
    })
}

fn object(root: &Value, schema: &Value, depth: usize) -> Value {
    let Some(properties) = schema["properties"].as_object() else {
        return json!({});
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let members: Map<String, Value> = properties
        .iter()
        .filter(|(name, _)| required.is_empty() || required.contains(&name.as_str()))
        .map(|(name, property)| (name.clone(), fit(root, property, depth - 1)))
        .collect();
    Value::Object(members)
}

fn array(root: &Value, schema: &Value, depth: usize) -> Value {
    if let Some(prefix) = schema["prefixItems"].as_array() {
        return prefix
            .iter()
            .map(|item| fit(root, item, depth - 1))
            .collect();
    }
    let least = schema["minItems"].as_u64().unwrap_or(1).min(100);
    let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
    let item = fit(root, &schema["items"], depth - 1);
    (0..least.min(most)).map(|_| item.clone()).collect()
}

fn string(schema: &Value) -> String {
    let text = match schema["format"].as_str() {
        Some("date-time") => "2026-01-02T03:04:05Z",
        Some("date") => "2026-01-02",
        Some("time") => "03:04:05Z",
        Some("uuid") => "01234567-89ab-7def-8123-456789abcdef",
        Some("email") => "agent@example.com",
        Some("uri" | "url") => "https://example.com/",
        _ => "simulated",
    };
    let least = usize::try_from(schema["minLength"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    let most = schema["maxLength"]
        .as_u64()
        .and_then(|most| usize::try_from(most).ok());
    let padded = format!("{text:-<width$}", width = least.min(100_000));
    padded.chars().take(most.unwrap_or(usize::MAX)).collect()
}

fn integer(schema: &Value) -> i64 {
    let least = schema["minimum"].as_i64();
    let above = schema["exclusiveMinimum"].as_i64().map(|bound| bound + 1);
    let most = schema["maximum"].as_i64();
    let below = schema["exclusiveMaximum"].as_i64().map(|bound| bound - 1);
    let step = schema["multipleOf"].as_i64().unwrap_or(1).max(1);
    let least = least.or(above);
    let most = most.or(below).unwrap_or(i64::MAX);
    let start = least.unwrap_or_else(|| most.min(step));
    next_multiple(start, step).min(most)
}

fn number(schema: &Value) -> Value {
    let bound = |name: &str| schema[name].as_f64();
    let value = match (
        bound("minimum").or(bound("exclusiveMinimum")),
        bound("maximum").or(bound("exclusiveMaximum")),
    ) {
        (Some(least), Some(most)) => f64::midpoint(least, most),
        (Some(least), None) => least + 1.0,
        (None, Some(most)) => most - 1.0,
        (None, None) => 1.5,
    };
    json!(value)
}

fn merged(parts: impl Iterator<Item = Value>) -> Value {
    let mut members = Map::new();
    for part in parts {
        match part {
            Value::Object(part) => members.extend(part),
            other => return other,
        }
    }
    Value::Object(members)
}

/// The smallest multiple of `step` that is not below `value`.
fn next_multiple(value: i64, step: i64) -> i64 {
    match value.rem_euclid(step) {
        0 => value,
        rest => value.saturating_add(step - rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_fit_the_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 3, "multipleOf": 2},
                "place": {"$ref": "#/$defs/place"},
                "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 2},
                "note": {"type": ["null", "string"]},
            },
            "required": ["city", "unit", "days", "place", "tags"],
            "$defs": {"place": {"type": "object", "properties": {"latitude": {"type": "number", "minimum": -90, "maximum": 90}}}},
        });
        assert_eq!(
            fitting(&schema),
            json!({"city": "simulated", "unit": "celsius", "days": 4,
                   "place": {"latitude": 0.0}, "tags": ["sim", "sim"]})
        );
    }

    #[test]
    fn a_recursive_schema_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(fitting(&schema).is_object());
    }

    #[test]
    fn no_schema_is_an_empty_object() {
        assert_eq!(fitting(&json!({})), json!({}));
        assert_eq!(fitting(&Value::Null), json!({}));
    }
}
