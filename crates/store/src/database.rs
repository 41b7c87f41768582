//! The connection pool, migrations, and transactions.

use std::time::Duration;

use crate::error::StoreError;

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// `sqlite://<path>` or `postgres://…`.
    pub url: String,
    /// How many connections at most.
    pub max_connections: u32,
    /// How long a caller waits for a connection or a statement before it is told that
    /// the database is unavailable. Keep it under a second.
    pub timeout: Duration,
}

/// A database that has been migrated to this version. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: sqlx::AnyPool,
}

/// One transaction that writes. Dropped without [`WriteTransaction::commit`], nothing happened.
pub struct WriteTransaction {
    transaction: sqlx::Transaction<'static, sqlx::Any>,
}

impl Database {
    /// Connects and brings the schema up to date.
    ///
    /// # Errors
    /// When the database cannot be reached, or is of a newer version than this program.
    pub async fn connect(options: &DatabaseOptions) -> Result<Self, StoreError> {
        let _ = options;
        unimplemented!()
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let _ = &self.pool;
        unimplemented!()
    }

    /// Begins a transaction that writes. On SQLite it takes the write lock at once.
    ///
    /// # Errors
    /// When the database cannot be reached, or the lock cannot be had in time.
    pub async fn write(&self) -> Result<WriteTransaction, StoreError> {
        unimplemented!()
    }
}

impl WriteTransaction {
    /// Makes everything in it durable and tells other nodes what changed.
    ///
    /// # Errors
    /// When it is unknown or certain that nothing was written.
    pub async fn commit(self) -> Result<(), StoreError> {
        let _ = self.transaction;
        unimplemented!()
    }
}
