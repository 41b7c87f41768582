//! Where opened credentials come from.

use std::sync::Arc;

use async_trait::async_trait;
use domain::id::{Alias, ModelConfigurationId, OrganizationId};
use providers::auth::Credential;
use providers::target::Origin;

/// Which credential a target needs, with everything that its secret is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyReference {
    /// A secret of an organisation's own. It opens only for the organisation,
    /// provider and origin that it was sealed for.
    Own {
        /// The owner of the configuration, from the snapshot and never from a sealed row.
        organization_id: OrganizationId,
        /// Where the secret lies in the vault.
        alias: Alias,
        /// The catalog name of the provider it is a credential of.
        provider: &'static str,
        /// The origin that the call would go to.
        origin: Origin,
    },
    /// A secret that an organisation brought for everything its slot covers. It opens only
    /// for that organisation and slot; whoever asks for it sends it to the provider's own
    /// hosts only.
    Slot {
        /// The caller's organisation, from the snapshot and never from a sealed row.
        organization_id: OrganizationId,
        /// Where the secret lies in the vault.
        alias: Alias,
        /// The slot that it was given for.
        slot: &'static str,
        /// The catalog name of the provider, one that the slot covers.
        provider: &'static str,
    },
    /// The key that the operator's settings give to one system default.
    SystemDefault {
        /// The system default.
        model_configuration_id: ModelConfigurationId,
        /// The origin that the call would go to; it must be the one in the settings.
        origin: Origin,
    },
    /// The key that the operator lends to every organisation; only for catalog origins.
    Platform {
        /// The catalog name of the provider.
        provider: &'static str,
    },
}

/// Why a credential cannot be had. Neither variant holds anything of the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The vault cannot be reached now; trying again later may help.
    #[error("the secret store cannot be reached: {0}")]
    Unavailable(String),
    /// The secret is gone, or is bound to something else than this call.
    #[error("the secret cannot be opened for this target: {0}")]
    Refused(String),
}

/// Opens credentials. `server` implements it over the vault and its cache.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// A credential that is open already. Called on every attempt: it neither
    /// blocks nor waits.
    fn cached(&self, key: &KeyReference) -> Option<Arc<Credential>>;

    /// Opens a credential, and keeps it for [`SecretSource::cached`].
    ///
    /// # Errors
    /// When the vault cannot be reached or refuses.
    async fn open(&self, key: &KeyReference) -> Result<Arc<Credential>, SecretError>;
}
