//! Names and forms that several files need.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::error::InvalidCall;

/// What stands where Bedrock takes no empty content.
pub(super) const EMPTY: &str = ".";

/// Media types that Bedrock has its own word for.
const FORMATS: [(&str, &str); 21] = [
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    ("application/vnd.ms-excel", "xls"),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
    ("video/x-matroska", "mkv"),
    ("video/quicktime", "mov"),
    ("video/mp4", "mp4"),
    ("video/webm", "webm"),
    ("video/x-flv", "flv"),
    ("video/mpeg", "mpeg"),
    ("video/x-ms-wmv", "wmv"),
    ("video/3gpp", "three_gp"),
];

/// Bedrock's word for a media type.
pub(super) fn format_of(media_type: &str) -> Option<&'static str> {
    let found = FORMATS.iter().find(|(known, _)| *known == media_type);
    found.map(|(_, format)| *format)
}

/// Bedrock's word for the media type of a document. Any text is text.
pub(super) fn document_format(media_type: &str) -> Option<&'static str> {
    let is_text = media_type.starts_with("text/") || media_type == "application/xml";
    format_of(media_type).or_else(|| is_text.then_some("txt"))
}

/// The media type of a format of Bedrock's.
pub(super) fn media_type_of(kind: &str, format: &str) -> String {
    let found = FORMATS.iter().find(|(media_type, known)| {
        *known == format && (kind == "document" || media_type.starts_with(kind))
    });
    found.map_or_else(
        || format!("{kind}/{format}"),
        |(known, _)| (*known).to_owned(),
    )
}

/// Base64 in its one proper form. LangChain's reader skips what is none of its letters.
///
/// # Errors
/// When it is no base64.
pub(super) fn proper_base64<'a>(data: &'a str, path: &str) -> Result<Cow<'a, str>, InvalidCall> {
    let bytes = data.as_bytes();
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let body = data.trim_end_matches('=');
    let is_proper = bytes.len().is_multiple_of(4)
        && data.len() - body.len() <= 2
        && body.as_bytes().iter().all(is_letter);
    if is_proper {
        return Ok(Cow::Borrowed(data));
    }
    let mut letters = bytes.to_vec();
    letters.retain(|byte| is_letter(byte) || *byte == b'=');
    match STANDARD.decode(&letters) {
        Ok(decoded) => Ok(Cow::Owned(STANDARD.encode(decoded))),
        Err(_) => Err(InvalidCall {
            message: "the bytes of an image, document or video must be base64".to_owned(),
            parameter: Some(path.to_owned()),
        }),
    }
}

/// White space as Python counts it.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars()
        .all(|letter| letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter))
}

/// `cache_point` → `cachePoint`, in every name of a value.
pub(super) fn camel_case(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(camel_case).collect()),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(
                members
                    .map(|(name, value)| (camel_name(&name), camel_case(value)))
                    .collect(),
            )
        }
        other => other,
    }
}

/// Python's `title` makes the first letter large and the others small.
fn camel_name(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut starts_word = true;
        for letter in word.chars() {
            if starts_word {
                camel.extend(letter.to_uppercase());
            } else {
                camel.extend(letter.to_lowercase());
            }
            starts_word = !letter.is_alphabetic();
        }
    }
    camel
}

/// Texts where Bedrock's types ask for bytes are the bytes of those texts, as in the
/// SDK of AWS, so that they go in base64.
pub(super) fn encode_blobs(block: &mut Value) {
    for kind in ["image", "document", "video", "audio"] {
        if let Some(bytes) = block.pointer_mut(&format!("/{kind}/source/bytes")) {
            encode_blob(bytes);
        }
    }
    if let Some(bytes) = block.pointer_mut("/reasoningContent/redactedContent") {
        encode_blob(bytes);
    }
    if let Some(Value::Array(inner)) = block.pointer_mut("/toolResult/content") {
        inner.iter_mut().for_each(encode_blobs);
    }
}

fn encode_blob(value: &mut Value) {
    if let Value::String(text) = value {
        *text = STANDARD.encode(text.as_bytes());
    }
}

/// Takes a string member; leaves one of another type.
pub(super) fn take_text(members: &mut Map<String, Value>, name: &str) -> Option<String> {
    members.get(name)?.as_str()?;
    match members.shift_remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A string member.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// JSON with the spaces that Python's writer puts.
pub(crate) fn python_json(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python_json).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| {
                    format!("{}: {}", Value::from(name.as_str()), python_json(value))
                })
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_written_as_python_writes_them() {
        let value = json!({"cache_point": {"type": "default"}, "a_bC_d1e": [{"x_y": 1}]});
        let expected = json!({"cachePoint": {"type": "default"}, "aBcD1E": [{"xY": 1}]});
        assert_eq!(camel_case(value), expected);
    }

    #[test]
    fn base64_is_tidied_or_refused() {
        assert_eq!(proper_base64("UklGRg==", "p").unwrap(), "UklGRg==");
        assert_eq!(proper_base64("UklG\nRg==", "p").unwrap(), "UklGRg==");
        assert!(proper_base64("UklGRg", "p").is_err());
    }

    #[test]
    fn bytes_that_are_text_are_encoded() {
        let mut block = json!({"document": {"source": {"bytes": "hi"}}});
        encode_blobs(&mut block);
        assert_eq!(block["document"]["source"]["bytes"], "aGk=");
    }
}
