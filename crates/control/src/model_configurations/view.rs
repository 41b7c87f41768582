//! Model configurations and revisions as they are shown. No type here has a place for a key.

use domain::id::{Alias, ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelConfigurationRevision, ModelSettings};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::answer::time;

/// A model configuration. All members are always there.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ModelConfigurationResponse, example = json!({
    "name": "Sonnet for extraction",
    "description": "Reads tables out of screenshots",
    "provider": "anthropic",
    "model": "claude-sonnet-4-5-20250929",
    "temperature": 0.2,
    "max_tokens": 4096,
    "timeout_seconds": 60.0,
    "max_retries": 2,
    "additional_params": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    "agent_harness_version_string": null,
    "is_computer_use_model": false,
    "is_archived": false,
    "id": "0195f2a3-7c1e-7d44-8a86-2f6a4c0d9b11",
    "organization_id": "0195f2a3-0000-7000-8000-000000000001",
    "is_system_default": false,
    "api_key_alias": "mca_b2k7q5w4n3x6y2z7a5s4d3f6g7",
    "created_at": "2026-04-04T01:10:42.560368Z",
    "updated_at": "2026-04-04T01:10:42.560368Z",
}))]
pub(crate) struct ModelConfigurationView<'row> {
    #[serde(flatten)]
    settings: SettingsView<'row>,
    #[schema(value_type = uuid::Uuid)]
    id: ModelConfigurationId,
    /// Its owner; null for a system default.
    #[schema(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// Whether it belongs to the installation: everybody sees it, nobody changes it.
    is_system_default: bool,
    /// Where its own key lies in the vault. Safe to show.
    #[schema(value_type = Option<String>)]
    api_key_alias: Option<&'row Alias>,
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "time")]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "time")]
    updated_at: Timestamp,
}

/// What the owner of a model configuration wrote.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ModelSettings)]
pub(crate) struct SettingsView<'row> {
    /// What clients select it by.
    #[schema(min_length = 1, max_length = 255)]
    name: &'row str,
    description: Option<&'row str>,
    /// LangChain's name of the provider, e.g. `anthropic`; `GET /v1/providers` lists them.
    #[schema(min_length = 1, max_length = 50)]
    provider: &'row str,
    /// The provider's identifier of the model.
    #[schema(min_length = 1, max_length = 255)]
    model: &'row str,
    temperature: Option<f64>,
    max_tokens: Option<i64>,
    timeout_seconds: Option<f64>,
    max_retries: Option<i64>,
    /// Keyword arguments of the provider's LangChain integration.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    additional_params: Option<&'row Map<String, Value>>,
    agent_harness_version_string: Option<&'row str>,
    /// Whether it may serve the main agent, focused actions and their fallbacks.
    is_computer_use_model: bool,
    /// Whether it is hidden from selection by name.
    is_archived: bool,
}

/// A model configuration as it was after one change.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ModelConfigurationRevision)]
pub(crate) struct RevisionView<'row> {
    /// Counts from 1; the row's `ETag` is the number of its latest.
    number: i64,
    #[serde(flatten)]
    settings: SettingsView<'row>,
    /// Where its key lay in the vault then; that secret may have been destroyed since.
    #[schema(value_type = Option<String>)]
    api_key_alias: Option<&'row Alias>,
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "time")]
    created_at: Timestamp,
}

impl<'row> From<&'row ModelSettings> for SettingsView<'row> {
    fn from(settings: &'row ModelSettings) -> Self {
        Self {
            name: &settings.name,
            description: settings.description.as_deref(),
            provider: &settings.provider,
            model: &settings.model,
            temperature: settings.temperature,
            max_tokens: settings.max_tokens,
            timeout_seconds: settings.timeout_seconds,
            max_retries: settings.max_retries,
            additional_params: settings.additional_params.as_ref(),
            agent_harness_version_string: settings.agent_harness_version_string.as_deref(),
            is_computer_use_model: settings.is_computer_use_model,
            is_archived: settings.is_archived,
        }
    }
}

impl<'row> From<&'row ModelConfiguration> for ModelConfigurationView<'row> {
    fn from(row: &'row ModelConfiguration) -> Self {
        Self {
            settings: SettingsView::from(&row.settings),
            id: row.id,
            organization_id: row.organization_id,
            is_system_default: row.is_system_default(),
            api_key_alias: row.api_key_alias.as_ref(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl<'row> From<&'row ModelConfigurationRevision> for RevisionView<'row> {
    fn from(revision: &'row ModelConfigurationRevision) -> Self {
        Self {
            number: revision.number,
            settings: SettingsView::from(&revision.settings),
            api_key_alias: revision.api_key_alias.as_ref(),
            created_at: revision.created_at,
        }
    }
}
