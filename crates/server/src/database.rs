//! Opening the database that the settings name.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use anyhow::Context;
use store::{Database, DatabaseOptions};

use crate::settings::{Settings, seconds};

/// Opens the database and brings its schema up to date. Makes the data directory,
/// readable by its owner only, where there is none.
///
/// # Errors
/// When the directory cannot be made or the database cannot be reached.
pub async fn open(settings: &Settings) -> anyhow::Result<Database> {
    make_data_dir(settings)?;
    let options = DatabaseOptions {
        url: settings.database_url(),
        max_connections: settings.database.max_connections,
        timeout: seconds(settings.database.timeout_seconds),
    };
    Database::connect(&options)
        .await
        .context("the database cannot be used")
}

/// Makes the data directory, unless it is there.
///
/// # Errors
/// When it cannot be made.
pub fn make_data_dir(settings: &Settings) -> anyhow::Result<()> {
    let path = &settings.server.data_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the data directory {}", path.display()))?;
    if looseness(path) == Some(Looseness::Writable) {
        let path = path.display();
        tracing::warn!(data_dir = %path, "other users can change the data directory: chmod 700 it");
    }
    Ok(())
}

/// What other users of the machine may do in the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looseness {
    /// Copy all that is not a secret.
    Readable,
    /// Put another database in the place of this one.
    Writable,
}

/// What others may do in `data_dir`, if anything.
#[must_use]
pub fn looseness(data_dir: &Path) -> Option<Looseness> {
    let mode = std::fs::metadata(data_dir).ok()?.mode();
    match (mode & 0o022, mode & 0o055) {
        (0, 0) => None,
        (0, _) => Some(Looseness::Readable),
        _ => Some(Looseness::Writable),
    }
}

/// The same for a command that must make nothing: none where the SQLite file is not there.
///
/// # Errors
/// When the database cannot be reached.
pub async fn open_existing(settings: &Settings) -> anyhow::Result<Option<Database>> {
    let url = settings.database_url();
    let file = url
        .strip_prefix("sqlite:")
        .map(|path| path.trim_start_matches("//"));
    let is_missing = file.is_some_and(|path| {
        let path = path.split('?').next().unwrap_or(path);
        !std::path::Path::new(path).exists()
    });
    if is_missing {
        return Ok(None);
    }
    open(settings).await.map(Some)
}
