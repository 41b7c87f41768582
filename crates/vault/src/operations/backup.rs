//! Copies of the root key file. Copies of the database are the server's business; the
//! two belong in different places, since together they are every secret in the clear.

use std::path::Path;

use domain::clock::Entropy;

use crate::root_key_file;
use crate::start::Stored;
use crate::{SealedStorage, VaultError, keyring::RootKeyring};

/// Copies a root key file, after checking it, to a place where nothing stands yet. Gives
/// the ids of the keys in it.
///
/// This is the export of a backup and the import of a restore.
///
/// # Errors
/// When `from` is missing, unsafe or no root key file, or `to` exists or cannot be written.
pub fn copy_root_keys(
    from: &Path,
    to: &Path,
    entropy: &dyn Entropy,
) -> Result<Vec<String>, VaultError> {
    let Some((set, _)) = root_key_file::read(from)? else {
        return Err(VaultError::RootKey(format!(
            "there is no root key file {}",
            from.display()
        )));
    };
    root_key_file::create(to, &set, entropy)?;
    Ok(set.iter().map(|(_, key)| key.id().to_owned()).collect())
}

/// Whether a root key file is the one that a storage needs. Changes neither.
///
/// # Errors
/// Names the root key that is missing or wrong.
pub async fn check_root_keys(
    storage: &dyn SealedStorage,
    root_key_file: &Path,
) -> Result<(), VaultError> {
    let root_keys = RootKeyring::load(root_key_file)?;
    Stored::read(storage).await?.check(&root_keys)
}
