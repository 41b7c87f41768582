//! A snapshot that is built from every row, of which few are held at a time.

use std::collections::HashMap;
use std::sync::Arc;

use domain::id::OrganizationId;
use domain::model_configuration::ReadConfiguration;

use super::configurations::Unordered;
use super::entry::Circumstances;
use super::{InstallationRows, OrganizationRows, PlatformKeys, Slots, Snapshot, SystemRows};

/// Takes in the configurations of an installation, page by page.
pub struct SnapshotBuilder {
    platform: Arc<PlatformKeys>,
    organizations: HashMap<OrganizationId, Parts>,
    system: SystemRows,
    system_defaults: Unordered,
}

struct Parts {
    rows: OrganizationRows,
    slots: Arc<Slots>,
    configurations: Unordered,
}

impl SnapshotBuilder {
    /// Starts with everything; `rows.configurations` may be the first page of them.
    #[must_use]
    pub fn new(platform: PlatformKeys, rows: InstallationRows) -> Self {
        let platform = Arc::new(platform);
        let mut owned = HashMap::<OrganizationId, OrganizationRows>::new();
        let mut system = SystemRows::default();
        for (digest, key) in rows.api_keys {
            let owner = owned.entry(key.organization_id).or_default();
            owner.api_keys.push((digest, key));
        }
        for (owner, role, id) in rows.roles {
            let assignments = match owner {
                Some(owner) => &mut owned.entry(owner).or_default().roles,
                None => &mut system.roles,
            };
            assignments.set(role, id);
        }
        for (owner, whose, budget) in rows.budgets {
            let owner = owned.entry(owner).or_default();
            owner.budgets.set(whose, budget);
        }
        for (owner, api_key_id, limits) in rows.rate_limits {
            let owner = owned.entry(owner).or_default();
            owner.rate_limits.set(api_key_id, limits);
        }
        for row in rows.credentials {
            let owner = owned.entry(row.organization_id).or_default();
            owner.credentials.push(row);
        }
        let organizations = owned.into_iter();
        let organizations = organizations.map(|(id, rows)| (id, Parts::new(id, rows, &platform)));
        let mut builder = Self {
            organizations: organizations.collect(),
            system,
            system_defaults: Unordered::new(Circumstances::of_system(&platform)),
            platform,
        };
        builder.add(rows.configurations);
        builder
    }

    /// Takes in the next configurations, of whomever, in any order.
    pub fn add(&mut self, page: Vec<ReadConfiguration>) {
        for row in page {
            let owner = match &row {
                Ok(row) => row.organization_id,
                Err(row) => row.organization_id,
            };
            let configurations = match owner {
                None => &mut self.system_defaults,
                Some(id) => {
                    let parts = self.organizations.entry(id).or_insert_with(|| {
                        Parts::new(id, OrganizationRows::default(), &self.platform)
                    });
                    &mut parts.configurations
                }
            };
            configurations.push(row);
        }
    }

    /// The snapshot, as it stands at `revision`.
    #[must_use]
    pub fn finish(self, revision: i64) -> Snapshot {
        let mut snapshot = Snapshot {
            revision,
            platform: self.platform,
            ..Snapshot::default()
        };
        snapshot.put_system(self.system_defaults, self.system.roles);
        for (id, parts) in self.organizations {
            snapshot.put_organization(id, parts.rows, parts.slots, parts.configurations);
        }
        snapshot
    }
}

impl Parts {
    fn new(id: OrganizationId, rows: OrganizationRows, platform: &Arc<PlatformKeys>) -> Self {
        let slots = Arc::new(Slots::of(&rows.credentials));
        let circumstances = Circumstances::of_organization(id, platform, &slots);
        Self {
            rows,
            slots,
            configurations: Unordered::new(circumstances),
        }
    }
}
