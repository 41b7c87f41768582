//! The members of a model configuration as flags.

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::secret_place;

/// What `update --clear` can clear: the members that may be null.
pub(super) const CLEARABLE: [&str; 7] = [
    "description",
    "temperature",
    "max_tokens",
    "timeout_seconds",
    "max_retries",
    "additional_params",
    "agent_harness_version_string",
];

/// What `create` and `update` can set.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Fields {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Sampling temperature
    #[arg(long, value_name = "NUMBER")]
    temperature: Option<f64>,
    /// Bound of the output
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<i64>,
    /// Response header and idle timeout
    #[arg(long, value_name = "SECONDS")]
    timeout_seconds: Option<f64>,
    /// Tries after the first
    #[arg(long, value_name = "N")]
    max_retries: Option<i64>,
    /// The provider's own parameters, e.g. '{"top_p": 0.9}'
    #[arg(long, value_name = "JSON")]
    additional_params: Option<String>,
    /// A label that workers choose prompts and tools by
    #[arg(long, value_name = "TEXT")]
    agent_harness_version_string: Option<String>,
    /// Whether the model speaks its vendor's computer-use protocol
    #[arg(long, value_name = "BOOL")]
    is_computer_use_model: Option<bool>,
    /// Whether it is hidden from selection by name
    #[arg(long, value_name = "BOOL")]
    is_archived: Option<bool>,
    /// Where its own provider key is: `env:NAME`, `file:PATH` or `-` for standard input
    #[arg(long, value_name = "PLACE")]
    api_key_from: Option<String>,
}

impl Fields {
    /// The members that were given, as a request's body.
    pub(super) fn body(&self) -> anyhow::Result<Map<String, Value>> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put(
            "description",
            self.description.as_ref().map(|text| json!(text)),
        );
        put("temperature", self.temperature.map(|number| json!(number)));
        put("max_tokens", self.max_tokens.map(|number| json!(number)));
        put(
            "timeout_seconds",
            self.timeout_seconds.map(|number| json!(number)),
        );
        put("max_retries", self.max_retries.map(|number| json!(number)));
        let harness = self.agent_harness_version_string.as_ref();
        put(
            "agent_harness_version_string",
            harness.map(|text| json!(text)),
        );
        put(
            "is_computer_use_model",
            self.is_computer_use_model.map(|flag| json!(flag)),
        );
        put("is_archived", self.is_archived.map(|flag| json!(flag)));
        if let Some(text) = &self.additional_params {
            let params: Map<String, Value> =
                serde_json::from_str(text).context("--additional-params is no JSON object")?;
            put("additional_params", Some(Value::Object(params)));
        }
        if let Some(place) = &self.api_key_from {
            put("api_key", Some(json!(secret_place::read(place)?)));
        }
        Ok(body)
    }
}
