//! Opening everything, to know that it opens.

use std::collections::HashMap;

use anyhow::Context;
use domain::id::{Alias, ModelConfigurationId, OrganizationId};
use domain::model_configuration::ModelConfiguration;
use domain::provider_credential::ProviderCredential;
use providers::slots::SLOT_ORIGIN;
use providers::target::Target;
use store::{Database, sealed};
use vault::backend::embedded::EmbeddedVault;
use vault::{Binding, Purpose, SealedSecret, WrappedOrganizationKey};

use crate::sealed_storage::{sealed_secret, wrapped_key};

/// What was tried, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenedEverything {
    /// How many secrets that something refers to open.
    pub opened: usize,
    /// What refers to a secret that does not open, and why not; nothing of a secret.
    pub failures: Vec<String>,
    /// Model configurations that cannot be read; what they refer to is not known.
    pub unreadable: Vec<ModelConfigurationId>,
    /// Sealed secrets that nothing refers to: they wait for their destruction.
    pub unreferenced: usize,
}

/// Opens every secret that a model configuration or a provider credential refers to, exactly as a call would.
///
/// # Errors
/// When the database cannot be read.
pub async fn open_everything(
    database: &Database,
    vault: &EmbeddedVault,
) -> anyhow::Result<OpenedEverything> {
    let rows = sealed::all_secrets(database).await?;
    let mut secrets: HashMap<Alias, SealedSecret> = rows
        .into_iter()
        .map(|row| (row.alias.clone(), sealed_secret(row)))
        .collect();
    let keys: HashMap<Option<OrganizationId>, WrappedOrganizationKey> =
        sealed::all_organization_keys(database)
            .await?
            .into_iter()
            .map(|row| (row.organization_id, wrapped_key(row)))
            .collect();
    let mut result = OpenedEverything::default();
    let mut configurations = store::model_configurations::everything(database);
    while let Some(page) = configurations.next_page().await? {
        for row in page {
            let configuration = match row {
                Ok(configuration) => configuration,
                Err(row) => {
                    result.unreadable.push(row.id);
                    continue;
                }
            };
            let Some(alias) = &configuration.api_key_alias else {
                continue;
            };
            let secret = secrets.remove(alias);
            let key = keys.get(&configuration.organization_id);
            match open_one(vault, &configuration, alias, secret.as_ref(), key) {
                Ok(()) => result.opened += 1,
                Err(error) => result.failures.push(format!(
                    "model configuration `{}` ({}): {error:#}",
                    configuration.settings.name, configuration.id
                )),
            }
        }
    }
    for row in store::provider_credentials::list_everything(database).await? {
        let Some(alias) = &row.alias else {
            continue;
        };
        let secret = secrets.remove(alias);
        let key = keys.get(&Some(row.organization_id));
        match open_slot(vault, &row, alias, secret.as_ref(), key) {
            Ok(()) => result.opened += 1,
            Err(error) => result.failures.push(format!(
                "provider credential `{}` of organization {}: {error:#}",
                row.slot, row.organization_id
            )),
        }
    }
    result.unreferenced = secrets.len();
    Ok(result)
}

fn open_one(
    vault: &EmbeddedVault,
    configuration: &ModelConfiguration,
    alias: &Alias,
    secret: Option<&SealedSecret>,
    key: Option<&WrappedOrganizationKey>,
) -> anyhow::Result<()> {
    let secret = secret.context("its secret is not in the database")?;
    let key = key.context("the key of its organisation is not in the database")?;
    let target = Target::new(&configuration.settings).map_err(|error| {
        anyhow::anyhow!("where its secret may be sent is unknown: {}", error.message)
    })?;
    let binding = Binding {
        organization_id: configuration.organization_id,
        alias: alias.clone(),
        version: secret.version,
        purpose: Purpose::ProviderApiKey,
        provider: target.provider.name.clone(),
        allowed_origin: target.origin.as_str().to_owned(),
    };
    vault.open_row(secret, key, &binding)?;
    Ok(())
}

fn open_slot(
    vault: &EmbeddedVault,
    row: &ProviderCredential,
    alias: &Alias,
    secret: Option<&SealedSecret>,
    key: Option<&WrappedOrganizationKey>,
) -> anyhow::Result<()> {
    let secret = secret.context("its secret is not in the database")?;
    let key = key.context("the key of its organisation is not in the database")?;
    let binding = Binding {
        organization_id: Some(row.organization_id),
        alias: alias.clone(),
        version: secret.version,
        purpose: Purpose::ProviderCredential,
        provider: row.slot.clone(),
        allowed_origin: SLOT_ORIGIN.to_owned(),
    };
    vault.open_row(secret, key, &binding)?;
    Ok(())
}
