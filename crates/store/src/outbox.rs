//! Secrets to be destroyed after the change that abandoned them has committed.

use domain::id::Alias;
use jiff::Timestamp;

use crate::error::StoreError;
use crate::{Database, WriteTransaction};

/// Notes that the secret under `alias` is to be destroyed at `due` or later.
pub async fn schedule_destruction(
    transaction: &mut WriteTransaction,
    alias: &Alias,
    due: Timestamp,
) -> Result<(), StoreError> {
    let _ = (transaction, alias, due);
    unimplemented!()
}

/// Aliases that are due, oldest first.
pub async fn due(
    database: &Database,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Alias>, StoreError> {
    let _ = (database, now, limit);
    unimplemented!()
}

/// Forgets an alias whose secret has been destroyed.
pub async fn done(database: &Database, alias: &Alias) -> Result<(), StoreError> {
    let _ = (database, alias);
    unimplemented!()
}

/// How many aliases wait, for a gauge.
pub async fn pending(database: &Database) -> Result<u64, StoreError> {
    let _ = database;
    unimplemented!()
}
