//! What may be called, as it stands at one revision.
//!
//! A [`Snapshot`] never changes. Whoever follows the change feed makes the next one
//! from the last (organisations that did not change are shared, not copied) and
//! swaps it in; a call keeps the one it began with.

mod builder;
mod configurations;
mod entry;
mod keys;
mod organization;
mod packed;

use std::sync::Arc;

use domain::agent_role::{self, AgentRole, RoleAssignments, RoleSource};
use domain::api_key::{ApiKey, Caller, Digest256};
use domain::budget::{Budget, BudgetOwner, OrganizationBudgets};
use domain::id::{ApiKeyId, ModelConfigurationId, OrganizationId};
use domain::model_configuration::ReadConfiguration;
use domain::provider_credential::ProviderCredential;
use domain::rate_limits::{OrganizationLimits, RateLimits};
use imbl::HashMap;

pub use builder::SnapshotBuilder;
pub use configurations::Configurations;
use configurations::Unordered;
use entry::Circumstances;
pub use entry::{Entry, Route, Uncallable};
pub use keys::{KeySource, PlatformKeys, Slots};
use organization::Organization;

/// Everything that a call reads about callers and configurations.
#[derive(Clone, Default)]
pub struct Snapshot {
    revision: i64,
    platform: Arc<PlatformKeys>,
    callers: HashMap<Digest256, Arc<Caller>>,
    organizations: HashMap<OrganizationId, Organization>,
    system_defaults: Arc<Configurations>,
    system_roles: Arc<RoleAssignments>,
}

/// Everything that is owned by anybody, as the database holds it.
#[derive(Default)]
pub struct InstallationRows {
    /// Keys that are not revoked, by digest.
    pub api_keys: Vec<(Digest256, ApiKey)>,
    /// Configurations, oldest first, archived ones included; those without an organisation
    /// are the system defaults.
    pub configurations: Vec<ReadConfiguration>,
    /// Who assigned which configuration to which role.
    pub roles: Vec<(Option<OrganizationId>, AgentRole, ModelConfigurationId)>,
    /// Credentials that organisations brought for all their configurations.
    pub credentials: Vec<ProviderCredential>,
    /// The rate limits that were set, for a key or, without one, for the organisation.
    pub rate_limits: Vec<(OrganizationId, Option<ApiKeyId>, RateLimits)>,
    /// What may be spent.
    pub budgets: Vec<(OrganizationId, BudgetOwner, Budget)>,
}

/// What belongs to the installation itself.
#[derive(Default)]
pub struct SystemRows {
    /// The system defaults, oldest first.
    pub configurations: Vec<ReadConfiguration>,
    /// The roles that have one for every organisation.
    pub roles: RoleAssignments,
}

/// What a role means for an organisation.
pub struct RoleEntry<'snapshot> {
    /// The configuration, where there is one.
    pub entry: Option<&'snapshot Arc<Entry>>,
    /// Whose assignment that is.
    pub source: RoleSource,
}

/// Everything that one organisation owns, as the database holds it.
#[derive(Default)]
pub struct OrganizationRows {
    /// Its keys that are not revoked, by digest.
    pub api_keys: Vec<(Digest256, ApiKey)>,
    /// Its own configurations, oldest first, archived ones included.
    pub configurations: Vec<ReadConfiguration>,
    /// The roles that it has assigned configurations to.
    pub roles: RoleAssignments,
    /// The credentials that it brought for all its configurations.
    pub credentials: Vec<ProviderCredential>,
    /// What it and its keys may call.
    pub rate_limits: OrganizationLimits,
    /// What it and its keys may spend.
    pub budgets: OrganizationBudgets,
}

impl Snapshot {
    /// Nothing yet: no caller is known and nothing can be called.
    #[must_use]
    pub fn empty(platform: PlatformKeys) -> Self {
        Self {
            platform: Arc::new(platform),
            ..Self::default()
        }
    }

    /// The full build, from every row of the installation. [`SnapshotBuilder`] does not need
    /// to be given all of them at once.
    #[must_use]
    pub fn build(revision: i64, platform: PlatformKeys, rows: InstallationRows) -> Self {
        SnapshotBuilder::new(platform, rows).finish(revision)
    }

    /// The next snapshot, in which one organisation owns exactly `rows`.
    #[must_use]
    pub fn with_organization(
        &self,
        revision: i64,
        organization_id: OrganizationId,
        rows: OrganizationRows,
    ) -> Self {
        let mut next = self.clone();
        next.set_organization(organization_id, rows);
        next.revision = revision;
        next
    }

    /// The next snapshot, with other system defaults and roles.
    #[must_use]
    pub fn with_system(&self, revision: i64, rows: SystemRows) -> Self {
        let mut next = self.clone();
        next.set_system(rows);
        next.revision = revision;
        next
    }

    /// The change-feed revision that this was built from.
    #[must_use]
    pub const fn revision(&self) -> i64 {
        self.revision
    }

    /// What the operator has keys for.
    #[must_use]
    pub fn platform(&self) -> &PlatformKeys {
        &self.platform
    }

    /// The credentials that an organisation brought for all its configurations.
    #[must_use]
    pub fn slots(&self, organization_id: OrganizationId) -> Arc<Slots> {
        let organization = self.organizations.get(&organization_id);
        organization.map_or_else(Arc::default, |organization| Arc::clone(&organization.slots))
    }

    /// Whose key has this digest. The digest of a secret is looked up, not the
    /// secret, so that the time this takes says nothing about a key.
    #[must_use]
    pub fn caller(&self, digest: &Digest256) -> Option<&Arc<Caller>> {
        self.callers.get(digest)
    }

    /// The configuration that `selector` (an id or an exact name) means for an
    /// organisation: its own rows first, then the system defaults. Archived rows
    /// are found by id only.
    #[must_use]
    pub fn select(&self, organization_id: OrganizationId, selector: &str) -> Option<&Arc<Entry>> {
        let organization = self.organizations.get(&organization_id);
        let own = organization.map(|organization| &organization.configurations);
        if let Ok(id) = selector.parse::<ModelConfigurationId>() {
            let by_id = own.and_then(|own| own.by_id(id));
            let by_id =
                by_id.or_else(|| self.called_default(organization, self.system_defaults.by_id(id)));
            if by_id.is_some() {
                return by_id;
            }
        }
        own.and_then(|own| own.by_name(selector))
            .or_else(|| self.called_default(organization, self.system_defaults.by_name(selector)))
    }

    /// The configuration that does an agent role for an organisation.
    #[must_use]
    pub fn role(&self, organization_id: OrganizationId, role: AgentRole) -> RoleEntry<'_> {
        let organization = self.organizations.get(&organization_id);
        let nothing = RoleAssignments::default();
        let own = organization.map_or(&nothing, |organization| &organization.roles);
        let resolved = agent_role::resolve(role, own, &self.system_roles);
        let entry = resolved.model_configuration_id.and_then(|id| {
            organization
                .and_then(|organization| organization.configurations.by_id(id))
                .or_else(|| self.called_default(organization, self.system_defaults.by_id(id)))
        });
        RoleEntry {
            entry,
            source: resolved.source,
        }
    }

    /// The rate limits that were set for the caller's key and for its organisation.
    #[must_use]
    pub fn rate_limits(&self, caller: &Caller) -> (RateLimits, RateLimits) {
        let organization = self.organizations.get(&caller.organization_id);
        organization.map_or_else(Default::default, |organization| {
            let limits = &organization.limits;
            (limits.of_key(caller.api_key_id), limits.all)
        })
    }

    /// What the caller's key and its organisation may spend in a month.
    #[must_use]
    pub fn budgets(&self, caller: &Caller) -> (Budget, Budget) {
        let organization = self.organizations.get(&caller.organization_id);
        organization.map_or_else(Default::default, |organization| {
            let budgets = &organization.budgets;
            (budgets.of_key(caller.api_key_id), budgets.all)
        })
    }

    /// Whether anybody's spending is bounded.
    #[must_use]
    pub fn has_budgets(&self) -> bool {
        let mut organizations = self.organizations.values();
        organizations.any(|organization| !organization.budgets.is_unlimited())
    }

    /// What a caller of the organisation may select by name: its own rows, then the
    /// system defaults whose names it has not taken.
    pub fn selectable(&self, organization_id: OrganizationId) -> impl Iterator<Item = &Arc<Entry>> {
        let organization = self.organizations.get(&organization_id);
        let own = organization.map(|organization| organization.configurations.as_ref());
        let defaults = self
            .system_defaults
            .named()
            .filter(move |entry| own.is_none_or(|own| own.by_name(entry.name()).is_none()));
        let defaults =
            defaults.filter_map(move |entry| self.called_default(organization, Some(entry)));
        own.into_iter()
            .flat_map(Configurations::named)
            .chain(defaults)
    }

    /// A system default as an organisation calls it: perhaps with a key of its own.
    fn called_default<'snapshot>(
        &'snapshot self,
        organization: Option<&'snapshot Organization>,
        entry: Option<&'snapshot Arc<Entry>>,
    ) -> Option<&'snapshot Arc<Entry>> {
        let entry = entry?;
        Some(organization.map_or(entry, |organization| {
            organization.calls(entry, &self.system_defaults, &self.platform)
        }))
    }

    fn set_organization(&mut self, id: OrganizationId, mut rows: OrganizationRows) {
        let slots = Arc::new(Slots::of(&rows.credentials));
        let circumstances = Circumstances::of_organization(id, &self.platform, &slots);
        let mut configurations = Unordered::new(circumstances);
        configurations.extend(std::mem::take(&mut rows.configurations));
        self.put_organization(id, rows, slots, configurations);
    }

    /// Puts an organisation in, in place of what it was. Its configurations are not those
    /// of `rows`.
    fn put_organization(
        &mut self,
        id: OrganizationId,
        rows: OrganizationRows,
        slots: Arc<Slots>,
        configurations: Unordered,
    ) {
        if let Some(before) = self.organizations.get(&id) {
            for digest in before.api_keys.iter() {
                self.callers.remove(digest);
            }
        }
        let api_keys = rows.api_keys.iter().map(|(digest, _)| *digest).collect();
        for (digest, key) in rows.api_keys {
            self.callers.insert(digest, Arc::new(caller_of(key)));
        }
        let organization = Organization {
            api_keys,
            configurations: Arc::new(configurations.finish()),
            roles: Arc::new(rows.roles),
            slots,
            limits: Arc::new(rows.rate_limits),
            budgets: Arc::new(rows.budgets),
            own_defaults: Arc::default(),
        };
        self.organizations.insert(id, organization);
    }

    fn set_system(&mut self, rows: SystemRows) {
        let mut configurations = Unordered::new(Circumstances::of_system(&self.platform));
        configurations.extend(rows.configurations);
        self.put_system(configurations, rows.roles);
    }

    fn put_system(&mut self, configurations: Unordered, roles: RoleAssignments) {
        self.system_defaults = Arc::new(configurations.finish());
        self.system_roles = Arc::new(roles);
        let with_slots: Vec<OrganizationId> = self
            .organizations
            .iter()
            .filter(|(_, organization)| !organization.slots.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in with_slots {
            if let Some(organization) = self.organizations.get_mut(&id) {
                *organization = organization.with_new_defaults();
            }
        }
    }
}

fn caller_of(key: ApiKey) -> Caller {
    Caller {
        api_key_id: key.id,
        organization_id: key.organization_id,
        scopes: key.scopes,
    }
}
