//! Budgets as they are shown.

use domain::budget::{Budget, BudgetOwner, Month};
use domain::id::ApiKeyId;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::optional_time;
use crate::budgets::ORGANIZATION;

/// What may be spent in each calendar month, in UTC.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BudgetResponse, example = json!({
    "owner": "organization",
    "api_key_id": null,
    "soft_micros": 40_000_000,
    "hard_micros": 50_000_000,
}))]
pub(crate) struct BudgetView {
    /// Whose: `organization`, or `api_key`.
    owner: &'static str,
    #[schema(value_type = Option<uuid::Uuid>)]
    api_key_id: Option<ApiKeyId>,
    /// In micro-dollars. From this on, answers carry a warning in `X-Quartermaster-Budget`.
    soft_micros: Option<i64>,
    /// In micro-dollars. From this on, calls are refused with status 429 and the code
    /// `budget_exceeded`.
    hard_micros: Option<i64>,
}

/// A budget and what was spent of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BudgetStatusResponse)]
pub(crate) struct BudgetStatusView {
    #[serde(flatten)]
    budget: BudgetView,
    /// This month, in UTC.
    #[schema(example = "2026-11")]
    month: String,
    /// In micro-dollars, as far as it is stored; what calls cost that used models without a
    /// price is not in it.
    spent_micros: i64,
    /// When the next month begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "optional_time")]
    resets_at: Option<Timestamp>,
}

impl BudgetView {
    pub(crate) fn new(owner: BudgetOwner, budget: Budget) -> Self {
        let (owner, api_key_id) = match owner {
            BudgetOwner::Organization => (ORGANIZATION, None),
            BudgetOwner::ApiKey(id) => ("api_key", Some(id)),
        };
        Self {
            owner,
            api_key_id,
            soft_micros: budget.soft_micros,
            hard_micros: budget.hard_micros,
        }
    }

    pub(crate) fn with_spent(self, spent_micros: i64, now: Timestamp) -> BudgetStatusView {
        BudgetStatusView {
            budget: self,
            month: Month::of(now).to_string(),
            spent_micros,
            resets_at: Month::end_after(now),
        }
    }
}
