//! Targets: a catalog row and a model configuration, resolved once into where and how to call.

use std::borrow::Cow;

use domain::model_configuration::ModelSettings;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use serde_json::{Map, Value};

use crate::address::{Address, FromCredential};
use crate::catalog::{self, Protocol, Provider, Quirk, StreamUsage};
pub use crate::endpoint::Origin;
use crate::error::{InvalidCall, Loss};
use crate::json::invalid;
use crate::parameters::Resolution;
use crate::pass_through::MessageWords;
use crate::protocol::openai_responses::state::REFERENCES;
use crate::protocol::{
    anthropic_messages, bedrock_converse, gemini_generate, openai_chat, openai_responses,
};
use crate::rewrite::{Patches, Present};
use crate::routing::{ResponsesRoute, Routing};
use crate::streaming::Streaming;

/// How many dropped parameters an answer names; a header that names thousands is refused
/// by clients.
const MOST_NAMED: usize = 16;

/// One concrete place to send calls to. Made when a snapshot is built, not per call.
#[derive(Clone, Debug)]
pub struct Target {
    /// The catalog row.
    pub provider: &'static Provider,
    /// The wire format spoken there.
    pub protocol: Protocol,
    /// The provider's name of the model.
    pub model: String,
    /// Where the key may be sent.
    pub origin: Origin,
    /// Whether the origin is the catalog's, so that platform keys may be used.
    pub is_catalog_origin: bool,
    /// Where calls go whose answer comes whole, query included.
    pub uri: Uri,
    /// Where calls go whose answer is a stream.
    pub stream_uri: Uri,
    /// Where calls go that want an answer of a strict schema, where that is elsewhere.
    pub(crate) strict_uri: Option<Uri>,
    /// The region that the calls go to, where the row's addresses have one.
    pub(crate) region: Option<String>,
    /// What of the addresses only a credential knows.
    pub(crate) from_credential: Vec<FromCredential>,
    /// Headers of every call, without a credential.
    pub headers: HeaderMap,
    /// Members of the body that the configuration sets where a request does not, and
    /// their JSON text; neither `model`, `stream` nor the bound of the output is among them.
    pub(crate) members: Vec<(String, String)>,
    /// What the configuration says of how the protocol forms requests.
    pub(crate) settings: Map<String, Value>,
    /// Bound of the output that the configuration sets, as JSON text.
    pub(crate) max_tokens: Option<String>,
    /// Whether answers are fetched piece by piece.
    pub(crate) streaming: Streaming,
    /// Whether a stream is asked to end with its usage.
    pub(crate) asks_stream_usage: bool,
    /// The same target through the provider's Responses API, where some calls go there.
    pub(crate) responses: Option<Box<ResponsesRoute>>,
    /// Whether a call continues the last answer that the provider has kept.
    pub(crate) continues_answers: bool,
    /// Parameters of the configuration that are left out, as LangChain leaves them out.
    pub(crate) dropped_parameters: Vec<String>,
}

impl Target {
    /// What of the configuration's own parameters never reaches the provider, as losses of
    /// every call.
    pub fn dropped(&self) -> impl Iterator<Item = Loss> {
        let named = self.dropped_parameters.iter().take(MOST_NAMED);
        named.map(|name| Loss {
            what: format!("additional_params.{}", name.escape_default()),
            format: self.protocol,
        })
    }
}

/// A request as a value. Whoever owns sockets sends it.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Its method.
    pub method: Method,
    /// Absolute address.
    pub uri: Uri,
    /// Headers without credential, `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// The body.
    pub body: bytes::Bytes,
}

impl Target {
    /// Whether the configuration has calls refer to what the provider's account keeps:
    /// the answers, conversations and prompts of whoever shares that account.
    #[must_use]
    pub fn continues_kept_answers(&self) -> bool {
        let is_reference = |(name, _): &(String, String)| REFERENCES.contains(&name.as_str());
        self.protocol == Protocol::OpenaiResponses
            && (self.continues_answers || self.members.iter().any(is_reference))
    }

    /// Resolves a configuration. The endpoint's host is not judged here: that is
    /// [`crate::parameters::check`] when a configuration is written, and
    /// [`crate::endpoint::is_global`] when a connection is made.
    ///
    /// # Errors
    /// When the provider is unknown, or the model or a parameter must not be what it is.
    pub fn new(settings: &ModelSettings) -> Result<Self, InvalidCall> {
        let provider = catalog::provider(&settings.provider)
            .ok_or_else(|| invalid("provider", "is not a provider of the catalog"))?;
        Self::at(provider.spoken(settings), settings)
    }

    /// Resolves a configuration for this very row, whatever provider it names.
    ///
    /// # Errors
    /// As [`Target::new`].
    pub fn at(provider: &'static Provider, settings: &ModelSettings) -> Result<Self, InvalidCall> {
        check_model(&settings.model)?;
        if let Some((row, model)) = provider.route(&settings.model) {
            return Self::routed(row, model, settings);
        }
        let resolution = Resolution::of(provider, settings);
        if provider.is_foreign(&settings.model) && resolution.endpoint.is_none() {
            let problem = "names another provider: write that one into `provider`, and the rest \
                           into `model`";
            return Err(invalid("model", problem));
        }
        if let Some(error) = resolution.errors.first() {
            return Err(InvalidCall {
                message: error.message.clone(),
                parameter: Some(format!("additional_params.{}", error.path.join("."))),
            });
        }
        let through = |protocol| Self::resolve(provider, settings, &resolution, protocol);
        match Routing::of(provider, settings, &resolution) {
            Routing::Always(protocol) => through(protocol),
            Routing::PerCall(when) => {
                let mut target = through(Protocol::OpenaiChat)?;
                let responses = through(Protocol::OpenaiResponses)?;
                target.responses = Some(Box::new(ResponsesRoute {
                    target: responses,
                    when,
                }));
                Ok(target)
            }
        }
    }

    /// The target of a model that another row's provider runs. A key of the installation
    /// is for the row that was named, so that it does not go there.
    fn routed(row: &Provider, model: &str, settings: &ModelSettings) -> Result<Self, InvalidCall> {
        let settings = ModelSettings {
            provider: row.name.clone(),
            model: model.to_owned(),
            ..settings.clone()
        };
        let mut target = Self::new(&settings)?;
        target.is_catalog_origin = false;
        Ok(target)
    }

    fn resolve(
        provider: &'static Provider,
        settings: &ModelSettings,
        resolution: &Resolution,
        protocol: Protocol,
    ) -> Result<Self, InvalidCall> {
        let address = Address::resolve(
            provider,
            protocol,
            &path_name(provider, &settings.model),
            resolution,
        )?;
        let rules = &provider.openai_chat;
        // Such a provider's parameter with a suffix names the customer's resource at it.
        let is_elsewhere = |name: &String| {
            rules.stream_usage != StreamUsage::UnlessBaseUrlIsSet
                || !provider.endpoint_suffixes.contains_key(name)
        };
        let endpoint = resolution.endpoint.as_ref();
        let has_own_endpoint = endpoint.is_some_and(|(name, _)| is_elsewhere(name));
        let strict_uri = openai_chat::strict::uri(provider, protocol, &address.call);
        let mut target = Self {
            provider,
            protocol,
            model: settings.model.clone(),
            strict_uri,
            is_catalog_origin: address.is_catalog_origin,
            origin: address.origin,
            uri: address.call,
            stream_uri: address.stream,
            region: address.region,
            from_credential: address.from_credential,
            headers: headers(provider, resolution)?,
            members: Vec::new(),
            settings: resolution.settings.clone(),
            max_tokens: None,
            streaming: resolution.streaming,
            asks_stream_usage: resolution
                .stream_usage
                .unwrap_or_else(|| rules.stream_usage.is_asked(has_own_endpoint)),
            responses: None,
            continues_answers: resolution.continues_answers,
            dropped_parameters: resolution.dropped.clone(),
        };
        match protocol {
            Protocol::OpenaiResponses => {
                openai_responses::configuration::resolve(&mut target, settings, resolution);
            }
            _ => target.resolve_members(settings, resolution),
        }
        if target.protocol == Protocol::BedrockConverse {
            bedrock_converse::configuration::check(&target)?;
        }
        if target.protocol == Protocol::GeminiGenerate {
            gemini_generate::arguments::check(provider.gemini_generate.form, &target.members)?;
        }
        Ok(target)
    }

    /// Defaults, then parameters, then `extra_body`, then the configuration's own
    /// fields: the later wins.
    fn resolve_members(&mut self, settings: &ModelSettings, resolution: &Resolution) {
        let rules = &self.provider.openai_chat;
        let mut members: Map<String, Value> = rules.defaults.clone();
        members.extend(resolution.body.clone());
        if resolution.uses_responses == Some(false) {
            members.extend(resolution.responses_parameters.iter().cloned());
        }
        if let Some(temperature) = settings.temperature {
            members.insert("temperature".to_owned(), temperature.into());
        }
        if let (Protocol::GeminiGenerate, Some(seconds)) = (self.protocol, settings.timeout_seconds)
        {
            members.insert("timeout".to_owned(), seconds.into());
        }
        self.apply_temperature_quirks(&mut members);
        for (name, value) in &resolution.extra_body {
            if name != "temperature" || settings.temperature.is_none() {
                members.insert(name.clone(), value.clone());
            }
        }
        let default_bound = members.shift_remove(&rules.max_tokens_member);
        self.max_tokens = settings
            .max_tokens
            .map(Value::from)
            .or(resolution.max_tokens.clone())
            .or(default_bound)
            .map(|bound| bound.to_string());
        members.retain(|_, value| !value.is_null());
        if members.get("stop") == Some(&Value::Array(Vec::new())) {
            members.shift_remove("stop");
        }
        self.members = members
            .into_iter()
            .map(|(name, value)| (name, value.to_string()))
            .collect();
    }

    /// The deviations of some models, where the configuration is resolved.
    pub(crate) fn apply_temperature_quirks(&self, members: &mut Map<String, Value>) {
        let temperature = members.get("temperature").and_then(Value::as_f64);
        let nested = members.get("reasoning").map(|asked| &asked["effort"]);
        let effort = members.get("reasoning_effort").or(nested);
        let effort = effort.and_then(Value::as_str);
        if self.provider.has_quirk(Quirk::Gpt5TakesNoTemperature)
            && self.model.to_ascii_lowercase().starts_with("gpt-5")
            && !self.model.to_ascii_lowercase().contains("chat")
            && effort != Some("none")
            && temperature.is_some_and(|temperature| temperature != 1.0)
        {
            members.shift_remove("temperature");
        }
        if self.provider.has_quirk(Quirk::O1TemperatureIsOne)
            && self.model.starts_with("o1")
            && temperature.is_none()
        {
            members.insert("temperature".to_owned(), 1.into());
        }
    }

    /// What the configuration and the catalog put into a body that does not say otherwise:
    /// the bound of the output first, then the other members. For people to look at.
    #[must_use]
    pub fn parameters(&self) -> Map<String, Value> {
        let bound = self.max_tokens.iter().map(|text| ("max_tokens", text));
        let members = self
            .members
            .iter()
            .map(|(name, text)| (name.as_str(), text));
        let all = bound.chain(members);
        all.filter_map(|(name, text)| Some((name.to_owned(), serde_json::from_str(text).ok()?)))
            .collect()
    }

    /// Whether the provider is asked for a stream, given whether the client asks for one.
    ///
    /// Where the two differ, the answer is gathered before it is given to the client, or
    /// spread over the client's stream, so that the call goes through `encode` and
    /// `Decoder`. What the call offers may decide too: see [`crate::protocol::streams`].
    #[must_use]
    pub fn wants_stream(&self, client_wants_stream: bool) -> bool {
        self.streaming.decide(client_wants_stream) || self.protocol == Protocol::OllamaChat
    }

    /// Whether LangChain changes messages that hold this, in the target's own format, for
    /// this target, so that they may not be passed on as they are. It may say yes where
    /// a look at the parsed messages would say no.
    #[must_use]
    pub fn rewrites_messages(&self, messages: &MessageWords) -> bool {
        match self.protocol {
            Protocol::OpenaiChat => {
                let mut quirks = self.provider.openai_chat.quirks.iter();
                self.uses_developer_role()
                    || quirks.any(|quirk| quirk.concerns_messages())
                    || openai_chat::encode::rewrites(messages)
            }
            Protocol::OpenaiResponses => openai_responses::encode::rewrites(self, messages),
            // Another provider's thinking, which this one would refuse.
            Protocol::AnthropicMessages => messages.has_foreign_signature(),
            // No client speaks these.
            Protocol::OllamaChat | Protocol::CohereChat | Protocol::GeminiGenerate => true,
            // No client speaks these, so that nothing is passed on as it is.
            Protocol::BedrockConverse | Protocol::BedrockInvoke => true,
        }
    }

    /// The members of the body that the configuration sets, for protocols whose bodies
    /// are written anew for each call.
    ///
    /// # Errors
    /// When one is not JSON, which [`Target::new`] rules out.
    pub(crate) fn configured(&self) -> Result<Map<String, Value>, InvalidCall> {
        let member = |(name, json): &(String, String)| Ok((name.clone(), from_json(name, json)?));
        self.members.iter().map(member).collect()
    }

    /// The bound of the output that the configuration sets.
    ///
    /// # Errors
    /// When it is not JSON, which [`Target::new`] rules out.
    pub(crate) fn configured_max_tokens(&self) -> Result<Option<Value>, InvalidCall> {
        let bound = self.max_tokens.as_deref();
        bound.map(|json| from_json("max_tokens", json)).transpose()
    }

    /// Whether a request's `max_tokens` keeps that name, which reasoning models refuse.
    pub(crate) fn keeps_max_tokens(&self) -> bool {
        let model = self.model.to_ascii_lowercase();
        let mut letters = model.bytes();
        let is_of_o_series = letters.next() == Some(b'o')
            && letters.next().is_some_and(|digit| digit.is_ascii_digit());
        self.provider.has_quirk(Quirk::MaxTokensKeepsItsName)
            && !is_of_o_series
            && !model.starts_with("gpt-5")
            && !model.starts_with("gpt-6")
    }

    /// Whether system messages go to this model as developer messages.
    pub(crate) fn uses_developer_role(&self) -> bool {
        let mut letters = self.model.bytes();
        self.provider.has_quirk(Quirk::OSeriesDeveloperRole)
            && letters.next() == Some(b'o')
            && letters.next().is_some_and(|digit| digit.is_ascii_digit())
    }

    /// How the top level of a body in the target's own format is changed, given what the
    /// client wrote there: a request's member wins over the configuration's, which wins
    /// over LangChain's default. `encode` and the pass-through both apply exactly this,
    /// so that they agree. Members that it does not name stay as they are.
    ///
    /// # Errors
    /// When no such call can be made to this target.
    pub fn top_level<'a>(&'a self, present: Present<'_, 'a>) -> Result<Patches<'a>, InvalidCall> {
        match self.protocol {
            Protocol::OpenaiChat => openai_chat::encode::top_level(self, present),
            Protocol::OpenaiResponses => openai_responses::encode::top_level(self, present),
            Protocol::AnthropicMessages | Protocol::BedrockInvoke => {
                anthropic_messages::configuration::top_level(self, present)
            }
            // No client speaks these: `encode` alone writes their bodies.
            Protocol::OllamaChat | Protocol::CohereChat | Protocol::GeminiGenerate => {
                Ok(Patches::new())
            }
            // Its requests have no top level in common with any client's.
            Protocol::BedrockConverse => Ok(Patches::new()),
        }
    }

    /// Where a call goes, given whether its answer is to be a stream.
    #[must_use]
    pub const fn uri(&self, wants_stream: bool) -> &Uri {
        if wants_stream {
            &self.stream_uri
        } else {
            &self.uri
        }
    }

    /// Where a call goes and with which headers, given whether its answer is to be a
    /// stream and what the client wrote at the top level of its body: some protocols ask
    /// there for what a body uses.
    #[must_use]
    pub fn address<'a>(&'a self, present: Present<'_, 'a>, wants_stream: bool) -> (Uri, HeaderMap) {
        let uri = self.uri(wants_stream);
        match self.protocol {
            Protocol::OpenaiChat => {
                let uri = openai_chat::strict::address(self, present).unwrap_or(uri);
                (uri.clone(), self.headers.clone())
            }
            Protocol::OpenaiResponses
            | Protocol::OllamaChat
            | Protocol::CohereChat
            | Protocol::GeminiGenerate => (uri.clone(), self.headers.clone()),
            Protocol::AnthropicMessages | Protocol::BedrockInvoke => {
                anthropic_messages::betas::address(self, uri, present)
            }
            Protocol::BedrockConverse => (uri.clone(), self.headers.clone()),
        }
    }
}

fn from_json(name: &str, json: &str) -> Result<Value, InvalidCall> {
    serde_json::from_str(json).map_err(|error| invalid(name, &format!("is not JSON: {error}")))
}

/// What stands for the model in the path of a call.
fn path_name<'a>(provider: &Provider, model: &'a str) -> Cow<'a, str> {
    match provider.protocol {
        Protocol::GeminiGenerate => {
            gemini_generate::rules::path_name(provider.gemini_generate.form, model).into()
        }
        _ => Cow::Borrowed(model),
    }
}

/// Checks a provider's name of a model. It may end up in a path, so that nothing may
/// stand in it that could lead elsewhere.
///
/// # Errors
/// When it is empty, over-long, or holds what no model's name holds.
pub fn check_model(model: &str) -> Result<(), InvalidCall> {
    let is_dotted = model
        .split('/')
        .any(|segment| matches!(segment, "." | ".."));
    let problem = if model.is_empty() || model.chars().count() > 255 {
        "must have 1 to 255 characters"
    } else if model
        .chars()
        .any(|letter| letter.is_control() || "?#%\\".contains(letter))
    {
        "must not hold control characters, `?`, `#`, `%` or `\\`"
    } else if is_dotted {
        "must not hold `.` or `..` as a segment"
    } else if model.trim() != model {
        "must not begin or end with white space"
    } else {
        return Ok(());
    };
    Err(invalid("model", problem))
}

fn headers(provider: &Provider, resolution: &Resolution) -> Result<HeaderMap, InvalidCall> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    for (name, value) in &provider.headers {
        let name = HeaderName::try_from(name.as_str());
        let value = HeaderValue::try_from(value.as_str().unwrap_or_default());
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(invalid("provider", "has an unusable header in the catalog"));
        };
        headers.insert(name, value);
    }
    for (name, value) in &resolution.headers {
        headers.insert(name.clone(), value.clone());
    }
    Ok(headers)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The target of a configuration that says only what `config` says.
    pub(crate) fn target(config: &Value) -> Result<Target, InvalidCall> {
        Target::new(&settings(config))
    }

    /// A configuration that says only what `config` says.
    pub(crate) fn settings(config: &Value) -> ModelSettings {
        ModelSettings {
            name: "test".to_owned(),
            description: None,
            provider: config["provider"].as_str().unwrap_or_default().to_owned(),
            model: config["model"].as_str().unwrap_or_default().to_owned(),
            temperature: None,
            max_tokens: None,
            timeout_seconds: None,
            max_retries: None,
            additional_params: config["additional_params"].as_object().cloned(),
            agent_harness_version_string: None,
            is_computer_use_model: false,
            is_archived: false,
        }
    }
}
