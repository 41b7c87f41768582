//! What calls took, on its way from the gateway into the database.
//!
//! * [`recorder`]: a bounded queue, and the task that empties it in batches.
//! * [`prices`]: the price table that costs are computed with.

pub mod metrics;
pub mod prices;
pub mod recorder;
mod row;
mod spent;
