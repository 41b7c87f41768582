//! Model configurations and their revisions.

use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelConfigurationRevision};

use crate::error::StoreError;
use crate::{Database, WriteTransaction};

/// What `organization_id` sees: system defaults first, then its own rows, oldest first,
/// archived ones included.
pub async fn list(
    database: &Database,
    organization_id: OrganizationId,
) -> Result<Vec<ModelConfiguration>, StoreError> {
    let _ = (database, organization_id);
    unimplemented!()
}

/// Every row of every organisation and every system default, for a snapshot.
pub async fn list_everything(database: &Database) -> Result<Vec<ModelConfiguration>, StoreError> {
    let _ = database;
    unimplemented!()
}

/// One organisation's own rows (or, with none, the system defaults), for a snapshot.
pub async fn list_owned(
    database: &Database,
    organization_id: Option<OrganizationId>,
) -> Result<Vec<ModelConfiguration>, StoreError> {
    let _ = (database, organization_id);
    unimplemented!()
}

/// One row that `organization_id` sees: its own, or a system default.
pub async fn get(
    database: &Database,
    organization_id: OrganizationId,
    id: ModelConfigurationId,
) -> Result<Option<ModelConfiguration>, StoreError> {
    let _ = (database, organization_id, id);
    unimplemented!()
}

/// The same inside a transaction, locked against other writers until it ends.
pub async fn get_for_update(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    id: ModelConfigurationId,
) -> Result<Option<ModelConfiguration>, StoreError> {
    let _ = (transaction, organization_id, id);
    unimplemented!()
}

/// Inserts a row and its first revision.
///
/// # Errors
/// [`StoreError::Conflict`] when an unarchived row of the same owner has the name.
pub async fn insert(
    transaction: &mut WriteTransaction,
    row: &ModelConfiguration,
) -> Result<(), StoreError> {
    let _ = (transaction, row);
    unimplemented!()
}

/// Replaces a row and adds the revision `row.revision`.
///
/// # Errors
/// [`StoreError::Conflict`] when an unarchived row of the same owner has the name.
pub async fn update(
    transaction: &mut WriteTransaction,
    row: &ModelConfiguration,
) -> Result<(), StoreError> {
    let _ = (transaction, row);
    unimplemented!()
}

/// Deletes a row and its revisions.
pub async fn delete(
    transaction: &mut WriteTransaction,
    organization_id: Option<OrganizationId>,
    id: ModelConfigurationId,
) -> Result<(), StoreError> {
    let _ = (transaction, organization_id, id);
    unimplemented!()
}

/// The revisions of a row that `organization_id` sees, newest first; at most `limit`
/// with numbers below `before`.
pub async fn revisions(
    database: &Database,
    organization_id: OrganizationId,
    id: ModelConfigurationId,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<ModelConfigurationRevision>, StoreError> {
    let _ = (database, organization_id, id, before, limit);
    unimplemented!()
}

/// One revision of a row that `organization_id` sees.
pub async fn revision(
    database: &Database,
    organization_id: OrganizationId,
    id: ModelConfigurationId,
    number: i64,
) -> Result<Option<ModelConfigurationRevision>, StoreError> {
    let _ = (database, organization_id, id, number);
    unimplemented!()
}
