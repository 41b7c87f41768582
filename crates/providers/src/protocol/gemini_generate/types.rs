//! Google's enumerations, which go by name or, in Vertex AI's form, by number; and names of
//! members in either spelling.

use serde_json::{Map, Value, json};

use super::rules::Form;

/// Types of schemas.
const TYPES: [&str; 7] = [
    "TYPE_UNSPECIFIED",
    "STRING",
    "NUMBER",
    "INTEGER",
    "BOOLEAN",
    "ARRAY",
    "OBJECT",
];
/// Why a model stopped.
pub(super) const FINISH_REASONS: [&str; 17] = [
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "UNEXPECTED_TOOL_CALL",
    "NO_IMAGE",
];
/// Why a prompt was not answered.
pub(super) const BLOCK_REASONS: [&str; 6] = [
    "BLOCKED_REASON_UNSPECIFIED",
    "SAFETY",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "MODEL_ARMOR",
];
pub(super) const HARM_CATEGORIES: [&str; 7] = [
    "HARM_CATEGORY_UNSPECIFIED",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
    "HARM_CATEGORY_JAILBREAK",
];
pub(super) const THRESHOLDS: [&str; 6] = [
    "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
    "BLOCK_LOW_AND_ABOVE",
    "BLOCK_MEDIUM_AND_ABOVE",
    "BLOCK_ONLY_HIGH",
    "BLOCK_NONE",
    "OFF",
];
pub(super) const MODALITIES: [&str; 6] = [
    "MODALITY_UNSPECIFIED",
    "TEXT",
    "IMAGE",
    "VIDEO",
    "AUDIO",
    "DOCUMENT",
];
pub(super) const CALLING_MODES: [&str; 6] =
    ["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "", "VALIDATED"];
pub(super) const OUTCOMES: [&str; 4] = [
    "OUTCOME_UNSPECIFIED",
    "OUTCOME_OK",
    "OUTCOME_FAILED",
    "OUTCOME_DEADLINE_EXCEEDED",
];
pub(super) const LANGUAGES: [&str; 2] = ["LANGUAGE_UNSPECIFIED", "PYTHON"];
pub(super) const MEDIA_RESOLUTIONS: [&str; 4] = [
    "MEDIA_RESOLUTION_UNSPECIFIED",
    "MEDIA_RESOLUTION_LOW",
    "MEDIA_RESOLUTION_MEDIUM",
    "MEDIA_RESOLUTION_HIGH",
];

/// The number of a schema's type, whatever its case.
pub(super) fn type_number(name: &str) -> Option<usize> {
    let name = name.to_uppercase();
    TYPES.iter().position(|known| *known == name)
}

/// A value of an enumeration as requests of this form say it. A name that is newer than
/// this code goes as it is, which Google reads too.
pub(super) fn enumerated(form: Form, names: &[&str], name: &str) -> Value {
    match names.iter().position(|known| *known == name) {
        Some(number) if form == Form::Vertexai => number.into(),
        _ => name.into(),
    }
}

/// A value of an enumeration in an answer: a name, or its number.
pub(super) fn name_of(names: &[&str], value: &Value) -> Option<String> {
    match value {
        Value::String(name) if !name.is_empty() => Some(name.clone()),
        Value::Number(number) => {
            let index = number
                .as_u64()
                .and_then(|number| usize::try_from(number).ok());
            let known = index.and_then(|index| names.get(index));
            Some(known.map_or_else(|| format!("UNKNOWN_{number}"), |name| (*name).to_owned()))
        }
        _ => None,
    }
}

/// `some_name` as `someName`.
pub(super) fn camel(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    let mut is_next_upper = false;
    for letter in name.chars() {
        match letter {
            '_' if !written.is_empty() => is_next_upper = true,
            letter if is_next_upper => {
                written.extend(letter.to_uppercase());
                is_next_upper = false;
            }
            letter => written.push(letter),
        }
    }
    written
}

/// `someName` as `some_name`.
pub(super) fn snake(name: &str) -> String {
    let mut written = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            written.push('_');
        }
        written.push(letter.to_ascii_lowercase());
    }
    written
}

/// An object with all its members' names in `someName`'s spelling, at every depth.
pub(super) fn camel_members(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (camel(name), camel_members(value));
            Value::Object(members.iter().map(member).collect())
        }
        Value::Array(items) => items.iter().map(camel_members).collect(),
        other => other.clone(),
    }
}

/// A member of an answer, in either spelling.
pub(super) fn member<'v>(value: &'v Value, name: &str) -> &'v Value {
    match &value[name] {
        Value::Null => &value[snake(name).as_str()],
        found => found,
    }
}

/// Numbers without a fraction as integers, at every depth: protocol buffers know no
/// integers inside a call's arguments.
pub(super) fn with_integers(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let integer = crate::json::integer(&Value::Number(number.clone()));
            integer.map_or(Value::Number(number), Value::from)
        }
        Value::Array(items) => items.into_iter().map(with_integers).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            let members: Map<String, Value> = members
                .map(|(name, value)| (name, with_integers(value)))
                .collect();
            Value::Object(members)
        }
        other => other,
    }
}

/// A part that is nothing but text.
pub(super) fn text_part(text: &str) -> Value {
    json!({"text": text})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_both_ways() {
        assert_eq!(camel("top_p_value"), "topPValue");
        assert_eq!(camel("topP"), "topP");
        assert_eq!(snake("thinkingBudget"), "thinking_budget");
        assert_eq!(
            member(&json!({"finish_reason": 1}), "finishReason"),
            &json!(1)
        );
    }

    #[test]
    fn enumerations_are_read_by_name_and_number() {
        assert_eq!(name_of(&FINISH_REASONS, &json!(1)).unwrap(), "STOP");
        assert_eq!(name_of(&FINISH_REASONS, &json!("NEW")).unwrap(), "NEW");
        assert_eq!(name_of(&FINISH_REASONS, &json!(99)).unwrap(), "UNKNOWN_99");
        assert_eq!(name_of(&FINISH_REASONS, &json!(null)), None);
        assert_eq!(enumerated(Form::Vertexai, &CALLING_MODES, "ANY"), json!(2));
        assert_eq!(enumerated(Form::Genai, &CALLING_MODES, "ANY"), json!("ANY"));
    }

    #[test]
    fn whole_numbers_become_integers() {
        let given = json!({"a": [1.0, 2.5, -3.0], "b": 1e30});
        assert_eq!(
            with_integers(given).to_string(),
            r#"{"a":[1,2.5,-3],"b":1e+30}"#
        );
    }
}
