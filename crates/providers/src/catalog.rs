//! The catalog: every provider as a row of data, read from `catalog/<provider>.toml`.

use serde::{Deserialize, Serialize};

/// One provider.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// LangChain's name of the provider, which configurations use.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// The wire format it speaks.
    pub protocol: Protocol,
    /// Where it is, e.g. `https://api.openai.com/v1`. The path of the call is appended.
    pub base_url: String,
    /// How a credential goes into a request.
    pub auth: AuthScheme,
    /// Names under which `additional_params` may override `base_url`.
    #[serde(default)]
    pub endpoint_parameters: Vec<String>,
    /// What a credential consists of. The first is what a bare `api_key` means.
    #[serde(default)]
    pub credential_fields: Vec<CredentialField>,
    /// What `additional_params` may hold, and where it goes.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The provider's own documentation.
    pub documentation_url: String,
    /// When the row was last checked against it, `YYYY-MM-DD`.
    pub verified_on: String,
}

/// The wire formats that providers speak. Dispatch over it is a `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// OpenAI's chat completions.
    OpenaiChat,
    /// Anthropic's messages.
    AnthropicMessages,
}

/// How a credential goes into a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// No credential.
    None,
    /// `Authorization: Bearer <key>`.
    Bearer,
    /// `x-api-key: <key>`.
    XApiKey,
}

/// One member of a credential.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialField {
    /// LangChain's argument name.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// Whether it must be kept secret.
    pub is_secret: bool,
}

/// One accepted member of `additional_params`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// LangChain's argument name.
    pub name: String,
    /// JSON type: `string`, `number`, `integer`, `boolean`, `array`, `object`.
    pub r#type: String,
    /// Where it lands; see `parameters.rs`.
    pub lands: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// The provider of this name.
#[must_use]
pub fn provider(name: &str) -> Option<&'static Provider> {
    let _ = name;
    unimplemented!()
}

/// Every provider, by name.
#[must_use]
pub fn providers() -> &'static [Provider] {
    unimplemented!()
}
