//! Request bodies as FastAPI reads them: size, content type, character encoding, JSON.
//!
//! This happens before anybody asks who the caller is, as there; hence nothing here
//! quotes the body in an error, which could hold a key.

pub(crate) mod coerce;
pub(crate) mod fault;
pub(crate) mod fields;
pub(crate) mod json;

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use self::json::{Json, JsonError};
use crate::error::{ApiError, FieldError, Location};

/// Bytes in a body at most.
pub(crate) const MAXIMUM_BYTES: usize = 1024 * 1024;

/// Bytes that are read of the body of somebody who is refused anyway. Ten thousand
/// strangers may be connected at once, and what each of them sends lies in memory.
const STRANGERS_BYTES: usize = 64 * 1024;

/// How long a client may take to send its body.
const SLOWEST_BODY: Duration = Duration::from_secs(8);

/// A body as the caller sent it, not yet validated. It has no `Debug`, since it may hold
/// a key.
pub(crate) enum Content {
    /// Nothing was sent.
    Absent,
    /// Something that its `Content-Type` does not call JSON.
    NotJson(Bytes),
    /// A JSON document.
    Json(Json),
}

/// Reads and parses a body.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Content, ApiError> {
    let bytes = read_bytes(headers, body, MAXIMUM_BYTES).await?;
    interpret(headers, bytes.ok_or_else(too_large)?)
}

/// What is wrong with the body of somebody who is refused anyway: as in FastAPI, that
/// comes before the refusal. A body that is long is not looked at.
pub(crate) async fn stranger_fault(headers: &HeaderMap, body: Body) -> Option<ApiError> {
    match read_bytes(headers, body, STRANGERS_BYTES).await {
        Ok(Some(bytes)) => interpret(headers, bytes).err(),
        Ok(None) => None,
        Err(fault) => Some(fault),
    }
}

/// The whole body, or nothing where it has more than `most` bytes.
async fn read_bytes(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Option<Bytes>, ApiError> {
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > MAXIMUM_BYTES as u64) {
        return Err(too_large());
    }
    let is_encoded = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_encoded {
        return Err(ApiError::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Encoding is not supported; send the body as it is",
        ));
    }
    if declared.is_some_and(|length| length > most as u64) {
        return Ok(None);
    }
    let collected = Limited::new(body, most).collect();
    match tokio::time::timeout(SLOWEST_BODY, collected).await {
        Ok(Ok(collected)) => Ok(Some(collected.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Ok(None),
        Ok(Err(_)) => Err(unreadable()),
        Err(_) => Err(ApiError::text(
            StatusCode::REQUEST_TIMEOUT,
            "The body did not arrive in time",
        )),
    }
}

fn interpret(headers: &HeaderMap, bytes: Bytes) -> Result<Content, ApiError> {
    if bytes.is_empty() {
        return Ok(Content::Absent);
    }
    if !is_json(headers) {
        return Ok(Content::NotJson(bytes));
    }
    let text = decode(&bytes).ok_or_else(unreadable)?;
    json::parse(&text)
        .map(Content::Json)
        .map_err(|error| match error {
            JsonError::Syntax { message, position } => ApiError::invalid(vec![
                FieldError::new(
                    "json_invalid",
                    vec![Location::name("body"), Location::Index(position)],
                    "JSON decode error",
                )
                .with_context("error", message),
            ]),
            JsonError::TooDeep => ApiError::invalid(vec![FieldError::new(
                "value_error",
                vec![Location::name("body")],
                format!(
                    "Value error, at most {} arrays and objects may lie within one another",
                    json::MAXIMUM_DEPTH
                ),
            )]),
            JsonError::Unreadable => unreadable(),
        })
}

/// Whether the content type is `application/json` or `application/<anything>+json`.
/// No content type means no JSON, as in FastAPI from 0.132 on.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()) else {
        return false;
    };
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else {
        return false;
    };
    subtype == "json" || (subtype.ends_with("+json") && !subtype.contains('/'))
}

/// Finds out the encoding as Python's `json.detect_encoding` does, and decodes.
fn decode(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xFF, 0xFE, 0, 0, rest @ ..] => decode_utf32(rest, u32::from_le_bytes),
        [0, 0, 0xFE, 0xFF, rest @ ..] => decode_utf32(rest, u32::from_be_bytes),
        [0xFF, 0xFE, rest @ ..] => decode_utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => decode_utf8(rest),
        [0, 0, _, _, ..] => decode_utf32(bytes, u32::from_be_bytes),
        [0, _, _, _, ..] | [0, _] => decode_utf16(bytes, u16::from_be_bytes),
        [_, 0, 0, 0, ..] => decode_utf32(bytes, u32::from_le_bytes),
        [_, 0, _, _, ..] | [_, 0] => decode_utf16(bytes, u16::from_le_bytes),
        _ => decode_utf8(bytes),
    }
}

fn decode_utf8(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, []) = bytes.as_chunks::<2>() else {
        return None;
    };
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .collect::<Result<_, _>>()
        .ok()
}

fn decode_utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Option<String> {
    let (quads, []) = bytes.as_chunks::<4>() else {
        return None;
    };
    quads
        .iter()
        .map(|quad| char::from_u32(unit(*quad)))
        .collect()
}

fn too_large() -> ApiError {
    ApiError::text(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("The body is larger than {MAXIMUM_BYTES} bytes"),
    )
}

fn unreadable() -> ApiError {
    ApiError::text(
        StatusCode::BAD_REQUEST,
        "There was an error parsing the body",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_found_as_python_finds_them() {
        let text = "{\"a\":\"é😀\"}";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let wide: Vec<u8> = text
            .chars()
            .flat_map(|c| (c as u32).to_le_bytes())
            .collect();
        let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
        for bytes in [text.as_bytes(), &little, &big, &wide, &marked] {
            assert_eq!(decode(bytes).as_deref(), Some(text), "{bytes:?}");
        }
        let marked = [&[0xFE, 0xFF], big.as_slice()].concat();
        assert_eq!(decode(&marked).as_deref(), Some(text));
        assert_eq!(decode(b"{\"a\":\"\xE9\"}"), None);
        assert_eq!(decode(&little[..little.len() - 1]), None);
    }

    #[test]
    fn only_some_content_types_are_json() {
        for (content_type, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=latin-1", true),
            ("application/merge-patch+json", true),
            ("text/json", false),
            ("application/jsonp", false),
            ("application/a/b+json", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            assert_eq!(is_json(&headers), expected, "{content_type}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
