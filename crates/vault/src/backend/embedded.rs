//! The embedded vault: secrets lie sealed in the product's own database.

use std::sync::Arc;

use async_trait::async_trait;
use domain::clock::Entropy;
use domain::id::{Alias, OrganizationId};
use domain::secret::Secret;

use crate::backend::organization_key_cache::OrganizationKeyCache;
use crate::envelope::{self, OrganizationKey};
use crate::keyring::RootKeyring;
use crate::{
    Binding, Deposit, SealedSecret, SealedStorage, VaultBackend, VaultError, WrappedOrganizationKey,
};

/// The embedded vault. [`crate::start::open`] makes one.
pub struct EmbeddedVault {
    storage: Arc<dyn SealedStorage>,
    root_keys: Arc<RootKeyring>,
    entropy: Arc<dyn Entropy>,
    organization_keys: OrganizationKeyCache,
}

impl EmbeddedVault {
    /// A vault over root keys that have been checked against what is stored.
    pub(crate) fn new(
        storage: Arc<dyn SealedStorage>,
        root_keys: Arc<RootKeyring>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            storage,
            root_keys,
            entropy,
            organization_keys: OrganizationKeyCache::default(),
        }
    }

    /// The root keys, for keyed hashes.
    #[must_use]
    pub fn root_keys(&self) -> &Arc<RootKeyring> {
        &self.root_keys
    }

    /// Opens a secret from rows that the caller holds, without touching the storage:
    /// this is how calls go on through a database outage.
    ///
    /// # Errors
    /// [`VaultError::DoesNotOpen`] when rows and binding do not fit together, and
    /// [`VaultError::RootKey`] when the root key that is needed is not in the file.
    pub fn open_row(
        &self,
        row: &SealedSecret,
        key: &WrappedOrganizationKey,
        binding: &Binding,
    ) -> Result<Secret, VaultError> {
        let organization_key = self.unwrap(key, binding.organization_id)?;
        envelope::open_secret(&organization_key, binding, &row.blob)
    }

    /// Forgets the key of an organisation that is no more, so that nothing of it opens
    /// here again.
    pub fn forget_organization(&self, organization_id: OrganizationId) {
        self.organization_keys.forget(Some(organization_id));
    }

    /// The key of an organisation, unwrapped at most once while it stays in the cache.
    ///
    /// `organization_id` is the caller's, never the row's.
    fn unwrap(
        &self,
        row: &WrappedOrganizationKey,
        organization_id: Option<OrganizationId>,
    ) -> Result<Arc<OrganizationKey>, VaultError> {
        let id = envelope::wrapped_key_id(&row.blob)?;
        if let Some(key) = self.organization_keys.get(organization_id, id) {
            return Ok(key);
        }
        let root_keys = self.root_keys.keys();
        let root_key = root_keys
            .by_id(&row.root_key_id)
            .ok_or_else(|| self.root_keys.missing(&row.root_key_id))?;
        let key = envelope::unwrap_organization_key(root_key, organization_id, &row.blob)?;
        let key = Arc::new(key);
        self.organization_keys
            .insert(organization_id, Arc::clone(&key));
        Ok(key)
    }

    /// The stored key of an organisation; the first secret of an organisation makes it.
    async fn key_for_sealing(
        &self,
        organization_id: Option<OrganizationId>,
    ) -> Result<Arc<OrganizationKey>, VaultError> {
        // The row is read every time: sealing under a key that only this process still
        // remembers would lose the secret.
        let stored = self.storage.organization_key(organization_id).await?;
        let row = match stored {
            Some(row) => row,
            None => {
                let made = self.wrap_new_key(organization_id).await?;
                // Where two processes make one at the same time, both use the stored one.
                self.storage.insert_organization_key(made).await?
            }
        };
        self.unwrap(&row, organization_id)
    }

    async fn wrap_new_key(
        &self,
        organization_id: Option<OrganizationId>,
    ) -> Result<WrappedOrganizationKey, VaultError> {
        let canaries = self.storage.canaries().await?;
        let in_use = canaries.into_iter().map(|(id, _)| id).collect();
        let root_keys = self.root_keys.keys_in_use(in_use);
        let root_key = root_keys.current();
        let entropy = self.entropy.as_ref();
        let key = OrganizationKey::random(entropy);
        Ok(WrappedOrganizationKey {
            organization_id,
            root_key_id: root_key.id().to_owned(),
            blob: envelope::wrap_organization_key(root_key, organization_id, &key, entropy)?,
        })
    }
}

#[async_trait]
impl VaultBackend for EmbeddedVault {
    async fn put(&self, binding: &Binding, secret: &Secret) -> Result<Deposit, VaultError> {
        let organization_key = self.key_for_sealing(binding.organization_id).await?;
        let blob =
            envelope::seal_secret(&organization_key, binding, secret, self.entropy.as_ref())?;
        Ok(Deposit::Row(SealedSecret {
            alias: binding.alias.clone(),
            version: binding.version,
            organization_id: binding.organization_id,
            blob,
        }))
    }

    async fn get(&self, binding: &Binding) -> Result<Secret, VaultError> {
        let row = self
            .storage
            .sealed_secret(&binding.alias)
            .await?
            .ok_or(VaultError::NotFound)?;
        let key = self
            .storage
            .organization_key(binding.organization_id)
            .await?
            .ok_or(VaultError::DoesNotOpen)?;
        self.open_row(&row, &key, binding)
    }

    async fn delete(&self, alias: &Alias) -> Result<(), VaultError> {
        self.storage.delete_sealed_secret(alias).await
    }

    async fn health(&self) -> Result<(), VaultError> {
        let root_keys = self.root_keys.keys();
        for (id, canary) in self.storage.canaries().await? {
            let root_key = root_keys
                .by_id(&id)
                .ok_or_else(|| self.root_keys.missing(&id))?;
            envelope::open_canary(root_key, &canary)?;
        }
        Ok(())
    }
}
