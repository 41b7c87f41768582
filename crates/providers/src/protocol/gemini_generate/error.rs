//! Google's failures (`google.rpc.Status`) into kinds.
//!
//! Source: <https://cloud.google.com/apis/design/errors>, and
//! <https://ai.google.dev/gemini-api/docs/troubleshooting>.

use std::time::Duration;

use serde_json::Value;

use crate::error::{ErrorKind, ProviderError};

/// How much of a provider's words is kept.
const MAX_CHARACTERS: usize = 2000;

/// The failure that an answer with a status other than 2xx reports.
pub(crate) fn decode(status: u16, body: &[u8]) -> ProviderError {
    let mut error = match serde_json::from_slice::<Value>(body) {
        Ok(value) => from_value(&value, Some(status)),
        Err(_) => {
            let text = String::from_utf8_lossy(&body[..body.len().min(MAX_CHARACTERS * 4)]);
            let is_page = text.trim_start().starts_with('<');
            let text = if is_page { "" } else { text.trim() };
            let kind = kind_of(Some(status), "", "");
            ProviderError::new(kind, bounded(text))
        }
    };
    error.status = Some(status);
    if error.message.is_empty() {
        error.message = format!("the provider answered {status}");
    }
    error
}

/// The failure that an object reports inside a stream or an answer of status 200.
pub(super) fn embedded(value: &Value) -> ProviderError {
    let mut error = from_value(value, None);
    if error.message.is_empty() {
        "the provider reported a failure without words".clone_into(&mut error.message);
    }
    error
}

/// An answer that makes no sense.
pub(super) fn malformed(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.into())
}

fn from_value(value: &Value, status: Option<u16>) -> ProviderError {
    let value = match value {
        Value::Array(items) => items.first().unwrap_or(value),
        other => other,
    };
    let inner = match &value["error"] {
        Value::Null => value,
        error => error,
    };
    let text = |name: &str| inner[name].as_str().unwrap_or_default();
    let message = inner.as_str().unwrap_or(text("message"));
    let details = inner["details"].as_array().map_or(&[][..], Vec::as_slice);
    let reason = details.iter().find_map(|detail| detail["reason"].as_str());
    let code = inner["code"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok());
    let status = status.or(code.filter(|code| (400..600).contains(code)));
    let kind = kind_of(status, text("status"), reason.unwrap_or_default());
    let mut error = ProviderError::new(kind, bounded(message));
    let word = reason.unwrap_or(text("status"));
    error.code = (!word.is_empty()).then(|| word.to_owned());
    error.retry_after = details
        .iter()
        .find_map(|detail| duration(detail["retryDelay"].as_str()?));
    error.parameter = details.iter().find_map(|detail| {
        let violation = detail["fieldViolations"].as_array()?.first()?;
        violation["field"].as_str().map(str::to_owned)
    });
    error
}

/// Google's reasons say more than its words, those more than the status.
fn kind_of(status: Option<u16>, word: &str, reason: &str) -> ErrorKind {
    match reason {
        // AI Studio answers 400 to a key that is none.
        "API_KEY_INVALID"
        | "API_KEY_SERVICE_BLOCKED"
        | "ACCESS_TOKEN_EXPIRED"
        | "SERVICE_DISABLED"
        | "CREDENTIALS_MISSING" => return ErrorKind::Authentication,
        "BILLING_DISABLED" => return ErrorKind::Quota,
        _ => {}
    }
    match (status, word) {
        (Some(401 | 403), _) | (None, "UNAUTHENTICATED" | "PERMISSION_DENIED") => {
            ErrorKind::Authentication
        }
        (Some(402), _) => ErrorKind::Quota,
        (Some(404), _) | (None, "NOT_FOUND") => ErrorKind::ModelNotFound,
        (Some(408 | 409), _) | (None, "ABORTED") => ErrorKind::Conflict,
        (Some(429), _) | (None, "RESOURCE_EXHAUSTED") => ErrorKind::RateLimit,
        (Some(503 | 529), _) | (None, "UNAVAILABLE") => ErrorKind::Overloaded,
        (Some(504), _) | (None, "DEADLINE_EXCEEDED") => ErrorKind::Timeout,
        (Some(500..), _) | (None, _)
            if word != "INVALID_ARGUMENT" && word != "FAILED_PRECONDITION" =>
        {
            ErrorKind::Server
        }
        (Some(0..=399), _) => ErrorKind::Malformed,
        _ => ErrorKind::InvalidRequest,
    }
}

/// A duration of protocol buffers, such as `34.5s`.
fn duration(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_and_googles_reasons_make_a_kind() {
        let kind = |status, body: Value| decode(status, body.to_string().as_bytes()).kind;
        let reason = |reason: &str| json!({"error": {"details": [{"reason": reason}]}});
        assert_eq!(
            kind(400, reason("API_KEY_INVALID")),
            ErrorKind::Authentication
        );
        assert_eq!(kind(403, reason("BILLING_DISABLED")), ErrorKind::Quota);
        for (status, expected) in [
            (302, ErrorKind::Malformed),
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::Authentication),
            (403, ErrorKind::Authentication),
            (404, ErrorKind::ModelNotFound),
            (409, ErrorKind::Conflict),
            (429, ErrorKind::RateLimit),
            (500, ErrorKind::Server),
            (503, ErrorKind::Overloaded),
            (504, ErrorKind::Timeout),
        ] {
            assert_eq!(kind(status, json!({})), expected, "{status}");
        }
    }

    #[test]
    fn a_wait_and_the_member_at_fault_are_read_from_the_details() {
        let body = json!([{"error": {"code": 429, "message": "slow down", "details": [
            {"@type": "type.googleapis.com/google.rpc.BadRequest",
             "fieldViolations": [{"field": "contents[0].role"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
        ]}}]);
        let error = decode(429, body.to_string().as_bytes());
        assert_eq!(error.retry_after, Some(Duration::from_millis(34_500)));
        assert_eq!(error.parameter.as_deref(), Some("contents[0].role"));
        assert_eq!(error.message, "slow down");
        assert_eq!(duration("-1s"), None);
        assert_eq!(decode(502, b"<html>").message, "the provider answered 502");
        let embedded = embedded(&json!({"error": {"status": "UNAVAILABLE", "message": "m"}}));
        assert_eq!(embedded.kind, ErrorKind::Overloaded);
    }
}
