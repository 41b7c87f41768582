//! What may be called, as it stands at one revision.
//!
//! A [`Snapshot`] never changes. Whoever follows the change feed makes the next one
//! from the last (organisations that did not change are shared, not copied) and
//! swaps it in; a call keeps the one it began with.

mod configurations;
mod entry;

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::api_key::{ApiKey, Caller, Digest256};
use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::ModelConfiguration;
use imbl::HashMap;

pub use configurations::Configurations;
pub use entry::{Entry, KeySource, Route, Uncallable};

/// Names of the catalog providers whose key the operator lends to every organisation.
pub type PlatformProviders = BTreeSet<String>;

/// Everything that a call reads about callers and configurations.
#[derive(Clone, Default)]
pub struct Snapshot {
    revision: i64,
    platform_providers: Arc<PlatformProviders>,
    callers: HashMap<Digest256, Arc<Caller>>,
    organizations: HashMap<OrganizationId, Organization>,
    system_defaults: Arc<Configurations>,
}

/// What belongs to one organisation.
#[derive(Clone, Default)]
struct Organization {
    api_keys: Arc<[Digest256]>,
    configurations: Arc<Configurations>,
}

/// Everything that one organisation owns, as the database holds it.
#[derive(Default)]
pub struct OrganizationRows {
    /// Its keys that are not revoked, by digest.
    pub api_keys: Vec<(Digest256, ApiKey)>,
    /// Its own configurations, oldest first, archived ones included.
    pub configurations: Vec<ModelConfiguration>,
}

impl Snapshot {
    /// Nothing yet: no caller is known and nothing can be called.
    #[must_use]
    pub fn empty(platform_providers: PlatformProviders) -> Self {
        Self {
            platform_providers: Arc::new(platform_providers),
            ..Self::default()
        }
    }

    /// The full build, from every active key and every row of the installation
    /// (rows without an organisation are the system defaults), each oldest first.
    #[must_use]
    pub fn build(
        revision: i64,
        platform_providers: PlatformProviders,
        api_keys: Vec<(Digest256, ApiKey)>,
        configurations: Vec<ModelConfiguration>,
    ) -> Self {
        let mut organizations =
            std::collections::HashMap::<OrganizationId, OrganizationRows>::new();
        let mut system_defaults = Vec::new();
        for (digest, key) in api_keys {
            let rows = organizations.entry(key.organization_id).or_default();
            rows.api_keys.push((digest, key));
        }
        for row in configurations {
            match row.organization_id {
                Some(id) => organizations
                    .entry(id)
                    .or_default()
                    .configurations
                    .push(row),
                None => system_defaults.push(row),
            }
        }
        let mut snapshot = Self::empty(platform_providers);
        snapshot.set_system_defaults(system_defaults);
        for (id, rows) in organizations {
            snapshot.set_organization(id, rows);
        }
        snapshot.revision = revision;
        snapshot
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

    /// The next snapshot, where only the keys of one organisation are read anew, and its
    /// configurations stay as they are.
    #[must_use]
    pub fn with_api_keys(
        &self,
        revision: i64,
        organization_id: OrganizationId,
        api_keys: Vec<(Digest256, ApiKey)>,
    ) -> Self {
        let mut next = self.clone();
        let kept = next.organizations.get(&organization_id);
        let kept = kept.map(|organization| Arc::clone(&organization.configurations));
        next.set(organization_id, api_keys, kept.unwrap_or_default());
        next.revision = revision;
        next
    }

    /// The next snapshot, with other system defaults.
    #[must_use]
    pub fn with_system_defaults(&self, revision: i64, rows: Vec<ModelConfiguration>) -> Self {
        let mut next = self.clone();
        next.set_system_defaults(rows);
        next.revision = revision;
        next
    }

    /// The change-feed revision that this was built from.
    #[must_use]
    pub const fn revision(&self) -> i64 {
        self.revision
    }

    /// Providers whose key the operator lends.
    #[must_use]
    pub fn platform_providers(&self) -> &PlatformProviders {
        &self.platform_providers
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
        let own = self
            .organizations
            .get(&organization_id)
            .map(|organization| &organization.configurations);
        if let Ok(id) = selector.parse::<ModelConfigurationId>() {
            let by_id = own
                .and_then(|own| own.by_id(id))
                .or_else(|| self.system_defaults.by_id(id));
            if by_id.is_some() {
                return by_id;
            }
        }
        own.and_then(|own| own.by_name(selector))
            .or_else(|| self.system_defaults.by_name(selector))
    }

    /// What a caller of the organisation may select by name: its own rows, then the
    /// system defaults whose names it has not taken.
    pub fn selectable(&self, organization_id: OrganizationId) -> impl Iterator<Item = &Arc<Entry>> {
        let own = self
            .organizations
            .get(&organization_id)
            .map(|organization| organization.configurations.as_ref());
        let defaults = self.system_defaults.named().filter(move |entry| {
            own.is_none_or(|own| own.by_name(&entry.configuration.settings.name).is_none())
        });
        own.into_iter()
            .flat_map(Configurations::named)
            .chain(defaults)
    }

    fn set_organization(&mut self, id: OrganizationId, rows: OrganizationRows) {
        let configurations = Configurations::new(rows.configurations, &self.platform_providers);
        self.set(id, rows.api_keys, Arc::new(configurations));
    }

    fn set(
        &mut self,
        id: OrganizationId,
        keys: Vec<(Digest256, ApiKey)>,
        configurations: Arc<Configurations>,
    ) {
        if let Some(before) = self.organizations.get(&id) {
            for digest in before.api_keys.iter() {
                self.callers.remove(digest);
            }
        }
        let api_keys = keys.iter().map(|(digest, _)| *digest).collect();
        for (digest, key) in keys {
            self.callers.insert(digest, Arc::new(caller_of(key)));
        }
        let organization = Organization {
            api_keys,
            configurations,
        };
        self.organizations.insert(id, organization);
    }

    fn set_system_defaults(&mut self, rows: Vec<ModelConfiguration>) {
        self.system_defaults = Arc::new(Configurations::new(rows, &self.platform_providers));
    }
}

fn caller_of(key: ApiKey) -> Caller {
    Caller {
        api_key_id: key.id,
        organization_id: key.organization_id,
        scopes: key.scopes,
    }
}
