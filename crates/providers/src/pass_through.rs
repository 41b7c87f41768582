//! The shortcut: where the client speaks the provider's own format, its body is
//! scanned once for what must be known and spliced, never parsed into a tree.

use bytes::Bytes;

use crate::chat::WireFormat;
use crate::chat::usage::Usage;
use crate::error::{InvalidCall, ProviderError};
use crate::target::{HttpRequest, Target};

/// A client's request body, scanned once: its top-level members and where they are.
///
/// It answers what routing must know (`model`, `models`, `stream`, whether a
/// computer-use tool is present) and can be spliced. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Envelope {
    body: Bytes,
}

impl Envelope {
    /// Scans a body. Checks that it is one JSON object, nested at most 128 deep.
    ///
    /// # Errors
    /// When it is not.
    pub fn scan(dialect: WireFormat, body: Bytes) -> Result<Self, InvalidCall> {
        let _ = dialect;
        Ok(Self { body })
    }

    /// The client's `model`, unescaped.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        let _ = &self.body;
        unimplemented!()
    }

    /// The client's `models`, in order; none where the member is left out.
    #[must_use]
    pub fn models(&self) -> Option<&[String]> {
        unimplemented!()
    }

    /// Whether the answer is wanted as a stream.
    #[must_use]
    pub fn stream(&self) -> bool {
        unimplemented!()
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Makes the provider's request by splicing, where target and call allow it.
///
/// None where the formats differ or the target's rules would change messages, so
/// that the call must go through [`crate::protocol::encode`]. Whatever this returns
/// equals what `encode` would send, but for members that `encode` cannot name.
#[must_use]
pub fn splice(envelope: &Envelope, target: &Target) -> Option<Result<HttpRequest, InvalidCall>> {
    let _ = (envelope, target);
    unimplemented!()
}

/// Reads usage, errors and first content out of a passed-through answer without changing it.
pub struct StreamObserver {
    dialect: WireFormat,
}

/// What an observer saw in one piece of a stream.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Whether content has been seen in this or an earlier piece.
    pub has_content: bool,
    /// Whether the stream's last event has been seen.
    pub is_complete: bool,
    /// A failure that the provider reported inside the stream.
    pub error: Option<ProviderError>,
}

impl StreamObserver {
    /// Begins with an empty stream.
    #[must_use]
    pub const fn new(dialect: WireFormat) -> Self {
        Self { dialect }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// When they are not the format, or an event is larger than the bound.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Observation, ProviderError> {
        let _ = (self.dialect, bytes);
        unimplemented!()
    }

    /// The tokens reported so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        unimplemented!()
    }
}

/// The usage inside a whole passed-through answer, found without parsing it into a tree.
#[must_use]
pub fn usage(dialect: WireFormat, body: &[u8]) -> Option<Usage> {
    let _ = (dialect, body);
    unimplemented!()
}
