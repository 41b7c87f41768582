//! What belongs to one organisation, and what it sees of the system defaults.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use domain::agent_role::RoleAssignments;
use domain::api_key::Digest256;
use domain::id::ModelConfigurationId;
use domain::rate_limits::OrganizationLimits;

use super::{Configurations, Entry, PlatformKeys, Slots};

/// What belongs to one organisation.
#[derive(Clone, Default)]
pub(super) struct Organization {
    pub(super) api_keys: Arc<[Digest256]>,
    pub(super) configurations: Arc<Configurations>,
    pub(super) roles: Arc<RoleAssignments>,
    pub(super) slots: Arc<Slots>,
    pub(super) limits: Arc<OrganizationLimits>,
    /// The system defaults that are called with a slot of its own, from the first of these
    /// calls on: most organisations call few of them, and many none.
    pub(super) own_defaults: Arc<OnceLock<OwnDefaults>>,
}

pub(super) type OwnDefaults = HashMap<ModelConfigurationId, Arc<Entry>>;

impl Organization {
    /// Forgets how it calls the system defaults, which are others now.
    pub(super) fn with_new_defaults(&self) -> Self {
        Self {
            own_defaults: Arc::default(),
            ..self.clone()
        }
    }

    /// A system default as this organisation calls it.
    pub(super) fn calls<'snapshot>(
        &'snapshot self,
        default: &'snapshot Arc<Entry>,
        all: &Configurations,
        platform: &PlatformKeys,
    ) -> &'snapshot Arc<Entry> {
        let settings = &default.configuration.settings;
        if !self.slots.cover(&settings.provider) {
            return default;
        }
        let own = self.own_defaults.get_or_init(|| {
            let covered = all.iter().filter(|entry| {
                let settings = &entry.configuration.settings;
                self.slots.cover(&settings.provider)
            });
            let own = covered.map(|entry| {
                let row = entry.configuration.clone();
                (row.id, Arc::new(Entry::new(row, platform, &self.slots)))
            });
            own.collect()
        });
        own.get(&default.configuration.id).unwrap_or(default)
    }
}
