//! One configuration with everything about it that does not depend on the call.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::model_configuration::ModelConfiguration;
use providers::target::Target;

use super::PlatformProviders;
use crate::metrics::{Metrics, ProviderMetrics};
use crate::secrets::KeyReference;
use crate::upstream::{Partition, PoolKey};

/// A configuration and where it leads.
pub struct Entry {
    /// The row.
    pub configuration: ModelConfiguration,
    /// How to call it, or why it cannot be called. A row that cannot be called
    /// stays selectable, so that the caller is told the reason.
    pub route: Result<Route, Uncallable>,
}

/// How to call a configuration.
pub struct Route {
    /// Where and how.
    pub target: Target,
    /// Whose key pays.
    pub key: KeySource,
    /// The wait for a response header and between two pieces, if it says one.
    pub idle: Option<Duration>,
    /// Tries after the first.
    pub max_retries: u32,
    /// Which connections its calls share, where that does not depend on the caller.
    pub(crate) pool_key: Option<Arc<PoolKey>>,
    /// The provider's metric series, from the first call on.
    metrics: OnceLock<ProviderMetrics>,
}

/// Whose key a call is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The configuration's own.
    Own(KeyReference),
    /// The operator's.
    Platform(KeyReference),
    /// The provider wants none.
    NotNeeded,
    /// Nobody's: the call is refused and says what to do.
    Missing,
}

/// Why a configuration cannot be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Uncallable {
    /// What is wrong with it and what to do.
    pub message: String,
}

/// What LangChain's clients do when nobody says otherwise.
const DEFAULT_MAX_RETRIES: u32 = 2;

impl Entry {
    /// Resolves a row.
    #[must_use]
    pub fn new(configuration: ModelConfiguration, platform: &PlatformProviders) -> Self {
        let route = Route::new(&configuration, platform);
        Self {
            configuration,
            route,
        }
    }
}

impl Route {
    fn new(row: &ModelConfiguration, platform: &PlatformProviders) -> Result<Self, Uncallable> {
        let settings = &row.settings;
        let target = Target::new(settings).map_err(|error| Uncallable {
            message: error.message,
        })?;
        let key = key_source(row, &target, platform);
        let idle = settings
            .timeout_seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let max_retries = settings.max_retries.map_or(DEFAULT_MAX_RETRIES, |retries| {
            u32::try_from(retries).unwrap_or(DEFAULT_MAX_RETRIES)
        });
        let pool_key = pool_key(&key, &target);
        Ok(Self {
            target,
            key,
            idle,
            max_retries,
            pool_key,
            metrics: OnceLock::new(),
        })
    }
}

impl Route {
    /// The provider's metric series.
    pub(crate) fn metrics(&self, metrics: &Metrics) -> &ProviderMetrics {
        let provider = self.target.provider.name.as_str();
        self.metrics.get_or_init(|| metrics.of_provider(provider))
    }
}

/// The order of design: own key, platform key, no key where none is needed.
///
/// A platform key is never sent anywhere but to the catalog's own host.
fn key_source(
    row: &ModelConfiguration,
    target: &Target,
    platform: &PlatformProviders,
) -> KeySource {
    let provider = target.provider.name.as_str();
    if let (Some(alias), Some(organization_id)) = (&row.api_key_alias, row.organization_id) {
        return KeySource::Own(KeyReference::Own {
            organization_id,
            alias: alias.clone(),
            provider,
            origin: target.origin.clone(),
        });
    }
    if target.is_catalog_origin && platform.contains(provider) {
        return KeySource::Platform(KeyReference::Platform { provider });
    }
    if !target.provider.needs_key() {
        return KeySource::NotNeeded;
    }
    KeySource::Missing
}

/// Calls with the same secret share connections; so do all calls with the operator's
/// key. Without a key, connections are kept apart by caller.
fn pool_key(key: &KeySource, target: &Target) -> Option<Arc<PoolKey>> {
    let partition = match key {
        KeySource::Own(KeyReference::Own { alias, .. }) => Partition::Secret(alias.clone()),
        KeySource::Own(KeyReference::Platform { .. }) | KeySource::Platform(_) => {
            Partition::Platform
        }
        KeySource::NotNeeded | KeySource::Missing => return None,
    };
    Some(Arc::new(PoolKey {
        origin: target.origin.clone(),
        partition,
    }))
}
