//! Opened credentials for calls, from sealed rows that are kept in memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use domain::id::{Alias, OrganizationId};
use domain::secret::Secret;
use gateway::secrets::{KeyReference, SecretError, SecretSource};
use moka::sync::Cache;
use providers::auth::Credential;
use providers::catalog::{self, Provider};
use providers::slots::{self, SLOT_ORIGIN};
use store::sealed::{OrganizationKeyRow, SealedSecretRow};
use vault::backend::embedded::EmbeddedVault;
use vault::{Binding, Purpose, SealedSecret, VaultError, WrappedOrganizationKey};

use crate::platform_credentials::PlatformCredentials;
use crate::sealed_storage::{sealed_secret, wrapped_key};

/// How long an opened credential may stay in memory.
const OPENED_FOR: Duration = Duration::from_secs(300);

/// How many opened credentials stay in memory at most.
const OPENED_AT_MOST: u64 = 10_000;

/// Every sealed secret and wrapped key of the installation, as the database holds
/// them: what a call needs to go on without the database.
#[derive(Default)]
pub struct SealedRows {
    held: RwLock<Held>,
}

#[derive(Default)]
struct Held {
    secrets: HashMap<Alias, Arc<SealedSecret>>,
    keys: HashMap<Option<OrganizationId>, Arc<WrappedOrganizationKey>>,
    /// Which aliases belong to whom.
    aliases: HashMap<Option<OrganizationId>, Vec<Alias>>,
}

impl SealedRows {
    /// Holds exactly these.
    pub fn replace_all(&self, secrets: Vec<SealedSecretRow>, keys: Vec<OrganizationKeyRow>) {
        let mut held = Held::default();
        for row in secrets {
            held.aliases
                .entry(row.organization_id)
                .or_default()
                .push(row.alias.clone());
            held.secrets
                .insert(row.alias.clone(), Arc::new(sealed_secret(row)));
        }
        for row in keys {
            held.keys
                .insert(row.organization_id, Arc::new(wrapped_key(row)));
        }
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Holds exactly these of one owner.
    pub fn replace(
        &self,
        organization_id: Option<OrganizationId>,
        secrets: Vec<SealedSecretRow>,
        key: Option<OrganizationKeyRow>,
    ) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        for alias in held.aliases.remove(&organization_id).unwrap_or_default() {
            held.secrets.remove(&alias);
        }
        let aliases = secrets.iter().map(|row| row.alias.clone()).collect();
        held.aliases.insert(organization_id, aliases);
        for row in secrets {
            held.secrets
                .insert(row.alias.clone(), Arc::new(sealed_secret(row)));
        }
        match key {
            Some(row) => held
                .keys
                .insert(organization_id, Arc::new(wrapped_key(row))),
            None => held.keys.remove(&organization_id),
        };
    }

    fn secret(&self, alias: &Alias) -> Option<Arc<SealedSecret>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.secrets.get(alias).cloned()
    }

    fn key(&self, organization_id: OrganizationId) -> Option<Arc<WrappedOrganizationKey>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.keys.get(&Some(organization_id)).cloned()
    }
}

/// Opens credentials and keeps them for a while.
pub struct Secrets {
    vault: Arc<EmbeddedVault>,
    sealed: Arc<SealedRows>,
    platform: ArcSwap<PlatformCredentials>,
    opened: Cache<KeyReference, Arc<Credential>>,
}

impl Secrets {
    /// `platform` are the operator's keys.
    #[must_use]
    pub fn new(
        vault: Arc<EmbeddedVault>,
        sealed: Arc<SealedRows>,
        platform: PlatformCredentials,
    ) -> Self {
        Self {
            vault,
            sealed,
            platform: ArcSwap::from_pointee(platform),
            opened: Cache::builder()
                .time_to_live(OPENED_FOR)
                .max_capacity(OPENED_AT_MOST)
                .build(),
        }
    }

    /// Puts other keys of the operator's in the place of the present ones.
    pub fn replace_platform(&self, platform: PlatformCredentials) {
        self.platform.store(Arc::new(platform));
    }

    /// Overwrites and frees what has been open for too long. The cache does so by itself
    /// only while it is used; whoever owns this calls it now and then.
    pub fn forget_expired(&self) {
        self.opened.run_pending_tasks();
    }

    /// Opens a sealed row for exactly this owner, purpose and destination.
    fn open_row(
        &self,
        organization_id: OrganizationId,
        alias: &Alias,
        purpose: Purpose,
        (provider, origin): (&str, &str),
    ) -> Result<Secret, SecretError> {
        let gone = || SecretError::Refused("its secret is gone".to_owned());
        let row = self.sealed.secret(alias).ok_or_else(gone)?;
        let key = self.sealed.key(organization_id).ok_or_else(gone)?;
        // Everything but the version comes from the call, never from the sealed row.
        let binding = Binding {
            organization_id: Some(organization_id),
            alias: alias.clone(),
            version: row.version,
            purpose,
            provider: provider.to_owned(),
            allowed_origin: origin.to_owned(),
        };
        self.vault.open_row(&row, &key, &binding).map_err(refused)
    }
}

#[async_trait]
impl SecretSource for Secrets {
    fn cached(&self, key: &KeyReference) -> Option<Arc<Credential>> {
        match key {
            // What was opened is not used any more once its sealed row is gone.
            KeyReference::Own { alias, .. } | KeyReference::Slot { alias, .. } => {
                self.sealed.secret(alias)?;
                self.opened.get(key)
            }
            KeyReference::Platform { provider } => self.platform.load().of_provider(provider),
            KeyReference::SystemDefault {
                model_configuration_id,
                origin,
            } => {
                let platform = self.platform.load();
                platform.of_system_default(*model_configuration_id, origin)
            }
        }
    }

    async fn open(&self, key: &KeyReference) -> Result<Arc<Credential>, SecretError> {
        let credential = match key {
            KeyReference::Own {
                organization_id,
                alias,
                provider,
                origin,
            } => {
                let place = (*provider, origin.as_str());
                let purpose = Purpose::ProviderApiKey;
                let secret = self.open_row(*organization_id, alias, purpose, place)?;
                Credential::parse(row_of(provider)?, &secret)
            }
            KeyReference::Slot {
                organization_id,
                alias,
                slot,
                provider,
            } => {
                let slot = slots::slot(slot);
                let slot =
                    slot.ok_or_else(|| SecretError::Refused("its slot is unknown".to_owned()))?;
                let purpose = Purpose::ProviderCredential;
                let place = (slot.name, SLOT_ORIGIN);
                let secret = self.open_row(*organization_id, alias, purpose, place)?;
                slot.credential(row_of(provider)?, &secret)
            }
            KeyReference::Platform { .. } | KeyReference::SystemDefault { .. } => {
                let none = || SecretError::Refused("the operator has no such key".to_owned());
                return self.cached(key).ok_or_else(none);
            }
        };
        let credential = credential.map_err(|error| SecretError::Refused(error.message))?;
        let credential = Arc::new(credential);
        self.opened.insert(key.clone(), Arc::clone(&credential));
        Ok(credential)
    }
}

fn row_of(provider: &str) -> Result<&'static Provider, SecretError> {
    let row = catalog::provider(provider);
    row.ok_or_else(|| SecretError::Refused("its provider is unknown".to_owned()))
}

fn refused(error: VaultError) -> SecretError {
    match error {
        VaultError::Unavailable(why) => SecretError::Unavailable(why),
        other => SecretError::Refused(other.to_string()),
    }
}
