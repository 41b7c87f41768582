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
    let is_missing = sqlite_file(&settings.database_url()).is_some_and(|file| !file.exists());
    if is_missing {
        return Ok(None);
    }
    open(settings).await.map(Some)
}

/// Where the database is, to be shown to a person: a file's whole path, or an address
/// without its password and options.
#[must_use]
pub fn place(settings: &Settings) -> String {
    let url = settings.database_url();
    if let Some(file) = sqlite_file(&url) {
        let whole = std::path::absolute(file);
        return whole.map_or_else(
            |_| file.display().to_string(),
            |path| path.display().to_string(),
        );
    }
    let Ok(mut url) = url::Url::parse(&url) else {
        return "the database of `database.url`".to_owned();
    };
    // It fails where there is no host, and then there is no password either.
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

/// The file of a SQLite database.
fn sqlite_file(url: &str) -> Option<&Path> {
    let path = url.strip_prefix("sqlite:")?.trim_start_matches("//");
    Some(Path::new(path.split('?').next().unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::place;
    use crate::settings::{SettingsSource, load};

    #[test]
    fn a_database_is_shown_without_its_password() {
        for (url, shown) in [
            ("sqlite:///var/lib/q.db?mode=rwc", "/var/lib/q.db"),
            (
                "postgres://quartermaster:secret@db.example/q?password=secret",
                "postgres://quartermaster@db.example/q",
            ),
        ] {
            let flags = vec![("database.url", url.to_owned())];
            let settings = load(&SettingsSource { file: None, flags }).unwrap();
            assert_eq!(place(&settings), shown);
        }
    }
}
