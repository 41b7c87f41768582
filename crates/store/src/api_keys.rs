//! API keys, stored by the digest of the key.

use domain::api_key::{ApiKey, Digest256};
use domain::id::{ApiKeyId, OrganizationId};
use jiff::Timestamp;

use crate::error::StoreError;
use crate::{Database, WriteTransaction};

/// The key with this digest, revoked or not.
pub async fn by_digest(
    database: &Database,
    digest: &Digest256,
) -> Result<Option<ApiKey>, StoreError> {
    let _ = (database, digest);
    unimplemented!()
}

/// An organisation's keys, oldest first, revoked ones included.
pub async fn list(
    database: &Database,
    organization_id: OrganizationId,
) -> Result<Vec<ApiKey>, StoreError> {
    let _ = (database, organization_id);
    unimplemented!()
}

/// Every key that is not revoked, with its digest, for a snapshot.
pub async fn list_active(database: &Database) -> Result<Vec<(Digest256, ApiKey)>, StoreError> {
    let _ = database;
    unimplemented!()
}

/// One organisation's keys that are not revoked, with their digests, for a snapshot.
pub async fn list_active_of(
    database: &Database,
    organization_id: OrganizationId,
) -> Result<Vec<(Digest256, ApiKey)>, StoreError> {
    let _ = (database, organization_id);
    unimplemented!()
}

/// One key, inside a transaction.
pub async fn get_for_update(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    id: ApiKeyId,
) -> Result<Option<ApiKey>, StoreError> {
    let _ = (transaction, organization_id, id);
    unimplemented!()
}

/// Adds a key.
pub async fn insert(
    transaction: &mut WriteTransaction,
    key: &ApiKey,
    digest: &Digest256,
) -> Result<(), StoreError> {
    let _ = (transaction, key, digest);
    unimplemented!()
}

/// Revokes a key; one that is revoked already keeps its time.
pub async fn revoke(
    transaction: &mut WriteTransaction,
    id: ApiKeyId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let _ = (transaction, id, at);
    unimplemented!()
}
