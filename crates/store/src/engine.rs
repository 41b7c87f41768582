//! The two engines and what differs between them: how to connect, how a session is set
//! up, how a transaction that writes begins.

use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, Executor as _};

use crate::error::StoreError;

/// How long a statement waits for a row or the write lock that another holds, before it
/// is told [`StoreError::Busy`]. Longer than a write takes, shorter than a caller waits.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Which database is behind the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A file beside the server.
    Sqlite,
    /// A server, perhaps shared by several replicas.
    Postgres,
}

/// A session of SQLite. `synchronous=FULL` makes a commit survive a power cut also in WAL
/// mode, and `secure_delete` overwrites what is deleted, sealed secrets among it.
const SQLITE_SESSION: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = ON;
";

/// A session of PostgreSQL. Claims rely on `read committed`, acknowledgements on
/// `synchronous_commit`. The time limits end what a lost client left behind, and
/// `client_connection_check_interval` notices that client in the midst of a wait.
/// Warnings are silenced for the sake of [`Engine::clear`].
const POSTGRES_SESSION: &str = "
    SET application_name = 'quartermaster';
    SET default_transaction_isolation = 'read committed';
    SET synchronous_commit = on;
    SET lock_timeout = '5s';
    SET statement_timeout = '10s';
    SET idle_in_transaction_session_timeout = '15s';
    SET client_connection_check_interval = '1s';
    SET client_min_messages = error;
";

impl Engine {
    /// Tells the engine from the scheme of a URL, and makes of the URL what the driver
    /// takes.
    pub(crate) fn of(url: &str) -> Result<(Self, AnyConnectOptions), StoreError> {
        let (engine, url) = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            (Self::Postgres, url.to_owned())
        } else if let Some(path) = url.strip_prefix("sqlite:") {
            (
                Self::Sqlite,
                sqlite_url(path.strip_prefix("//").unwrap_or(path))?,
            )
        } else {
            return Err(StoreError::Database(
                "the database URL begins with neither `sqlite://` nor `postgres://`".to_owned(),
            ));
        };
        let options = url.parse().map_err(|_| {
            // The URL may hold a password, so it is not repeated.
            StoreError::Database("the database URL cannot be read".to_owned())
        })?;
        Ok((engine, options))
    }

    /// Prepares a new connection.
    pub(crate) async fn set_up(self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let session = match self {
            Self::Sqlite => SQLITE_SESSION,
            Self::Postgres => POSTGRES_SESSION,
        };
        connection.execute(sqlx::raw_sql(session)).await?;
        Ok(())
    }

    /// Makes a connection that was given back fit for the next user.
    ///
    /// A caller that gives up while `BEGIN` is on its way leaves PostgreSQL in a
    /// transaction that the driver knows nothing of; what the next user writes would never
    /// be committed. So a rollback is sent always, which does nothing where there is no
    /// transaction. SQLite's driver undoes such a `BEGIN` itself.
    pub(crate) async fn clear(self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite => sqlx::Connection::ping(connection).await,
            Self::Postgres => connection.execute("ROLLBACK").await.map(drop),
        }
    }

    /// Begins a transaction that writes. SQLite's takes the write lock at once, since one
    /// that starts to read cannot always be turned into one that writes.
    pub(crate) const fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }
}

/// The driver's URL for the file at `path`, which is taken as it is: nothing in it is
/// percent-encoded and it has no parameters. The file is made, readable by its owner only.
fn sqlite_url(path: &str) -> Result<String, StoreError> {
    // A habit from other programs, which would silently make a file of an odd name.
    if path.contains('?') {
        return Err(StoreError::Database(format!(
            "the database URL names the file `{path}`: it takes no parameters, so no `?`"
        )));
    }
    let unavailable =
        |error: std::io::Error| StoreError::Unavailable(format!("database file `{path}`: {error}"));
    let absolute = std::path::absolute(path).map_err(unavailable)?;
    make_private_file(&absolute).map_err(unavailable)?;
    let mut url = "sqlite://".to_owned();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.push_str("?mode=rwc");
    Ok(url)
}

fn make_private_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is_and_has_no_parameters() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b#d%20é.db");
        let url = sqlite_url(path.to_str().unwrap()).unwrap();
        assert!(url.ends_with("/a%20b%23d%2520%C3%A9.db?mode=rwc"), "{url}");
        assert!(path.exists());
        assert!(sqlite_url("store.db?mode=rwc").is_err());
        assert!(!Path::new("store.db?mode=rwc").exists());
    }

    #[test]
    fn an_unknown_scheme_and_a_password_are_not_repeated() {
        for url in ["mysql://u:hunter2@h/d", "postgres://u:hunter2@[h/d"] {
            let error = Engine::of(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
