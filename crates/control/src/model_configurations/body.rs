//! The bodies of create and update, member by member in the order of Cyberdesk's schemas.
//!
//! Members that nobody knows are ignored, `organization_id`, `is_system_default` and
//! `api_key_alias` among them: Cyberdesk's SDK sends back whatever it was given.

use domain::model_configuration::ModelSettings;
use domain::secret::Secret;
use domain::validation;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::body::Content;
use crate::body::coerce;
use crate::body::fault::Fault;
use crate::body::fields::{Faults, Fields, Sent};
use crate::body::json::Json;
use crate::model_configurations::rules;

/// A new model configuration.
#[derive(Clone, ToSchema)]
#[schema(as = ModelConfigurationCreate, example = json!({
    "name": "Sonnet for extraction",
    "provider": "anthropic",
    "model": "claude-sonnet-4-5-20250929",
    "temperature": 0.2,
    "max_tokens": 4096,
    "additional_params": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    "api_key": "sk-ant-…",
}))]
pub(crate) struct CreateModelConfiguration {
    /// What clients select it by; unique among the organisation's own rows that are not
    /// archived. Length in code points.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// LangChain's name of the provider, e.g. `anthropic`, `openai`; `GET /v1/providers`
    /// lists them.
    #[schema(min_length = 1, max_length = 50)]
    pub(crate) provider: String,
    /// The provider's identifier of the model, e.g. `claude-sonnet-4-5-20250929`.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) model: String,
    #[schema(minimum = 0)]
    pub(crate) temperature: Option<f64>,
    #[schema(minimum = 1)]
    pub(crate) max_tokens: Option<i64>,
    /// How long to wait for the response header and between two bytes.
    #[schema(exclusive_minimum = 0)]
    pub(crate) timeout_seconds: Option<f64>,
    /// Tries after the first; 2 where nothing is said.
    #[schema(minimum = 0, maximum = 100)]
    pub(crate) max_retries: Option<i64>,
    /// Keyword arguments of the provider's LangChain integration. Secrets and credential
    /// headers do not belong here; they are refused.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    pub(crate) additional_params: Option<Map<String, Value>>,
    /// A label by which workers choose prompts and tools.
    pub(crate) agent_harness_version_string: Option<String>,
    /// Whether it may serve the main agent, focused actions and their fallbacks.
    #[schema(default = false, required = false)]
    pub(crate) is_computer_use_model: bool,
    /// Whether it is hidden from selection by name.
    #[schema(default = false, required = false)]
    pub(crate) is_archived: bool,
    /// The provider's key, or a JSON object of its secret fields. Goes to the vault and
    /// is never shown again. Needed where neither the organisation nor the installation
    /// has a key for the provider.
    #[schema(value_type = Option<String>, write_only, max_length = 32768,
             pattern = r"^[!-~]{1,8192}$|^\s*\{[\s\S]*\}\s*$")]
    pub(crate) api_key: Option<Secret>,
}

/// Changes to a model configuration: what is left out stays, null clears.
#[derive(Clone, Default, ToSchema)]
#[schema(as = ModelConfigurationUpdate, example = json!({"temperature": 0.7, "max_tokens": null}))]
pub(crate) struct UpdateModelConfiguration {
    #[schema(value_type = String, required = false, min_length = 1, max_length = 255)]
    pub(crate) name: Option<String>,
    #[schema(value_type = Option<String>)]
    pub(crate) description: Sent<String>,
    #[schema(value_type = String, required = false, min_length = 1, max_length = 50)]
    pub(crate) provider: Option<String>,
    #[schema(value_type = String, required = false, min_length = 1, max_length = 255)]
    pub(crate) model: Option<String>,
    /// Replaces the stored key: there will be a new `api_key_alias`. Needed where the
    /// change moves a stored key to another host. Null leaves the key as it is.
    #[schema(value_type = Option<String>, write_only, max_length = 32768,
             pattern = r"^[!-~]{1,8192}$|^\s*\{[\s\S]*\}\s*$")]
    pub(crate) api_key: Option<Secret>,
    /// If true, removes the stored key: the organisation's or the installation's serves.
    #[schema(value_type = Option<bool>)]
    pub(crate) clear_api_key: bool,
    #[schema(value_type = Option<f64>, minimum = 0)]
    pub(crate) temperature: Sent<f64>,
    #[schema(value_type = Option<i64>, minimum = 1)]
    pub(crate) max_tokens: Sent<i64>,
    #[schema(value_type = Option<f64>, exclusive_minimum = 0)]
    pub(crate) timeout_seconds: Sent<f64>,
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 100)]
    pub(crate) max_retries: Sent<i64>,
    /// Replaces all parameters.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    pub(crate) additional_params: Sent<Map<String, Value>>,
    #[schema(value_type = Option<String>)]
    pub(crate) agent_harness_version_string: Sent<String>,
    #[schema(value_type = bool, required = false)]
    pub(crate) is_computer_use_model: Option<bool>,
    #[schema(value_type = bool, required = false)]
    pub(crate) is_archived: Option<bool>,
}

/// A name that clients can select: `role:` in front selects an agent role.
fn name(json: &Json) -> Result<String, Fault> {
    let name = coerce::text(json, validation::name)?;
    if name.starts_with("role:") {
        return Err(Fault::value_error(
            "a name must not begin with `role:`, which selects an agent role: the \
             configuration could not be called by it",
        ));
    }
    Ok(name)
}

impl CreateModelConfiguration {
    /// Reads a body. None where a fault was noted.
    pub(crate) fn read(content: &Content, faults: &mut Faults) -> Option<Self> {
        let mut fields = Fields::of(content, faults)?;
        let name = fields.required("name", self::name);
        let description = fields.nullable("description", free_text).value();
        let named = fields.text_of("model");
        let provider = fields.required("provider", |it| rules::provider(it, named.as_deref()));
        let model = fields.required("model", |it| coerce::text(it, validation::model));
        let limits = Limits::read(&mut fields);
        let additional_params = fields.nullable("additional_params", parameters).value();
        let harness = fields
            .nullable("agent_harness_version_string", free_text)
            .value();
        let is_computer_use_model = fields.optional("is_computer_use_model", coerce::flag);
        let is_archived = fields.optional("is_archived", coerce::flag);
        let api_key = fields.nullable("api_key", coerce::secret).value();
        Some(Self {
            name: name?,
            description,
            provider: provider?,
            model: model?,
            temperature: limits.temperature.value(),
            max_tokens: limits.max_tokens.value(),
            timeout_seconds: limits.timeout_seconds.value(),
            max_retries: limits.max_retries.value(),
            additional_params,
            agent_harness_version_string: harness,
            is_computer_use_model: is_computer_use_model.unwrap_or_default(),
            is_archived: is_archived.unwrap_or_default(),
            api_key,
        })
    }

    /// Everything but the key.
    pub(crate) fn settings(&self) -> ModelSettings {
        ModelSettings {
            name: self.name.clone(),
            description: self.description.clone(),
            provider: self.provider.clone(),
            model: self.model.clone(),
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            timeout_seconds: self.timeout_seconds,
            max_retries: self.max_retries,
            additional_params: self.additional_params.clone(),
            agent_harness_version_string: self.agent_harness_version_string.clone(),
            is_computer_use_model: self.is_computer_use_model,
            is_archived: self.is_archived,
        }
    }
}

impl UpdateModelConfiguration {
    /// Reads a body. None where a fault was noted.
    pub(crate) fn read(content: &Content, faults: &mut Faults) -> Option<Self> {
        let mut fields = Fields::of(content, faults)?;
        let name = fields.optional("name", self::name);
        let description = fields.nullable("description", free_text);
        let named = fields.text_of("model");
        let provider = fields.optional("provider", |it| rules::provider(it, named.as_deref()));
        let model = fields.optional("model", |it| coerce::text(it, validation::model));
        let api_key = fields.nullable("api_key", coerce::secret).value();
        let clear_api_key = fields.nullable("clear_api_key", coerce::flag).value();
        let clear_api_key = clear_api_key.unwrap_or_default();
        if clear_api_key && api_key.is_some() {
            let message = "api_key and clear_api_key exclude one another";
            fields.refuse("clear_api_key", Fault::value_error(message));
        }
        let limits = Limits::read(&mut fields);
        let additional_params = fields.nullable("additional_params", parameters);
        let harness = fields.nullable("agent_harness_version_string", free_text);
        let is_computer_use_model = fields.optional("is_computer_use_model", coerce::flag);
        let is_archived = fields.optional("is_archived", coerce::flag);
        Some(Self {
            name,
            description,
            provider,
            model,
            api_key,
            clear_api_key,
            temperature: limits.temperature,
            max_tokens: limits.max_tokens,
            timeout_seconds: limits.timeout_seconds,
            max_retries: limits.max_retries,
            additional_params,
            agent_harness_version_string: harness,
            is_computer_use_model,
            is_archived,
        })
    }

    /// The settings after this change.
    pub(crate) fn apply_to(&self, settings: &mut ModelSettings) {
        let change = self.clone();
        replace(&mut settings.name, change.name);
        change.description.apply_to(&mut settings.description);
        replace(&mut settings.provider, change.provider);
        replace(&mut settings.model, change.model);
        change.temperature.apply_to(&mut settings.temperature);
        change.max_tokens.apply_to(&mut settings.max_tokens);
        change
            .timeout_seconds
            .apply_to(&mut settings.timeout_seconds);
        change.max_retries.apply_to(&mut settings.max_retries);
        change
            .additional_params
            .apply_to(&mut settings.additional_params);
        change
            .agent_harness_version_string
            .apply_to(&mut settings.agent_harness_version_string);
        replace(
            &mut settings.is_computer_use_model,
            change.is_computer_use_model,
        );
        replace(&mut settings.is_archived, change.is_archived);
    }
}

/// The four numbers, which both schemas have in the same order.
struct Limits {
    temperature: Sent<f64>,
    max_tokens: Sent<i64>,
    timeout_seconds: Sent<f64>,
    max_retries: Sent<i64>,
}

impl Limits {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            temperature: fields.nullable("temperature", |it| {
                coerce::float(it, validation::temperature)
            }),
            max_tokens: fields.nullable("max_tokens", |it| {
                coerce::integer(it, validation::max_tokens)
            }),
            timeout_seconds: fields.nullable("timeout_seconds", |it| {
                coerce::float(it, validation::timeout_seconds)
            }),
            max_retries: fields.nullable("max_retries", |it| {
                coerce::integer(it, validation::max_retries)
            }),
        }
    }
}

fn free_text(json: &Json) -> Result<String, Fault> {
    coerce::text(json, validation::free_text)
}

fn parameters(json: &Json) -> Result<Map<String, Value>, Fault> {
    coerce::object(json, validation::additional_params)
}

fn replace<T>(current: &mut T, sent: Option<T>) {
    if let Some(sent) = sent {
        *current = sent;
    }
}
