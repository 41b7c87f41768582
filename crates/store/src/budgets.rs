//! What may be spent in a month.

use domain::budget::{Budget, BudgetOwner};
use domain::id::OrganizationId;
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::error::StoreError;
use crate::row::{Read as _, all};
use crate::{Database, WriteTransaction};

/// Every budget of the installation, for a snapshot.
pub async fn list_everything(
    database: &Database,
) -> Result<Vec<(OrganizationId, BudgetOwner, Budget)>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, api_key_id, soft_micros, hard_micros FROM budgets
         ORDER BY organization_id, api_key_id",
    );
    all(&database.fetch(statement).await?, |row| {
        let (owner, budget) = read(row)?;
        Ok((row.parsed("organization_id")?, owner, budget))
    })
}

/// An organisation's budgets: its own first, then those of its keys.
pub async fn list(
    database: &Database,
    organization_id: OrganizationId,
) -> Result<Vec<(BudgetOwner, Budget)>, StoreError> {
    let statement = sqlx::query(
        "SELECT api_key_id, soft_micros, hard_micros FROM budgets
         WHERE organization_id = $1 ORDER BY api_key_id",
    )
    .bind(organization_id.to_string());
    all(&database.fetch(statement).await?, read)
}

/// The budget of one owner, inside a transaction.
pub async fn get_in(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    owner: BudgetOwner,
) -> Result<Option<Budget>, StoreError> {
    let statement = sqlx::query(
        "SELECT api_key_id, soft_micros, hard_micros FROM budgets
         WHERE organization_id = $1 AND api_key_id = $2",
    )
    .bind(organization_id.to_string())
    .bind(written(owner));
    let rows = transaction.fetch(statement).await?;
    let found = rows.first().map(read).transpose()?;
    Ok(found.map(|(_, budget)| budget))
}

/// Sets a budget.
pub async fn put(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    owner: BudgetOwner,
    budget: Budget,
    at: Timestamp,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO budgets (organization_id, api_key_id, soft_micros, hard_micros, updated_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (organization_id, api_key_id) DO UPDATE SET
             soft_micros = excluded.soft_micros, hard_micros = excluded.hard_micros,
             updated_at = excluded.updated_at",
    )
    .bind(organization_id.to_string())
    .bind(written(owner))
    .bind(budget.soft_micros)
    .bind(budget.hard_micros)
    .bind(at.as_microsecond());
    transaction.execute(statement).await?;
    transaction.note(Change::Organization(organization_id));
    Ok(())
}

/// Removes a budget; says whether there was one.
pub async fn delete(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    owner: BudgetOwner,
) -> Result<bool, StoreError> {
    let statement =
        sqlx::query("DELETE FROM budgets WHERE organization_id = $1 AND api_key_id = $2")
            .bind(organization_id.to_string())
            .bind(written(owner));
    let deleted = transaction.execute(statement).await?;
    transaction.note(Change::Organization(organization_id));
    Ok(deleted > 0)
}

fn written(owner: BudgetOwner) -> String {
    match owner {
        BudgetOwner::Organization => String::new(),
        BudgetOwner::ApiKey(id) => id.to_string(),
    }
}

fn read(row: &AnyRow) -> Result<(BudgetOwner, Budget), StoreError> {
    let key: String = row.value("api_key_id")?;
    let owner = if key.is_empty() {
        BudgetOwner::Organization
    } else {
        BudgetOwner::ApiKey(row.parsed("api_key_id")?)
    };
    let budget = Budget {
        soft_micros: row.value("soft_micros")?,
        hard_micros: row.value("hard_micros")?,
    };
    Ok((owner, budget))
}
