//! When two requests or answers are the same.

use serde_json::Value;

/// Where two values differ, by these rules: the order of members is irrelevant, 1 is
/// 1.0, null is absent, texts that both hold JSON compare as JSON, and a placeholder of
/// the capture matches anything.
pub(crate) fn difference(expected: &Value, actual: &Value, path: &str) -> Option<String> {
    let differs = || Some(format!("{path}: expected {expected}, got {actual}"));
    match (expected, actual) {
        (Value::String(text), _) if is_placeholder(text) => None,
        (Value::Object(expected), Value::Object(actual)) => {
            let names = expected.keys().chain(actual.keys());
            names.into_iter().find_map(|name| {
                let of = |map: &serde_json::Map<String, Value>| {
                    map.get(name).cloned().unwrap_or_default()
                };
                difference(&of(expected), &of(actual), &format!("{path}.{name}"))
            })
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            let pairs = expected.iter().zip(actual).enumerate();
            pairs.into_iter().find_map(|(index, (expected, actual))| {
                difference(expected, actual, &format!("{path}[{index}]"))
            })
        }
        (Value::Number(expected), Value::Number(actual)) => {
            if expected.as_f64() == actual.as_f64() {
                None
            } else {
                differs()
            }
        }
        (Value::String(left), Value::String(right)) if left != right => {
            match (held_json(left), held_json(right)) {
                (Some(left), Some(right)) => difference(&left, &right, path),
                _ => differs(),
            }
        }
        _ if expected == actual => None,
        _ => differs(),
    }
}

fn held_json(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}

pub(crate) fn is_placeholder(text: &str) -> bool {
    matches!(
        text,
        "<VOLATILE>"
            | "<RUN_ID>"
            | "<HTTP_HEADERS>"
            | "<SESSION_TOKEN>"
            | "<GCP_ACCESS_TOKEN>"
            | "<IBM_IAM_TOKEN>"
    )
}

/// Headers with which an integration only names itself.
pub(crate) fn is_branding(header: &str) -> bool {
    matches!(
        header,
        "x-title"
            | "x-source"
            | "http-referer"
            | "x-billing-source"
            | "x-upstage-client"
            | "cache-control"
    )
}
