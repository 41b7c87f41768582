//! Errors: Cohere's failures into kinds. Its envelope, `{"message": "…"}`, is one of those
//! that providers of chat completions use.

use serde_json::Value;

use crate::error::{ErrorKind, InvalidCall, ProviderError};
use crate::protocol::openai_chat;

/// The failure that an answer with a status other than 2xx reports.
pub(crate) fn decode(status: u16, body: &[u8]) -> ProviderError {
    openai_chat::error::decode(status, body)
}

/// The failure that stands in a stream in place of an event.
pub(super) fn decode_embedded(value: &Value) -> ProviderError {
    openai_chat::error::decode_embedded(value)
}

/// The failure that the end of a stream reports.
pub(super) fn failed(message: Option<&str>) -> ProviderError {
    let message = message.unwrap_or("the provider stopped with an error");
    ProviderError::new(ErrorKind::Server, message.chars().take(2000).collect())
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
