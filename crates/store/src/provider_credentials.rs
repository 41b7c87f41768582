//! Provider credentials of organisations, without their secrets.

use domain::id::OrganizationId;
use domain::provider_credential::ProviderCredential;
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::row::{Read as _, all, at_most_one, json, optional_text};
use crate::{Database, WriteTransaction};

/// Those of one organisation, by slot.
pub async fn list(
    database: &Database,
    organization_id: OrganizationId,
) -> Result<Vec<ProviderCredential>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, slot, revision, status, auth_type, alias, display_metadata,
                last_error, activated_at, last_validated_at, created_at, updated_at
         FROM provider_credentials WHERE organization_id = $1 ORDER BY slot",
    )
    .bind(organization_id.to_string());
    all(&database.fetch(statement).await?, read)
}

/// Every one there is, for a snapshot.
pub async fn list_everything(database: &Database) -> Result<Vec<ProviderCredential>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, slot, revision, status, auth_type, alias, display_metadata,
                last_error, activated_at, last_validated_at, created_at, updated_at
         FROM provider_credentials ORDER BY organization_id, slot",
    );
    all(&database.fetch(statement).await?, read)
}

/// One of them.
pub async fn get(
    database: &Database,
    organization_id: OrganizationId,
    slot: &str,
) -> Result<Option<ProviderCredential>, StoreError> {
    let statement = sqlx::query(ONE)
        .bind(organization_id.to_string())
        .bind(slot.to_owned());
    at_most_one(database.fetch(statement).await?, read)
}

/// The same inside a transaction, locked against other writers until it ends.
pub async fn get_for_update(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    slot: &str,
) -> Result<Option<ProviderCredential>, StoreError> {
    let statement = sqlx::query(match transaction.engine() {
        Engine::Sqlite => ONE,
        Engine::Postgres => ONE_LOCKED,
    })
    .bind(organization_id.to_string())
    .bind(slot.to_owned());
    at_most_one(transaction.fetch(statement).await?, read)
}

const ONE: &str = "SELECT organization_id, slot, revision, status, auth_type, alias,
            display_metadata, last_error, activated_at, last_validated_at, created_at, updated_at
     FROM provider_credentials WHERE organization_id = $1 AND slot = $2";

/// SQLite knows no row locks, and needs none: its writer is alone.
const ONE_LOCKED: &str = "SELECT organization_id, slot, revision, status, auth_type, alias,
            display_metadata, last_error, activated_at, last_validated_at, created_at, updated_at
     FROM provider_credentials WHERE organization_id = $1 AND slot = $2 FOR UPDATE";

/// Stores a credential in place of the slot's present one, whose revision it follows.
///
/// # Errors
/// [`StoreError::Busy`] when the slot has another revision than the one before.
pub async fn put(
    transaction: &mut WriteTransaction,
    row: &ProviderCredential,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO provider_credentials
             (organization_id, slot, revision, status, auth_type, alias, display_metadata,
              last_error, activated_at, last_validated_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (organization_id, slot) DO UPDATE
         SET revision = $3, status = $4, auth_type = $5, alias = $6, display_metadata = $7,
             last_error = $8, activated_at = $9, last_validated_at = $10, updated_at = $12
         WHERE provider_credentials.revision = $3 - 1",
    )
    .bind(row.organization_id.to_string())
    .bind(row.slot.as_str())
    .bind(row.revision)
    .bind(row.status.as_str())
    .bind(optional_text(row.auth_type))
    .bind(optional_text(row.alias.as_ref()))
    .bind(json(&row.display_metadata)?)
    .bind(row.last_error.clone())
    .bind(row.activated_at.map(|at| at.as_microsecond()))
    .bind(row.last_validated_at.map(|at| at.as_microsecond()))
    .bind(row.created_at.as_microsecond())
    .bind(row.updated_at.as_microsecond());
    if transaction.execute(statement).await? == 0 {
        return Err(StoreError::Busy);
    }
    transaction.note(Change::Organization(row.organization_id));
    Ok(())
}

fn read(row: &AnyRow) -> Result<ProviderCredential, StoreError> {
    Ok(ProviderCredential {
        organization_id: row.parsed("organization_id")?,
        slot: row.value("slot")?,
        revision: row.value("revision")?,
        status: row.parsed("status")?,
        auth_type: row.parsed_optional("auth_type")?,
        alias: row.parsed_optional("alias")?,
        display_metadata: row.document("display_metadata")?,
        last_error: row.value("last_error")?,
        activated_at: row.time_optional("activated_at")?,
        last_validated_at: row.time_optional("last_validated_at")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
