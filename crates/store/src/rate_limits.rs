//! How much organisations and their API keys may call.

use domain::id::{ApiKeyId, OrganizationId};
use domain::rate_limits::{OrganizationLimits, RateLimits};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::error::StoreError;
use crate::row::{Read as _, all, unreadable};
use crate::{Database, WriteTransaction};

/// The limits of one key or, without one, of the organisation.
pub type Entry = (OrganizationId, Option<ApiKeyId>, RateLimits);

const OF: &str = "SELECT organization_id, api_key_id, requests_per_minute, tokens_per_minute,
            concurrent_calls
     FROM rate_limits WHERE organization_id = $1 ORDER BY api_key_id";

/// What was set for one organisation and its keys.
pub async fn of(
    database: &Database,
    organization_id: OrganizationId,
) -> Result<OrganizationLimits, StoreError> {
    let statement = sqlx::query(OF).bind(organization_id.to_string());
    let entries = all(&database.fetch(statement).await?, read)?;
    Ok(collected(entries))
}

/// The same inside a transaction.
pub async fn of_in(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
) -> Result<OrganizationLimits, StoreError> {
    let statement = sqlx::query(OF).bind(organization_id.to_string());
    let entries = all(&transaction.fetch(statement).await?, read)?;
    Ok(collected(entries))
}

/// All limits there are, for a snapshot.
pub async fn list_everything(database: &Database) -> Result<Vec<Entry>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, api_key_id, requests_per_minute, tokens_per_minute,
                concurrent_calls
         FROM rate_limits ORDER BY organization_id, api_key_id",
    );
    all(&database.fetch(statement).await?, read)
}

/// Sets the limits of a key or, without one, of the organisation.
pub async fn put(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    api_key_id: Option<ApiKeyId>,
    limits: &RateLimits,
    at: Timestamp,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO rate_limits (organization_id, api_key_id, requests_per_minute,
             tokens_per_minute, concurrent_calls, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (organization_id, api_key_id)
         DO UPDATE SET requests_per_minute = $3, tokens_per_minute = $4,
             concurrent_calls = $5, updated_at = $6",
    )
    .bind(organization_id.to_string())
    .bind(api_key_id.map_or_else(String::new, |id| id.to_string()))
    .bind(written(limits.requests_per_minute))
    .bind(written(limits.tokens_per_minute))
    .bind(written(limits.concurrent_calls))
    .bind(at.as_microsecond());
    transaction.execute(statement).await?;
    transaction.note(Change::Organization(organization_id));
    Ok(())
}

fn collected(entries: Vec<Entry>) -> OrganizationLimits {
    let mut limits = OrganizationLimits::default();
    for (_, api_key_id, of_key) in entries {
        limits.set(api_key_id, of_key);
    }
    limits
}

fn read(row: &AnyRow) -> Result<Entry, StoreError> {
    let key: String = row.value("api_key_id")?;
    let api_key_id = if key.is_empty() {
        None
    } else {
        Some(key.parse().map_err(|_| unreadable("api_key_id"))?)
    };
    let limit = |name| -> Result<Option<u64>, StoreError> {
        let number: Option<i64> = row.value(name)?;
        let number = number.map(u64::try_from).transpose();
        number.map_err(|_| unreadable(name))
    };
    let limits = RateLimits {
        requests_per_minute: limit("requests_per_minute")?,
        tokens_per_minute: limit("tokens_per_minute")?,
        concurrent_calls: limit("concurrent_calls")?,
    };
    Ok((row.parsed("organization_id")?, api_key_id, limits))
}

fn written(limit: Option<u64>) -> Option<i64> {
    limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX))
}
