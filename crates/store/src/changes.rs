//! The change feed: what a node must read again, and when.
//!
//! Every committed write appends a row to `changes` (a number that only grows, and
//! whose data changed). Notifications only make the news fast: whatever is lost,
//! the poll finds, since it asks for all rows after the last one seen.

use domain::id::OrganizationId;

use crate::error::StoreError;
use crate::{Database, WriteTransaction};

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Something of this organisation: configurations, keys or secrets.
    Organization(OrganizationId),
    /// System defaults.
    SystemDefaults,
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
pub async fn record(transaction: &mut WriteTransaction, change: Change) -> Result<(), StoreError> {
    let _ = (transaction, change);
    unimplemented!()
}

/// The number of the last committed change.
pub async fn current_revision(database: &Database) -> Result<i64, StoreError> {
    let _ = database;
    unimplemented!()
}

/// Follows the changes of this and other nodes.
pub struct ChangeFeed {
    revision: i64,
}

impl ChangeFeed {
    /// Follows what comes after `revision`.
    #[must_use]
    pub fn after(database: &Database, revision: i64) -> Self {
        let _ = database;
        Self { revision }
    }

    /// Waits for news. Survives a database outage: it keeps trying and returns once
    /// there is news again. Cancel-safe.
    pub async fn next(&mut self) -> News {
        let _ = self.revision;
        unimplemented!()
    }
}
