//! `additional_params`: which members are refused, and where the others go.
//!
//! Members that are secrets, endpoints, headers, files, proxies or code are
//! policed here; all others are forwarded where LangChain forwards them.

use std::fmt;

use domain::model_configuration::ModelSettings;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::catalog::{Provider, UnknownParameters};
use crate::endpoint::{self, EndpointPolicy};

/// A member of `additional_params` (or a plain field) that this provider must not be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParameterError {
    /// Where, below `additional_params`; e.g. `["default_headers", "authorization"]`.
    pub path: Vec<String>,
    /// What is wrong and where it belongs.
    pub message: String,
}

/// Where a parameter lands; written in the catalog as text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Landing {
    /// `body` or `body:a.b`: the member of the body that has its own name, or this path.
    Body(Option<Vec<String>>),
    /// `max_tokens`: the provider's member that bounds the output.
    MaxTokens,
    /// `merge`: each member of the object counts as a parameter of its own.
    Merge,
    /// `extra_body`: each member of the object goes into the body just as it is.
    ExtraBody,
    /// `headers`: each member of the object is a header.
    Headers,
    /// `header:name`: this header; the items of an array are joined by commas.
    Header(String),
    /// `query`: each member of the object is a member of the query.
    Query,
    /// `streaming`: the answer is always fetched piece by piece.
    Streaming,
    /// `stream_usage`: whether a stream is asked to end with its usage.
    StreamUsage,
    /// `responses`: it sends calls through OpenAI's Responses API; `responses:x` only if
    /// it is that text.
    Responses(Option<String>),
    /// `host_label:x`: it takes the place of the part `x` of the catalog's host, such as
    /// a region's name.
    HostLabel(String),
    /// `ignored`: it only concerns LangChain's own objects.
    Ignored,
}

impl TryFrom<String> for Landing {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (kind, argument) = match text.split_once(':') {
            Some((kind, argument)) => (kind, Some(argument.to_owned())),
            None => (text.as_str(), None),
        };
        Ok(match (kind, argument) {
            ("body", path) => {
                Self::Body(path.map(|path| path.split('.').map(str::to_owned).collect()))
            }
            ("header", Some(name)) => Self::Header(name),
            ("host_label", Some(label)) => Self::HostLabel(label),
            ("responses", value) => Self::Responses(value),
            ("max_tokens", None) => Self::MaxTokens,
            ("merge", None) => Self::Merge,
            ("extra_body", None) => Self::ExtraBody,
            ("headers", None) => Self::Headers,
            ("query", None) => Self::Query,
            ("streaming", None) => Self::Streaming,
            ("stream_usage", None) => Self::StreamUsage,
            ("ignored", None) => Self::Ignored,
            _ => return Err(format!("`{text}` is no place where a parameter can land")),
        })
    }
}

impl From<Landing> for String {
    fn from(landing: Landing) -> Self {
        landing.to_string()
    }
}

impl fmt::Display for Landing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(None) => formatter.write_str("body"),
            Self::Body(Some(path)) => write!(formatter, "body:{}", path.join(".")),
            Self::MaxTokens => formatter.write_str("max_tokens"),
            Self::Merge => formatter.write_str("merge"),
            Self::ExtraBody => formatter.write_str("extra_body"),
            Self::Headers => formatter.write_str("headers"),
            Self::Header(name) => write!(formatter, "header:{name}"),
            Self::Query => formatter.write_str("query"),
            Self::Streaming => formatter.write_str("streaming"),
            Self::StreamUsage => formatter.write_str("stream_usage"),
            Self::Responses(None) => formatter.write_str("responses"),
            Self::Responses(Some(value)) => write!(formatter, "responses:{value}"),
            Self::HostLabel(label) => write!(formatter, "host_label:{label}"),
            Self::Ignored => formatter.write_str("ignored"),
        }
    }
}

/// Everything that is wrong with the parameters of `settings`, so that it can be said at once.
#[must_use]
pub fn check(
    provider: &Provider,
    settings: &ModelSettings,
    policy: EndpointPolicy,
) -> Vec<ParameterError> {
    let mut resolution = Resolution::of(provider, settings);
    if let Some((name, url)) = &resolution.endpoint
        && let Err(problem) = endpoint::check(url, policy)
    {
        let error = wrong(&[name], &format!("`{name}` {problem}"));
        resolution.errors.push(error);
    }
    resolution.errors
}

/// The parameters of one configuration, taken apart by where they land.
#[derive(Debug, Default)]
pub(crate) struct Resolution {
    /// Members of the body.
    pub(crate) body: Map<String, Value>,
    /// Members of `extra_body`, which are sent just as they are.
    pub(crate) extra_body: Map<String, Value>,
    /// Bound of the output.
    pub(crate) max_tokens: Option<Value>,
    /// Headers beside those of the protocol.
    pub(crate) headers: HeaderMap,
    /// The query, in order.
    pub(crate) query: Vec<(String, String)>,
    /// Parts of the catalog's host and what takes their place.
    pub(crate) host_labels: Vec<(String, String)>,
    /// The endpoint and the parameter that named it.
    pub(crate) endpoint: Option<(String, Url)>,
    /// Whether the answer is always fetched piece by piece.
    pub(crate) streaming: bool,
    /// Whether a stream is asked to end with its usage.
    pub(crate) stream_usage: Option<bool>,
    /// What `use_responses_api` says.
    pub(crate) uses_responses: Option<bool>,
    /// A parameter that only the Responses API knows, and its value.
    pub(crate) responses_parameters: Vec<(String, Value)>,
    /// Parameters that are left out, as LangChain leaves them out.
    pub(crate) dropped: Vec<String>,
    /// What must not be given.
    pub(crate) errors: Vec<ParameterError>,
}

impl Resolution {
    pub(crate) fn of(provider: &Provider, settings: &ModelSettings) -> Self {
        let mut resolution = Self::default();
        let nothing = Map::new();
        let parameters = settings.additional_params.as_ref().unwrap_or(&nothing);
        for name in &provider.endpoint_parameters {
            if let Some(value) = parameters.get(name) {
                resolution.take_endpoint(name, value);
            }
        }
        // Explicit `model_kwargs` come last: LangChain lets them win over arguments.
        let is_merged = |name: &str| matches!(provider.parameter(name), Some(row) if row.lands == Landing::Merge);
        for (name, value) in parameters.iter().filter(|(name, _)| !is_merged(name)) {
            resolution.take(provider, &[], name, value);
        }
        for (name, value) in parameters.iter().filter(|(name, _)| is_merged(name)) {
            resolution.take_merged(provider, name, value);
        }
        resolution
    }

    fn take(&mut self, provider: &Provider, outer: &[&str], name: &str, value: &Value) {
        let is_endpoint = provider
            .endpoint_parameters
            .iter()
            .any(|known| known == name);
        if value.is_null() || (outer.is_empty() && is_endpoint) {
            return;
        }
        if let Some(problem) = refusal(provider, name) {
            self.errors
                .push(wrong(&[outer, &[name]].concat(), &problem));
            return;
        }
        match provider.parameter(name).map(|row| &row.lands) {
            Some(landing) => self.land(landing, name, value),
            None if IGNORED.contains(&name) => {}
            None => match provider.unknown_parameters {
                UnknownParameters::Body => {
                    self.body.insert(name.to_owned(), value.clone());
                }
                UnknownParameters::Drop => self.dropped.push(name.to_owned()),
            },
        }
    }

    fn land(&mut self, landing: &Landing, name: &str, value: &Value) {
        match landing {
            Landing::Body(None) => {
                self.body.insert(name.to_owned(), value.clone());
            }
            Landing::Body(Some(path)) => insert_at(&mut self.body, path, value),
            Landing::MaxTokens => self.max_tokens = Some(value.clone()),
            Landing::ExtraBody => self.take_extra_body(name, value),
            Landing::Headers => self.take_headers(name, value),
            Landing::Header(header) => self.take_header(name, header, value),
            Landing::Query => self.take_query(name, value),
            Landing::Streaming => self.streaming = value.as_bool().unwrap_or_default(),
            Landing::StreamUsage => self.stream_usage = value.as_bool(),
            Landing::Responses(None) if name == "use_responses_api" => {
                self.uses_responses = value.as_bool();
            }
            Landing::Responses(only) => {
                let counts = only.as_ref().is_none_or(|only| value == only.as_str());
                if counts && *value != Value::Bool(false) {
                    self.responses_parameters
                        .push((name.to_owned(), value.clone()));
                }
            }
            Landing::HostLabel(label) => self.take_host_label(name, label, value),
            // A merge inside a merge has no meaning.
            Landing::Merge | Landing::Ignored => {}
        }
    }

    fn take_merged(&mut self, provider: &Provider, name: &str, value: &Value) {
        let Value::Object(members) = value else {
            return self.must_be_object(name, value);
        };
        for (member, value) in members {
            self.take(provider, &[name], member, value);
        }
    }

    fn take_extra_body(&mut self, name: &str, value: &Value) {
        let Value::Object(members) = value else {
            return self.must_be_object(name, value);
        };
        for (member, value) in members {
            let problem = if is_secret_name(member) {
                Some(secret_message(member))
            } else if matches!(member.as_str(), "messages" | "model" | "stream") {
                Some(format!(
                    "`{member}` is set by the configuration or the request itself"
                ))
            } else {
                None
            };
            match problem {
                Some(problem) => self.errors.push(wrong(&[name, member], &problem)),
                None => {
                    self.extra_body.insert(member.clone(), value.clone());
                }
            }
        }
    }

    fn take_headers(&mut self, name: &str, value: &Value) {
        let Value::Object(members) = value else {
            return self.must_be_object(name, value);
        };
        let bytes: usize = members
            .iter()
            .map(|(header, value)| header.len() + value.as_str().map_or(0, str::len))
            .sum();
        if members.len() > 32 || bytes > 8192 {
            let problem = format!("`{name}` may hold 32 headers and 8192 bytes at most");
            self.errors.push(wrong(&[name], &problem));
            return;
        }
        for (header, value) in members {
            match checked_header(header, value) {
                Ok((header, value)) => {
                    self.headers.insert(header, value);
                }
                Err(problem) => self.errors.push(wrong(&[name, header], &problem)),
            }
        }
    }

    fn take_header(&mut self, name: &str, header: &str, value: &Value) {
        let text = match value {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(plain_text).collect();
                Value::String(items.join(","))
            }
            other => Value::String(plain_text(other)),
        };
        match checked_header(header, &text) {
            Ok((header, value)) => {
                self.headers.insert(header, value);
            }
            Err(problem) => self.errors.push(wrong(&[name], &problem)),
        }
    }

    /// A part of a host can hold nothing that would lead out of the provider's domain.
    fn take_host_label(&mut self, name: &str, label: &str, value: &Value) {
        let is_label = |text: &&str| {
            let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            (1..=63).contains(&text.len())
                && text.bytes().all(|byte| is_inner(byte) || byte == b'-')
                && !text.starts_with('-')
                && !text.ends_with('-')
        };
        match value.as_str().filter(is_label) {
            Some(text) => self.host_labels.push((label.to_owned(), text.to_owned())),
            None => self.errors.push(wrong(
                &[name],
                &format!("`{name}` must be a name of lower-case letters, digits and `-`"),
            )),
        }
    }

    fn take_query(&mut self, name: &str, value: &Value) {
        let Value::Object(members) = value else {
            return self.must_be_object(name, value);
        };
        for (member, value) in members {
            if is_secret_name(member) || member.eq_ignore_ascii_case("key") {
                let error = wrong(&[name, member], &secret_message(member));
                self.errors.push(error);
            } else if !value.is_null() {
                self.query.push((member.clone(), plain_text(value)));
            }
        }
    }

    fn take_endpoint(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::String(text) => match endpoint::parse(text) {
                Ok(url) => {
                    self.endpoint.get_or_insert((name.to_owned(), url));
                }
                Err(problem) => self
                    .errors
                    .push(wrong(&[name], &format!("`{name}` {problem}"))),
            },
            _ => self
                .errors
                .push(wrong(&[name], &format!("`{name}` must be a string"))),
        }
    }

    fn must_be_object(&mut self, name: &str, value: &Value) {
        if !value.is_null() {
            self.errors
                .push(wrong(&[name], &format!("`{name}` must be an object")));
        }
    }
}

/// Sets the member at `path`, making objects on the way.
fn insert_at(map: &mut Map<String, Value>, path: &[String], value: &Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        map.insert(first.clone(), value.clone());
        return;
    }
    let member = map
        .entry(first.clone())
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = member {
        insert_at(inner, rest, value);
    }
}

/// A scalar as it stands in a header or a query.
fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn wrong(path: &[&str], message: &str) -> ParameterError {
    ParameterError {
        path: path.iter().map(|&name| name.to_owned()).collect(),
        message: message.to_owned(),
    }
}

fn checked_header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), String> {
    let lower = name.to_ascii_lowercase();
    if is_credential_header(&lower) {
        return Err(secret_message(name));
    }
    if is_connection_header(&lower) {
        return Err(format!(
            "the header `{name}` belongs to the connection and is not yours to set"
        ));
    }
    let header = HeaderName::from_bytes(lower.as_bytes())
        .map_err(|_| "is not the name of a header".to_owned())?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(format!("the header `{name}` must be a string")),
    };
    let is_visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let value = HeaderValue::from_str(&text).ok().filter(|_| is_visible);
    let value = value
        .ok_or_else(|| format!("the header `{name}` may hold visible ASCII characters only"))?;
    Ok((header, value))
}

fn is_credential_header(lower: &str) -> bool {
    let words = lower.replace('-', "_");
    matches!(
        lower,
        "authorization" | "cookie" | "x-auth" | "x-goog-iam-authority-selector"
    ) || is_secret_name(&words)
}

fn is_connection_header(lower: &str) -> bool {
    const NAMES: &[&str] = &[
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept",
        "accept-encoding",
        "forwarded",
        "via",
        "idempotency-key",
    ];
    NAMES.contains(&lower)
        || lower.starts_with("proxy-")
        || lower.starts_with("x-forwarded")
        || lower.starts_with(':')
}

/// Parameters of every LangChain chat model that never reach a provider.
const IGNORED: &[&str] = &[
    "disable_streaming",
    "metadata",
    "name",
    "output_version",
    "profile",
    "tags",
    "verbose",
];

/// Why this provider must not be given a parameter of this name at all.
fn refusal(provider: &Provider, name: &str) -> Option<String> {
    let is_field = provider
        .credential_fields
        .iter()
        .any(|field| field.is_secret && field.name == name);
    if is_field || is_secret_name(name) {
        return Some(secret_message(name));
    }
    if provider.parameter(name).is_some() {
        return None;
    }
    match name {
        "model" | "model_name" | "model_id" | "model_provider" | "provider" => Some(format!(
            "`{name}` belongs in the configuration's own fields"
        )),
        "max_retries" => Some("use the configuration's `max_retries`".to_owned()),
        "timeout" | "request_timeout" | "default_request_timeout" => Some(format!(
            "use the configuration's `timeout_seconds` in place of `{name}`"
        )),
        "messages" | "stream" => Some(format!("`{name}` comes with each request")),
        _ if is_endpoint_name(name) => Some(foreign_endpoint_message(provider, name)),
        _ if is_code_name(name) => Some(format!(
            "`{name}` is code, a file or a proxy of the client's process and has no meaning here"
        )),
        _ => None,
    }
}

fn secret_message(name: &str) -> String {
    format!("`{name}` looks like a secret: give it as the configuration's `api_key`")
}

fn foreign_endpoint_message(provider: &Provider, name: &str) -> String {
    match provider.endpoint_parameters.first() {
        Some(own) => format!(
            "`{name}` is not a parameter of {}: use `{own}`",
            provider.name
        ),
        None => format!("the endpoint of {} cannot be changed", provider.name),
    }
}

/// Whether a member of this name would hold a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "api_key",
        "apikey",
        "secret",
        "password",
        "passwd",
        "credential",
        "authorization",
        "private_key",
        "access_key",
        "subscription_key",
        "bearer",
    ];
    const TOKENS_OF_TEXT: &[&str] = &[
        "eos_token",
        "bos_token",
        "pad_token",
        "unk_token",
        "sep_token",
        "mask_token",
        "cls_token",
        "stop_token",
        "start_token",
        "end_token",
    ];
    let lower = name.to_ascii_lowercase();
    let is_token = lower == "token" || lower.ends_with("_token");
    (is_token && !TOKENS_OF_TEXT.contains(&lower.as_str()))
        || PARTS.iter().any(|part| lower.contains(part))
}

fn is_endpoint_name(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "anthropic_api_url",
        "anthropic_proxy",
        "api_base",
        "api_endpoint",
        "azure_endpoint",
        "base_url",
        "client_options",
        "endpoint",
        "model_url",
        "url",
        "endpoint_url",
        "openai_api_base",
        "openai_proxy",
    ];
    NAMES.contains(&name)
}

fn is_code_name(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "async_client",
        "cache",
        "callback_manager",
        "callbacks",
        "cert",
        "client",
        "custom_get_token_ids",
        "http_async_client",
        "http_client",
        "http_socket_options",
        "proxies",
        "proxy",
        "rate_limiter",
        "root_async_client",
        "root_client",
        "ssl",
        "transport",
        "verify",
        "verify_ssl",
    ];
    const ENDINGS: &[&str] = &["_file", "_path", "_proxy", "_proxies", "_token_provider"];
    NAMES.contains(&name)
        || name.starts_with("credentials")
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}
