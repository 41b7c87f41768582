//! When a stream is released to the client, and with that no other target can answer.

use http::HeaderMap;
use providers::pass_through::Observation;

use crate::error::CallError;

/// The header by which a call says when it wants its stream.
const HEADER: &str = "x-quartermaster-stream-commit";

/// How much of a stream is held back (`stream.commit`).
///
/// Later means that more failures are answered by a retry or a fallback of which the
/// client sees nothing, and that it waits longer for its first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamCommit {
    /// Released with its first content.
    #[default]
    FirstByte,
    /// Released once its first text, thought or tool call is whole.
    FirstBlock,
}

impl StreamCommit {
    /// What the call asks for; `default` where it asks for nothing.
    ///
    /// # Errors
    /// When it asks for something that does not exist.
    pub(crate) fn asked(headers: &HeaderMap, default: Self) -> Result<Self, CallError> {
        match headers.get(HEADER).map(|value| value.as_bytes()) {
            None => Ok(default),
            Some(b"first_byte") => Ok(Self::FirstByte),
            Some(b"first_block") => Ok(Self::FirstBlock),
            Some(_) => Err(CallError::bad_header(
                "X-Quartermaster-Stream-Commit must be first_byte or first_block",
            )),
        }
    }

    /// Whether what has been seen is enough to release it.
    pub(super) const fn is_reached(self, observation: &Observation) -> bool {
        match self {
            Self::FirstByte => observation.has_content,
            Self::FirstBlock => observation.has_block,
        }
    }
}
