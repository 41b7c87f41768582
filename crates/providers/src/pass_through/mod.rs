//! The shortcut: where the client speaks the provider's own format, its body is
//! scanned once for what must be known and spliced, never parsed into a tree.

mod envelope;
mod scan;
mod text;

pub use envelope::Envelope;

use crate::chat::WireFormat;
use crate::chat::usage::Usage;
use crate::error::{InvalidCall, ProviderError};
use crate::target::{HttpRequest, Target};

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
