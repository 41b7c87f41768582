//! Places that keep secrets, one file each, all behind [`crate::VaultBackend`].

pub mod embedded;
mod organization_key_cache;
