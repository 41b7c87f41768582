//! The connection pool, and what reads from it.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::any::{AnyArguments, AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyPool, ConnectOptions as _, Connection as _};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub use crate::transaction::WriteTransaction;

use crate::engine::Engine;
use crate::error::StoreError;
use crate::migrations;

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
pub struct Database(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) pool: AnyPool,
    pub(crate) engine: Engine,
    pub(crate) connect_options: AnyConnectOptions,
    pub(crate) timeout: Duration,
    /// SQLite has one writer at a time. Waiting here is fair and wakes at once; waiting in
    /// SQLite is polling. PostgreSQL's writers never wait here.
    pub(crate) writers: Arc<Semaphore>,
    /// The number of the last change that this process committed, for its own feeds.
    pub(crate) committed: watch::Sender<i64>,
}

/// How long a report may take: less than a handler of the control plane may.
const PATIENCE: Duration = Duration::from_secs(8);

/// One statement with its arguments bound.
pub(crate) type Statement = Query<'static, Any, AnyArguments>;

impl Database {
    /// Connects and brings the schema up to date.
    ///
    /// # Errors
    /// When the database cannot be reached, or is of a newer version than this program.
    pub async fn connect(options: &DatabaseOptions) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (engine, connect_options) = Engine::of(&options.url)?;
        migrations::run(engine, &connect_options).await?;
        let pool = pool_options(engine, options).connect_lazy_with(connect_options.clone());
        let writers = match engine {
            Engine::Sqlite => 1,
            Engine::Postgres => Semaphore::MAX_PERMITS,
        };
        Ok(Self(Arc::new(Shared {
            pool,
            engine,
            connect_options,
            timeout: options.timeout,
            writers: Arc::new(Semaphore::new(writers)),
            committed: watch::Sender::new(0),
        })))
    }

    /// Closes every connection, once it is idle; SQLite then has everything in its one file.
    pub async fn close(&self) {
        self.0.pool.close().await;
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.fetch(sqlx::query("SELECT 1")).await.map(drop)
    }

    /// Begins a transaction that writes. On SQLite it takes the write lock at once.
    ///
    /// # Errors
    /// When the database cannot be reached, or the lock cannot be had in time.
    pub async fn write(&self) -> Result<WriteTransaction, StoreError> {
        WriteTransaction::begin(self).await
    }

    /// Reads all rows of one statement. The limit holds for each row and not for all, so
    /// that a long list is no outage.
    pub(crate) async fn fetch(&self, statement: Statement) -> Result<Vec<AnyRow>, StoreError> {
        self.fetch_within(statement, self.0.timeout).await
    }

    /// The same for a statement that adds up many rows before it has a first one to give.
    pub(crate) async fn fetch_patiently(
        &self,
        statement: Statement,
    ) -> Result<Vec<AnyRow>, StoreError> {
        self.fetch_within(statement, PATIENCE).await
    }

    async fn fetch_within(
        &self,
        statement: Statement,
        limit: Duration,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let mut stream = statement.fetch(&self.0.pool);
        let mut rows = Vec::new();
        loop {
            let row = timeout(limit, stream.try_next()).await;
            match row.map_err(|_| no_answer())?? {
                Some(row) => rows.push(row),
                None => return Ok(rows),
            }
        }
    }

    /// Runs one statement in a transaction of its own; returns how many rows it touched.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let touched = transaction.execute(statement).await?;
        transaction.commit().await?;
        Ok(touched)
    }

    /// Whether a new connection is answered. Tells a server that hangs from one that
    /// makes us wait for a lock, also when all connections of the pool are waiting.
    pub(crate) async fn is_alive(&self, patience: Duration) -> bool {
        match timeout(patience, self.0.connect_options.connect()).await {
            Ok(Ok(connection)) => {
                let _ = timeout(patience, connection.close()).await;
                true
            }
            // It has no place for one more, and says so.
            Ok(Err(sqlx::Error::Database(error))) => error.code().as_deref() == Some("53300"),
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

pub(crate) fn no_answer() -> StoreError {
    StoreError::Unavailable("no answer in time".to_owned())
}

/// A connection that was abandoned in the midst of a statement (its caller gave up, or
/// went away) must prove itself before it is used again. Without a limit on that proof, a
/// server that hangs would hold every connection of the pool, and a partitioned network
/// would hold them until the kernel gives up, a quarter of an hour later.
fn pool_options(engine: Engine, options: &DatabaseOptions) -> AnyPoolOptions {
    let limit = options.timeout;
    AnyPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(limit)
        .after_connect(move |connection, _| Box::pin(engine.set_up(connection)))
        .after_release(move |connection, _| {
            Box::pin(async move {
                let proof = timeout(limit, engine.clear(connection)).await;
                Ok(matches!(proof, Ok(Ok(()))))
            })
        })
}
