//! The embedded vault: sealed rows in our own database.
