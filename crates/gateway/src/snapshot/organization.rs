//! What belongs to one organisation, and what it sees of the system defaults.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use domain::agent_role::RoleAssignments;
use domain::api_key::Digest256;
use domain::budget::OrganizationBudgets;
use domain::id::ModelConfigurationId;
use domain::rate_limits::OrganizationLimits;

use super::entry::Circumstances;
use super::{Configurations, Entry, PlatformKeys, Slots};

/// What belongs to one organisation.
#[derive(Clone, Default)]
pub(super) struct Organization {
    pub(super) api_keys: Arc<[Digest256]>,
    pub(super) configurations: Arc<Configurations>,
    pub(super) roles: Arc<RoleAssignments>,
    pub(super) slots: Arc<Slots>,
    pub(super) limits: Arc<OrganizationLimits>,
    pub(super) budgets: Arc<OrganizationBudgets>,
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
        platform: &Arc<PlatformKeys>,
    ) -> &'snapshot Arc<Entry> {
        let is_covered = |entry: &Entry| {
            !self.slots.is_empty() && self.slots.concern(&entry.configuration().settings.provider)
        };
        if !is_covered(default) {
            return default;
        }
        let own = self.own_defaults.get_or_init(|| {
            let circumstances = Arc::new(Circumstances {
                organization_id: None,
                platform: Arc::clone(platform),
                slots: Arc::clone(&self.slots),
            });
            let covered = all.iter().filter(|entry| is_covered(entry));
            let own = covered.map(|entry| {
                let own = Entry::packed(entry.configuration(), Arc::clone(&circumstances));
                (own.id(), Arc::new(own))
            });
            own.collect()
        });
        own.get(&default.id()).unwrap_or(default)
    }
}
