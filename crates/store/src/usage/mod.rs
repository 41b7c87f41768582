//! What calls took and cost.
//!
//! * [`record`]: attempts go in, a batch at a time.
//! * [`costs`]: sums, by run, role, model, key, day.
//! * [`calls`]: one call after another, newest first.
//! * [`months`]: what was spent in a month, for budgets.
//! * [`upkeep`]: old rows go, costs are computed anew.

pub mod calls;
pub mod costs;
pub mod months;
#[cfg(test)]
mod plans;
pub mod record;
pub mod upkeep;

use std::time::Duration;

use domain::usage::{Attempt, CallEnd, Tokens};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::error::StoreError;
use crate::row::{Read as _, unreadable};

/// Every column of an attempt, in the order in which it is written.
pub(crate) const COLUMNS: [&str; 37] = [
    "organization_id",
    "call_id",
    "attempt_number",
    "is_last",
    "called_at",
    "api_key_id",
    "request_id",
    "run_id",
    "agent_role",
    "dialect",
    "model_asked",
    "is_stream",
    "call_outcome",
    "call_status",
    "call_duration",
    "call_first_byte",
    "model_configuration_id",
    "revision",
    "provider",
    "protocol",
    "model",
    "model_answered",
    "service_tier",
    "key_owner",
    "outcome",
    "error_kind",
    "status",
    "started_at",
    "duration",
    "first_byte",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_micros",
];

/// A span of time: from inclusive, to exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// No earlier than this.
    pub from: Option<Timestamp>,
    /// Earlier than this.
    pub to: Option<Timestamp>,
}

/// The first identifier of a call that began in the millisecond of `time`, so that a
/// range of time can be found by the primary key.
pub(crate) fn first_call_at(time: Timestamp) -> Uuid {
    let milliseconds = u128::try_from(time.as_millisecond()).unwrap_or_default();
    Uuid::from_u128(milliseconds << 80)
}

/// The last identifier of a call that began in the millisecond of `time`.
pub(crate) fn last_call_at(time: Timestamp) -> Uuid {
    Uuid::from_u128(first_call_at(time).as_u128() | ((1 << 80) - 1))
}

pub(crate) fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Counts beyond 64 bits with a sign are no counts; what is stored stays a number.
pub(crate) fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

pub(crate) fn read(row: &AnyRow) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        call_id: row.parsed("call_id")?,
        number: small(row, "attempt_number")?,
        organization_id: row.parsed("organization_id")?,
        api_key_id: row.parsed("api_key_id")?,
        request_id: row.value("request_id")?,
        run_id: row.value("run_id")?,
        role: row.value("agent_role")?,
        called_at: row.time("called_at")?,
        dialect: row.value("dialect")?,
        model_asked: row.value("model_asked")?,
        is_stream: row.value::<i64>("is_stream")? == 1,
        call: read_end(row)?,
        model_configuration_id: row.parsed("model_configuration_id")?,
        revision: row.value("revision")?,
        provider: row.value("provider")?,
        protocol: row.value("protocol")?,
        model: row.value("model")?,
        model_answered: row.value("model_answered")?,
        service_tier: row.value("service_tier")?,
        key_owner: row.value("key_owner")?,
        outcome: row.value("outcome")?,
        error_kind: row.value("error_kind")?,
        status: status(row.value("status")?),
        started_at: row.time("started_at")?,
        duration: duration(row.value("duration")?),
        time_to_first_byte: row.value::<Option<i64>>("first_byte")?.map(duration),
        tokens: read_tokens(row)?,
        cost_micros: row.value("cost_micros")?,
    })
}

fn read_end(row: &AnyRow) -> Result<Option<CallEnd>, StoreError> {
    let Some(outcome) = row.value::<Option<String>>("call_outcome")? else {
        return Ok(None);
    };
    Ok(Some(CallEnd {
        outcome,
        status: status(row.value("call_status")?).unwrap_or_default(),
        duration: duration(
            row.value::<Option<i64>>("call_duration")?
                .unwrap_or_default(),
        ),
        time_to_first_byte: row.value::<Option<i64>>("call_first_byte")?.map(duration),
    }))
}

/// The tokens of an attempt; none where nothing was counted.
pub(crate) fn read_tokens(row: &AnyRow) -> Result<Option<Tokens>, StoreError> {
    let counted = |column: &str| -> Result<Option<u64>, StoreError> {
        let count: Option<i64> = row.value(column)?;
        Ok(count.map(i64::unsigned_abs))
    };
    let Some(uncached_input) = counted("uncached_input_tokens")? else {
        return Ok(None);
    };
    Ok(Some(Tokens {
        uncached_input,
        cache_read: counted("cache_read_tokens")?.unwrap_or_default(),
        cache_write_5m: counted("cache_write_5m_tokens")?.unwrap_or_default(),
        cache_write_1h: counted("cache_write_1h_tokens")?.unwrap_or_default(),
        output: counted("output_tokens")?.unwrap_or_default(),
        reasoning: counted("reasoning_tokens")?.unwrap_or_default(),
    }))
}

fn small(row: &AnyRow, column: &str) -> Result<u32, StoreError> {
    let number: i64 = row.value(column)?;
    u32::try_from(number).map_err(|_| unreadable(column))
}

fn status(value: Option<i64>) -> Option<u16> {
    value.and_then(|value| u16::try_from(value).ok())
}

fn duration(microseconds: i64) -> Duration {
    Duration::from_micros(microseconds.unsigned_abs())
}
