//! Errors: Ollama's failures into kinds. Its envelope, `{"error": "…"}`, is one of those
//! that providers of chat completions use.

use serde_json::Value;

use crate::error::{ErrorKind, ProviderError};
use crate::protocol::openai_chat;

/// The failure that an answer with a status other than 2xx reports.
pub(crate) fn decode(status: u16, body: &[u8]) -> ProviderError {
    openai_chat::error::decode(status, body)
}

/// The failure that a line of a stream, or an answer of status 200, reports.
pub(super) fn decode_line(value: &Value) -> ProviderError {
    openai_chat::error::decode_embedded(value)
}

/// An answer that makes no sense.
pub(super) fn malformed(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.into())
}
