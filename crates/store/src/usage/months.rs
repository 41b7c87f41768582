//! What was spent in a month, by key: the totals that budgets are held against.

use std::collections::BTreeMap;

use domain::budget::Month;
use domain::id::{ApiKeyId, OrganizationId};
use domain::usage::Attempt;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{Read as _, all};
use crate::{Database, WriteTransaction};

/// What one key spent in one month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Whose key.
    pub organization_id: OrganizationId,
    /// Which key.
    pub api_key_id: ApiKeyId,
    /// How much.
    pub cost_micros: i64,
}

/// What every key of every organisation that has a budget spent in a month.
pub async fn spent_under_budgets(
    database: &Database,
    month: Month,
) -> Result<Vec<Spent>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, api_key_id, cost_micros FROM usage_months
         WHERE month = $1 AND organization_id IN (SELECT organization_id FROM budgets)",
    )
    .bind(month.0);
    all(&database.fetch(statement).await?, read)
}

/// What every key of one organisation spent in a month.
pub async fn spent_by(
    database: &Database,
    organization_id: OrganizationId,
    month: Month,
) -> Result<Vec<Spent>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, api_key_id, cost_micros FROM usage_months
         WHERE month = $1 AND organization_id = $2",
    )
    .bind(month.0)
    .bind(organization_id.to_string());
    all(&database.fetch(statement).await?, read)
}

fn read(row: &AnyRow) -> Result<Spent, StoreError> {
    Ok(Spent {
        organization_id: row.parsed("organization_id")?,
        api_key_id: row.parsed("api_key_id")?,
        cost_micros: row.value("cost_micros")?,
    })
}

/// Adds what a batch cost.
pub(crate) async fn add(
    transaction: &mut WriteTransaction,
    batch: &[Attempt],
) -> Result<(), StoreError> {
    let mut months = BTreeMap::new();
    for row in batch {
        let Some(cost) = row.cost_micros else {
            continue;
        };
        let key = (
            Month::of(row.called_at),
            row.organization_id,
            row.api_key_id,
        );
        let sum: &mut i64 = months.entry(key).or_default();
        *sum = sum.saturating_add(cost);
    }
    for ((month, organization_id, api_key_id), cost) in months {
        change(transaction, month, organization_id, api_key_id, cost).await?;
    }
    Ok(())
}

/// Changes a month's total. Differences, never totals, so that whoever else adds to it at
/// the same time is not overwritten.
pub(crate) async fn change(
    transaction: &mut WriteTransaction,
    month: Month,
    organization_id: OrganizationId,
    api_key_id: ApiKeyId,
    difference: i64,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO usage_months (month, organization_id, api_key_id, cost_micros)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (month, organization_id, api_key_id) DO UPDATE SET
             cost_micros = usage_months.cost_micros + excluded.cost_micros",
    )
    .bind(month.0)
    .bind(organization_id.to_string())
    .bind(api_key_id.to_string())
    .bind(difference);
    transaction.execute(statement).await.map(drop)
}
