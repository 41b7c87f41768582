//! The vault from outside: over a storage in memory that can be made to fail, and root key
//! files in temporary directories.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails, also in its helpers"
)]

mod backup;
mod embedded;
mod root_key_file;
mod rotation;
mod start;
mod support;
