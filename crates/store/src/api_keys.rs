//! API keys, stored by the digest of the key.

use std::collections::BTreeSet;

use domain::api_key::{ApiKey, Digest256, Scope};
use domain::id::{ApiKeyId, OrganizationId};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::row::{Read as _, all, at_most_one, unreadable};
use crate::{Database, WriteTransaction};

/// How many rows a snapshot reads at once.
const PAGE: i64 = 1000;

/// The key with this digest, revoked or not.
pub async fn by_digest(
    database: &Database,
    digest: &Digest256,
) -> Result<Option<ApiKey>, StoreError> {
    let statement = sqlx::query(
        "SELECT id, organization_id, name, scopes, created_at, revoked_at
         FROM api_keys WHERE digest = $1",
    )
    .bind(digest.as_slice());
    at_most_one(database.fetch(statement).await?, read)
}

/// Whether there is any key at all, revoked ones included.
pub async fn is_any(database: &Database) -> Result<bool, StoreError> {
    let statement = sqlx::query("SELECT id FROM api_keys LIMIT 1");
    Ok(!database.fetch(statement).await?.is_empty())
}

/// An organisation's keys, oldest first, revoked ones included.
pub async fn list(
    database: &Database,
    organization_id: OrganizationId,
) -> Result<Vec<ApiKey>, StoreError> {
    let statement = sqlx::query(
        "SELECT id, organization_id, name, scopes, created_at, revoked_at
         FROM api_keys WHERE organization_id = $1 ORDER BY created_at, id",
    )
    .bind(organization_id.to_string());
    all(&database.fetch(statement).await?, read)
}

/// Every key that is not revoked, with its digest, for a snapshot.
pub async fn list_active(database: &Database) -> Result<Vec<(Digest256, ApiKey)>, StoreError> {
    let mut keys: Vec<(Digest256, ApiKey)> = Vec::new();
    loop {
        let last = keys
            .last()
            .map_or_else(String::new, |(_, key)| key.id.to_string());
        let statement = sqlx::query(
            "SELECT id, organization_id, digest, name, scopes, created_at, revoked_at
             FROM api_keys WHERE id > $1 AND revoked_at IS NULL ORDER BY id LIMIT $2",
        )
        .bind(last)
        .bind(PAGE);
        let page = all(&database.fetch(statement).await?, read_with_digest)?;
        if page.is_empty() {
            return Ok(keys);
        }
        keys.extend(page);
    }
}

/// One organisation's keys that are not revoked, with their digests, for a snapshot.
pub async fn list_active_of(
    database: &Database,
    organization_id: OrganizationId,
) -> Result<Vec<(Digest256, ApiKey)>, StoreError> {
    let statement = sqlx::query(
        "SELECT id, organization_id, digest, name, scopes, created_at, revoked_at
         FROM api_keys WHERE organization_id = $1 AND revoked_at IS NULL ORDER BY created_at, id",
    )
    .bind(organization_id.to_string());
    all(&database.fetch(statement).await?, read_with_digest)
}

/// One key, inside a transaction.
pub async fn get_for_update(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    id: ApiKeyId,
) -> Result<Option<ApiKey>, StoreError> {
    const READ: &str = "SELECT id, organization_id, name, scopes, created_at, revoked_at
         FROM api_keys WHERE id = $1 AND organization_id = $2";
    const READ_LOCKED: &str = "SELECT id, organization_id, name, scopes, created_at, revoked_at
         FROM api_keys WHERE id = $1 AND organization_id = $2 FOR UPDATE";
    let statement = sqlx::query(match transaction.engine() {
        Engine::Sqlite => READ,
        Engine::Postgres => READ_LOCKED,
    })
    .bind(id.to_string())
    .bind(organization_id.to_string());
    at_most_one(transaction.fetch(statement).await?, read)
}

/// Adds a key.
///
/// # Errors
/// [`StoreError::Conflict`] when the key is there already.
pub async fn insert(
    transaction: &mut WriteTransaction,
    key: &ApiKey,
    digest: &Digest256,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO api_keys
             (id, organization_id, digest, name, scopes, created_at, revoked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(key.id.to_string())
    .bind(key.organization_id.to_string())
    .bind(digest.as_slice())
    .bind(key.name.as_str())
    .bind(written_scopes(&key.scopes))
    .bind(key.created_at.as_microsecond())
    .bind(key.revoked_at.map(Timestamp::as_microsecond));
    let inserted = transaction.execute(statement).await;
    inserted.map_err(|error| error.or_conflict("API key"))?;
    transaction.note(Change::Organization(key.organization_id));
    Ok(())
}

/// Revokes an organisation's key; one that is revoked already keeps its time.
pub async fn revoke(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    id: ApiKeyId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "UPDATE api_keys SET revoked_at = $3
         WHERE id = $1 AND organization_id = $2 AND revoked_at IS NULL",
    )
    .bind(id.to_string())
    .bind(organization_id.to_string())
    .bind(at.as_microsecond());
    transaction.execute(statement).await?;
    transaction.note(Change::Organization(organization_id));
    Ok(())
}

fn read(row: &AnyRow) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.parsed("id")?,
        organization_id: row.parsed("organization_id")?,
        name: row.value("name")?,
        scopes: read_scopes(row.value("scopes")?)?,
        created_at: row.time("created_at")?,
        revoked_at: row.time_optional("revoked_at")?,
    })
}

fn read_with_digest(row: &AnyRow) -> Result<(Digest256, ApiKey), StoreError> {
    Ok((row.bytes("digest")?, read(row)?))
}

/// Scopes are stored by name, divided by blanks.
fn written_scopes(scopes: &BTreeSet<Scope>) -> String {
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    names.join(" ")
}

fn read_scopes(text: &str) -> Result<BTreeSet<Scope>, StoreError> {
    let scopes = text.split_whitespace().map(str::parse);
    scopes
        .collect::<Result<_, _>>()
        .map_err(|_| unreadable("scopes"))
}
