//! Errors: a provider's failures into kinds, and ours in OpenAI's envelope.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::{ErrorKind, InvalidCall, ProviderError};
use crate::framing::sse_writer;
use crate::protocol::ClientError;

/// The failure that an answer with a status other than 2xx reports.
pub(crate) fn decode(status: u16, body: &[u8]) -> ProviderError {
    let mut error = match serde_json::from_slice::<Value>(body) {
        Ok(value) => from_value(&value),
        Err(_) => ProviderError::new(ErrorKind::Server, text_of_page(body)),
    };
    error.status = Some(status);
    if error.message.is_empty() {
        error.message = format!("the provider answered {status}");
    }
    error.kind = kind_of(Some(status), &error);
    error
}

/// The failure that an object reports inside a stream or an answer of status 200.
pub(crate) fn decode_embedded(value: &Value) -> ProviderError {
    let mut error = from_value(value);
    let status = value["error"]["code"].as_u64().or(value["code"].as_u64());
    let status = status
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code));
    error.kind = kind_of(status, &error);
    if error.message.is_empty() {
        "the provider reported a failure without words".clone_into(&mut error.message);
    }
    error
}

/// An answer that makes no sense.
pub(super) fn malformed(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.into())
}

/// Something of an answer that reads like nothing we know.
pub(super) fn unreadable(problem: &InvalidCall) -> ProviderError {
    malformed(format!(
        "the provider's answer is malformed: {}",
        problem.message
    ))
}

/// Reads the envelopes in use: `{"error": {…}}`, `{"error": "…"}`, `{"message": …}`,
/// `{"detail": …}`, or a list that holds one of them.
fn from_value(value: &Value) -> ProviderError {
    let value = match value {
        Value::Array(items) => items.first().unwrap_or(value),
        other => other,
    };
    let inner = match &value["error"] {
        Value::Null => value,
        error => error,
    };
    let text = |name: &str| match &inner[name] {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let message = match inner {
        Value::String(text) => text.clone(),
        _ => text("message")
            .or_else(|| text("detail"))
            .or_else(|| match &inner["detail"] {
                Value::Null => None,
                detail => Some(detail.to_string()),
            })
            .unwrap_or_default(),
    };
    let mut error = ProviderError::new(ErrorKind::Server, bounded(&message));
    error.code = text("code").or_else(|| text("type"));
    error.parameter = text("param");
    error
}

/// What a page that is no JSON says: the title of an HTML page, or its text.
fn text_of_page(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(65_536)]);
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let length = lower[start..].find("</title>")?;
        Some(text[start..start + length].trim().to_owned())
    });
    match title {
        Some(title) => bounded(&title),
        None if lower.trim_start().starts_with('<') => String::new(),
        None => bounded(text.trim()),
    }
}

/// At most 2,000 characters.
fn bounded(text: &str) -> String {
    text.chars().take(2000).collect()
}

/// The provider's own codes say more than the status, which some providers choose badly.
fn kind_of(status: Option<u16>, error: &ProviderError) -> ErrorKind {
    let code = error
        .code
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let message = error.message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    let is_quota = matches!(
        code.as_str(),
        "insufficient_quota"
            | "billing_hard_limit_reached"
            | "billing_not_active"
            | "insufficient_balance"
    ) || says(&[
        "exceeded your current quota",
        "insufficient balance",
        "insufficient credits",
        "credit balance is too low",
    ]);
    if status == Some(402) || (is_quota && status.is_none_or(|status| status < 500)) {
        return ErrorKind::Quota;
    }
    if matches!(code.as_str(), "model_not_found" | "model_not_available") {
        return ErrorKind::ModelNotFound;
    }
    match status {
        Some(401 | 403) => ErrorKind::Authentication,
        Some(404) => ErrorKind::ModelNotFound,
        Some(408 | 409) => ErrorKind::Conflict,
        Some(429) => ErrorKind::RateLimit,
        Some(503 | 529) => ErrorKind::Overloaded,
        Some(504) => ErrorKind::Timeout,
        Some(500..) => ErrorKind::Server,
        Some(400..) => ErrorKind::InvalidRequest,
        Some(_) => ErrorKind::Malformed,
        None => kind_of_code(&code),
    }
}

/// What a code means where no status comes with it.
fn kind_of_code(code: &str) -> ErrorKind {
    match code {
        "rate_limit_error" | "rate_limit_exceeded" => ErrorKind::RateLimit,
        "overloaded_error" | "overloaded" | "service_unavailable" => ErrorKind::Overloaded,
        "authentication_error" | "invalid_api_key" | "permission_error" => {
            ErrorKind::Authentication
        }
        "invalid_request_error"
        | "context_length_exceeded"
        | "content_filter"
        | "content_policy_violation" => ErrorKind::InvalidRequest,
        "timeout" => ErrorKind::Timeout,
        _ => ErrorKind::Server,
    }
}

/// An error of ours in OpenAI's envelope.
pub(crate) fn render(error: &ClientError<'_>) -> Bytes {
    envelope(error).to_string().into()
}

/// The same as the last event of a stream.
pub(crate) fn render_event(error: &ClientError<'_>) -> Bytes {
    let mut out = Vec::new();
    sse_writer::write_event(&mut out, "", &envelope(error).to_string());
    out.into()
}

/// The envelope as a value.
pub(crate) fn envelope(error: &ClientError<'_>) -> Value {
    let kind = match error.status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    json!({"error": {
        "message": error.message, "type": kind, "param": error.parameter, "code": error.code,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> ErrorKind {
        decode(status, body.as_bytes()).kind
    }

    #[test]
    fn a_status_and_the_providers_code_make_a_kind() {
        let quota = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
        assert_eq!(kind(429, quota), ErrorKind::Quota);
        assert_eq!(kind(402, "{}"), ErrorKind::Quota);
        assert_eq!(
            kind(429, r#"{"error":{"message":"slow down"}}"#),
            ErrorKind::RateLimit
        );
        let context = r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#;
        assert_eq!(kind(400, context), ErrorKind::InvalidRequest);
        assert_eq!(
            kind(400, r#"{"error":{"code":"model_not_found"}}"#),
            ErrorKind::ModelNotFound
        );
        assert_eq!(
            kind(403, r#"{"error":{"code":"model_not_found"}}"#),
            ErrorKind::ModelNotFound
        );
        for (status, expected) in [
            (301, ErrorKind::Malformed),
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::Authentication),
            (403, ErrorKind::Authentication),
            (404, ErrorKind::ModelNotFound),
            (408, ErrorKind::Conflict),
            (409, ErrorKind::Conflict),
            (413, ErrorKind::InvalidRequest),
            (422, ErrorKind::InvalidRequest),
            (429, ErrorKind::RateLimit),
            (500, ErrorKind::Server),
            (502, ErrorKind::Server),
            (503, ErrorKind::Overloaded),
            (504, ErrorKind::Timeout),
            (529, ErrorKind::Overloaded),
        ] {
            assert_eq!(kind(status, "{}"), expected, "{status}");
        }
    }

    #[test]
    fn every_envelope_gives_its_words() {
        for (body, message) in [
            (r#"{"error":{"message":"a"}}"#, "a"),
            (r#"{"error":"a"}"#, "a"),
            (r#"{"message":"a"}"#, "a"),
            (r#"{"detail":"a"}"#, "a"),
            (r#"[{"error":{"message":"a"}}]"#, "a"),
            ("a\n", "a"),
            (
                "<html><head><title>502 Bad Gateway</title></head></html>",
                "502 Bad Gateway",
            ),
            ("<p>x</p>", "the provider answered 502"),
            ("", "the provider answered 502"),
            ("{\"error\":{\"mess", "{\"error\":{\"mess"),
        ] {
            assert_eq!(decode(502, body.as_bytes()).message, message, "{body}");
        }
    }
}
