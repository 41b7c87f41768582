//! Errors, in both directions. Answers other than 2xx are those of chat completions.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::{ErrorKind, InvalidCall, ProviderError};
use crate::framing::sse_writer;
use crate::protocol::{ClientError, openai_chat};

/// The failure that `response.error`, or an event `error`, reports inside an answer.
pub(crate) fn decode_embedded(error: &Value) -> ProviderError {
    // An event holds its code and words itself, or in a member.
    let inner = match &error["error"] {
        Value::Null => error,
        inner => inner,
    };
    let mut failure = openai_chat::error::decode_embedded(&json!({ "error": inner }));
    // The type of the event is no code.
    if failure.code.as_deref() == Some("error") {
        failure.code = None;
    }
    if failure.kind == ErrorKind::Server
        && let Some(kind) = failure.code.as_deref().and_then(kind_of_code)
    {
        failure.kind = kind;
    }
    failure
}

/// The codes of `response.error` that name the request's fault.
fn kind_of_code(code: &str) -> Option<ErrorKind> {
    let is_request = matches!(
        code,
        "invalid_prompt"
            | "empty_image_file"
            | "failed_to_download_image"
            | "image_file_not_found"
            | "image_too_large"
            | "image_too_small"
            | "image_parse_error"
            | "image_content_policy_violation"
            | "image_file_too_large"
            | "unsupported_image_media_type"
            | "bio_policy"
            | "cyber_policy"
    ) || code.starts_with("invalid_image")
        || code.starts_with("invalid_base64");
    match code {
        "vector_store_timeout" => Some(ErrorKind::Timeout),
        _ if is_request => Some(ErrorKind::InvalidRequest),
        _ => None,
    }
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

/// An error of ours as the last event of a stream. It holds the error twice: where the
/// event's own type has it, and where the official SDKs look to raise an exception.
pub(crate) fn render_event(error: &ClientError<'_>) -> Bytes {
    let envelope = openai_chat::error::envelope(error);
    let event = json!({
        "type": "error",
        "code": error.code,
        "message": error.message,
        "param": error.parameter,
        "sequence_number": 0,
        "error": envelope["error"],
    });
    let mut out = Vec::new();
    sse_writer::write_event(&mut out, "error", &event.to_string());
    out.into()
}
