//! Brings the schema up to date when a server starts.
//!
//! All pending migrations run in one transaction under one lock, on a connection without
//! the pool's time limits. Two servers that start together wait for one another, and a
//! migration that fails leaves the schema as it was.

use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tokio::time::{Instant, sleep, timeout};

use crate::engine::Engine;
use crate::error::StoreError;

/// What each version of the schema adds, oldest first. A migration that has been
/// published is never edited: append the next one, to both columns.
const MIGRATIONS: [(&str, &str); 4] = [
    (
        include_str!("../migrations/sqlite/0001_initial.sql"),
        include_str!("../migrations/postgres/0001_initial.sql"),
    ),
    (
        include_str!("../migrations/sqlite/0002_roles_and_credentials.sql"),
        include_str!("../migrations/postgres/0002_roles_and_credentials.sql"),
    ),
    (
        include_str!("../migrations/sqlite/0003_usage.sql"),
        include_str!("../migrations/postgres/0003_usage.sql"),
    ),
    (
        include_str!("../migrations/sqlite/0004_rate_limits.sql"),
        include_str!("../migrations/postgres/0004_rate_limits.sql"),
    ),
];

/// How long to wait for a connection, and for another server that migrates.
const PATIENCE: Duration = Duration::from_secs(60);

/// "quarterm" in ASCII: no other program locks this number by chance.
const LOCK: &str = "SELECT pg_advisory_xact_lock(8175554633033904749)";

/// Applies what `options`' database lacks.
pub(crate) async fn run(engine: Engine, options: &AnyConnectOptions) -> Result<(), StoreError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match timeout(PATIENCE, attempt(engine, options)).await {
            // Another process turns the same new file into WAL mode, which SQLite does
            // not wait for.
            Ok(Err(StoreError::Busy)) if Instant::now() < deadline => {
                sleep(Duration::from_millis(50)).await;
            }
            Ok(outcome) => return outcome,
            Err(_) => {
                return Err(StoreError::Unavailable(
                    "no answer while migrating the schema".to_owned(),
                ));
            }
        }
    }
}

async fn attempt(engine: Engine, options: &AnyConnectOptions) -> Result<(), StoreError> {
    let mut connection = options.connect().await?;
    engine.set_up(&mut connection).await?;
    if engine == Engine::Postgres {
        connection
            .execute(sqlx::raw_sql(
                "SET lock_timeout = 0; SET statement_timeout = 0; \
                 SET idle_in_transaction_session_timeout = 0;",
            ))
            .await?;
    }
    let mut transaction = connection.begin_with(engine.begin()).await?;
    if engine == Engine::Postgres {
        transaction.execute(LOCK).await?;
    }
    let applied = migrate(engine, &mut transaction).await?;
    transaction.commit().await?;
    if applied > 0 {
        tracing::info!(
            schema.applied = applied,
            "brought the database schema up to date"
        );
    }
    connection.close().await?;
    Ok(())
}

async fn migrate(engine: Engine, connection: &mut AnyConnection) -> Result<usize, StoreError> {
    connection
        .execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .await?;
    let row = connection
        .fetch_one("SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM schema_version")
        .await?;
    let version: i64 = row.try_get(0)?;
    let present = usize::try_from(version).unwrap_or_default();
    if present > MIGRATIONS.len() {
        return Err(StoreError::Database(format!(
            "its schema has version {present} and this program knows {}: it was used by a newer \
             version of Quartermaster, which is the one to start",
            MIGRATIONS.len()
        )));
    }
    for (number, (sqlite, postgres)) in (1_i64..).zip(MIGRATIONS).skip(present) {
        let script = match engine {
            Engine::Sqlite => sqlite,
            Engine::Postgres => postgres,
        };
        connection.execute(sqlx::raw_sql(script)).await?;
        connection
            .execute(sqlx::query("INSERT INTO schema_version (version) VALUES ($1)").bind(number))
            .await?;
    }
    Ok(MIGRATIONS.len() - present)
}
