//! Failures that Bedrock reports, in answers and inside streams.
//!
//! Source: <https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>, and
//! the errors of `Converse` and `ConverseStream` there.

use http::HeaderMap;
use serde_json::Value;

use crate::error::{ErrorKind, ProviderError};

/// How much of a body that is no error is kept as its message, in characters.
const EXCERPT_CHARACTERS: usize = 500;

/// Reads an answer whose status is not 2xx. AWS names the error in a header.
pub(crate) fn decode(status: u16, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let detail: Option<Value> = serde_json::from_slice(body).ok();
    let text = |name: &str| {
        let value = detail.as_ref()?.get(name)?.as_str()?;
        Some(value.to_owned())
    };
    let header = headers
        .get("x-amzn-errortype")
        .and_then(|value| value.to_str().ok());
    let code = header
        .map(str::to_owned)
        .or_else(|| text("__type"))
        .or_else(|| text("code"));
    // `Name:http://…` and `namespace#Name` are older forms.
    let code = code.map(|code| {
        let code = code.split(':').next().unwrap_or_default();
        code.rsplit('#').next().unwrap_or_default().to_owned()
    });
    let message = text("message").or_else(|| text("Message"));
    let message = message.unwrap_or_else(|| excerpt(body));
    ProviderError {
        kind: kind(code.as_deref(), Some(status), &message),
        status: Some(status),
        message,
        code,
        parameter: None,
        retry_after: None,
    }
}

/// Reads a failure inside a stream: its name, and what it holds.
pub(crate) fn in_stream(code: &str, payload: &[u8]) -> ProviderError {
    let detail: Value = serde_json::from_slice(payload).unwrap_or_default();
    let message = ["message", "Message"]
        .into_iter()
        .find_map(|name| detail.get(name)?.as_str());
    let message = message.map_or_else(|| excerpt(payload), str::to_owned);
    ProviderError {
        kind: kind(Some(code), None, &message),
        status: None,
        message,
        code: Some(code.to_owned()),
        parameter: None,
        retry_after: None,
    }
}

/// Events of streams write the same names with a small letter.
fn kind(code: Option<&str>, status: Option<u16>, message: &str) -> ErrorKind {
    let code = code.unwrap_or_default().to_ascii_lowercase();
    match code.strip_suffix("exception").unwrap_or(&code) {
        "validation" | "serialization" => ErrorKind::InvalidRequest,
        "accessdenied"
        | "unrecognizedclient"
        | "invalidsignature"
        | "incompletesignature"
        | "expiredtoken"
        | "missingauthenticationtoken"
        | "invalidclienttokenid"
        | "notauthorized" => ErrorKind::Authentication,
        "resourcenotfound" => ErrorKind::ModelNotFound,
        "throttling" | "toomanyrequests" if message.contains("per day") => ErrorKind::Quota,
        "throttling" | "toomanyrequests" => ErrorKind::RateLimit,
        "servicequotaexceeded" => ErrorKind::Quota,
        "modeltimeout" => ErrorKind::Timeout,
        "modelnotready" | "serviceunavailable" => ErrorKind::Overloaded,
        "internalserver" | "internalfailure" | "modelerror" | "modelstreamerror" => {
            ErrorKind::Server
        }
        "conflict" => ErrorKind::Conflict,
        _ => status.map_or(ErrorKind::Server, kind_of_status),
    }
}

const fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Authentication,
        404 => ErrorKind::ModelNotFound,
        408 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        424 => ErrorKind::Server,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_named_by_header_body_or_status() {
        let decode = |status, name: Option<&'static str>, body: &str| {
            let mut headers = HeaderMap::new();
            if let Some(name) = name {
                headers.insert("x-amzn-errortype", name.parse().unwrap());
            }
            let error = decode(status, &headers, body.as_bytes());
            (error.kind, error.message)
        };
        let validation = Some("ValidationException:http://internal.amazon.com/coral/");
        assert_eq!(
            decode(400, validation, r#"{"message":"m"}"#),
            (ErrorKind::InvalidRequest, "m".to_owned())
        );
        let typed = r#"{"__type":"com.amazon#ServiceQuotaExceededException","Message":"n"}"#;
        assert_eq!(decode(400, None, typed), (ErrorKind::Quota, "n".to_owned()));
        let not_ready = Some("ModelNotReadyException");
        assert_eq!(decode(429, not_ready, "{}").0, ErrorKind::Overloaded);
        assert_eq!(
            decode(424, Some("ModelErrorException"), "{}").0,
            ErrorKind::Server
        );
        assert_eq!(
            decode(502, None, "<html>"),
            (ErrorKind::Server, "<html>".to_owned())
        );
        assert_eq!(
            in_stream("throttlingException", b"{}").kind,
            ErrorKind::RateLimit
        );
    }
}
