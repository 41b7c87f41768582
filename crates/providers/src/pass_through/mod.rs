//! The shortcut: where the client speaks the provider's own format, its body is
//! scanned once for what must be known and spliced, never parsed into a tree.

mod envelope;
mod notice;
mod observe;
mod scan;
mod text;
mod usage;

pub use envelope::Envelope;
pub use observe::{Observation, StreamObserver};
pub use usage::usage;

use crate::error::InvalidCall;
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
