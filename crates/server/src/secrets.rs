//! Opened credentials for calls, from sealed rows that are kept in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::{Alias, OrganizationId};
use domain::secret::Secret;
use gateway::secrets::{KeyReference, SecretError, SecretSource};
use moka::sync::Cache;
use providers::auth::Credential;
use providers::catalog;
use store::sealed::{OrganizationKeyRow, SealedSecretRow};
use vault::backend::embedded::EmbeddedVault;
use vault::{Binding, Purpose, SealedSecret, VaultError, WrappedOrganizationKey};

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
    platform: BTreeMap<String, Arc<Credential>>,
    opened: Cache<KeyReference, Arc<Credential>>,
}

impl Secrets {
    /// `platform` are the operator's keys, by provider.
    #[must_use]
    pub fn new(
        vault: Arc<EmbeddedVault>,
        sealed: Arc<SealedRows>,
        platform: BTreeMap<String, Arc<Credential>>,
    ) -> Self {
        Self {
            vault,
            sealed,
            platform,
            opened: Cache::builder()
                .time_to_live(OPENED_FOR)
                .max_capacity(OPENED_AT_MOST)
                .build(),
        }
    }

    /// Overwrites and frees what has been open for too long. The cache does so by itself
    /// only while it is used; whoever owns this calls it now and then.
    pub fn forget_expired(&self) {
        self.opened.run_pending_tasks();
    }

    fn open_own(
        &self,
        organization_id: OrganizationId,
        alias: &Alias,
        provider: &str,
        origin: &str,
    ) -> Result<Secret, SecretError> {
        let gone = || SecretError::Refused("its secret is gone".to_owned());
        let row = self.sealed.secret(alias).ok_or_else(gone)?;
        let key = self.sealed.key(organization_id).ok_or_else(gone)?;
        // Everything but the version comes from the call, never from the sealed row.
        let binding = Binding {
            organization_id: Some(organization_id),
            alias: alias.clone(),
            version: row.version,
            purpose: Purpose::ProviderApiKey,
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
            KeyReference::Own { alias, .. } => {
                self.sealed.secret(alias)?;
                self.opened.get(key)
            }
            KeyReference::Platform { provider } => self.platform.get(*provider).cloned(),
        }
    }

    async fn open(&self, key: &KeyReference) -> Result<Arc<Credential>, SecretError> {
        let KeyReference::Own {
            organization_id,
            alias,
            provider,
            origin,
        } = key
        else {
            let none = || SecretError::Refused("the operator has no such key".to_owned());
            return self.cached(key).ok_or_else(none);
        };
        let secret = self.open_own(*organization_id, alias, provider, origin.as_str())?;
        let row = catalog::provider(provider);
        let row = row.ok_or_else(|| SecretError::Refused("its provider is unknown".to_owned()))?;
        let credential =
            Credential::parse(row, &secret).map_err(|error| SecretError::Refused(error.message))?;
        let credential = Arc::new(credential);
        self.opened.insert(key.clone(), Arc::clone(&credential));
        Ok(credential)
    }
}

fn refused(error: VaultError) -> SecretError {
    match error {
        VaultError::Unavailable(why) => SecretError::Unavailable(why),
        other => SecretError::Refused(other.to_string()),
    }
}
