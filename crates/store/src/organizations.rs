//! Organisations.

use domain::id::OrganizationId;
use domain::organization::Organization;

use crate::error::StoreError;
use crate::{Database, WriteTransaction};

/// Every organisation, oldest first.
pub async fn list(database: &Database) -> Result<Vec<Organization>, StoreError> {
    let _ = database;
    unimplemented!()
}

/// The organisation of this name.
pub async fn by_name(database: &Database, name: &str) -> Result<Option<Organization>, StoreError> {
    let _ = (database, name);
    unimplemented!()
}

/// The organisation of this id.
pub async fn get(
    database: &Database,
    id: OrganizationId,
) -> Result<Option<Organization>, StoreError> {
    let _ = (database, id);
    unimplemented!()
}

/// Adds one.
///
/// # Errors
/// [`StoreError::Conflict`] when the name is taken.
pub async fn insert(
    transaction: &mut WriteTransaction,
    organization: &Organization,
) -> Result<(), StoreError> {
    let _ = (transaction, organization);
    unimplemented!()
}
