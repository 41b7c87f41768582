//! The store as the vault's storage: rows in, rows out, nothing opened.

use async_trait::async_trait;
use domain::id::{Alias, OrganizationId};
use store::sealed::{self, OrganizationKeyRow, SealedSecretRow};
use store::{Database, StoreError};
use vault::{SealedSecret, SealedStorage, VaultError, WrappedOrganizationKey};

/// The vault's storage over a [`Database`].
pub struct StoreSealedStorage {
    database: Database,
}

impl StoreSealedStorage {
    /// Keeps sealed rows in `database`.
    #[must_use]
    pub const fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl SealedStorage for StoreSealedStorage {
    async fn sealed_secret(&self, alias: &Alias) -> Result<Option<SealedSecret>, VaultError> {
        let row = sealed::secret(&self.database, alias)
            .await
            .map_err(unavailable)?;
        Ok(row.map(sealed_secret))
    }

    async fn delete_sealed_secret(&self, alias: &Alias) -> Result<(), VaultError> {
        sealed::delete_secret(&self.database, alias)
            .await
            .map_err(unavailable)
    }

    async fn organization_key(
        &self,
        organization_id: Option<OrganizationId>,
    ) -> Result<Option<WrappedOrganizationKey>, VaultError> {
        let row = sealed::organization_key(&self.database, organization_id)
            .await
            .map_err(unavailable)?;
        Ok(row.map(wrapped_key))
    }

    async fn insert_organization_key(
        &self,
        key: WrappedOrganizationKey,
    ) -> Result<WrappedOrganizationKey, VaultError> {
        let row = sealed::insert_organization_key(&self.database, &key_row(&key))
            .await
            .map_err(unavailable)?;
        Ok(wrapped_key(row))
    }

    async fn organization_keys_not_under(
        &self,
        root_key_id: &str,
        limit: u32,
    ) -> Result<Vec<WrappedOrganizationKey>, VaultError> {
        let rows = sealed::organization_keys_not_under(&self.database, root_key_id, limit)
            .await
            .map_err(unavailable)?;
        Ok(rows.into_iter().map(wrapped_key).collect())
    }

    async fn replace_organization_key(
        &self,
        old: &WrappedOrganizationKey,
        new: &WrappedOrganizationKey,
    ) -> Result<bool, VaultError> {
        sealed::replace_organization_key(&self.database, &key_row(old), &key_row(new))
            .await
            .map_err(unavailable)
    }

    async fn organization_keys_by_root_key(&self) -> Result<Vec<(String, u64)>, VaultError> {
        sealed::organization_keys_by_root_key(&self.database)
            .await
            .map_err(unavailable)
    }

    async fn sealed_secret_count(&self) -> Result<u64, VaultError> {
        sealed::secret_count(&self.database)
            .await
            .map_err(unavailable)
    }

    async fn canaries(&self) -> Result<Vec<(String, Vec<u8>)>, VaultError> {
        sealed::canaries(&self.database).await.map_err(unavailable)
    }

    async fn insert_canary(&self, root_key_id: &str, blob: &[u8]) -> Result<(), VaultError> {
        sealed::insert_canary(&self.database, root_key_id, blob)
            .await
            .map_err(unavailable)
    }

    async fn delete_canary(&self, root_key_id: &str) -> Result<(), VaultError> {
        sealed::delete_canary(&self.database, root_key_id)
            .await
            .map_err(unavailable)
    }
}

/// A sealed secret as the vault knows it.
#[must_use]
pub fn sealed_secret(row: SealedSecretRow) -> SealedSecret {
    SealedSecret {
        alias: row.alias,
        version: row.version,
        organization_id: row.organization_id,
        blob: row.blob,
    }
}

/// A wrapped organisation key as the vault knows it.
#[must_use]
pub fn wrapped_key(row: OrganizationKeyRow) -> WrappedOrganizationKey {
    WrappedOrganizationKey {
        organization_id: row.organization_id,
        root_key_id: row.root_key_id,
        blob: row.blob,
    }
}

fn key_row(key: &WrappedOrganizationKey) -> OrganizationKeyRow {
    OrganizationKeyRow {
        organization_id: key.organization_id,
        root_key_id: key.root_key_id.clone(),
        blob: key.blob.clone(),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn unavailable(error: StoreError) -> VaultError {
    VaultError::Unavailable(error.to_string())
}
