//! Copies of the root key file. Copies of the database are the server's business; the
//! two belong in different places, since together they are every secret in the clear.

use std::fs;
use std::path::Path;

use domain::clock::Entropy;
use domain::secret::Secret;

use crate::keyring::RootKeyring;
use crate::operations::passphrase;
use crate::root_key::RootKeySet;
use crate::root_key_file;
use crate::start::Stored;
use crate::{SealedStorage, VaultError};

/// Holds off rotations while a backup is made, until dropped: between the copies of the
/// database and of the root keys, a rotation could leave a pair that does not fit.
pub struct RotationHold {
    _lock: fs::File,
}

/// Holds off rotations of this root key file.
///
/// # Errors
/// When one is under way.
pub fn hold_rotation(root_key_file: &Path) -> Result<RotationHold, VaultError> {
    let lock = root_key_file::lock(root_key_file)?;
    Ok(RotationHold { _lock: lock })
}

/// Copies a root key file, after checking it, to a place where nothing stands yet; with a
/// passphrase, the copy is sealed. Gives the ids of the keys in it.
///
/// # Errors
/// When `from` is missing, unsafe or no root key file, or `to` exists or cannot be written.
pub fn export_root_keys(
    from: &Path,
    to: &Path,
    passphrase: Option<&Secret>,
    entropy: &dyn Entropy,
) -> Result<Vec<String>, VaultError> {
    let Some((keys, _)) = root_key_file::read(from)? else {
        return Err(absent(from));
    };
    match passphrase {
        None => root_key_file::create(to, &keys, entropy)?,
        Some(passphrase) => {
            let sealed = passphrase::seal(&keys, passphrase, entropy)?;
            root_key_file::create_with(to, sealed.as_bytes(), entropy)?;
        }
    }
    Ok(ids(&keys))
}

/// Makes a root key file out of what [`export_root_keys`] made, where nothing stands yet.
/// Gives the ids of the keys in it.
///
/// # Errors
/// When `from` is missing, unsafe or no copy of root keys, is sealed with another
/// passphrase or there is none, or `to` exists or cannot be written.
pub fn import_root_keys(
    from: &Path,
    to: &Path,
    passphrase: Option<&Secret>,
    entropy: &dyn Entropy,
) -> Result<Vec<String>, VaultError> {
    let keys = match (is_sealed(from)?, passphrase) {
        (false, _) => root_key_file::read(from)?
            .map(|(keys, _)| keys)
            .ok_or_else(|| absent(from))?,
        (true, Some(passphrase)) => {
            let text = fs::read_to_string(from).map_err(|error| unreadable(from, &error))?;
            passphrase::open(&text, passphrase).map_err(|why| {
                VaultError::RootKey(format!("the copy of root keys {} {why}", from.display()))
            })?
        }
        (true, None) => {
            return Err(VaultError::RootKey(format!(
                "the copy of root keys {} is sealed with a passphrase, and none was given",
                from.display()
            )));
        }
    };
    root_key_file::create(to, &keys, entropy)?;
    Ok(ids(&keys))
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

/// Whether a copy of root keys needs a passphrase.
///
/// # Errors
/// When the file cannot be read.
pub fn is_sealed(path: &Path) -> Result<bool, VaultError> {
    use std::io::Read as _;
    let mut start = [0; passphrase::FIRST_LINE.len()];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    match read {
        Ok(()) => Ok(start == *passphrase::FIRST_LINE.as_bytes()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn ids(keys: &RootKeySet) -> Vec<String> {
    keys.iter().map(|(_, key)| key.id().to_owned()).collect()
}

fn absent(path: &Path) -> VaultError {
    VaultError::RootKey(format!("there is no root key file {}", path.display()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> VaultError {
    VaultError::RootKey(format!("{} cannot be read: {error}", path.display()))
}
