//! The change feed: what a node must read again, and when.
//!
//! Every committed write appends a row to `changes` (a number that only grows, and
//! whose data changed). Notifications only make the news fast: whatever is lost,
//! the poll finds, since it asks for all rows after the last one seen.
//!
//! **Order.** A number from a sequence is taken before the commit, so that a reader can
//! see number 7, go on from there, and never see number 6, which commits later. Here the
//! number comes from the one row of `change_counter`, updated as the last thing before the
//! commit: the row's lock is held until the commit is visible, so the next number is given
//! out only then. Numbers have no gaps (a rollback gives its number back), which is how a
//! reader notices that rows it has not seen were pruned.

use domain::id::OrganizationId;
use sqlx::any::AnyRow;

pub use crate::feed::ChangeFeed;

use crate::engine::Engine;
use crate::error::StoreError;
use crate::row::{Read as _, optional_text};
use crate::{Database, WriteTransaction};

/// How many commits back a reader may be before it must read everything again.
const KEPT: i64 = 10_000;

/// How often old rows are pruned, in commits.
const PRUNED_EVERY: i64 = 256;

/// The channel that PostgreSQL carries the numbers on.
pub(crate) const CHANNEL: &str = "quartermaster_changes";

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Something of this organisation: configurations, keys or secrets.
    Organization(OrganizationId),
    /// What belongs to the installation: system defaults, prices.
    SystemDefaults,
}

impl Change {
    /// A change to something with this owner.
    pub(crate) fn to(organization_id: Option<OrganizationId>) -> Self {
        organization_id.map_or(Self::SystemDefaults, Self::Organization)
    }

    const fn organization_id(self) -> Option<OrganizationId> {
        match self {
            Self::Organization(id) => Some(id),
            Self::SystemDefaults => None,
        }
    }
}

/// A batch of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// These changed, up to and including `revision`.
    Changes {
        /// The revision that the batch brings a reader to.
        revision: i64,
        /// What changed, each once.
        changes: Vec<Change>,
    },
    /// Too much was missed: read everything again, then go on from `revision`.
    Everything {
        /// The revision to go on from.
        revision: i64,
    },
}

/// Notes a change in the transaction that makes it; told to others on commit.
///
/// The functions of this crate that insert, update or delete note their own changes, so
/// this is for changes that lie elsewhere.
#[expect(
    clippy::unused_async,
    reason = "callers await every step of a transaction"
)]
pub async fn record(transaction: &mut WriteTransaction, change: Change) -> Result<(), StoreError> {
    transaction.note(change);
    Ok(())
}

/// The number of the last committed change.
pub async fn current_revision(database: &Database) -> Result<i64, StoreError> {
    let rows = database
        .fetch(sqlx::query("SELECT revision FROM change_counter"))
        .await?;
    counted(&rows)
}

/// What was committed after `revision`; none when nothing was.
pub(crate) async fn since(database: &Database, revision: i64) -> Result<Option<News>, StoreError> {
    let current = current_revision(database).await?;
    if current == revision {
        return Ok(None);
    }
    let statement = sqlx::query(
        "SELECT revision, organization_id FROM changes
         WHERE revision > $1 AND revision <= $2 ORDER BY revision",
    )
    .bind(revision)
    .bind(current);
    let rows = database.fetch(statement).await?;
    news(revision, current, &rows).map(Some)
}

/// Rows that begin with the number after `revision` are complete. Otherwise some were
/// pruned, or the database is an older one, restored from a backup.
fn news(revision: i64, current: i64, rows: &[AnyRow]) -> Result<News, StoreError> {
    let first: Option<i64> = rows.first().map(|row| row.value("revision")).transpose()?;
    if first != Some(revision + 1) {
        return Ok(News::Everything { revision: current });
    }
    let mut changes = Vec::new();
    for row in rows {
        let change = Change::to(row.parsed_optional("organization_id")?);
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    Ok(News::Changes {
        revision: current,
        changes,
    })
}

/// Gives the transaction its number, if it changed anything that others must know of.
/// From here to the commit no other transaction gets one.
pub(crate) async fn number(transaction: &mut WriteTransaction) -> Result<Option<i64>, StoreError> {
    let changes = transaction.changes().to_vec();
    if changes.is_empty() {
        return Ok(None);
    }
    let statement =
        sqlx::query("UPDATE change_counter SET revision = revision + 1 RETURNING revision");
    let revision = counted(&transaction.fetch(statement).await?)?;
    for change in changes {
        let statement =
            sqlx::query("INSERT INTO changes (revision, organization_id) VALUES ($1, $2)")
                .bind(revision)
                .bind(optional_text(change.organization_id()));
        transaction.execute(statement).await?;
    }
    if revision % PRUNED_EVERY == 0 {
        let statement =
            sqlx::query("DELETE FROM changes WHERE revision <= $1").bind(revision - KEPT);
        transaction.execute(statement).await?;
    }
    if transaction.engine() == Engine::Postgres {
        let statement = sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(revision.to_string());
        transaction.fetch(statement).await?;
    }
    Ok(Some(revision))
}

fn counted(rows: &[AnyRow]) -> Result<i64, StoreError> {
    let row = rows.first();
    row.ok_or_else(|| StoreError::Corrupt("the change counter is gone".to_owned()))?
        .value("revision")
}
