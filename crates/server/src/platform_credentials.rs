//! Keys that the operator lends: to every organisation, or to one system default.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::ModelConfigurationId;
use domain::secret::Secret;
use gateway::snapshot::PlatformKeys;
use providers::auth::Credential;
use providers::catalog::{self, Provider};
use providers::target::{Origin, Target};

use crate::settings::{Settings, SettingsError, SystemModelConfiguration};
use crate::system_defaults::{id_of, model_settings};

/// The operator's keys, as the settings said when they were read last.
#[derive(Default)]
pub struct PlatformCredentials {
    providers: BTreeMap<String, Arc<Credential>>,
    /// A key of a system default is bound to where the settings send it, so that nobody who
    /// changes the row in the database gets it sent elsewhere.
    configurations: BTreeMap<ModelConfigurationId, (Origin, Arc<Credential>)>,
}

impl PlatformCredentials {
    /// Reads them from where the settings say they are.
    ///
    /// # Errors
    /// When a provider is unknown, or its key is not there or not one. Nothing of a key is
    /// ever in the message.
    pub fn load(settings: &Settings) -> Result<Self, SettingsError> {
        let mut all = Self::default();
        for (provider, place) in &settings.platform_credentials {
            let credential = named_provider(provider)
                .and_then(|row| credential(row, place))
                .map_err(|why| SettingsError(format!("platform_credentials.{provider}: {why}")))?;
            all.providers.insert(provider.clone(), Arc::new(credential));
        }
        for entry in &settings.system_model_configurations {
            if let Some(place) = &entry.api_key_from {
                let bound = bound(entry, place).map_err(|why| {
                    let name = &entry.name;
                    SettingsError(format!(
                        "system_model_configurations: `{name}`: api_key_from: {why}"
                    ))
                })?;
                all.configurations.insert(id_of(&entry.name), bound);
            }
        }
        Ok(all)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.providers.len() + self.configurations.len()
    }

    /// What they are for.
    #[must_use]
    pub fn keys(&self) -> PlatformKeys {
        PlatformKeys {
            providers: self.providers.keys().cloned().collect(),
            configurations: self.configurations.keys().copied().collect(),
        }
    }

    /// The key that is lent for a provider.
    #[must_use]
    pub fn of_provider(&self, provider: &str) -> Option<Arc<Credential>> {
        self.providers.get(provider).cloned()
    }

    /// The key of a system default, where calls go to where the settings send it.
    #[must_use]
    pub fn of_system_default(
        &self,
        id: ModelConfigurationId,
        origin: &Origin,
    ) -> Option<Arc<Credential>> {
        let (bound_to, credential) = self.configurations.get(&id)?;
        (bound_to == origin).then(|| Arc::clone(credential))
    }
}

fn bound(
    entry: &SystemModelConfiguration,
    place: &str,
) -> Result<(Origin, Arc<Credential>), String> {
    let provider = named_provider(&entry.provider)?;
    let target = Target::new(&model_settings(entry)).map_err(|error| error.message)?;
    let credential = credential(provider, place)?;
    Ok((target.origin, Arc::new(credential)))
}

fn named_provider(name: &str) -> Result<&'static Provider, String> {
    catalog::provider(name).ok_or_else(|| {
        let known = catalog::providers().iter();
        let known: Vec<&str> = known.map(|provider| provider.name.as_str()).collect();
        format!("there is no such provider; known: {}", known.join(", "))
    })
}

fn credential(provider: &Provider, place: &str) -> Result<Credential, String> {
    let text = read(place)?;
    let secret = Secret::new(text.trim().to_owned());
    if secret.expose().is_empty() {
        return Err(format!("{place} is empty"));
    }
    Credential::parse(provider, &secret).map_err(|error| error.message)
}

/// What lies where `env:NAME` or `file:PATH` says.
///
/// # Errors
/// When nothing does, in words for the operator.
pub fn read(place: &str) -> Result<String, String> {
    if let Some(name) = place.strip_prefix("env:") {
        let value = std::env::var_os(name).ok_or_else(|| format!("{name} is not set"))?;
        return value
            .into_string()
            .map_err(|_| format!("{name} is not text"));
    }
    let path = place
        .strip_prefix("file:")
        .ok_or("neither `env:NAME` nor `file:PATH`")?;
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))
}
