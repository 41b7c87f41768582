//! Whose key a configuration is called with.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::id::{Alias, ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::provider_credential::{AuthType, CredentialStatus, ProviderCredential};
use providers::catalog;
use providers::slots::{self, Slot};
use providers::target::Target;

use crate::secrets::KeyReference;
use crate::upstream::{Partition, PoolKey};

/// What the operator has keys for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlatformKeys {
    /// Catalog providers whose key is lent to every organisation.
    pub providers: BTreeSet<String>,
    /// System defaults with a key of their own.
    pub configurations: BTreeSet<ModelConfigurationId>,
}

impl FromIterator<String> for PlatformKeys {
    /// Keys that are lent to every organisation, and no others.
    fn from_iter<T: IntoIterator<Item = String>>(providers: T) -> Self {
        Self {
            providers: providers.into_iter().collect(),
            configurations: BTreeSet::new(),
        }
    }
}

/// The credentials that an organisation brought for all its configurations.
#[derive(Clone, Debug, Default)]
pub struct Slots(Vec<SlotState>);

#[derive(Clone, Debug)]
struct SlotState {
    slot: &'static Slot,
    organization_id: OrganizationId,
    status: CredentialStatus,
    auth_type: Option<AuthType>,
    alias: Option<Alias>,
    region: Option<String>,
}

impl Slots {
    /// The slots that these rows are about. One whose provider the catalog no longer has
    /// opens nothing.
    #[must_use]
    pub fn of(rows: &[ProviderCredential]) -> Self {
        let states = rows.iter().filter_map(|row| {
            Some(SlotState {
                slot: slots::slot(&row.slot)?,
                organization_id: row.organization_id,
                status: row.status,
                auth_type: row.auth_type,
                alias: row.alias.clone(),
                region: row.display_metadata.aws_region.clone(),
            })
        });
        Self(states.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them has a say about a provider, whatever its status.
    pub(super) fn concern(&self, provider: &str) -> bool {
        self.covering(provider).is_some() || self.unfit(provider).is_some()
    }

    /// The one whose credential, present or deleted, is the provider's kind.
    fn covering(&self, provider: &str) -> Option<&SlotState> {
        let state = self.state_of(slots::covering(provider)?)?;
        state.unfit_kind(provider).is_none().then_some(state)
    }

    /// The one that people would expect to pay, and whose credential is of another kind.
    fn unfit(&self, provider: &str) -> Option<(&'static str, AuthType)> {
        let state = self.state_of(slots::expected_of(provider)?)?;
        Some((state.slot.name, state.unfit_kind(provider)?))
    }

    fn state_of(&self, slot: &Slot) -> Option<&SlotState> {
        self.0.iter().find(|state| state.slot.name == slot.name)
    }

    /// The settings with the region of the slot that pays for them, where they say none.
    pub(super) fn placed(&self, row: &ModelConfiguration) -> Option<ModelSettings> {
        if self.0.is_empty() || row.api_key_alias.is_some() {
            return None;
        }
        let region = self.covering(&row.settings.provider)?.region.as_ref()?;
        slots::with_region(&row.settings, region)
    }
}

impl SlotState {
    /// The kind of its credential, if the provider does not take that.
    fn unfit_kind(&self, provider: &str) -> Option<AuthType> {
        let kind = self.auth_type?;
        let is_taken = catalog::provider(provider).is_some_and(|it| slots::takes(it, kind));
        (!is_taken).then_some(kind)
    }
}

/// Whose key a call is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The configuration's own.
    Own(KeyReference),
    /// The one that the caller's organisation brought for all its configurations.
    Slot(KeyReference),
    /// The operator's.
    Platform(KeyReference),
    /// The provider wants none.
    NotNeeded,
    /// The organisation's slot has no key that may be used; nobody else's is used instead.
    Unusable {
        /// The slot.
        slot: &'static str,
        /// `invalid` or `missing`.
        status: CredentialStatus,
    },
    /// Nobody's, though the organisation's slot has a credential: of a kind that the provider
    /// does not take.
    Unfit {
        /// The slot.
        slot: &'static str,
        /// What it holds.
        kind: AuthType,
    },
    /// Nobody's: the call is refused and says what to do.
    Missing,
}

/// The order of design: own key, the organisation's slot, platform key, no key where none
/// is needed.
///
/// The keys of slots and the operator's are never sent anywhere but to the provider's own
/// hosts; the key of a system default only where the settings that have it send it.
pub(super) fn key_source(
    row: &ModelConfiguration,
    target: &Target,
    platform: &PlatformKeys,
    slots: &Slots,
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
    if row.organization_id.is_none() && platform.configurations.contains(&row.id) {
        return KeySource::Platform(KeyReference::SystemDefault {
            model_configuration_id: row.id,
            origin: target.origin.clone(),
        });
    }
    if target.is_catalog_origin {
        if let Some(state) = slots.covering(provider) {
            return of_slot(state, provider);
        }
        if platform.providers.contains(provider) {
            return KeySource::Platform(KeyReference::Platform { provider });
        }
    }
    if !target.provider.needs_key() {
        return KeySource::NotNeeded;
    }
    match slots.unfit(provider) {
        Some((slot, kind)) if target.is_catalog_origin => KeySource::Unfit { slot, kind },
        _ => KeySource::Missing,
    }
}

fn of_slot(state: &SlotState, provider: &'static str) -> KeySource {
    let slot = state.slot.name;
    match (&state.alias, state.status) {
        (Some(alias), CredentialStatus::Active) => KeySource::Slot(KeyReference::Slot {
            organization_id: state.organization_id,
            alias: alias.clone(),
            slot,
            provider,
        }),
        (None, _) => KeySource::Unusable {
            slot,
            status: CredentialStatus::Missing,
        },
        (Some(_), status) => KeySource::Unusable { slot, status },
    }
}

/// Calls with the same secret share connections; so do all calls with the operator's
/// key for one provider, of whom several may be reached at one origin. Without a key, connections are kept apart by caller.
pub(super) fn pool_key(key: &KeySource, target: &Target) -> Option<Arc<PoolKey>> {
    let reference = match key {
        KeySource::Own(reference) | KeySource::Slot(reference) | KeySource::Platform(reference) => {
            reference
        }
        KeySource::NotNeeded
        | KeySource::Unusable { .. }
        | KeySource::Unfit { .. }
        | KeySource::Missing => return None,
    };
    let partition = match reference {
        KeyReference::Own { alias, .. } | KeyReference::Slot { alias, .. } => {
            Partition::Secret(alias.clone())
        }
        KeyReference::Platform { provider } => Partition::Platform(provider),
        KeyReference::SystemDefault {
            model_configuration_id,
            ..
        } => Partition::SystemDefault(*model_configuration_id),
    };
    Some(Arc::new(PoolKey {
        origin: target.origin.clone(),
        partition,
    }))
}
