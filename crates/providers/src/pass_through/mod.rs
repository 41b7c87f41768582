//! The shortcut: where the client speaks the provider's own format, its body is
//! scanned once for what must be known and spliced, never parsed into a tree, and
//! the answer is watched and passed on.
//!
//! [`Envelope::scan`] → [`splice()`] → (the provider) → [`StreamObserver`] or [`usage()`].

mod envelope;
mod notice;
mod observe;
mod scan;
mod splice;
mod text;
mod usage;
mod words;

pub use envelope::Envelope;
pub use observe::{Observation, StreamObserver};
pub use splice::splice;
pub use usage::usage;
pub use words::MessageWords;
