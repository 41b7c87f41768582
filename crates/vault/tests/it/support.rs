//! A storage in memory, a house with one vault in it, and the world's clock and chance.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::clock::{self, Clock, Entropy};
use domain::id::{Alias, OrganizationId};
use domain::secret::Secret;
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;
use vault::backend::embedded::EmbeddedVault;
use vault::keyring::RootKeyring;
use vault::operations::rotate::Rotation;
use vault::root_key::RootKeyState;
use vault::{
    Binding, Deposit, Purpose, SealedSecret, SealedStorage, VaultBackend, VaultError,
    WrappedOrganizationKey,
};

pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }
}

/// Where a call to the storage fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing was done.
    Before,
    /// It was done, but the answer was lost.
    After,
}

#[derive(Clone, Default)]
pub(crate) struct Rows {
    pub(crate) secrets: HashMap<Alias, SealedSecret>,
    pub(crate) organization_keys: BTreeMap<Option<OrganizationId>, WrappedOrganizationKey>,
    pub(crate) canaries: BTreeMap<String, Vec<u8>>,
}

/// Rows in memory, with the promises that [`SealedStorage`] asks for.
#[derive(Default)]
pub(crate) struct MemoryStorage {
    pub(crate) rows: Mutex<Rows>,
    calls: AtomicU64,
    fault: Mutex<Option<(u64, Fault)>>,
    /// What another process does at the moment of the n-th call.
    pub(crate) meanwhile: Mutex<Option<(u64, Interference)>>,
}

type Interference = Box<dyn FnOnce(&mut Rows) + Send>;

impl MemoryStorage {
    /// From now on the `call`-th call (from 0), and all that follow, fail.
    pub(crate) fn break_at(&self, call: u64, fault: Fault) {
        self.calls.store(0, Ordering::SeqCst);
        *self.fault.lock().unwrap() = Some((call, fault));
    }

    pub(crate) fn mend(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// Another process does something just before the `call`-th call from now.
    pub(crate) fn interfere_at(&self, call: u64, interference: Interference) {
        self.calls.store(0, Ordering::SeqCst);
        *self.meanwhile.lock().unwrap() = Some((call, interference));
    }

    pub(crate) fn snapshot(&self) -> Rows {
        self.rows.lock().unwrap().clone()
    }

    fn call<T>(
        &self,
        work: impl FnOnce(&mut Rows) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let fault = *self.fault.lock().unwrap();
        let lost = || Err(VaultError::Unavailable("the test broke it".to_owned()));
        let mut rows = self.rows.lock().unwrap();
        let mut meanwhile = self.meanwhile.lock().unwrap();
        if meanwhile.as_ref().is_some_and(|(at, _)| *at == call) {
            let (_, interference) = meanwhile.take().unwrap();
            interference(&mut rows);
        }
        match fault {
            Some((at, Fault::Before)) if call >= at => lost(),
            Some((at, Fault::After)) if call > at => lost(),
            Some((at, Fault::After)) if call == at => {
                work(&mut rows)?;
                lost()
            }
            _ => work(&mut rows),
        }
    }
}

#[async_trait]
impl SealedStorage for MemoryStorage {
    async fn sealed_secret(&self, alias: &Alias) -> Result<Option<SealedSecret>, VaultError> {
        self.call(|rows| Ok(rows.secrets.get(alias).cloned()))
    }

    async fn delete_sealed_secret(&self, alias: &Alias) -> Result<(), VaultError> {
        self.call(|rows| {
            rows.secrets.remove(alias);
            Ok(())
        })
    }

    async fn organization_key(
        &self,
        organization_id: Option<OrganizationId>,
    ) -> Result<Option<WrappedOrganizationKey>, VaultError> {
        self.call(|rows| Ok(rows.organization_keys.get(&organization_id).cloned()))
    }

    async fn insert_organization_key(
        &self,
        key: WrappedOrganizationKey,
    ) -> Result<WrappedOrganizationKey, VaultError> {
        self.call(|rows| {
            if !rows.canaries.contains_key(&key.root_key_id) {
                return Err(VaultError::Unavailable("no such root key".to_owned()));
            }
            let stored = rows.organization_keys.entry(key.organization_id);
            Ok(stored.or_insert(key).clone())
        })
    }

    async fn organization_keys_not_under(
        &self,
        root_key_id: &str,
        limit: u32,
    ) -> Result<Vec<WrappedOrganizationKey>, VaultError> {
        self.call(|rows| {
            let others = rows.organization_keys.values();
            Ok(others
                .filter(|key| key.root_key_id != root_key_id)
                .take(limit as usize)
                .cloned()
                .collect())
        })
    }

    async fn replace_organization_key(
        &self,
        old: &WrappedOrganizationKey,
        new: &WrappedOrganizationKey,
    ) -> Result<bool, VaultError> {
        self.call(|rows| {
            let Some(stored) = rows.organization_keys.get_mut(&old.organization_id) else {
                return Ok(false);
            };
            let is_still_old = stored == old;
            if is_still_old {
                *stored = new.clone();
            }
            Ok(is_still_old)
        })
    }

    async fn organization_keys_by_root_key(&self) -> Result<Vec<(String, u64)>, VaultError> {
        self.call(|rows| {
            let mut counts = BTreeMap::new();
            for key in rows.organization_keys.values() {
                *counts.entry(key.root_key_id.clone()).or_insert(0) += 1;
            }
            Ok(counts.into_iter().collect())
        })
    }

    async fn sealed_secret_count(&self) -> Result<u64, VaultError> {
        self.call(|rows| Ok(rows.secrets.len() as u64))
    }

    async fn canaries(&self) -> Result<Vec<(String, Vec<u8>)>, VaultError> {
        self.call(|rows| Ok(rows.canaries.clone().into_iter().collect()))
    }

    async fn insert_canary(&self, root_key_id: &str, blob: &[u8]) -> Result<(), VaultError> {
        self.call(|rows| {
            let canary = rows.canaries.entry(root_key_id.to_owned());
            canary.or_insert_with(|| blob.to_vec());
            Ok(())
        })
    }

    async fn delete_canary(&self, root_key_id: &str) -> Result<(), VaultError> {
        self.call(|rows| {
            let mut keys = rows.organization_keys.values();
            if keys.any(|key| key.root_key_id == root_key_id) {
                return Err(VaultError::Unavailable("still in use".to_owned()));
            }
            rows.canaries.remove(root_key_id);
            Ok(())
        })
    }
}

/// A storage, a place for the root key file, and the secrets that were put.
pub(crate) struct House {
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) directory: TempDir,
    pub(crate) root_key_file: PathBuf,
    kept: Mutex<Vec<(Binding, String)>>,
}

impl House {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            storage: Arc::default(),
            root_key_file: directory.path().join("root.key"),
            directory,
            kept: Mutex::default(),
        }
    }

    /// The ids of the root keys in the file, with their states, oldest first.
    pub(crate) fn keys_in_file(&self) -> Vec<(RootKeyState, String)> {
        let keyring = RootKeyring::load(&self.root_key_file).unwrap();
        let keys = keyring.keys();
        keys.iter()
            .map(|(state, key)| (state, key.id().to_owned()))
            .collect()
    }

    pub(crate) async fn open(&self) -> Result<EmbeddedVault, VaultError> {
        vault::start::open(
            self.storage.clone(),
            &self.root_key_file,
            &StoppedClock,
            Arc::new(SystemEntropy),
        )
        .await
    }

    /// Why the vault does not open.
    pub(crate) async fn refusal(&self) -> String {
        match self.open().await {
            Ok(_) => panic!("the vault opens"),
            Err(error) => error.to_string(),
        }
    }

    pub(crate) fn rotation(&self) -> Rotation<'_> {
        Rotation {
            storage: self.storage.as_ref(),
            root_key_file: &self.root_key_file,
            clock: &StoppedClock,
            entropy: &SystemEntropy,
        }
    }

    /// Puts one secret for each of `organizations` organisations and the installation.
    pub(crate) async fn fill(&self, vault: &EmbeddedVault, organizations: u128) {
        for number in 1..=organizations {
            self.keep(vault, Some(OrganizationId(Uuid::from_u128(number))))
                .await;
        }
        self.keep(vault, None).await;
    }

    pub(crate) async fn keep(
        &self,
        vault: &EmbeddedVault,
        organization_id: Option<OrganizationId>,
    ) -> Binding {
        let binding = binding(organization_id);
        let text = format!("sk-{}", binding.alias);
        let row = put(vault, &binding, &text).await;
        let mut rows = self.storage.rows.lock().unwrap();
        rows.secrets.insert(binding.alias.clone(), row);
        self.kept.lock().unwrap().push((binding.clone(), text));
        binding
    }

    /// Every secret that was ever put opens in `vault`.
    pub(crate) async fn assert_all_open(&self, vault: &EmbeddedVault) {
        let kept = self.kept.lock().unwrap().clone();
        assert!(!kept.is_empty());
        for (binding, text) in kept {
            let opened = vault.get(&binding).await.unwrap();
            assert_eq!(opened.expose(), text);
        }
    }
}

pub(crate) fn binding(organization_id: Option<OrganizationId>) -> Binding {
    Binding {
        organization_id,
        alias: Alias::from_random(clock::random(&SystemEntropy)),
        version: 1,
        purpose: Purpose::ProviderApiKey,
        provider: "openai".to_owned(),
        allowed_origin: "https://api.openai.com".to_owned(),
    }
}

pub(crate) async fn put(vault: &EmbeddedVault, binding: &Binding, text: &str) -> SealedSecret {
    match vault.put(binding, &Secret::new(text.to_owned())).await {
        Ok(Deposit::Row(row)) => row,
        Ok(Deposit::External) => panic!("the embedded vault is not external"),
        Err(error) => panic!("{error}"),
    }
}
