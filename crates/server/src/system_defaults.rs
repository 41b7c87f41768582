//! System model configurations: kept in step with the settings at every start.

use std::collections::HashMap;

use domain::audit::{Actor, AuditEvent};
use domain::clock::{Clock, Entropy, time_ordered_id};
use domain::id::{AuditEventId, ModelConfigurationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use providers::target::Target;
use providers::{catalog, parameters};
use serde_json::{Value, json};
use store::changes::{self, Change};
use store::{Database, StoreError, WriteTransaction, audit, model_configurations};
use uuid::Uuid;

use crate::settings::{Settings, SettingsError, SystemModelConfiguration};

/// Ids of system model configurations are UUIDv5 of their names in this namespace, so
/// that clients may keep them.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_2d5e_8a37_5b9e_9d40_71c3_a2f8_e615);

/// The id of the system model configuration of this name.
#[must_use]
pub fn id_of(name: &str) -> ModelConfigurationId {
    ModelConfigurationId(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
}

/// The jobs that an agent has models for.
const AGENT_ROLES: [&str; 7] = [
    "main_agent",
    "focused_action",
    "extract_prompt",
    "cache_detection",
    "cache_detection_fallback",
    "fallback_1",
    "fallback_2",
];

/// What the settings want, checked.
///
/// # Errors
/// When two have one name, a provider is unknown, a parameter is refused, or a role is
/// none or has no such configuration.
pub fn wanted(settings: &Settings) -> Result<Vec<ModelSettings>, SettingsError> {
    let wanted = configurations(settings)?;
    for (role, name) in &settings.roles {
        if !AGENT_ROLES.contains(&role.as_str()) {
            let known = AGENT_ROLES.join(", ");
            let why = format!("roles.{role}: there is no such role; known: {known}");
            return Err(SettingsError(why));
        }
        if !wanted.iter().any(|row| row.name == *name) {
            let why = format!("roles.{role}: `{name}` is not in [[system_model_configurations]]");
            return Err(SettingsError(why));
        }
    }
    Ok(wanted)
}

fn configurations(settings: &Settings) -> Result<Vec<ModelSettings>, SettingsError> {
    let mut wanted: Vec<ModelSettings> = Vec::new();
    for entry in &settings.system_model_configurations {
        let name = &entry.name;
        let refuse = |why: &str| {
            Err(SettingsError(format!(
                "system_model_configurations: `{name}`: {why}"
            )))
        };
        if !(1..=255).contains(&name.chars().count()) {
            return refuse("a name has 1 to 255 characters");
        }
        if wanted.iter().any(|other| other.name == *name) {
            return refuse("the name is used twice");
        }
        let row = model_settings(entry);
        let Some(provider) = catalog::provider(&row.provider) else {
            let known: Vec<&str> = catalog::providers()
                .iter()
                .map(|provider| provider.name.as_str())
                .collect();
            let provider = &row.provider;
            let why = format!(
                "there is no provider `{provider}`; known: {}",
                known.join(", ")
            );
            return refuse(&why);
        };
        if let Some(error) = parameters::check(provider, &row, settings.endpoint_policy())
            .into_iter()
            .next()
        {
            let path = error.path.join(".");
            return refuse(&format!("additional_params.{path}: {}", error.message));
        }
        if let Err(error) = Target::new(&row) {
            return refuse(&error.message);
        }
        wanted.push(row);
    }
    Ok(wanted)
}

fn model_settings(entry: &SystemModelConfiguration) -> ModelSettings {
    ModelSettings {
        name: entry.name.clone(),
        description: entry.description.clone(),
        provider: entry.provider.clone(),
        model: entry.model.clone(),
        temperature: entry.temperature,
        max_tokens: entry.max_tokens,
        timeout_seconds: entry.timeout_seconds,
        max_retries: entry.max_retries,
        additional_params: entry.additional_params.clone(),
        agent_harness_version_string: entry.agent_harness_version_string.clone(),
        is_computer_use_model: entry.is_computer_use_model,
        is_archived: false,
    }
}

/// Makes the database's system defaults those of the settings.
///
/// Several servers may do so at once: who finds a row that another has just made
/// looks again.
///
/// # Errors
/// When the database cannot be written.
pub async fn synchronize(
    database: &Database,
    wanted: &[ModelSettings],
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    for _ in 0..5 {
        match synchronize_once(database, wanted, clock, entropy).await {
            Err(StoreError::Conflict(_) | StoreError::Busy) => {}
            done => return done,
        }
    }
    synchronize_once(database, wanted, clock, entropy).await
}

async fn synchronize_once(
    database: &Database,
    wanted: &[ModelSettings],
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let rows = model_configurations::list_owned(database, None).await?;
    let mut present: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
    let mut changes = Vec::new();
    for settings in wanted {
        match present.remove(&id_of(&settings.name)) {
            Some(row) if row.settings == *settings => {}
            before => changes.push((before, Some(settings))),
        }
    }
    changes.extend(present.into_values().map(|row| (Some(row), None)));
    if changes.is_empty() {
        return Ok(());
    }
    let writer = Writer { clock, entropy };
    let mut transaction = database.write().await?;
    for (before, after) in changes {
        writer.change(&mut transaction, before, after).await?;
    }
    changes::record(&mut transaction, Change::SystemDefaults).await?;
    transaction.commit().await
}

struct Writer<'a> {
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
}

impl Writer<'_> {
    async fn change(
        &self,
        transaction: &mut WriteTransaction,
        before: Option<ModelConfiguration>,
        settings: Option<&ModelSettings>,
    ) -> Result<(), StoreError> {
        let after = settings.map(|settings| self.row(before.as_ref(), settings));
        let (verb, id) = match (&before, &after) {
            (Some(row), None) => {
                model_configurations::delete(transaction, None, row.id).await?;
                ("delete", row.id)
            }
            (None, Some(row)) => {
                model_configurations::insert(transaction, row).await?;
                ("create", row.id)
            }
            (Some(_), Some(row)) => {
                model_configurations::update(transaction, row).await?;
                ("update", row.id)
            }
            (None, None) => return Ok(()),
        };
        let event = AuditEvent {
            id: AuditEventId(time_ordered_id(self.clock, self.entropy)),
            organization_id: None,
            at: self.clock.now(),
            actor: Actor::Settings,
            action: format!("model_configuration.{verb}"),
            resource_id: id.to_string(),
            before: before.as_ref().map(shown),
            after: after.as_ref().map(shown),
            request_id: None,
        };
        audit::append(transaction, &event).await
    }

    fn row(
        &self,
        before: Option<&ModelConfiguration>,
        settings: &ModelSettings,
    ) -> ModelConfiguration {
        let now = self.clock.now();
        ModelConfiguration {
            id: id_of(&settings.name),
            organization_id: None,
            revision: before.map_or(1, |row| row.revision + 1),
            settings: settings.clone(),
            api_key_alias: None,
            created_at: before.map_or(now, |row| row.created_at),
            updated_at: now,
        }
    }
}

fn shown(row: &ModelConfiguration) -> Value {
    json!({"revision": row.revision, "settings": row.settings})
}
