//! Opening the vault at start: the root keys must fit what is stored, or nothing starts.

use std::path::Path;
use std::sync::Arc;

use domain::clock::{Clock, Entropy};

use crate::backend::embedded::EmbeddedVault;
use crate::envelope;
use crate::keyring::RootKeyring;
use crate::{SealedStorage, VaultError};

/// Opens the embedded vault.
///
/// A storage that holds nothing sealed gets a new root key file where there is none yet;
/// any other storage needs the file that holds its root keys. Nothing is written before
/// everything has been checked.
///
/// # Errors
/// [`VaultError::RootKey`] when the file is missing, unsafe or not the one that the
/// stored rows need; the message names the file or the key id, and what to do.
pub async fn open(
    storage: Arc<dyn SealedStorage>,
    root_key_file: &Path,
    clock: &dyn Clock,
    entropy: Arc<dyn Entropy>,
) -> Result<EmbeddedVault, VaultError> {
    let root_keys = match RootKeyring::load_if_present(root_key_file)? {
        Some(root_keys) => admit(storage.as_ref(), root_keys, entropy.as_ref()).await?,
        None => first_start(storage.as_ref(), root_key_file, clock, entropy.as_ref()).await?,
    };
    Ok(EmbeddedVault::new(storage, Arc::new(root_keys), entropy))
}

/// Opens a vault whose root key is nowhere but in memory, for tests.
///
/// # Errors
/// When the storage holds something already.
pub async fn open_in_memory(
    storage: Arc<dyn SealedStorage>,
    clock: &dyn Clock,
    entropy: Arc<dyn Entropy>,
) -> Result<EmbeddedVault, VaultError> {
    let root_keys = RootKeyring::in_memory(clock, entropy.as_ref())?;
    let root_keys = admit(storage.as_ref(), root_keys, entropy.as_ref()).await?;
    Ok(EmbeddedVault::new(storage, Arc::new(root_keys), entropy))
}

/// What the storage says about root keys.
pub(crate) struct Stored {
    pub(crate) canaries: Vec<(String, Vec<u8>)>,
    pub(crate) organization_keys: Vec<(String, u64)>,
    pub(crate) secrets: u64,
}

impl Stored {
    pub(crate) async fn read(storage: &dyn SealedStorage) -> Result<Self, VaultError> {
        Ok(Self {
            canaries: storage.canaries().await?,
            organization_keys: storage.organization_keys_by_root_key().await?,
            secrets: storage.sealed_secret_count().await?,
        })
    }

    fn is_empty(&self) -> bool {
        self.canaries.is_empty() && self.organization_keys.is_empty() && self.secrets == 0
    }

    /// The root keys that something stored needs, each once, in order of their ids.
    pub(crate) fn needed(&self) -> Vec<&str> {
        let canaries = self.canaries.iter().map(|(id, _)| id.as_str());
        let organization_keys = self.organization_keys.iter().map(|(id, _)| id.as_str());
        let mut ids: Vec<_> = canaries.chain(organization_keys).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Whether the root keys are those that the storage needs.
    pub(crate) fn check(&self, root_keys: &RootKeyring) -> Result<(), VaultError> {
        let keys = root_keys.keys();
        for id in self.needed() {
            if keys.by_id(id).is_none() {
                return Err(root_keys.missing(id));
            }
        }
        for (id, canary) in &self.canaries {
            let Some(key) = keys.by_id(id) else { continue };
            envelope::open_canary(key, canary).map_err(|_| {
                VaultError::RootKey(format!(
                    "the root key {id} does not open its canary: it is not the key that this \
                     database was sealed with, or the canary was changed. Put back the right root \
                     key file, or restore the database"
                ))
            })?;
        }
        Ok(())
    }
}

/// Gives the root keys back if they fit what is stored.
async fn admit(
    storage: &dyn SealedStorage,
    root_keys: RootKeyring,
    entropy: &dyn Entropy,
) -> Result<RootKeyring, VaultError> {
    let stored = Stored::read(storage).await?;
    stored.check(&root_keys)?;
    match claim_canary(storage, &stored, &root_keys, entropy).await? {
        Claim::Held => Ok(root_keys),
        Claim::Lost(error) => Err(error),
    }
}

async fn first_start(
    storage: &dyn SealedStorage,
    root_key_file: &Path,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<RootKeyring, VaultError> {
    let stored = Stored::read(storage).await?;
    if !stored.is_empty() {
        let why = refusal_without_file(&stored, root_key_file);
        return Err(VaultError::RootKey(why));
    }
    let root_keys = match RootKeyring::create(root_key_file, clock, entropy) {
        Ok(root_keys) => root_keys,
        Err(error) => match RootKeyring::load_if_present(root_key_file)? {
            // Another process on this machine was a moment faster.
            Some(root_keys) => return admit(storage, root_keys, entropy).await,
            None => return Err(error),
        },
    };
    if let Claim::Lost(error) = claim_canary(storage, &stored, &root_keys, entropy).await? {
        // Nothing is sealed under this key, and its file would stand in the way of the
        // right one. After any other failure the file stays: its canary may be stored.
        std::fs::remove_file(root_key_file).ok();
        return Err(error);
    }
    tracing::warn!(
        vault.root_key_file = %root_key_file.display(),
        vault.root_key_id = root_keys.keys().current().id(),
        "made a new root key: keep a copy of this file apart from the copies of the database, \
         without it no stored key can be read again"
    );
    Ok(root_keys)
}

fn refusal_without_file(stored: &Stored, root_key_file: &Path) -> String {
    let needed = stored.needed();
    let which = if needed.is_empty() {
        "their root key".to_owned()
    } else {
        format!("the root key {}", needed.join(" and "))
    };
    format!(
        "the database holds sealed rows, but the root key file {} is not there. Put back the file \
         that holds {which}, or name it in vault.root_key_file; a new key would not open them",
        root_key_file.display()
    )
}

/// Whose root key a storage belongs to.
enum Claim {
    Held,
    /// Another process was first; this one's canary is gone again.
    Lost(VaultError),
}

/// Sees to it that the current root key has a canary.
///
/// Two servers that start at the same time over one empty database may each have made a
/// root key. Each writes its canary and then looks: who sees another's takes its own away
/// and refuses. At least one of them sees the other, so no two keys are ever used.
async fn claim_canary(
    storage: &dyn SealedStorage,
    stored: &Stored,
    root_keys: &RootKeyring,
    entropy: &dyn Entropy,
) -> Result<Claim, VaultError> {
    let in_use = stored.canaries.iter().map(|(id, _)| id.clone()).collect();
    let keys = root_keys.keys_in_use(in_use);
    let current = keys.current();
    if stored.canaries.iter().any(|(id, _)| id == current.id()) {
        return Ok(Claim::Held);
    }
    let canary = envelope::seal_canary(current, entropy)?;
    storage.insert_canary(current.id(), &canary).await?;
    let after = Stored::read(storage).await?;
    if let Err(error) = after.check(root_keys) {
        storage.delete_canary(current.id()).await?;
        return Ok(Claim::Lost(error));
    }
    Ok(Claim::Held)
}
