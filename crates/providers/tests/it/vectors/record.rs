//! One record of a vector file, and the configuration and request it stands for.

use domain::model_configuration::ModelSettings;
use domain::secret::Secret;
use providers::catalog;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Force, StructuredOutput};

/// One line of a vector file.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) config: Config,
    #[serde(default)]
    pub(crate) input: Map<String, Value>,
    #[serde(default)]
    pub(crate) expected: Value,
    #[serde(default)]
    pub(crate) provider_response: Value,
    pub(crate) provider_stream: Option<Value>,
    pub(crate) provider_stream_base64: Option<String>,
    #[serde(default)]
    pub(crate) stream_encoding: String,
    pub(crate) provider_status: Option<u16>,
    #[serde(default)]
    pub(crate) provider_headers: Map<String, Value>,
    pub(crate) ai_message: Option<Value>,
    pub(crate) parsed: Option<Value>,
    pub(crate) error: Option<Value>,
}

/// A model configuration as the vectors write it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Config {
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) temperature: Option<f64>,
    pub(crate) max_tokens: Option<i64>,
    pub(crate) timeout_seconds: Option<f64>,
    pub(crate) max_retries: Option<i64>,
    pub(crate) additional_params: Option<Map<String, Value>>,
    pub(crate) api_key: Option<String>,
}

impl Record {
    pub(crate) fn all(text: &str) -> impl Iterator<Item = Self> + '_ {
        text.lines().map(|line| serde_json::from_str(line).unwrap())
    }

    /// Whether LangChain used OpenAI's Responses API.
    pub(crate) fn goes_through_responses(&self) -> bool {
        let path = self.expected["path"].as_str().unwrap_or_default();
        path.ends_with("/responses") || self.id.contains("/resp/responses_")
    }

    /// The configuration, without its key and with its secrets taken out.
    pub(crate) fn settings(&self) -> ModelSettings {
        let config = &self.config;
        let mut parameters = config.additional_params.clone().unwrap_or_default();
        let secrets = self.secret_fields();
        parameters.retain(|name, _| !secrets.contains(name));
        ModelSettings {
            name: self.id.clone(),
            description: None,
            provider: config.provider.clone(),
            model: config.model.clone(),
            temperature: config.temperature,
            max_tokens: config.max_tokens,
            timeout_seconds: config.timeout_seconds,
            max_retries: config.max_retries,
            additional_params: Some(parameters),
            agent_harness_version_string: None,
            is_computer_use_model: false,
            is_archived: false,
        }
    }

    /// The key as our configuration holds it: bare, or an object of the secret fields
    /// that LangChain takes as arguments.
    pub(crate) fn secret(&self) -> Option<Secret> {
        let parameters = self.config.additional_params.as_ref();
        let mut fields = Map::new();
        for name in self.secret_fields() {
            if let Some(value) = parameters.and_then(|parameters| parameters.get(&name)) {
                fields.insert(name, value.clone());
            }
        }
        // LangChain was given an access token out of band.
        let is_known = |name: &str| self.secret_fields().iter().any(|known| known == name);
        if is_known("access_token") && fields.is_empty() && self.config.api_key.is_none() {
            fields.insert("access_token".to_owned(), "<GCP_ACCESS_TOKEN>".into());
        }
        if fields.is_empty() {
            return self.config.api_key.clone().map(Secret::new);
        }
        // A bare key is the first of the provider's fields.
        if let (Some(key), Some(first)) = (&self.config.api_key, self.secret_fields().first()) {
            fields.insert(first.clone(), key.as_str().into());
        }
        Some(Secret::new(Value::Object(fields).to_string()))
    }

    fn secret_fields(&self) -> Vec<String> {
        let provider = catalog::provider(&self.config.provider).unwrap();
        let fields = provider.credential_fields.iter();
        fields.map(|field| field.name.clone()).collect()
    }

    /// The request as a client of ours would write it.
    pub(crate) fn body(&self, structured_output: StructuredOutput) -> Value {
        let mut body = self.input.clone();
        body.insert("model".to_owned(), self.id.as_str().into());
        if let Some(arguments) = body.remove("invoke_kwargs") {
            body.extend(arguments.as_object().cloned().unwrap_or_default());
        }
        if let Some(wanted) = body.remove("structured_output") {
            body.extend(structured(&wanted, structured_output));
        }
        Value::Object(body)
    }
}

/// The members that say `with_structured_output`.
fn structured(wanted: &Value, style: StructuredOutput) -> Map<String, Value> {
    let whole = wanted["schema"].as_object().unwrap();
    let mut schema = whole.clone();
    let name = schema.remove("title").unwrap();
    let description = schema.remove("description").unwrap_or_default();
    let strict = wanted["strict"].as_bool();
    // Where LangChain takes a schema apart, it makes it fit for strictness too.
    if strict == Some(true) {
        let names = schema["properties"].as_object().unwrap().keys();
        let names: Vec<&str> = names.map(String::as_str).collect();
        schema.insert("required".to_owned(), json!(names));
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    let members = match wanted["method"].as_str().unwrap_or(style.default_method) {
        "json_mode" if !style.json_mode_is_schema && !style.json_mode_calls_tool => {
            json!({"response_format": {"type": "json_object"}})
        }
        "json_mode" if style.json_mode_is_schema => {
            json!({"response_format": {"type": "json_schema", "json_schema": {
                "name": name, "schema": whole,
            }}})
        }
        "json_schema" if !style.always_calls_tool && style.keeps_title => {
            json!({"response_format": {"type": "json_schema", "json_schema": {
                "name": name, "schema": whole, "strict": strict,
                "description": style.repeats_description.then_some(description),
            }}})
        }
        "json_schema" if !style.always_calls_tool => {
            json!({"response_format": {"type": "json_schema", "json_schema": {
                "name": name, "description": description,
                "strict": strict.unwrap_or_default(), "schema": schema,
            }}})
        }
        _ => json!({
            "tools": [{"type": "function", "function": {
                "name": name, "description": description, "parameters": schema, "strict": strict,
            }}],
            "tool_choice": match style.force {
                Force::ByName => json!({"type": "function", "function": {"name": name}}),
                Force::AnyTool => json!("required"),
                Force::Not => Value::Null,
            },
            "parallel_tool_calls": style.forbids_parallel_calls.then_some(false),
        }),
    };
    members.as_object().unwrap().clone()
}
