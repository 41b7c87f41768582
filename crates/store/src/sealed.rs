//! Sealed secrets, wrapped organisation keys and root-key canaries, as bytes.
//! `server` adapts these to the vault's storage trait.

use domain::id::{Alias, OrganizationId};

use crate::error::StoreError;
use crate::{Database, WriteTransaction};

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
    let _ = (transaction, row);
    unimplemented!()
}

/// One sealed secret.
pub async fn secret(
    database: &Database,
    alias: &Alias,
) -> Result<Option<SealedSecretRow>, StoreError> {
    let _ = (database, alias);
    unimplemented!()
}

/// Every sealed secret of one owner (or of everybody), for a snapshot.
pub async fn secrets_of(
    database: &Database,
    organization_id: Option<OrganizationId>,
) -> Result<Vec<SealedSecretRow>, StoreError> {
    let _ = (database, organization_id);
    unimplemented!()
}

/// Every sealed secret there is, for a snapshot.
pub async fn all_secrets(database: &Database) -> Result<Vec<SealedSecretRow>, StoreError> {
    let _ = database;
    unimplemented!()
}

/// Deletes a sealed secret, if it is there.
pub async fn delete_secret(database: &Database, alias: &Alias) -> Result<(), StoreError> {
    let _ = (database, alias);
    unimplemented!()
}

/// One organisation's wrapped key.
pub async fn organization_key(
    database: &Database,
    organization_id: Option<OrganizationId>,
) -> Result<Option<OrganizationKeyRow>, StoreError> {
    let _ = (database, organization_id);
    unimplemented!()
}

/// Every wrapped organisation key, for a snapshot.
pub async fn all_organization_keys(
    database: &Database,
) -> Result<Vec<OrganizationKeyRow>, StoreError> {
    let _ = database;
    unimplemented!()
}

/// Stores a wrapped key unless there is one; returns the one that is stored.
pub async fn insert_organization_key(
    database: &Database,
    row: &OrganizationKeyRow,
) -> Result<OrganizationKeyRow, StoreError> {
    let _ = (database, row);
    unimplemented!()
}

/// Up to `limit` keys that another root key wraps.
pub async fn organization_keys_not_under(
    database: &Database,
    root_key_id: &str,
    limit: u32,
) -> Result<Vec<OrganizationKeyRow>, StoreError> {
    let _ = (database, root_key_id, limit);
    unimplemented!()
}

/// Replaces a wrapped key if it is still `old`; says whether it was.
pub async fn replace_organization_key(
    database: &Database,
    old: &OrganizationKeyRow,
    new: &OrganizationKeyRow,
) -> Result<bool, StoreError> {
    let _ = (database, old, new);
    unimplemented!()
}

/// (root key id, canary) of every root key in use.
pub async fn canaries(database: &Database) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let _ = database;
    unimplemented!()
}

/// Stores a canary unless the root key has one.
pub async fn insert_canary(
    database: &Database,
    root_key_id: &str,
    blob: &[u8],
) -> Result<(), StoreError> {
    let _ = (database, root_key_id, blob);
    unimplemented!()
}

/// Deletes the canary of a root key that wraps nothing any more.
pub async fn delete_canary(database: &Database, root_key_id: &str) -> Result<(), StoreError> {
    let _ = (database, root_key_id);
    unimplemented!()
}
