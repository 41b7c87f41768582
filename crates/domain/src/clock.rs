//! Time and randomness as parameters.
//!
//! Whoever needs the time or a fresh identifier holds a [`Clock`] and an
//! [`Entropy`], so that a test can hold the clock still and choose the identifiers.

use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// Tells the wall-clock time.
pub trait Clock: Send + Sync {
    /// The time now, in UTC.
    fn now(&self) -> Timestamp;
}

/// Gives random bytes that nobody can guess.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// A new identifier that sorts by the time it was made (UUIDv7, RFC 9562).
#[must_use]
pub fn time_ordered_id(clock: &dyn Clock, entropy: &dyn Entropy) -> Uuid {
    time_ordered_id_at(clock.now(), entropy)
}

/// A new identifier that sorts by `time`.
#[must_use]
pub fn time_ordered_id_at(time: Timestamp, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
}

/// An array of random bytes.
#[must_use]
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
