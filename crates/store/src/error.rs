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
