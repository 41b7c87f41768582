//! The catalog: every provider as a row of data, read from `catalog/<provider>.toml`.
//!
//! A provider that differs from another by an address, a header, a default or a named
//! quirk is one more file there. `parameters.rs` and `target.rs` read the rows.

pub mod capabilities;
pub mod endpoints;
pub mod inference;
pub mod page;
mod quirk_words;
pub mod rules;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use domain::model_configuration::ModelSettings;
use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::capabilities::Capability;
use self::endpoints::{BaseUrlCase, EndpointRule, EndpointVariable};
use crate::parameters::landing::Landing;
use crate::protocol::anthropic_messages::rules::AnthropicMessagesRules;
use crate::protocol::bedrock_converse::rules::BedrockConverseRules;
use crate::protocol::gemini_generate::rules::GeminiGenerateRules;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/catalog");

/// One provider.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// LangChain's name of the provider, which configurations use.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// A row whose `parameters` and `responses` this one takes over where it has no
    /// entry of its own: LangChain's class of the provider derives from the other's.
    #[serde(default)]
    pub inherits: Option<String>,
    /// Models that another row's provider runs, by the beginning of their names.
    #[serde(default)]
    pub model_routes: Vec<ModelRoute>,
    /// The wire format it speaks.
    pub protocol: Protocol,
    /// Calls that are made as another row's.
    #[serde(default)]
    pub speaks_as: Option<SpeaksAs>,
    /// Where it is, e.g. `https://api.openai.com/v1`, or with variables, e.g.
    /// `https://bedrock-runtime.{region}.amazonaws.com`. The path of the call is appended.
    pub base_url: String,
    /// Other base addresses for particular values of a variable; the first that holds.
    #[serde(default)]
    pub base_url_cases: Vec<BaseUrlCase>,
    /// Further origins that are the provider's own, e.g. `https://eu.api.example.com`: an
    /// endpoint there counts as the catalog's.
    #[serde(default)]
    pub origins: Vec<String>,
    /// The variables of its addresses, other than `model`.
    #[serde(default)]
    pub endpoint_variables: Vec<EndpointVariable>,
    /// What an endpoint of a configuration's own is made to end with, e.g. `/v1`.
    #[serde(default)]
    pub endpoint_suffix: Option<String>,
    /// The same for the endpoint that one of `endpoint_parameters` names.
    #[serde(default)]
    pub endpoint_suffixes: BTreeMap<String, String>,
    /// What an ending of an endpoint's path is replaced by before that, e.g. `/predict`.
    #[serde(default)]
    pub endpoint_endings: BTreeMap<String, String>,
    /// What an endpoint begins with that says no scheme, e.g. `http`.
    #[serde(default)]
    pub endpoint_scheme: Option<String>,
    /// What else is asked of the endpoint that one of `endpoint_parameters` names.
    #[serde(default)]
    pub endpoint_rules: BTreeMap<String, EndpointRule>,
    /// What stands between base and path, e.g. `/deployments/{deployment}`, unless the
    /// base has its first segment already.
    #[serde(default)]
    pub call_prefix: Option<String>,
    /// What is appended to the base, where it is not the protocol's own path; `{model}`
    /// is the model, percent-encoded, `{+model}` keeps its `:`, `/`, `@` and the like.
    #[serde(default)]
    pub call_path: Option<String>,
    /// What is appended in its place where a stream is asked for; it may end with a
    /// query of its own, such as `?alt=sse`.
    #[serde(default)]
    pub stream_path: Option<String>,
    /// Members of the query of every call, e.g. `api-version`; values may hold variables.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// How a credential goes into a request.
    pub auth: AuthScheme,
    /// Whether calls may go without a credential where none is given.
    #[serde(default)]
    pub key_is_optional: bool,
    /// What AWS calls the service that requests are signed for.
    #[serde(default = "bedrock")]
    pub signing_service: String,
    /// How an access token is had for a credential that is none itself.
    #[serde(default)]
    pub token_exchange: Option<TokenExchange>,
    /// What the token is asked for, where the exchange wants to know.
    #[serde(default)]
    pub token_scope: String,
    /// Headers that every request carries.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Names under which `additional_params` may override `base_url`; the first given wins.
    #[serde(default)]
    pub endpoint_parameters: Vec<String>,
    /// What a credential consists of. The first is what a bare `api_key` means.
    #[serde(default)]
    pub credential_fields: Vec<CredentialField>,
    /// What `additional_params` may hold, and where it goes.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Parameters that stand for one another: one of each group is needed, and the first
    /// that is given counts.
    #[serde(default)]
    pub one_of: Vec<Vec<String>>,
    /// What becomes of members of `additional_params` that `parameters` does not list.
    #[serde(default)]
    pub unknown_parameters: UnknownParameters,
    /// What it can do, where that is not what its protocol leads one to expect.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// How its form of OpenAI's chat completions differs from OpenAI's.
    #[serde(default)]
    pub openai_chat: OpenAiChatRules,
    /// What is known of its models and tools, where it speaks Anthropic's messages.
    #[serde(default)]
    pub anthropic_messages: AnthropicMessagesRules,
    /// What is known of its models, where it speaks Bedrock's Converse.
    #[serde(default)]
    pub bedrock_converse: BedrockConverseRules,
    /// How requests are written, where it speaks Google's generateContent.
    #[serde(default)]
    pub gemini_generate: GeminiGenerateRules,
    /// Which calls LangChain makes through OpenAI's Responses API instead.
    #[serde(default)]
    pub responses: ResponsesRouting,
    /// Whether the provider's own host is known to serve the Responses API, so that
    /// clients who speak it are passed through. Not taken over from another row.
    #[serde(default)]
    pub serves_responses: bool,
    /// The provider's own documentation.
    pub documentation_url: String,
    /// When the row was last checked against it, `YYYY-MM-DD`.
    pub verified_on: String,
}

/// Models that another row's provider runs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRoute {
    /// How their names begin. What ends with `/` is no part of the provider's own name.
    pub prefix: String,
    /// The row.
    pub provider: String,
}

/// The wire formats that providers speak. Dispatch over it is a `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// OpenAI's chat completions.
    OpenaiChat,
    /// OpenAI's Responses API.
    OpenaiResponses,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Ollama's own chat endpoint.
    OllamaChat,
    /// Cohere's chat, version 2.
    CohereChat,
    /// Amazon Bedrock's Converse.
    BedrockConverse,
    /// Anthropic's messages in the envelope of Amazon Bedrock's `InvokeModel`.
    BedrockInvoke,
    /// Google's generateContent.
    GeminiGenerate,
}

/// Which calls of a row are made as another row's, whose parameters count then.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SpeaksAs {
    /// The other row.
    pub row: String,
    /// The parameter that says so, by being true, or forbids it, by being false.
    pub parameter: String,
    /// Where it says nothing: models whose name contains this.
    pub model_parts: Vec<String>,
}

fn bedrock() -> String {
    "bedrock".to_owned()
}

impl Protocol {
    /// Its name in rows, answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
            Self::OllamaChat => "ollama_chat",
            Self::CohereChat => "cohere_chat",
            Self::BedrockConverse => "bedrock_converse",
            Self::BedrockInvoke => "bedrock_invoke",
            Self::GeminiGenerate => "gemini_generate",
        }
    }
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
    /// `api-key: <key>`.
    ApiKey,
    /// `x-goog-api-key: <key>`.
    XGoogApiKey,
    /// A signature with the access keys of AWS, version 4.
    #[serde(rename = "aws_sigv4")]
    AwsSigv4,
}

/// How an access token is had for a credential that cannot go into a request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenExchange {
    /// A Google service account signs an assertion with its private key.
    GoogleServiceAccount,
    /// An application of Microsoft Entra shows its secret.
    Entra,
    /// An API key of IBM Cloud is shown to its IAM.
    IbmIam,
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
    /// How it goes into a request, where that differs from the row's `auth`. Of several
    /// fields that are given, the last one with a scheme of its own is used.
    #[serde(default)]
    pub auth: Option<AuthScheme>,
    /// Whether it may hold white space, such as the lines of a private key. It never
    /// stands in a header then.
    #[serde(default)]
    pub is_document: bool,
}

/// One accepted member of `additional_params`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// LangChain's argument name.
    pub name: String,
    /// JSON type: `string`, `number`, `integer`, `boolean`, `array`, `object`, or `any`.
    pub r#type: String,
    /// Where it lands.
    pub lands: Landing,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// What becomes of a parameter that a row does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownParameters {
    /// It goes into the body, so that a provider's newest parameter works the day it appears.
    #[default]
    Body,
    /// It is left out, as LangChain leaves it out.
    Drop,
    /// It goes into `additionalModelRequestFields`, where Bedrock passes it on to the model.
    ModelFields,
}

/// How a provider's form of OpenAI's chat completions differs from OpenAI's.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAiChatRules {
    /// The member that names the model.
    pub model_member: String,
    /// The member that bounds the output.
    pub max_tokens_member: String,
    /// The member that a request's `stop` goes as.
    pub stop_member: String,
    /// Where calls go that want an answer of a strict schema, in place of the row's
    /// `base_url`: those whose only tool is strict and must be called.
    pub strict_base_url: Option<String>,
    /// When a stream is asked to end with its usage.
    pub stream_usage: StreamUsage,
    /// Whether a request that wants no stream says so.
    pub says_stream_false: bool,
    /// Members that LangChain sends where nobody gave them.
    pub defaults: Map<String, Value>,
    /// Members that are left out, whoever gave them.
    pub omits: Vec<String>,
    /// Members of messages that the provider knows beside OpenAI's.
    pub message_members: Vec<String>,
    /// Named deviations.
    pub quirks: Vec<Quirk>,
}

impl Default for OpenAiChatRules {
    fn default() -> Self {
        Self {
            model_member: "model".to_owned(),
            max_tokens_member: "max_tokens".to_owned(),
            stop_member: "stop".to_owned(),
            strict_base_url: None,
            stream_usage: StreamUsage::Always,
            says_stream_false: true,
            defaults: Map::new(),
            omits: Vec::new(),
            message_members: Vec::new(),
            quirks: Vec::new(),
        }
    }
}

/// When `stream_options.include_usage` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// In every stream.
    Always,
    /// Unless the configuration names another endpoint, which may not know the member.
    UnlessEndpointIsSet,
    /// Unless the configuration replaces the address as a whole; naming the customer's
    /// resource does not.
    UnlessBaseUrlIsSet,
    /// Only where the configuration's `stream_usage` asks for it.
    Never,
}

impl StreamUsage {
    /// Whether it is asked for where the configuration's `stream_usage` says nothing.
    #[must_use]
    pub const fn is_asked(self, has_own_endpoint: bool) -> bool {
        match self {
            Self::Always => true,
            Self::UnlessEndpointIsSet | Self::UnlessBaseUrlIsSet => !has_own_endpoint,
            Self::Never => false,
        }
    }
}

/// A named, documented deviation of an OpenAI-shaped provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// Models `o1…` get `temperature: 1` where none was given.
    O1TemperatureIsOne,
    /// Models `gpt-5…` other than chat ones, unless reasoning is off, take no other
    /// temperature than 1, so that the configuration's is left out.
    Gpt5TakesNoTemperature,
    /// Models `o1`, `o3`, … take `developer` messages in place of `system` ones.
    OSeriesDeveloperRole,
    /// Developer messages go as `system` ones.
    DeveloperRoleIsSystem,
    /// Speakers' names are left out.
    NamesAreLeftOut,
    /// What a tool answered in parts goes as one text: the parts as JSON.
    ToolResultsAreText,
    /// Several parts of text go as one text.
    TextPartsAreJoined,
    /// The model's earlier turns go as one text; nothing else of them can be said.
    AssistantContentIsText,
    /// A turn that only calls tools has an empty text for its content, not null.
    EmptyTextBesideToolCalls,
    /// The model's earlier thinking goes back to it.
    ReasoningIsSentBack,
    /// The model's earlier thinking goes back to it as `reasoning_content`.
    ReasoningContentIsSentBack,
    /// A text that is the only part goes as a text.
    LoneTextPartIsText,
    /// `tool_choice` says `any` for `required`.
    RequiredToolChoiceIsAny,
    /// A request's `max_tokens` keeps that name, unless the model is known to refuse it.
    MaxTokensKeepsItsName,
    /// A temperature of 0 goes as 1e-8, since the provider takes none.
    ZeroTemperatureIsTiny,
    /// Streams have an address of their own, and nothing in the body asks for one.
    StreamHasItsOwnAddress,
    /// `tool_choice` only names a tool; its words go as `tool_choice_option`, which is
    /// `auto` where nothing is chosen.
    ToolChoiceWordIsOption,
    /// Identifiers of tool calls have nine letters and digits; any other goes as a hash
    /// of that form, the same for a call and its result.
    ToolCallIdsAreNineLetters,
    /// Tool calls go without their `type`.
    ToolCallsHaveNoType,
    /// A tool's answer says the tool's name, where it is known.
    ToolResultsAreNamed,
    /// A turn that calls tools says nothing else.
    NoTextBesideToolCalls,
    /// Texts of the model and of tools go without further members, which the provider
    /// refuses.
    TextPartsAreBare,
    /// The model's earlier thinking goes back to it where a block of its content holds it.
    ThinkingBlocksAreSentBack,
}

impl Quirk {
    /// Whether it changes messages, so that a client's may not be passed on as they are.
    #[must_use]
    pub const fn concerns_messages(self) -> bool {
        matches!(
            self,
            Self::DeveloperRoleIsSystem
                | Self::NamesAreLeftOut
                | Self::ToolResultsAreText
                | Self::TextPartsAreJoined
                | Self::AssistantContentIsText
                | Self::EmptyTextBesideToolCalls
                | Self::ReasoningIsSentBack
                | Self::ReasoningContentIsSentBack
                | Self::LoneTextPartIsText
                | Self::ToolCallIdsAreNineLetters
                | Self::ToolCallsHaveNoType
                | Self::ToolResultsAreNamed
                | Self::NoTextBesideToolCalls
                | Self::TextPartsAreBare
                | Self::ThinkingBlocksAreSentBack
        )
    }
}

/// Which calls LangChain makes through OpenAI's Responses API.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResponsesRouting {
    /// Models whose name begins so.
    pub model_prefixes: Vec<String>,
    /// Models whose name contains this.
    pub model_parts: Vec<String>,
    /// Models whose name begins so, where the call has tools.
    pub model_prefixes_with_tools: Vec<String>,
    /// Whether tools that the provider runs or defines are only offered there, and
    /// requests that hold members of the Responses API go there.
    pub provider_tools: bool,
    /// What is appended to the base there, where it is not `/responses`.
    pub call_path: Option<String>,
    /// Whether a request that wants no stream says so there.
    pub says_stream_false: bool,
}

impl Default for ResponsesRouting {
    fn default() -> Self {
        Self {
            model_prefixes: Vec::new(),
            model_parts: Vec::new(),
            model_prefixes_with_tools: Vec::new(),
            provider_tools: false,
            call_path: None,
            says_stream_false: true,
        }
    }
}

static CATALOG: LazyLock<Vec<Provider>> = LazyLock::new(|| {
    let mut providers: Vec<Provider> = rows().into_iter().filter_map(Result::ok).collect();
    providers.sort_by(|left, right| left.name.cmp(&right.name));
    providers
});

/// Every embedded file as a row. A test keeps all of them valid, so that [`providers`]
/// leaves none out.
fn rows() -> Vec<Result<Provider, String>> {
    let read = |file: &include_dir::File<'static>| {
        let path = file.path().display().to_string();
        let text = file.contents_utf8().ok_or(format!("{path} is not UTF-8"))?;
        let table: toml::Table =
            toml::from_str(text).map_err(|error| format!("{path}: {error}"))?;
        Ok((path, table))
    };
    let tables: Vec<Result<(String, toml::Table), String>> = FILES.files().map(read).collect();
    let bases: HashMap<String, toml::Table> = tables
        .iter()
        .flatten()
        .filter_map(|(_, table)| Some((table.get("name")?.as_str()?.to_owned(), table.clone())))
        .collect();
    let row = |read: Result<(String, toml::Table), String>| {
        let (path, mut table) = read?;
        if let Some(name) = table.get("inherits").and_then(toml::Value::as_str) {
            let base = bases.get(name).ok_or(format!("{path}: no row {name}"))?;
            inherit(&mut table, base);
        }
        table.try_into().map_err(|error| format!("{path}: {error}"))
    };
    tables.into_iter().map(row).collect()
}

/// Reads one row on its own, as it stands in a file of the catalog.
///
/// # Errors
/// When it is no row, or inherits from one that there is not. The text says what is wrong.
pub fn parse(text: &str) -> Result<Provider, String> {
    let mut table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    if let Some(name) = table.get("inherits").and_then(toml::Value::as_str) {
        let base = FILES
            .get_file(format!("{name}.toml"))
            .and_then(include_dir::File::contents_utf8)
            .ok_or(format!("no row {name}"))?;
        let base = toml::from_str(base).map_err(|error| error.to_string())?;
        inherit(&mut table, &base);
    }
    table
        .try_into()
        .map_err(|error: toml::de::Error| error.to_string())
}

/// Takes over `responses`, and the parameters that the row does not have itself.
fn inherit(row: &mut toml::Table, base: &toml::Table) {
    if let (false, Some(responses)) = (row.contains_key("responses"), base.get("responses")) {
        row.insert("responses".to_owned(), responses.clone());
    }
    let parameters = |table: &toml::Table| {
        let entries = table.get("parameters").and_then(toml::Value::as_array);
        entries.cloned().unwrap_or_default()
    };
    let own_endpoints = row
        .get("endpoint_parameters")
        .and_then(toml::Value::as_array);
    let own_endpoints = own_endpoints.cloned().unwrap_or_default();
    let mut all = parameters(row);
    for parameter in parameters(base) {
        let name = parameter.get("name").cloned();
        let is_own = all.iter().any(|own| own.get("name") == name.as_ref())
            || name
                .as_ref()
                .is_some_and(|name| own_endpoints.contains(name));
        if !is_own {
            all.push(parameter);
        }
    }
    row.insert("parameters".to_owned(), toml::Value::Array(all));
}

/// The provider of this name.
#[must_use]
pub fn provider(name: &str) -> Option<&'static Provider> {
    providers().iter().find(|provider| provider.name == name)
}

/// Every provider, by name.
#[must_use]
pub fn providers() -> &'static [Provider] {
    &CATALOG
}

impl Provider {
    /// What is appended to the base address for a call in this protocol.
    #[must_use]
    pub fn call_path(&self, protocol: Protocol) -> &str {
        let own = match protocol {
            _ if protocol == self.protocol => self.call_path.as_deref(),
            Protocol::OpenaiResponses => self.responses.call_path.as_deref(),
            _ => None,
        };
        own.unwrap_or(match protocol {
            Protocol::OpenaiChat => "/chat/completions",
            Protocol::OpenaiResponses => "/responses",
            Protocol::AnthropicMessages => "/v1/messages",
            Protocol::OllamaChat => "/api/chat",
            Protocol::CohereChat => "/v2/chat",
            Protocol::BedrockConverse => "/model/{model}/converse",
            Protocol::BedrockInvoke => "/model/{model}/invoke",
            Protocol::GeminiGenerate => "/v1beta/{+model}:generateContent",
        })
    }

    /// What it can do through its protocol.
    #[must_use]
    pub fn capabilities(&self) -> &[Capability] {
        if self.capabilities.is_empty() {
            Capability::of_protocol(self.protocol)
        } else {
            &self.capabilities
        }
    }

    /// Whether no call can be made without a credential.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.auth != AuthScheme::None && !self.key_is_optional
    }

    /// The row that runs a model of this name in this one's place, and its own name there.
    #[must_use]
    pub fn route<'m>(&self, model: &'m str) -> Option<(&'static Self, &'m str)> {
        self.model_routes.iter().find_map(|route| {
            let rest = model.strip_prefix(route.prefix.as_str())?;
            let own = if route.prefix.ends_with('/') {
                rest
            } else {
                model
            };
            Some((provider(&route.provider)?, own))
        })
    }

    /// Whether a model of this name begins with a provider that nothing here leads to.
    #[must_use]
    pub fn is_foreign(&self, model: &str) -> bool {
        !self.model_routes.is_empty() && model.contains('/') && self.route(model).is_none()
    }

    /// The row as which a configuration's calls are made: nearly always this one.
    #[must_use]
    pub fn spoken(&self, settings: &ModelSettings) -> &Self {
        let Some(other) = &self.speaks_as else {
            return self;
        };
        let parameters = settings.additional_params.as_ref();
        let said = parameters.and_then(|parameters| parameters.get(&other.parameter)?.as_bool());
        let has_part = |part: &String| settings.model.contains(part.as_str());
        if said.unwrap_or_else(|| other.model_parts.iter().any(has_part)) {
            provider(&other.row).unwrap_or(self)
        } else {
            self
        }
    }

    /// The row of one parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// Whether the provider's form of chat completions has this deviation.
    #[must_use]
    pub fn has_quirk(&self, quirk: Quirk) -> bool {
        self.openai_chat.quirks.contains(&quirk)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::address::template::{Piece, pieces};

    #[test]
    fn every_row_is_valid_and_stands_in_the_file_of_its_name() {
        let mut names = BTreeSet::new();
        for (file, row) in FILES.files().zip(rows()) {
            let provider = row.unwrap();
            let stem = file.path().file_stem().unwrap().to_str().unwrap();
            assert_eq!(provider.name, stem);
            assert!(names.insert(provider.name.clone()));
            check_row(&provider);
        }
        assert_eq!(names.len(), providers().len());
        assert!(names.contains("openai") && names.contains("simulated"));
    }

    /// Every variable is declared, and whatever stands in a host has a pattern that lets
    /// nothing through which leads to another host.
    fn check_addresses(provider: &Provider) {
        let name = &provider.name;
        let cases = provider.base_url_cases.iter();
        let bases = cases.clone().map(|case| &case.base_url);
        for base in bases.chain([&provider.base_url]) {
            assert!(!base.ends_with('/'), "{name}");
            let plain = base.replace(['{', '}'], "");
            assert!(
                url::Url::parse(&plain).unwrap().has_host(),
                "{name}: {base}"
            );
            let host = base.split('/').nth(2).unwrap();
            for variable in variables(host) {
                let row = declared(provider, variable).unwrap();
                assert_eq!(row.credential_field, None, "{name}: {variable}");
                for value in [
                    "", "a.b", "a/b", "a@b", "a:1", "A", "a_b", "a\n", "-a", "a-",
                ] {
                    assert!(!row.pattern.matches(value), "{name}: {variable}: {value:?}");
                }
            }
        }
        let paths = [
            Some(&provider.base_url),
            provider.call_path.as_ref(),
            provider.stream_path.as_ref(),
            provider.call_prefix.as_ref(),
        ];
        let of_cases = cases.flat_map(|case| [Some(&case.base_url), case.call_path.as_ref()]);
        let templates = paths.into_iter().chain(of_cases).flatten();
        for variable in templates
            .chain(provider.query.values())
            .flat_map(|text| variables(text))
        {
            let is_declared = variable == "model" || declared(provider, variable).is_some();
            assert!(is_declared, "{name}: {variable}");
        }
        for variable in &provider.endpoint_variables {
            assert!(
                variable.pattern.matches(&variable.example),
                "{name}: {variable:?}"
            );
        }
        for parameter in &provider.parameters {
            if let Landing::Endpoint(variable) = &parameter.lands {
                assert!(declared(provider, variable).is_some(), "{name}: {variable}");
            }
        }
    }

    fn variables(template: &str) -> impl Iterator<Item = &str> {
        pieces(template).filter_map(|piece| match piece {
            Piece::Variable { name, .. } => Some(name),
            Piece::Text(_) => None,
        })
    }

    fn declared<'a>(provider: &'a Provider, name: &str) -> Option<&'a EndpointVariable> {
        let mut all = provider.endpoint_variables.iter();
        all.find(|variable| variable.name == name)
    }

    fn check_row(provider: &Provider) {
        let name = &provider.name;
        check_addresses(provider);
        assert!(
            provider.call_path(provider.protocol).starts_with('/'),
            "{name}"
        );
        assert!(provider.documentation_url.starts_with("https://"), "{name}");
        assert!(
            provider.verified_on.parse::<jiff::civil::Date>().is_ok(),
            "{name}"
        );
        let is_keyless = provider.auth == AuthScheme::None;
        assert_eq!(is_keyless, provider.credential_fields.is_empty(), "{name}");
        let mut parameters = BTreeSet::new();
        for parameter in &provider.parameters {
            assert!(
                parameters.insert(&parameter.name),
                "{name}: {}",
                parameter.name
            );
            let known = [
                "string", "number", "integer", "boolean", "array", "object", "any",
            ];
            assert!(
                known.contains(&parameter.r#type.as_str()),
                "{name}: {parameter:?}"
            );
        }
        for route in &provider.model_routes {
            let row = super::provider(&route.provider).unwrap();
            assert!(row.model_routes.is_empty(), "{name}: {route:?}");
        }
        for endpoint in &provider.endpoint_parameters {
            assert!(!parameters.contains(endpoint), "{name}: {endpoint}");
        }
    }
}
