//! What calls took and cost.
//!
//! * [`costs`], [`aggregate`]: as Cyberdesk's clients expect them, by run.
//! * [`report`]: sums by whatever is asked for.
//! * [`calls`]: one call after another, with its attempts.

pub(crate) mod aggregate;
pub(crate) mod calls;
pub(crate) mod costs;
mod query;
pub(crate) mod report;

/// Micro-dollars as the dollars that are shown. Sums are exact; this is the last step.
fn dollars(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}

/// The dollars of a sum; none where nothing in it has a price.
fn priced_dollars(sum: &store::usage::costs::Sum) -> Option<f64> {
    (sum.priced > 0).then(|| dollars(sum.cost_micros))
}
