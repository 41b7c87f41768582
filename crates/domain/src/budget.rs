//! What may be spent in a month.

use serde::Serialize;

use crate::id::ApiKeyId;

/// Whose spending a budget bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetOwner {
    /// All of the organisation's keys together.
    Organization,
    /// One key's.
    ApiKey(ApiKeyId),
}

/// Bounds in micro-dollars for a calendar month in UTC; at least one is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Beyond this, answers carry a warning.
    pub soft_micros: Option<i64>,
    /// Beyond this, calls are refused.
    pub hard_micros: Option<i64>,
}
