//! What can go wrong in the store.

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or did not answer in time. Nothing was written,
    /// unless the failure came during a commit.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// A unique name or key is taken.
    #[error("{0} is taken")]
    Conflict(&'static str),
    /// Another transaction holds what this one needs; try again.
    #[error("another change is under way")]
    Busy,
    /// A row is not what we wrote.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
    /// The database refused for another reason.
    #[error("database: {0}")]
    Database(String),
}

impl StoreError {
    /// Names what is taken where the database reports that a unique index refuses a row.
    pub(crate) fn or_conflict(self, what: &'static str) -> Self {
        match self {
            Self::Conflict(_) => Self::Conflict(what),
            other => other,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => from_database(error.as_ref()),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. } => Self::Corrupt(error.to_string()),
            sqlx::Error::PoolTimedOut => Self::Unavailable("no connection came free".to_owned()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable(error.to_string()),
            other => Self::Database(other.to_string()),
        }
    }
}

/// Reads the code: five characters of SQL's `SQLSTATE` from PostgreSQL, a decimal result
/// code from SQLite (<https://www.sqlite.org/rescode.html>).
fn from_database(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    if error.is_unique_violation() {
        return StoreError::Conflict("a unique value");
    }
    let code = error.code().unwrap_or_default();
    // The message alone: `Display` adds the line of PostgreSQL's source that reported it.
    if let Some(sqlstate) = Some(code.as_ref()).filter(|code| code.len() == 5) {
        return match sqlstate {
            // lock_not_available, serialization_failure, deadlock_detected
            "55P03" | "40001" | "40P01" => StoreError::Busy,
            // query_canceled (by statement_timeout), idle_in_transaction_session_timeout,
            // read_only_sql_transaction (a standby after a failover)
            "57014" | "25P03" | "25006" => StoreError::Unavailable(error.message().to_owned()),
            // Connection exceptions, insufficient resources (a full disk too), operator
            // intervention, system errors.
            _ if ["08", "53", "57", "58"].contains(&&sqlstate[..2]) => {
                StoreError::Unavailable(error.message().to_owned())
            }
            _ => StoreError::Database(error.message().to_owned()),
        };
    }
    // The low byte of an extended result code is the primary one.
    match code.parse::<u32>().unwrap_or_default() & 0xff {
        // SQLITE_BUSY, SQLITE_LOCKED
        5 | 6 => StoreError::Busy,
        // SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN
        8 | 10 | 13 | 14 => StoreError::Unavailable(error.to_string()),
        // SQLITE_CORRUPT, SQLITE_NOTADB
        11 | 26 => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Database(error.to_string()),
    }
}
