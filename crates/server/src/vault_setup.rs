//! Opening the vault over the database.

use std::sync::Arc;

use store::Database;
use vault::VaultError;
use vault::backend::embedded::EmbeddedVault;

use crate::clock::{SystemClock, SystemEntropy};
use crate::sealed_storage::StoreSealedStorage;
use crate::settings::Settings;

/// Opens the vault; makes the root key on the first start of an empty database.
///
/// # Errors
/// When the root key is missing, wrong or readable by others.
pub async fn open(settings: &Settings, database: &Database) -> Result<EmbeddedVault, VaultError> {
    let storage = Arc::new(StoreSealedStorage::new(database.clone()));
    let file = settings.root_key_file();
    vault::start::open(storage, &file, &SystemClock, Arc::new(SystemEntropy)).await
}

/// Says whether the vault would open, and makes nothing.
///
/// # Errors
/// As [`open`].
pub async fn check(settings: &Settings, database: &Database) -> Result<String, VaultError> {
    let file = settings.root_key_file();
    let storage = StoreSealedStorage::new(database.clone());
    let status = vault::operations::status::status(&storage, &file).await?;
    if let Some(error) = &status.root_key_file_error {
        return Err(VaultError::RootKey(error.clone()));
    }
    if !status.is_healthy() {
        let why = "stored rows need a root key that is not in the file";
        return Err(VaultError::RootKey(why.to_owned()));
    }
    let keys = status.root_keys.len();
    Ok(format!(
        "root keys: {keys}, sealed secrets: {}",
        status.sealed_secrets
    ))
}
