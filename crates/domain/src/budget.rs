//! What may be spent in a month.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
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
    /// From this on, answers carry a warning.
    pub soft_micros: Option<i64>,
    /// From this on, calls are refused.
    pub hard_micros: Option<i64>,
}

/// The budgets of one organisation and of its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationBudgets {
    /// That of all of its keys together.
    pub all: Budget,
    /// Those of keys that have one of their own.
    pub by_key: HashMap<ApiKeyId, Budget>,
}

/// A calendar month in UTC, written as a number: 202611 is November 2026.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(pub i64);

impl Budget {
    /// Whether nothing is bounded.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.soft_micros.is_none() && self.hard_micros.is_none()
    }
}

impl OrganizationBudgets {
    /// The budget of a key.
    #[must_use]
    pub fn of_key(&self, id: ApiKeyId) -> Budget {
        self.by_key.get(&id).copied().unwrap_or_default()
    }

    /// Sets a budget.
    pub fn set(&mut self, owner: BudgetOwner, budget: Budget) {
        match owner {
            BudgetOwner::Organization => self.all = budget,
            BudgetOwner::ApiKey(id) => {
                self.by_key.insert(id, budget);
            }
        }
    }

    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.all.is_unlimited() && self.by_key.values().all(Budget::is_unlimited)
    }
}

impl FromIterator<(BudgetOwner, Budget)> for OrganizationBudgets {
    fn from_iter<T: IntoIterator<Item = (BudgetOwner, Budget)>>(budgets: T) -> Self {
        let mut all = Self::default();
        for (owner, budget) in budgets {
            all.set(owner, budget);
        }
        all
    }
}

impl Month {
    /// The month that a time lies in.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let date = TimeZone::UTC.to_datetime(time).date();
        Self(i64::from(date.year()) * 100 + i64::from(date.month()))
    }

    /// When the month that a time lies in is over, and the next begins; none at the end
    /// of all time.
    #[must_use]
    pub fn end_after(time: Timestamp) -> Option<Timestamp> {
        let date = TimeZone::UTC.to_datetime(time).date();
        let next: Date = date.first_of_month().checked_add(1.month()).ok()?;
        TimeZone::UTC
            .to_timestamp(next.to_datetime(jiff::civil::Time::midnight()))
            .ok()
    }
}

impl std::fmt::Display for Month {
    /// As ISO 8601 has it: `2026-11`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:04}-{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_and_end_at_midnight_in_utc() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let last = time("2026-12-31T23:59:59.999999999Z");
        assert_eq!(Month::of(last), Month(202_612));
        let next = Month::end_after(last).unwrap();
        assert_eq!(next, time("2027-01-01T00:00:00Z"));
        assert_eq!(Month::of(next).to_string(), "2027-01");
        let leap = time("2028-02-29T12:00:00Z");
        assert_eq!(Month::end_after(leap), Some(time("2028-03-01T00:00:00Z")));
        assert!(Month::end_after(Timestamp::MAX).is_none());
    }
}
