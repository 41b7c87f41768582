//! One configuration with everything about it that does not depend on the call.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::model_configuration::ModelConfiguration;
use providers::target::Target;

use super::keys::{key_source, pool_key};
use super::{KeySource, PlatformKeys, Slots};
use crate::metrics::{Metrics, ProviderMetrics};
use crate::upstream::PoolKey;

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
    /// Resolves a row, for callers whose organisation has these slots.
    #[must_use]
    pub fn new(configuration: ModelConfiguration, platform: &PlatformKeys, slots: &Slots) -> Self {
        let route = Route::new(&configuration, platform, slots);
        Self {
            configuration,
            route,
        }
    }
}

impl Route {
    fn new(
        row: &ModelConfiguration,
        platform: &PlatformKeys,
        slots: &Slots,
    ) -> Result<Self, Uncallable> {
        let placed = slots.placed(row);
        let settings = placed.as_ref().unwrap_or(&row.settings);
        let target = Target::new(settings).map_err(|error| Uncallable {
            message: error.message,
        })?;
        let key = key_source(row, &target, platform, slots);
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
