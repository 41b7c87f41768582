//! Anthropic's errors, in both directions.
//!
//! Source: <https://platform.claude.com/docs/en/api/errors>.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::{ErrorKind, ProviderError};
use crate::protocol::ClientError;

/// How much of a body that is no error envelope is kept as its message, in characters.
const EXCERPT_CHARACTERS: usize = 500;

/// Texts by which Anthropic says, under a general type, that the account cannot pay.
const QUOTA_TEXTS: [&str; 4] = [
    "credit balance is too low",
    "api usage limits",
    "spend limit",
    "purchase credits",
];

/// Reads an answer whose status is not 2xx.
pub(crate) fn decode(status: u16, body: &[u8]) -> ProviderError {
    let envelope: Option<Value> = serde_json::from_slice(body).ok();
    match envelope.as_ref().and_then(|value| value.get("error")) {
        Some(error) => from_value(error, Some(status)),
        None => ProviderError {
            status: Some(status),
            ..ProviderError::new(kind_of_status(status), excerpt(body))
        },
    }
}

/// Reads the `error` member of an envelope or of an event inside a stream.
pub(crate) fn from_value(error: &Value, status: Option<u16>) -> ProviderError {
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = text("message")
        .or_else(|| error.as_str().map(str::to_owned))
        .unwrap_or_else(|| error.to_string());
    let code = text("type");
    ProviderError {
        kind: kind(code.as_deref(), status, &message),
        status,
        message,
        code,
        parameter: text("param"),
        retry_after: None,
    }
}

/// The failure that an answer, or a piece of one, is not the format.
pub(super) fn malformed(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.into())
}

fn kind(code: Option<&str>, status: Option<u16>, message: &str) -> ErrorKind {
    let message = message.to_lowercase();
    let is_about_money = QUOTA_TEXTS.iter().any(|text| message.contains(text));
    match code {
        Some("billing_error") => ErrorKind::Quota,
        Some("invalid_request_error" | "rate_limit_error" | "permission_error")
            if is_about_money =>
        {
            ErrorKind::Quota
        }
        Some("invalid_request_error" | "request_too_large") => ErrorKind::InvalidRequest,
        Some("authentication_error" | "permission_error") => ErrorKind::Authentication,
        Some("not_found_error") => ErrorKind::ModelNotFound,
        Some("rate_limit_error") => ErrorKind::RateLimit,
        Some("overloaded_error") => ErrorKind::Overloaded,
        Some("timeout_error") => ErrorKind::Timeout,
        Some("api_error") => match status.map(kind_of_status) {
            Some(kind) if kind != ErrorKind::InvalidRequest => kind,
            _ => ErrorKind::Server,
        },
        _ => status.map_or(ErrorKind::Server, kind_of_status),
    }
}

const fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Authentication,
        402 => ErrorKind::Quota,
        404 => ErrorKind::ModelNotFound,
        408 | 409 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimit,
        503 | 529 => ErrorKind::Overloaded,
        504 => ErrorKind::Timeout,
        400..=499 => ErrorKind::InvalidRequest,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Malformed,
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        return "the provider sent no body".to_owned();
    }
    text.chars().take(EXCERPT_CHARACTERS).collect()
}

/// An error as Anthropic's clients read it. Their SDKs choose an exception by the status
/// and show `message`; `code` and `param` are ours and ignored by them.
pub(crate) fn render(error: &ClientError<'_>) -> Bytes {
    Bytes::from(envelope(error).to_string())
}

/// The same as the last event of a stream that has begun.
pub(crate) fn render_event(error: &ClientError<'_>) -> Bytes {
    Bytes::from(format!("event: error\ndata: {}\n\n", envelope(error)))
}

fn envelope(error: &ClientError<'_>) -> Value {
    let mut detail = json!({
        "type": type_of_status(error.status),
        "message": error.message,
        "code": error.code,
    });
    if let Some(parameter) = error.parameter {
        detail["param"] = json!(parameter);
    }
    json!({"type": "error", "error": detail, "request_id": error.request_id})
}

const fn type_of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
