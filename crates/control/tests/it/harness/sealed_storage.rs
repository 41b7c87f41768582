//! The store as the vault's storage, as `server` has it too.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::id::{Alias, OrganizationId};
use store::sealed::{self, OrganizationKeyRow, SealedSecretRow};
use store::{Database, StoreError};
use vault::{SealedSecret, SealedStorage, VaultError, WrappedOrganizationKey};

pub(crate) struct StoreSealedStorage(pub(crate) Database);

#[async_trait]
impl SealedStorage for StoreSealedStorage {
    async fn sealed_secret(&self, alias: &Alias) -> Result<Option<SealedSecret>, VaultError> {
        let row = sealed::secret(&self.0, alias).await.map_err(down)?;
        Ok(row.map(secret))
    }

    async fn delete_sealed_secret(&self, alias: &Alias) -> Result<(), VaultError> {
        sealed::delete_secret(&self.0, alias).await.map_err(down)
    }

    async fn organization_key(
        &self,
        organization_id: Option<OrganizationId>,
    ) -> Result<Option<WrappedOrganizationKey>, VaultError> {
        let row = sealed::organization_key(&self.0, organization_id).await;
        Ok(row.map_err(down)?.map(key))
    }

    async fn insert_organization_key(
        &self,
        wrapped: WrappedOrganizationKey,
    ) -> Result<WrappedOrganizationKey, VaultError> {
        let stored = sealed::insert_organization_key(&self.0, &row(&wrapped)).await;
        stored.map(key).map_err(down)
    }

    async fn organization_keys_not_under(
        &self,
        root_key_id: &str,
        limit: u32,
    ) -> Result<Vec<WrappedOrganizationKey>, VaultError> {
        let rows = sealed::organization_keys_not_under(&self.0, root_key_id, limit).await;
        Ok(rows.map_err(down)?.into_iter().map(key).collect())
    }

    async fn replace_organization_key(
        &self,
        old: &WrappedOrganizationKey,
        new: &WrappedOrganizationKey,
    ) -> Result<bool, VaultError> {
        let replaced = sealed::replace_organization_key(&self.0, &row(old), &row(new)).await;
        replaced.map_err(down)
    }

    async fn organization_keys_by_root_key(&self) -> Result<Vec<(String, u64)>, VaultError> {
        let rows = sealed::all_organization_keys(&self.0).await.map_err(down)?;
        let mut counts = BTreeMap::<String, u64>::new();
        for row in rows {
            *counts.entry(row.root_key_id).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }

    async fn sealed_secret_count(&self) -> Result<u64, VaultError> {
        let rows = sealed::all_secrets(&self.0).await.map_err(down)?;
        Ok(rows.len() as u64)
    }

    async fn canaries(&self) -> Result<Vec<(String, Vec<u8>)>, VaultError> {
        sealed::canaries(&self.0).await.map_err(down)
    }

    async fn insert_canary(&self, root_key_id: &str, blob: &[u8]) -> Result<(), VaultError> {
        let inserted = sealed::insert_canary(&self.0, root_key_id, blob).await;
        inserted.map_err(down)
    }

    async fn delete_canary(&self, root_key_id: &str) -> Result<(), VaultError> {
        let deleted = sealed::delete_canary(&self.0, root_key_id).await;
        deleted.map_err(down)
    }
}

fn secret(row: SealedSecretRow) -> SealedSecret {
    SealedSecret {
        alias: row.alias,
        version: row.version,
        organization_id: row.organization_id,
        blob: row.blob,
    }
}

fn key(row: OrganizationKeyRow) -> WrappedOrganizationKey {
    WrappedOrganizationKey {
        organization_id: row.organization_id,
        root_key_id: row.root_key_id,
        blob: row.blob,
    }
}

fn row(key: &WrappedOrganizationKey) -> OrganizationKeyRow {
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
fn down(error: StoreError) -> VaultError {
    VaultError::Unavailable(error.to_string())
}
