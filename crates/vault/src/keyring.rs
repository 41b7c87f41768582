//! The root keys of a running process, kept in step with their file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use domain::clock::{Clock, Entropy};

use crate::VaultError;
use crate::root_key::{HashPurpose, RootKey, RootKeySet};
use crate::root_key_file::{self, Fingerprint};

/// The root keys. Cheap to share; follows the file when a rotation replaces it, so that
/// a rotation needs no restart.
///
/// A file that becomes unreadable while the process runs changes nothing: the keys in
/// memory go on.
pub struct RootKeyring {
    path: Option<PathBuf>,
    loaded: RwLock<Loaded>,
}

struct Loaded {
    set: Arc<RootKeySet>,
    /// The root keys that the storage was last seen to use.
    in_use: Vec<String>,
    /// What the file looked like when it was last read or refused.
    seen: Option<Fingerprint>,
}

impl RootKeyring {
    /// Reads the root key file.
    ///
    /// # Errors
    /// When there is none, or it is not safe, or not a root key file.
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        Self::load_if_present(path)?.ok_or_else(|| {
            VaultError::RootKey(format!("there is no root key file {}", path.display()))
        })
    }

    /// Reads the root key file; none when there is none.
    ///
    /// # Errors
    /// When it is not safe, or not a root key file.
    pub fn load_if_present(path: &Path) -> Result<Option<Self>, VaultError> {
        let read = root_key_file::read(path)?;
        Ok(read.map(|(set, fingerprint)| Self {
            path: Some(path.to_owned()),
            loaded: RwLock::new(Loaded {
                set: Arc::new(set),
                in_use: Vec::new(),
                seen: Some(fingerprint),
            }),
        }))
    }

    /// Writes a new file with one new key.
    ///
    /// Only for a database that holds nothing sealed: [`crate::start::open`] sees to that.
    pub(crate) fn create(
        path: &Path,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, VaultError> {
        let set = RootKeySet::of(RootKey::generate(clock, entropy)?);
        root_key_file::create(path, &set, entropy)?;
        Self::load(path)
    }

    /// A keyring of one new key that is nowhere but in memory, for tests.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn in_memory(clock: &dyn Clock, entropy: &dyn Entropy) -> Result<Self, VaultError> {
        Ok(Self {
            path: None,
            loaded: RwLock::new(Loaded {
                set: Arc::new(RootKeySet::of(RootKey::generate(clock, entropy)?)),
                in_use: Vec::new(),
                seen: None,
            }),
        })
    }

    /// The keys as the file has them now.
    pub fn keys(&self) -> Arc<RootKeySet> {
        let (keys, seen) = self.loaded();
        let Some(path) = &self.path else {
            return keys;
        };
        let now = Fingerprint::at(path);
        if now.is_none() || now == seen {
            return keys;
        }
        match root_key_file::read(path) {
            Ok(Some((set, fingerprint))) => self.remember(set, Some(fingerprint)),
            Ok(None) => keys,
            Err(error) => {
                tracing::warn!(%error, "the changed root key file is not used; the keys in memory go on");
                self.remember(RootKeySet::clone(&keys), now)
            }
        }
    }

    /// The keys, given the ids of those that the storage uses. A prepared key that is in
    /// use was rotated in on another machine: it counts as current here too, although
    /// this machine's file is behind.
    pub(crate) fn keys_in_use(&self, in_use: Vec<String>) -> Arc<RootKeySet> {
        let keys = self.keys();
        let seen = {
            let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
            loaded.in_use = in_use;
            loaded.seen
        };
        self.remember(RootKeySet::clone(&keys), seen)
    }

    /// Hashes `data` with the current root key; gives the key's id too, to be stored
    /// beside the hash, so that it can be computed again after a rotation.
    ///
    /// Where `data` has several parts, join them with
    /// [`join_fields`](crate::root_key::join_fields).
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn keyed_hash(
        &self,
        purpose: HashPurpose,
        data: &[u8],
    ) -> Result<(String, [u8; 32]), VaultError> {
        let keys = self.keys();
        let key = keys.current();
        Ok((key.id().to_owned(), key.keyed_hash(purpose, data)?))
    }

    /// Hashes `data` with the root key of this id.
    ///
    /// # Errors
    /// When there is no such key any more.
    pub fn keyed_hash_under(
        &self,
        root_key_id: &str,
        purpose: HashPurpose,
        data: &[u8],
    ) -> Result<[u8; 32], VaultError> {
        let keys = self.keys();
        let key = keys
            .by_id(root_key_id)
            .ok_or_else(|| self.missing(root_key_id))?;
        key.keyed_hash(purpose, data)
    }

    /// Hashes `data` with every root key there is, the current one first: for finding
    /// what was stored under a hash before a rotation.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn keyed_hashes(
        &self,
        purpose: HashPurpose,
        data: &[u8],
    ) -> Result<Vec<(String, [u8; 32])>, VaultError> {
        let keys = self.keys();
        let current = keys.current();
        let others = keys
            .iter()
            .map(|(_, key)| key)
            .filter(|key| key.id() != current.id());
        std::iter::once(current)
            .chain(others)
            .map(|key| Ok((key.id().to_owned(), key.keyed_hash(purpose, data)?)))
            .collect()
    }

    pub(crate) fn missing(&self, id: &str) -> VaultError {
        let place = match &self.path {
            Some(path) => format!("the root key file {}", path.display()),
            None => "the keys in memory".to_owned(),
        };
        VaultError::RootKey(format!(
            "the root key {id} is not in {place}, but what is stored needs it; put back the file \
             that holds it"
        ))
    }

    fn loaded(&self) -> (Arc<RootKeySet>, Option<Fingerprint>) {
        // Whoever panicked while holding the lock left whole values behind.
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&loaded.set), loaded.seen)
    }

    fn remember(&self, mut set: RootKeySet, seen: Option<Fingerprint>) -> Arc<RootKeySet> {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        set.catch_up(loaded.in_use.iter().map(String::as_str));
        loaded.set = Arc::new(set);
        loaded.seen = seen;
        Arc::clone(&loaded.set)
    }
}
