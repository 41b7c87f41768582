//! Secrets to be destroyed after the change that abandoned them has committed.

use domain::id::Alias;
use jiff::Timestamp;

use crate::error::StoreError;
use crate::row::{Read as _, all};
use crate::{Database, WriteTransaction};

/// Notes that the secret under `alias` is to be destroyed at `due` or later. Noted twice,
/// the first time counts.
pub async fn schedule_destruction(
    transaction: &mut WriteTransaction,
    alias: &Alias,
    due: Timestamp,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO secret_destructions (alias, due_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(alias.as_str())
    .bind(due.as_microsecond());
    transaction.execute(statement).await.map(drop)
}

/// Aliases that are due, oldest first.
pub async fn due(
    database: &Database,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Alias>, StoreError> {
    let statement = sqlx::query(
        "SELECT alias FROM secret_destructions WHERE due_at <= $1 ORDER BY due_at, alias LIMIT $2",
    )
    .bind(now.as_microsecond())
    .bind(i64::from(limit));
    all(&database.fetch(statement).await?, |row| row.parsed("alias"))
}

/// Forgets an alias whose secret has been destroyed.
pub async fn done(database: &Database, alias: &Alias) -> Result<(), StoreError> {
    let statement =
        sqlx::query("DELETE FROM secret_destructions WHERE alias = $1").bind(alias.as_str());
    database.execute(statement).await.map(drop)
}

/// How many aliases wait, for a gauge.
pub async fn pending(database: &Database) -> Result<u64, StoreError> {
    let statement = sqlx::query("SELECT COUNT(*) AS pending FROM secret_destructions");
    let rows = database.fetch(statement).await?;
    let pending: i64 = rows.first().map_or(Ok(0), |row| row.value("pending"))?;
    Ok(pending.unsigned_abs())
}
