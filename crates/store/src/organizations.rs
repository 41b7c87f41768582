//! Organisations.

use domain::id::OrganizationId;
use domain::organization::Organization;
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::error::StoreError;
use crate::row::{Read as _, all, at_most_one};
use crate::{Database, WriteTransaction};

/// Every organisation, oldest first.
pub async fn list(database: &Database) -> Result<Vec<Organization>, StoreError> {
    let statement =
        sqlx::query("SELECT id, name, created_at FROM organizations ORDER BY created_at, id");
    all(&database.fetch(statement).await?, read)
}

/// The organisation of this name.
pub async fn by_name(database: &Database, name: &str) -> Result<Option<Organization>, StoreError> {
    let statement =
        sqlx::query("SELECT id, name, created_at FROM organizations WHERE name = $1").bind(name);
    at_most_one(database.fetch(statement).await?, read)
}

/// The organisation of this id.
pub async fn get(
    database: &Database,
    id: OrganizationId,
) -> Result<Option<Organization>, StoreError> {
    let statement = sqlx::query("SELECT id, name, created_at FROM organizations WHERE id = $1")
        .bind(id.to_string());
    at_most_one(database.fetch(statement).await?, read)
}

/// Adds one.
///
/// # Errors
/// [`StoreError::Conflict`] when the name is taken.
pub async fn insert(
    transaction: &mut WriteTransaction,
    organization: &Organization,
) -> Result<(), StoreError> {
    let statement =
        sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)")
            .bind(organization.id.to_string())
            .bind(organization.name.as_str())
            .bind(organization.created_at.as_microsecond());
    let inserted = transaction.execute(statement).await;
    inserted.map_err(|error| error.or_conflict("name"))?;
    transaction.note(Change::Organization(organization.id));
    Ok(())
}

fn read(row: &AnyRow) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: row.parsed("id")?,
        name: row.value("name")?,
        created_at: row.time("created_at")?,
    })
}
