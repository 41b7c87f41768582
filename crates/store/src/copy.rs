//! A copy of a whole database, for a backup.

use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _};

use crate::Database;
use crate::engine::Engine;
use crate::error::StoreError;

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The file is complete.
    Whole,
    /// This engine's own tools make copies; nothing was done.
    NotOurs,
}

/// Copies a SQLite database, as it is at one moment, to a file that must not exist yet.
/// Servers go on reading and writing meanwhile. PostgreSQL is left to `pg_dump`.
///
/// # Errors
/// When the file exists or cannot be written.
pub async fn copy_into(database: &Database, path: &Path) -> Result<Copied, StoreError> {
    match database.0.engine {
        Engine::Postgres => return Ok(Copied::NotOurs),
        Engine::Sqlite => {}
    }
    let path = path.to_str().ok_or_else(|| {
        StoreError::Database("the path of the copy is not valid UTF-8".to_owned())
    })?;
    // A connection of its own: a large copy takes longer than a pool's may.
    let mut connection = database.0.connect_options.connect().await?;
    let copied = sqlx::query("VACUUM INTO $1")
        .bind(path.to_owned())
        .execute(&mut connection)
        .await;
    connection.close().await?;
    copied?;
    Ok(Copied::Whole)
}
