//! Sealed secrets, wrapped organisation keys and root-key canaries, as bytes.
//! `server` adapts these to the vault's storage trait.

use domain::id::{Alias, OrganizationId};
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::error::StoreError;
use crate::row::{Read as _, all, at_most_one, optional_text, owner, unreadable};
use crate::{Database, WriteTransaction};

/// How many rows a snapshot reads at once.
const PAGE: i64 = 1000;

/// A sealed secret as a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecretRow {
    /// Which secret.
    pub alias: Alias,
    /// Which version.
    pub version: u32,
    /// Whose.
    pub organization_id: Option<OrganizationId>,
    /// The vault's blob.
    pub blob: Vec<u8>,
}

/// A wrapped organisation key as a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationKeyRow {
    /// Whose; none for the installation itself.
    pub organization_id: Option<OrganizationId>,
    /// The root key that wraps it.
    pub root_key_id: String,
    /// The vault's blob.
    pub blob: Vec<u8>,
}

/// Stores a sealed secret beside the row that names its alias.
pub async fn insert_secret(
    transaction: &mut WriteTransaction,
    row: &SealedSecretRow,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO sealed_secrets (alias, version, organization_id, sealed)
         VALUES ($1, $2, $3, $4)",
    )
    .bind(row.alias.as_str())
    .bind(i64::from(row.version))
    .bind(optional_text(row.organization_id))
    .bind(row.blob.as_slice());
    let inserted = transaction.execute(statement).await;
    inserted.map_err(|error| error.or_conflict("alias"))?;
    transaction.note(Change::to(row.organization_id));
    Ok(())
}

/// One sealed secret.
pub async fn secret(
    database: &Database,
    alias: &Alias,
) -> Result<Option<SealedSecretRow>, StoreError> {
    let statement = sqlx::query(
        "SELECT alias, version, organization_id, sealed FROM sealed_secrets WHERE alias = $1",
    )
    .bind(alias.as_str());
    at_most_one(database.fetch(statement).await?, read_secret)
}

/// Every sealed secret of one owner (with none, of the installation), for a snapshot.
pub async fn secrets_of(
    database: &Database,
    organization_id: Option<OrganizationId>,
) -> Result<Vec<SealedSecretRow>, StoreError> {
    let statement = sqlx::query(
        "SELECT alias, version, organization_id, sealed FROM sealed_secrets
         WHERE COALESCE(organization_id, '') = $1 ORDER BY alias",
    )
    .bind(owner(organization_id));
    all(&database.fetch(statement).await?, read_secret)
}

/// Every sealed secret there is, for a snapshot.
pub async fn all_secrets(database: &Database) -> Result<Vec<SealedSecretRow>, StoreError> {
    let mut secrets: Vec<SealedSecretRow> = Vec::new();
    loop {
        let last = secrets
            .last()
            .map_or_else(String::new, |row| row.alias.to_string());
        let statement = sqlx::query(
            "SELECT alias, version, organization_id, sealed FROM sealed_secrets
             WHERE alias > $1 ORDER BY alias LIMIT $2",
        )
        .bind(last)
        .bind(PAGE);
        let page = all(&database.fetch(statement).await?, read_secret)?;
        if page.is_empty() {
            return Ok(secrets);
        }
        secrets.extend(page);
    }
}

/// Deletes a sealed secret, if it is there.
pub async fn delete_secret(database: &Database, alias: &Alias) -> Result<(), StoreError> {
    let statement = sqlx::query("DELETE FROM sealed_secrets WHERE alias = $1").bind(alias.as_str());
    database.execute(statement).await.map(drop)
}

/// One organisation's wrapped key.
pub async fn organization_key(
    database: &Database,
    organization_id: Option<OrganizationId>,
) -> Result<Option<OrganizationKeyRow>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, root_key_id, wrapped FROM organization_keys
         WHERE COALESCE(organization_id, '') = $1",
    )
    .bind(owner(organization_id));
    at_most_one(database.fetch(statement).await?, read_key)
}

/// Every wrapped organisation key, for a snapshot.
pub async fn all_organization_keys(
    database: &Database,
) -> Result<Vec<OrganizationKeyRow>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, root_key_id, wrapped FROM organization_keys
         ORDER BY COALESCE(organization_id, '')",
    );
    all(&database.fetch(statement).await?, read_key)
}

/// Stores a wrapped key unless there is one; returns the one that is stored.
///
/// # Errors
/// When the root key that wraps it has no canary (any more).
pub async fn insert_organization_key(
    database: &Database,
    row: &OrganizationKeyRow,
) -> Result<OrganizationKeyRow, StoreError> {
    let statement = sqlx::query(
        "INSERT INTO organization_keys (organization_id, root_key_id, wrapped)
         VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(optional_text(row.organization_id))
    .bind(row.root_key_id.as_str())
    .bind(row.blob.as_slice());
    database.execute(statement).await?;
    let stored = organization_key(database, row.organization_id).await?;
    stored.ok_or_else(|| StoreError::Corrupt("an organisation key vanished".to_owned()))
}

/// Up to `limit` keys that another root key wraps.
pub async fn organization_keys_not_under(
    database: &Database,
    root_key_id: &str,
    limit: u32,
) -> Result<Vec<OrganizationKeyRow>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, root_key_id, wrapped FROM organization_keys
         WHERE root_key_id <> $1 ORDER BY COALESCE(organization_id, '') LIMIT $2",
    )
    .bind(root_key_id)
    .bind(i64::from(limit));
    all(&database.fetch(statement).await?, read_key)
}

/// Replaces a wrapped key if it is still `old`; says whether it was.
pub async fn replace_organization_key(
    database: &Database,
    old: &OrganizationKeyRow,
    new: &OrganizationKeyRow,
) -> Result<bool, StoreError> {
    let statement = sqlx::query(
        "UPDATE organization_keys SET root_key_id = $1, wrapped = $2
         WHERE COALESCE(organization_id, '') = $3 AND root_key_id = $4 AND wrapped = $5",
    )
    .bind(new.root_key_id.as_str())
    .bind(new.blob.as_slice())
    .bind(owner(old.organization_id))
    .bind(old.root_key_id.as_str())
    .bind(old.blob.as_slice());
    Ok(database.execute(statement).await? == 1)
}

/// How many organisation keys each root key wraps, by root key id.
pub async fn organization_keys_by_root_key(
    database: &Database,
) -> Result<Vec<(String, u64)>, StoreError> {
    let statement = sqlx::query(
        "SELECT root_key_id, COUNT(*) AS wrapped FROM organization_keys
         GROUP BY root_key_id ORDER BY root_key_id",
    );
    all(&database.fetch(statement).await?, |row| {
        let wrapped: i64 = row.value("wrapped")?;
        Ok((row.value("root_key_id")?, wrapped.unsigned_abs()))
    })
}

/// How many sealed secrets there are.
pub async fn secret_count(database: &Database) -> Result<u64, StoreError> {
    let statement = sqlx::query("SELECT COUNT(*) AS secrets FROM sealed_secrets");
    let rows = database.fetch(statement).await?;
    let secrets: i64 = rows.first().map_or(Ok(0), |row| row.value("secrets"))?;
    Ok(secrets.unsigned_abs())
}

/// (root key id, canary) of every root key in use.
pub async fn canaries(database: &Database) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let statement =
        sqlx::query("SELECT root_key_id, sealed FROM root_key_canaries ORDER BY root_key_id");
    all(&database.fetch(statement).await?, |row| {
        Ok((row.value("root_key_id")?, row.value("sealed")?))
    })
}

/// Stores a canary unless the root key has one.
pub async fn insert_canary(
    database: &Database,
    root_key_id: &str,
    blob: &[u8],
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO root_key_canaries (root_key_id, sealed) VALUES ($1, $2)
         ON CONFLICT DO NOTHING",
    )
    .bind(root_key_id)
    .bind(blob);
    database.execute(statement).await.map(drop)
}

/// Deletes the canary of a root key that wraps nothing any more.
///
/// # Errors
/// When organisation keys are under it.
pub async fn delete_canary(database: &Database, root_key_id: &str) -> Result<(), StoreError> {
    let statement =
        sqlx::query("DELETE FROM root_key_canaries WHERE root_key_id = $1").bind(root_key_id);
    database.execute(statement).await.map(drop)
}

fn read_secret(row: &AnyRow) -> Result<SealedSecretRow, StoreError> {
    let version: i64 = row.value("version")?;
    Ok(SealedSecretRow {
        alias: row.parsed("alias")?,
        version: u32::try_from(version).map_err(|_| unreadable("version"))?,
        organization_id: row.parsed_optional("organization_id")?,
        blob: row.value("sealed")?,
    })
}

fn read_key(row: &AnyRow) -> Result<OrganizationKeyRow, StoreError> {
    Ok(OrganizationKeyRow {
        organization_id: row.parsed_optional("organization_id")?,
        root_key_id: row.value("root_key_id")?,
        blob: row.value("wrapped")?,
    })
}
