//! System model configurations and the agent roles they do: kept in step with the settings
//! at every start, and whenever the settings are read again.
//!
//! * `wanted` (here) checks what the settings say;
//! * `synchronize` makes the database say it.

mod synchronize;

use domain::agent_role::AgentRole;
use domain::id::ModelConfigurationId;
use domain::model_configuration::ModelSettings;
use providers::target::Target;
use providers::{catalog, parameters};
use uuid::Uuid;

pub use synchronize::synchronize;

use crate::settings::{Settings, SettingsError, SystemModelConfiguration};

/// Ids of system model configurations are UUIDv5 of their names in this namespace, so
/// that clients may keep them.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_2d5e_8a37_5b9e_9d40_71c3_a2f8_e615);

/// The id of the system model configuration of this name.
#[must_use]
pub fn id_of(name: &str) -> ModelConfigurationId {
    ModelConfigurationId(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
}

/// What the settings want, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The system defaults.
    pub configurations: Vec<ModelSettings>,
    /// Which of them does which role for every organisation.
    pub roles: Vec<(AgentRole, ModelConfigurationId)>,
}

/// What the settings want, checked.
///
/// # Errors
/// When two have one name, a provider is unknown, a parameter is refused, or a role is
/// none, has no such configuration, or one that may not do it.
pub fn wanted(settings: &Settings) -> Result<Wanted, SettingsError> {
    let configurations = configurations(settings)?;
    let roles = settings.roles.iter().map(|(role, name)| {
        let assigned = assigned(role, name, &configurations);
        assigned.map_err(|why| SettingsError(format!("roles.{role}: {why}")))
    });
    Ok(Wanted {
        roles: roles.collect::<Result<_, _>>()?,
        configurations,
    })
}

fn assigned(
    role: &str,
    name: &str,
    configurations: &[ModelSettings],
) -> Result<(AgentRole, ModelConfigurationId), String> {
    let role: AgentRole = role
        .parse()
        .map_err(|error: domain::agent_role::UnknownAgentRole| error.to_string())?;
    let row = configurations.iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| format!("`{name}` is not in [[system_model_configurations]]"))?;
    if role.needs_computer_use() && !row.is_computer_use_model {
        return Err(format!(
            "only a model with `is_computer_use_model = true` may do it, and `{name}` has none"
        ));
    }
    Ok((role, id_of(name)))
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

/// What an entry of the settings says, as a row has it.
pub(crate) fn model_settings(entry: &SystemModelConfiguration) -> ModelSettings {
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
