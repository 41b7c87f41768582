//! One configuration with everything about it that does not depend on the call.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings, UnreadableConfiguration};
use jiff::Timestamp;
use providers::target::Target;

use super::keys::{key_source, pool_key};
use super::packed::{pack, unpack};
use super::{KeySource, PlatformKeys, Slots};
use crate::metrics::{Metrics, ProviderMetrics};
use crate::upstream::PoolKey;

/// A configuration, and, from its first call on, where it leads.
///
/// A node keeps every configuration of the installation in memory; most are never called
/// on it. Until one is, its row is a text.
pub struct Entry {
    id: ModelConfigurationId,
    /// The name, then the rest of the row as [`pack`] writes it.
    text: Box<str>,
    name_bytes: u32,
    kind: Kind,
    circumstances: Arc<Circumstances>,
    resolved: OnceLock<Box<Resolved>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Current,
    Archived,
}

/// What all configurations of an owner have in common.
#[derive(Default)]
pub(super) struct Circumstances {
    pub(super) organization_id: Option<OrganizationId>,
    pub(super) platform: Arc<PlatformKeys>,
    pub(super) slots: Arc<Slots>,
}

impl Circumstances {
    pub(super) fn of_organization(
        id: OrganizationId,
        platform: &Arc<PlatformKeys>,
        slots: &Arc<Slots>,
    ) -> Arc<Self> {
        Arc::new(Self {
            organization_id: Some(id),
            platform: Arc::clone(platform),
            slots: Arc::clone(slots),
        })
    }

    /// System defaults, for who has no slots.
    pub(super) fn of_system(platform: &Arc<PlatformKeys>) -> Arc<Self> {
        Arc::new(Self {
            platform: Arc::clone(platform),
            ..Self::default()
        })
    }
}

struct Resolved {
    configuration: ModelConfiguration,
    route: Result<Route, Uncallable>,
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
    /// A row, for callers whose organisation has these slots.
    #[must_use]
    pub fn new(configuration: &ModelConfiguration, platform: &PlatformKeys, slots: &Slots) -> Self {
        let circumstances = Circumstances {
            organization_id: configuration.organization_id,
            platform: Arc::new(platform.clone()),
            slots: Arc::new(slots.clone()),
        };
        Self::packed(configuration, Arc::new(circumstances))
    }

    pub(super) fn packed(row: &ModelConfiguration, circumstances: Arc<Circumstances>) -> Self {
        let settings = &row.settings;
        let mut text = settings.name.clone();
        if pack(row, &mut text).is_err() {
            text.truncate(settings.name.len());
        }
        let kind = Kind::of(settings.is_archived);
        Self::of_text(row.id, text, settings.name.len(), kind, circumstances)
    }

    /// One that cannot be called, and that nothing else is called in place of.
    pub(super) fn unreadable(
        row: &UnreadableConfiguration,
        circumstances: Arc<Circumstances>,
    ) -> Self {
        let kind = Kind::of(row.is_archived);
        Self::of_text(
            row.id,
            row.name.clone(),
            row.name.len(),
            kind,
            circumstances,
        )
    }

    fn of_text(
        id: ModelConfigurationId,
        text: String,
        name_bytes: usize,
        kind: Kind,
        circumstances: Arc<Circumstances>,
    ) -> Self {
        Self {
            id,
            text: text.into_boxed_str(),
            // Names are far shorter; one that is not would be cut, and found by id only.
            name_bytes: u32::try_from(name_bytes).unwrap_or_default(),
            kind,
            circumstances,
            resolved: OnceLock::new(),
        }
    }

    /// The row's identifier.
    #[must_use]
    pub const fn id(&self) -> ModelConfigurationId {
        self.id
    }

    /// What it is selected by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.parts().0
    }

    /// Whether it is found by id only.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        self.kind == Kind::Archived
    }

    /// The row. One that cannot be read has no provider, no model and revision 0.
    #[must_use]
    pub fn configuration(&self) -> &ModelConfiguration {
        &self.resolved().configuration
    }

    /// How to call it, or why it cannot be called. A row that cannot be called stays
    /// selectable, so that the caller is told the reason.
    ///
    /// # Errors
    /// When it cannot be called.
    pub fn route(&self) -> Result<&Route, &Uncallable> {
        self.resolved().route.as_ref()
    }

    /// The row, for who only looks at it: it does not stay unpacked.
    #[must_use]
    pub fn glance(&self) -> Cow<'_, ModelConfiguration> {
        match self.resolved.get() {
            Some(resolved) => Cow::Borrowed(&resolved.configuration),
            None => Cow::Owned(self.unpacked().unwrap_or_else(|| self.nameplate())),
        }
    }

    fn parts(&self) -> (&str, &str) {
        let parts = self.text.split_at_checked(self.name_bytes as usize);
        parts.unwrap_or((&self.text, ""))
    }

    fn unpacked(&self) -> Option<ModelConfiguration> {
        let (name, text) = self.parts();
        unpack(self.id, self.circumstances.organization_id, name, text)
    }

    fn resolved(&self) -> &Resolved {
        self.resolved.get_or_init(|| {
            let resolved = self.unpacked().map(|configuration| Resolved {
                route: Route::new(&configuration, &self.circumstances),
                configuration,
            });
            Box::new(resolved.unwrap_or_else(|| Resolved {
                configuration: self.nameplate(),
                route: Err(Uncallable::unreadable(self.id)),
            }))
        })
    }

    /// What is known of a row that cannot be read.
    fn nameplate(&self) -> ModelConfiguration {
        ModelConfiguration {
            id: self.id,
            organization_id: self.circumstances.organization_id,
            revision: 0,
            settings: ModelSettings {
                name: self.name().to_owned(),
                description: None,
                provider: String::new(),
                model: String::new(),
                temperature: None,
                max_tokens: None,
                timeout_seconds: None,
                max_retries: None,
                additional_params: None,
                agent_harness_version_string: None,
                is_computer_use_model: false,
                is_archived: self.is_archived(),
            },
            api_key_alias: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }
}

impl Kind {
    const fn of(is_archived: bool) -> Self {
        if is_archived {
            Self::Archived
        } else {
            Self::Current
        }
    }
}

impl Uncallable {
    fn unreadable(id: ModelConfigurationId) -> Self {
        Self {
            message: format!(
                "its row {id} in the database cannot be read; the operator finds more in the server's log"
            ),
        }
    }
}

impl Route {
    fn new(row: &ModelConfiguration, circumstances: &Circumstances) -> Result<Self, Uncallable> {
        let Circumstances {
            platform, slots, ..
        } = circumstances;
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
