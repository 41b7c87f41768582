//! Whole answers: one that came as a single value reads like a stream of one line.

use serde_json::Value;

use super::error::malformed;
use super::stream::Lines;
use crate::chat::accumulator::Accumulator;
use crate::chat::reply::ChatReply;
use crate::error::ProviderError;

/// Provider answer of status 2xx → canonical reply.
pub(crate) fn decode(body: &[u8]) -> Result<ChatReply, ProviderError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the provider's answer is not JSON: {error}")))?;
    let mut events = Vec::new();
    let mut lines = Lines::default();
    lines.take(&value, &mut events)?;
    lines.close()?;
    let mut accumulator = Accumulator::new();
    for event in events {
        accumulator.push(event)?;
    }
    accumulator.finish()
}
