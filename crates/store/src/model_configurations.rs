//! Model configurations and their revisions.
//!
//! What the owner wrote is one JSON document, the same in a row and in its revision, so
//! that restoring is copying and every number of `additional_params` stays as it was.

use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::{
    ModelConfiguration, ModelConfigurationRevision, ReadConfiguration, UnreadableConfiguration,
};
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::row::{Read as _, all, at_most_one, json, optional_text, owner};
use crate::{Database, WriteTransaction};

/// What `organization_id` sees: system defaults first, then its own rows, oldest first,
/// archived ones included.
pub async fn list(
    database: &Database,
    organization_id: OrganizationId,
) -> Result<Vec<ModelConfiguration>, StoreError> {
    let statement = sqlx::query(
        "SELECT id, organization_id, revision, settings, api_key_alias, created_at, updated_at
         FROM model_configurations WHERE COALESCE(organization_id, '') IN ('', $1)
         ORDER BY CASE WHEN organization_id IS NULL THEN 0 ELSE 1 END, created_at, id",
    )
    .bind(organization_id.to_string());
    all(&database.fetch(statement).await?, read)
}

/// How many rows of everything are read at once.
const PAGE: i64 = 500;

/// Every row of every organisation and every system default by id, for a snapshot: page
/// by page, so that whoever reads them need not hold them all.
///
/// Pages are read one by one, not in one transaction: what changes meanwhile is in the
/// change feed after the revision that was current when the first page was asked for.
pub struct Everything<'database> {
    database: &'database Database,
    /// The id of the last row that was read, as its column has it: it may be damaged.
    last: String,
}

/// Reads everything from the beginning.
#[must_use]
pub const fn everything(database: &Database) -> Everything<'_> {
    Everything {
        database,
        last: String::new(),
    }
}

impl Everything<'_> {
    /// The next page; none where there is nothing left. The same page comes again after
    /// an error.
    ///
    /// # Errors
    /// When the database cannot be read. A row that cannot be read is no error.
    pub async fn next_page(&mut self) -> Result<Option<Vec<ReadConfiguration>>, StoreError> {
        let statement = sqlx::query(
            "SELECT id, organization_id, name, is_archived, revision, settings, api_key_alias,
                    created_at, updated_at
             FROM model_configurations WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(self.last.as_str())
        .bind(PAGE);
        let rows = self.database.fetch(statement).await?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.last = last.value("id")?;
        Ok(Some(rows.iter().filter_map(read_or_name).collect()))
    }
}

/// One organisation's own rows (or, with none, the system defaults), for a snapshot.
///
/// # Errors
/// When the database cannot be read. A row that cannot be read is no error.
pub async fn list_owned(
    database: &Database,
    organization_id: Option<OrganizationId>,
) -> Result<Vec<ReadConfiguration>, StoreError> {
    let statement = sqlx::query(
        "SELECT id, organization_id, name, is_archived, revision, settings, api_key_alias,
                created_at, updated_at
         FROM model_configurations WHERE COALESCE(organization_id, '') = $1
         ORDER BY created_at, id",
    )
    .bind(owner(organization_id));
    let rows = database.fetch(statement).await?;
    Ok(rows.iter().filter_map(read_or_name).collect())
}

/// One row that `organization_id` sees: its own, or a system default.
pub async fn get(
    database: &Database,
    organization_id: OrganizationId,
    id: ModelConfigurationId,
) -> Result<Option<ModelConfiguration>, StoreError> {
    let statement = sqlx::query(VISIBLE)
        .bind(id.to_string())
        .bind(organization_id.to_string());
    at_most_one(database.fetch(statement).await?, read)
}

/// The same inside a transaction.
pub async fn get_in(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    id: ModelConfigurationId,
) -> Result<Option<ModelConfiguration>, StoreError> {
    let statement = sqlx::query(VISIBLE)
        .bind(id.to_string())
        .bind(organization_id.to_string());
    at_most_one(transaction.fetch(statement).await?, read)
}

/// The same inside a transaction, locked against other writers until it ends.
pub async fn get_for_update(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    id: ModelConfigurationId,
) -> Result<Option<ModelConfiguration>, StoreError> {
    let statement = sqlx::query(match transaction.engine() {
        Engine::Sqlite => VISIBLE,
        Engine::Postgres => VISIBLE_LOCKED,
    })
    .bind(id.to_string())
    .bind(organization_id.to_string());
    at_most_one(transaction.fetch(statement).await?, read)
}

/// What one organisation's own rows take, archived ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// How many there are.
    pub rows: u64,
    /// How long their settings are together, in bytes.
    pub bytes: u64,
}

/// What `organization_id`'s rows take as they will be after this transaction.
pub async fn footprint(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
) -> Result<Footprint, StoreError> {
    let statement = sqlx::query(
        "SELECT COUNT(*) AS count, CAST(COALESCE(SUM(OCTET_LENGTH(settings)), 0) AS BIGINT) AS bytes
         FROM model_configurations WHERE COALESCE(organization_id, '') = $1",
    )
    .bind(organization_id.to_string());
    let rows = transaction.fetch(statement).await?;
    let Some(row) = rows.first() else {
        return Ok(Footprint::default());
    };
    let (count, bytes): (i64, i64) = (row.value("count")?, row.value("bytes")?);
    Ok(Footprint {
        rows: count.unsigned_abs(),
        bytes: bytes.unsigned_abs(),
    })
}

const VISIBLE: &str =
    "SELECT id, organization_id, revision, settings, api_key_alias, created_at, updated_at
     FROM model_configurations WHERE id = $1 AND COALESCE(organization_id, '') IN ('', $2)";

/// SQLite knows no row locks, and needs none: its writer is alone.
const VISIBLE_LOCKED: &str =
    "SELECT id, organization_id, revision, settings, api_key_alias, created_at, updated_at
     FROM model_configurations WHERE id = $1 AND COALESCE(organization_id, '') IN ('', $2)
     FOR UPDATE";

/// Inserts a row and its first revision.
///
/// # Errors
/// [`StoreError::Conflict`] when an unarchived row of the same owner has the name.
pub async fn insert(
    transaction: &mut WriteTransaction,
    row: &ModelConfiguration,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO model_configurations
             (id, organization_id, name, is_archived, revision, settings, api_key_alias,
              created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.id.to_string())
    .bind(optional_text(row.organization_id))
    .bind(row.settings.name.as_str())
    .bind(i64::from(row.settings.is_archived))
    .bind(row.revision)
    .bind(json(&row.settings)?)
    .bind(optional_text(row.api_key_alias.as_ref()))
    .bind(row.created_at.as_microsecond())
    .bind(row.updated_at.as_microsecond());
    let inserted = transaction.execute(statement).await;
    inserted.map_err(|error| error.or_conflict("name"))?;
    add_revision(transaction, row).await
}

/// Replaces a row and adds the revision `row.revision`, which follows the stored one.
///
/// # Errors
/// [`StoreError::Conflict`] when an unarchived row of the same owner has the name;
/// [`StoreError::Busy`] when the stored revision is another than the one before.
pub async fn update(
    transaction: &mut WriteTransaction,
    row: &ModelConfiguration,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "UPDATE model_configurations
         SET name = $3, is_archived = $4, revision = $5, settings = $6, api_key_alias = $7,
             updated_at = $8
         WHERE id = $1 AND COALESCE(organization_id, '') = $2 AND revision = $5 - 1",
    )
    .bind(row.id.to_string())
    .bind(owner(row.organization_id))
    .bind(row.settings.name.as_str())
    .bind(i64::from(row.settings.is_archived))
    .bind(row.revision)
    .bind(json(&row.settings)?)
    .bind(optional_text(row.api_key_alias.as_ref()))
    .bind(row.updated_at.as_microsecond());
    let updated = transaction.execute(statement).await;
    if updated.map_err(|error| error.or_conflict("name"))? == 0 {
        return Err(StoreError::Busy);
    }
    add_revision(transaction, row).await
}

/// Puts a row and its first revision in the place of one that cannot be read. Its
/// revisions go with it: they were as damaged, or are of a version that this one is not.
///
/// # Errors
/// [`StoreError::Conflict`] when an unarchived row of the same owner has the name;
/// [`StoreError::Busy`] when the row is no longer there.
pub async fn replace_unreadable(
    transaction: &mut WriteTransaction,
    row: &ModelConfiguration,
) -> Result<(), StoreError> {
    let revisions =
        sqlx::query("DELETE FROM model_configuration_revisions WHERE model_configuration_id = $1")
            .bind(row.id.to_string());
    transaction.execute(revisions).await?;
    let statement = sqlx::query(
        "UPDATE model_configurations
         SET name = $3, is_archived = $4, revision = $5, settings = $6, api_key_alias = $7,
             created_at = $8, updated_at = $9
         WHERE id = $1 AND COALESCE(organization_id, '') = $2",
    )
    .bind(row.id.to_string())
    .bind(owner(row.organization_id))
    .bind(row.settings.name.as_str())
    .bind(i64::from(row.settings.is_archived))
    .bind(row.revision)
    .bind(json(&row.settings)?)
    .bind(optional_text(row.api_key_alias.as_ref()))
    .bind(row.created_at.as_microsecond())
    .bind(row.updated_at.as_microsecond());
    let replaced = transaction.execute(statement).await;
    if replaced.map_err(|error| error.or_conflict("name"))? == 0 {
        return Err(StoreError::Busy);
    }
    add_revision(transaction, row).await
}

async fn add_revision(
    transaction: &mut WriteTransaction,
    row: &ModelConfiguration,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO model_configuration_revisions
             (model_configuration_id, number, settings, api_key_alias, created_at)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(row.id.to_string())
    .bind(row.revision)
    .bind(json(&row.settings)?)
    .bind(optional_text(row.api_key_alias.as_ref()))
    .bind(row.updated_at.as_microsecond());
    transaction.execute(statement).await?;
    transaction.note(Change::to(row.organization_id));
    Ok(())
}

/// Deletes a row and its revisions, if `organization_id` (or, with none, the installation)
/// owns it.
pub async fn delete(
    transaction: &mut WriteTransaction,
    organization_id: Option<OrganizationId>,
    id: ModelConfigurationId,
) -> Result<(), StoreError> {
    let revisions = sqlx::query(
        "DELETE FROM model_configuration_revisions WHERE model_configuration_id IN
             (SELECT id FROM model_configurations
              WHERE id = $1 AND COALESCE(organization_id, '') = $2)",
    )
    .bind(id.to_string())
    .bind(owner(organization_id));
    transaction.execute(revisions).await?;
    let row = sqlx::query(
        "DELETE FROM model_configurations
         WHERE id = $1 AND COALESCE(organization_id, '') = $2",
    )
    .bind(id.to_string())
    .bind(owner(organization_id));
    transaction.execute(row).await?;
    transaction.note(Change::to(organization_id));
    Ok(())
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
    let statement = sqlx::query(
        "SELECT r.model_configuration_id, r.number, r.settings, r.api_key_alias, r.created_at
         FROM model_configuration_revisions r
         JOIN model_configurations m ON m.id = r.model_configuration_id
         WHERE m.id = $1 AND COALESCE(m.organization_id, '') IN ('', $2) AND r.number < $3
         ORDER BY r.number DESC LIMIT $4",
    )
    .bind(id.to_string())
    .bind(organization_id.to_string())
    .bind(before.unwrap_or(i64::MAX))
    .bind(i64::from(limit));
    all(&database.fetch(statement).await?, read_revision)
}

/// One revision of a row that `organization_id` sees.
pub async fn revision(
    database: &Database,
    organization_id: OrganizationId,
    id: ModelConfigurationId,
    number: i64,
) -> Result<Option<ModelConfigurationRevision>, StoreError> {
    let statement = sqlx::query(
        "SELECT r.model_configuration_id, r.number, r.settings, r.api_key_alias, r.created_at
         FROM model_configuration_revisions r
         JOIN model_configurations m ON m.id = r.model_configuration_id
         WHERE m.id = $1 AND COALESCE(m.organization_id, '') IN ('', $2) AND r.number = $3",
    )
    .bind(id.to_string())
    .bind(organization_id.to_string())
    .bind(number);
    at_most_one(database.fetch(statement).await?, read_revision)
}

fn read(row: &AnyRow) -> Result<ModelConfiguration, StoreError> {
    Ok(ModelConfiguration {
        id: row.parsed("id")?,
        organization_id: row.parsed_optional("organization_id")?,
        revision: row.value("revision")?,
        settings: row.document("settings")?,
        api_key_alias: row.parsed_optional("api_key_alias")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// The row, or what the columns that are never damaged together with it say of it. A row
/// that does not even say what and whose it is can be selected by nobody: it is left out.
fn read_or_name(row: &AnyRow) -> Option<ReadConfiguration> {
    let error = match read(row) {
        Ok(read) => return Some(Ok(read)),
        Err(error) => error,
    };
    let named = name_unreadable(row);
    if named.is_err() {
        let id: Option<String> = row.value("id").ok();
        tracing::error!(%error, model_configuration.id = id, "nobody's model configuration");
    }
    named.ok().map(Err)
}

fn name_unreadable(row: &AnyRow) -> Result<UnreadableConfiguration, StoreError> {
    let is_archived: i64 = row.value("is_archived")?;
    Ok(UnreadableConfiguration {
        id: row.parsed("id")?,
        organization_id: row.parsed_optional("organization_id")?,
        name: row.value("name")?,
        is_archived: is_archived != 0,
    })
}

fn read_revision(row: &AnyRow) -> Result<ModelConfigurationRevision, StoreError> {
    Ok(ModelConfigurationRevision {
        model_configuration_id: row.parsed("model_configuration_id")?,
        number: row.value("number")?,
        settings: row.document("settings")?,
        api_key_alias: row.parsed_optional("api_key_alias")?,
        created_at: row.time("created_at")?,
    })
}
