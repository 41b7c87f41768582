//! The first organisation and the first API key.

use std::collections::BTreeSet;

use anyhow::Context;
use domain::api_key::{ApiKey, ApiKeyToken, Scope};
use domain::audit::{Actor, AuditEvent};
use domain::clock::{Clock, Entropy, random, time_ordered_id};
use domain::id::{ApiKeyId, AuditEventId, OrganizationId};
use domain::organization::{DEFAULT_ORGANIZATION, Organization};
use serde_json::to_value;
use store::{Database, StoreError, WriteTransaction, api_keys, audit, organizations};

use crate::settings::{BOOTSTRAP_API_KEY, SettingsError};

/// Takes the key that the environment chose; a fresh one where it chose none.
///
/// # Errors
/// When it is not 32 to 512 visible characters. The text is not repeated.
pub fn chosen_key() -> Result<Option<ApiKeyToken>, SettingsError> {
    let Some(text) = std::env::var_os(BOOTSTRAP_API_KEY) else {
        return Ok(None);
    };
    text.to_str()
        .and_then(|text| ApiKeyToken::parse(text).ok())
        .map(Some)
        .ok_or_else(|| {
            SettingsError(format!(
                "{BOOTSTRAP_API_KEY}: a key is 32 to 512 visible ASCII characters; one that \
                 begins with `qm_` is one that Quartermaster made"
            ))
        })
}

/// Sees to it that there is a first key. Returns it where it was made here, so that it
/// can be shown, once.
///
/// # Errors
/// When the database cannot be written.
pub async fn ensure_key(
    database: &Database,
    chosen: Option<ApiKeyToken>,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> anyhow::Result<Option<ApiKeyToken>> {
    // Another server that starts at the same time may be first; then there is one already.
    for _ in 0..5 {
        match try_ensure_key(database, chosen.as_ref(), clock, entropy).await {
            Err(StoreError::Conflict(_) | StoreError::Busy) => {}
            done => return done.context("the first API key cannot be stored"),
        }
    }
    anyhow::bail!("the first API key cannot be stored: another server keeps changing the database")
}

async fn try_ensure_key(
    database: &Database,
    chosen: Option<&ApiKeyToken>,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Option<ApiKeyToken>, StoreError> {
    let organization = organizations::by_name(database, DEFAULT_ORGANIZATION).await?;
    let (token, is_chosen) = match chosen {
        Some(token) => {
            if let Some(key) = api_keys::by_digest(database, &token.digest()).await? {
                if key.revoked_at.is_some() {
                    tracing::warn!("the key of {BOOTSTRAP_API_KEY} was revoked and stays so");
                }
                return Ok(None);
            }
            (token.clone(), true)
        }
        // An organisation may have been made from the command line before: what makes a
        // start the first one is that nobody has a key yet.
        None if api_keys::is_any(database).await? => return Ok(None),
        None => (ApiKeyToken::from_random(&random(entropy)), false),
    };
    let mut transaction = database.write().await?;
    let writer = Writer { clock, entropy };
    let organization_id = match organization {
        Some(organization) => organization.id,
        None => writer.insert_organization(&mut transaction).await?,
    };
    writer
        .insert_key(&mut transaction, organization_id, &token)
        .await?;
    transaction.commit().await?;
    Ok((!is_chosen).then_some(token))
}

struct Writer<'a> {
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
}

impl Writer<'_> {
    async fn insert_organization(
        &self,
        transaction: &mut WriteTransaction,
    ) -> Result<OrganizationId, StoreError> {
        let organization = Organization {
            id: OrganizationId(time_ordered_id(self.clock, self.entropy)),
            name: DEFAULT_ORGANIZATION.to_owned(),
            created_at: self.clock.now(),
        };
        organizations::insert(transaction, &organization).await?;
        let id = organization.id;
        let after = to_value(&organization).ok();
        self.audit(
            transaction,
            id,
            "organization.create",
            id.to_string(),
            after,
        )
        .await?;
        Ok(id)
    }

    async fn insert_key(
        &self,
        transaction: &mut WriteTransaction,
        organization_id: OrganizationId,
        token: &ApiKeyToken,
    ) -> Result<(), StoreError> {
        let key = ApiKey {
            id: ApiKeyId(time_ordered_id(self.clock, self.entropy)),
            organization_id,
            name: "bootstrap".to_owned(),
            scopes: BTreeSet::from(Scope::ALL),
            created_at: self.clock.now(),
            revoked_at: None,
        };
        api_keys::insert(transaction, &key, &token.digest()).await?;
        let after = to_value(&key).ok();
        self.audit(
            transaction,
            organization_id,
            "api_key.create",
            key.id.to_string(),
            after,
        )
        .await
    }

    async fn audit(
        &self,
        transaction: &mut WriteTransaction,
        organization_id: OrganizationId,
        action: &str,
        resource_id: String,
        after: Option<serde_json::Value>,
    ) -> Result<(), StoreError> {
        let event = AuditEvent {
            id: AuditEventId(time_ordered_id(self.clock, self.entropy)),
            organization_id: Some(organization_id),
            at: self.clock.now(),
            actor: Actor::Settings,
            action: action.to_owned(),
            resource_id,
            before: None,
            after,
            request_id: None,
        };
        audit::append(transaction, &event).await
    }
}
