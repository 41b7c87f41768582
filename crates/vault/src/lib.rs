//! Seals and opens secrets.
//!
//! Three layers of keys: a root key outside the database wraps one key per
//! organisation, which wraps a fresh data key for every version of every secret.
//! Every ciphertext is bound to who owns it, which alias and version it is, what
//! it is for and where it may be sent; moved anywhere else it does not open.
//!
//! This crate sees no HTTP, and SQL only through [`SealedStorage`].
//!
//! | module | what it does |
//! | --- | --- |
//! | [`start`] | opens the vault, or refuses to and says why |
//! | [`backend`] | keeps secrets: the embedded vault behind [`VaultBackend`] |
//! | [`envelope`], [`capsule`] | the format of what is stored |
//! | [`root_key`], `root_key_file`, [`keyring`] | root keys: their text, their file, the ones in use |
//! | [`operations`] | status, rotation, backup |

pub mod backend;
pub mod capsule;
pub mod envelope;
pub mod error;
mod key;
pub mod keyring;
pub mod operations;
pub mod root_key;
mod root_key_file;
pub mod start;

use async_trait::async_trait;
use domain::id::{Alias, OrganizationId};
use domain::secret::Secret;

pub use error::VaultError;

/// What a secret is bound to. All of it is authenticated; none of it is secret.
///
/// The organisation always comes from the authenticated request or the owning row's
/// context, never from the sealed row itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Who owns the secret; none for the installation itself.
    pub organization_id: Option<OrganizationId>,
    /// Which secret.
    pub alias: Alias,
    /// Which version of it, from 1.
    pub version: u32,
    /// What it is for.
    pub purpose: Purpose,
    /// The provider it is a credential of; empty for other purposes.
    pub provider: String,
    /// The one origin it may be sent to, e.g. `https://api.openai.com`; empty for other purposes.
    pub allowed_origin: String,
}

/// What a secret is for. One key is never used for two purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A model configuration's own key.
    ProviderApiKey,
    /// A credential that an organisation brought for everything a slot covers: its
    /// `provider` is the slot, and it may be sent to the hosts of the slot's providers.
    ProviderCredential,
    /// A stored idempotent answer that shows a new API key.
    IdempotentAnswer,
}

/// The outcome of [`VaultBackend::put`].
pub enum Deposit {
    /// The caller writes this row in the transaction that writes the alias.
    Row(SealedSecret),
    /// An external backend holds the secret already.
    External,
}

/// A sealed secret as it is stored: a self-describing blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// Which secret.
    pub alias: Alias,
    /// Which version.
    pub version: u32,
    /// Whose organisation key wraps its data key.
    pub organization_id: Option<OrganizationId>,
    /// Everything needed to open it but the organisation key and the binding.
    pub blob: Vec<u8>,
}

/// An organisation key, wrapped by a root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedOrganizationKey {
    /// Whose; none for the installation itself.
    pub organization_id: Option<OrganizationId>,
    /// The root key that wraps it.
    pub root_key_id: String,
    /// The wrapped key.
    pub blob: Vec<u8>,
}

/// Where the embedded backend keeps its rows. `store` implements it.
#[async_trait]
pub trait SealedStorage: Send + Sync {
    /// A sealed secret.
    async fn sealed_secret(&self, alias: &Alias) -> Result<Option<SealedSecret>, VaultError>;
    /// Deletes a sealed secret; deleting what is not there is fine.
    async fn delete_sealed_secret(&self, alias: &Alias) -> Result<(), VaultError>;
    /// An organisation's key.
    async fn organization_key(
        &self,
        organization_id: Option<OrganizationId>,
    ) -> Result<Option<WrappedOrganizationKey>, VaultError>;
    /// Stores an organisation's key unless it has one, and returns the one that is stored.
    ///
    /// Must fail when the root key that wraps it has no canary: a rotation that retires
    /// a root key takes its canary away first, and nothing may come under it after that.
    async fn insert_organization_key(
        &self,
        key: WrappedOrganizationKey,
    ) -> Result<WrappedOrganizationKey, VaultError>;
    /// Up to `limit` organisation keys that another root key than `root_key_id` wraps.
    async fn organization_keys_not_under(
        &self,
        root_key_id: &str,
        limit: u32,
    ) -> Result<Vec<WrappedOrganizationKey>, VaultError>;
    /// Replaces a wrapped key if it is still `old`; says whether it was.
    async fn replace_organization_key(
        &self,
        old: &WrappedOrganizationKey,
        new: &WrappedOrganizationKey,
    ) -> Result<bool, VaultError>;
    /// How many organisation keys each root key wraps, by root key id.
    async fn organization_keys_by_root_key(&self) -> Result<Vec<(String, u64)>, VaultError>;
    /// How many sealed secrets there are.
    async fn sealed_secret_count(&self) -> Result<u64, VaultError>;
    /// The canaries: (root key id, sealed canary) of every root key ever used here.
    async fn canaries(&self) -> Result<Vec<(String, Vec<u8>)>, VaultError>;
    /// Stores a canary unless the root key has one.
    async fn insert_canary(&self, root_key_id: &str, blob: &[u8]) -> Result<(), VaultError>;
    /// Deletes the canary of a root key that wraps nothing any more; must fail while
    /// organisation keys are under it.
    async fn delete_canary(&self, root_key_id: &str) -> Result<(), VaultError>;
}

/// A place that keeps secrets: the embedded vault, or an external one.
///
/// An alias alone must be enough to find a secret there: it is unique over all
/// organisations, and whoever destroys a secret knows nothing else of it. A place that does
/// not authenticate the binding as the embedded vault does keeps it beside the secret, and
/// [`VaultBackend::get`] answers [`VaultError::DoesNotOpen`] to any other.
#[async_trait]
pub trait VaultBackend: Send + Sync {
    /// Keeps a secret under an alias that the caller chose. Repeating it with the
    /// same alias and secret is harmless.
    async fn put(&self, binding: &Binding, secret: &Secret) -> Result<Deposit, VaultError>;
    /// Opens a secret.
    async fn get(&self, binding: &Binding) -> Result<Secret, VaultError>;
    /// Destroys a secret; destroying what is not there is fine.
    async fn delete(&self, alias: &Alias) -> Result<(), VaultError>;
    /// Whether secrets can be kept and opened now.
    async fn health(&self) -> Result<(), VaultError>;
}
