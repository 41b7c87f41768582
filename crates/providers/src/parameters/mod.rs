//! `additional_params`: which members are refused, and where the others go.
//!
//! Members that are secrets, endpoints, headers, files, proxies or code are
//! policed here; all others are forwarded where LangChain forwards them.

pub mod landing;
mod names;

use std::borrow::Cow;

use domain::model_configuration::ModelSettings;
use http::HeaderMap;
use serde_json::{Map, Value};
use url::Url;

use self::landing::Landing;
use self::names::{
    IGNORED, checked_header, is_credential_header, is_secret_name, refusal, secret_message,
};
use crate::catalog::{Provider, UnknownParameters};
use crate::endpoint::{self, EndpointPolicy};
use crate::streaming::Streaming;

/// A member of `additional_params` (or a plain field) that this provider must not be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParameterError {
    /// Where, below `additional_params`; e.g. `["default_headers", "authorization"]`.
    pub path: Vec<String>,
    /// What is wrong and where it belongs.
    pub message: String,
}

/// Where Bedrock passes members on that only a model knows.
const MODEL_FIELDS: &str = "additionalModelRequestFields";

/// Everything that is wrong with the parameters of `settings`, so that it can be said at once.
#[must_use]
pub fn check(
    provider: &Provider,
    settings: &ModelSettings,
    policy: EndpointPolicy,
) -> Vec<ParameterError> {
    let row = provider.spoken(settings);
    let mut resolution = Resolution::of(row, settings);
    let refused = match &resolution.endpoint {
        Some((name, url)) => endpoint::check(url, policy)
            .err()
            .map(|problem| wrong(&[name], &format!("`{name}` {problem}"))),
        None => check_own_address(row, policy),
    };
    resolution.errors.extend(refused);
    resolution.errors
}

/// A row whose own address is this machine's, as Ollama's, cannot be called where such
/// addresses are not allowed: better said now than by every call.
fn check_own_address(row: &Provider, policy: EndpointPolicy) -> Option<ParameterError> {
    let name = row.endpoint_parameters.first()?;
    let url = endpoint::parse(&row.base_url).ok()?;
    endpoint::check(&url, policy).err()?;
    let message = format!(
        "`{name}` is needed: {} lies at {} where it is left out, and this installation does not \
         allow private networks. Name an address that begins with https://, or have the operator \
         set egress.allow_private_networks",
        row.display_name, row.base_url
    );
    Some(wrong(&[name], &message))
}

/// The parameters of one configuration, taken apart by where they land.
#[derive(Debug, Default)]
pub(crate) struct Resolution {
    /// Members of the body.
    pub(crate) body: Map<String, Value>,
    /// Members of `extra_body`, which are sent just as they are.
    pub(crate) extra_body: Map<String, Value>,
    /// What says how the protocol forms requests.
    pub(crate) settings: Map<String, Value>,
    /// Bound of the output.
    pub(crate) max_tokens: Option<Value>,
    /// Headers beside those of the protocol.
    pub(crate) headers: HeaderMap,
    /// The query, in order.
    pub(crate) query: Vec<(String, String)>,
    /// Parameters that say what stands in the row's addresses, and their values.
    pub(crate) endpoint_values: Vec<(String, String)>,
    /// The endpoint and the parameter that named it.
    pub(crate) endpoint: Option<(String, Url)>,
    /// Whether answers are fetched piece by piece.
    pub(crate) streaming: Streaming,
    /// Whether a stream is asked to end with its usage.
    pub(crate) stream_usage: Option<bool>,
    /// What `use_responses_api` says.
    pub(crate) uses_responses: Option<bool>,
    /// Members of the body that only the Responses API knows.
    pub(crate) responses_parameters: Vec<(String, Value)>,
    /// Whether a parameter that is no member of a body asks for the Responses API.
    pub(crate) asks_for_responses: bool,
    /// What `use_previous_response_id` says.
    pub(crate) continues_answers: bool,
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
                resolution.take_endpoint(provider, name, value);
            }
        }
        resolution.check_endpoints(provider, parameters);
        let displaced = resolution.displaced(provider, parameters);
        // Explicit `model_kwargs` come last: LangChain lets them win over arguments.
        let lands = |name: &str| provider.parameter(name).map(|row| &row.lands);
        let is_group =
            |name: &str| matches!(lands(name), Some(Landing::Merge | Landing::Members(_)));
        let is_single = |name: &str| !is_group(name) && !displaced.contains(&name);
        for (name, value) in parameters.iter().filter(|(name, _)| is_single(name)) {
            resolution.take(provider, &[], name, value);
        }
        // Of several groups, the one that the catalog lists last wins.
        let groups = provider.parameters.iter().filter(|row| is_group(&row.name));
        for row in groups {
            match (parameters.get(&row.name), &row.lands) {
                (Some(value), Landing::Merge) => resolution.take_merged(provider, &row.name, value),
                (Some(value), Landing::Members(path)) => {
                    resolution.take_members(path, &row.name, value);
                }
                _ => {}
            }
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
            None if name == "disable_streaming" => {
                if let Err(problem) = self.streaming.take_disabled(value) {
                    self.errors.push(wrong(&[outer, &[name]].concat(), problem));
                }
            }
            None if IGNORED.contains(&name) => {}
            // What `model_kwargs` says goes wherever LangChain takes `model_kwargs` at all.
            None => match provider.unknown_parameters {
                _ if !outer.is_empty() => {
                    self.refuse_credential_headers(&[outer, &[name]].concat(), value);
                    self.body.insert(name.to_owned(), value.clone());
                }
                UnknownParameters::Body => {
                    self.refuse_credential_headers(&[outer, &[name]].concat(), value);
                    self.body.insert(name.to_owned(), value.clone());
                }
                UnknownParameters::Drop => self.dropped.push(name.to_owned()),
                UnknownParameters::ModelFields => {
                    self.refuse_credential_headers(&[outer, &[name]].concat(), value);
                    let path = [MODEL_FIELDS.to_owned(), name.to_owned()];
                    insert_at(&mut self.body, &path, value);
                }
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
            Landing::Query(None) => self.take_query(name, value),
            Landing::Query(Some(member)) => self.query.push((member.clone(), plain_text(value))),
            Landing::Streaming => self.streaming.take(value),
            Landing::StreamUsage => self.stream_usage = value.as_bool(),
            Landing::Responses(None) if name == "use_responses_api" => {
                self.uses_responses = value.as_bool();
            }
            Landing::Responses(None) if name == "use_previous_response_id" => {
                self.continues_answers = value.as_bool().unwrap_or_default();
                self.asks_for_responses |= self.continues_answers;
            }
            Landing::Endpoint(_) => self
                .endpoint_values
                .push((name.to_owned(), plain_text(value))),
            Landing::Setting => {
                self.settings.insert(name.to_owned(), value.clone());
            }
            Landing::Dropped => self.dropped.push(name.to_owned()),
            Landing::Refused => self.errors.push(wrong(
                &[name],
                &format!("`{name}` cannot be given beside the configuration's own fields"),
            )),
            Landing::Responses(None) => {
                self.responses_parameters
                    .push((name.to_owned(), value.clone()));
            }
            Landing::Responses(Some(only)) => self.asks_for_responses |= value == only.as_str(),
            // A group inside a group has no meaning.
            Landing::Merge | Landing::Members(_) | Landing::Ignored => {}
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

    fn take_members(&mut self, path: &[String], name: &str, value: &Value) {
        let Value::Object(members) = value else {
            return self.must_be_object(name, value);
        };
        for (member, value) in members {
            if let Some(problem) = member_problem(member).filter(|_| path.is_empty()) {
                self.errors.push(wrong(&[name, member], &problem));
            } else if is_secret_name(member) {
                let error = wrong(&[name, member], &secret_message(member));
                self.errors.push(error);
            } else {
                self.refuse_credential_headers(&[name, member], value);
                let path = [path, std::slice::from_ref(member)].concat();
                insert_at(&mut self.body, &path, value);
            }
        }
    }

    fn take_extra_body(&mut self, name: &str, value: &Value) {
        let Value::Object(members) = value else {
            return self.must_be_object(name, value);
        };
        for (member, value) in members {
            let problem = member_problem(member);
            match problem {
                Some(problem) => self.errors.push(wrong(&[name, member], &problem)),
                None => {
                    self.refuse_credential_headers(&[name, member], value);
                    self.extra_body.insert(member.clone(), value.clone());
                }
            }
        }
    }

    /// Headers under whatever name they go into a body, `extra_headers` of an integration
    /// that has none above all, hold a key as easily as headers do that are sent as such.
    fn refuse_credential_headers(&mut self, path: &[&str], value: &Value) {
        let is_headers = path.last().is_some_and(|name| name.ends_with("headers"));
        let members = value.as_object().filter(|_| is_headers);
        for header in members.into_iter().flat_map(Map::keys) {
            if is_credential_header(&header.to_ascii_lowercase()) {
                let path = [path, &[header]].concat();
                self.errors.push(wrong(&path, &secret_message(header)));
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

    fn take_endpoint(&mut self, provider: &Provider, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::String(text) => match endpoint::parse(&with_scheme(provider, text)) {
                Ok(url) => {
                    self.endpoint.get_or_insert((name.to_owned(), url));
                }
                Err(problem) => self
                    .errors
                    .push(wrong(&[name], &format!("`{name}` {problem}"))),
            },
            // Google's clients wrap it.
            Value::Object(options) if options.len() == 1 && options["api_endpoint"].is_string() => {
                self.take_endpoint(provider, name, &options["api_endpoint"]);
            }
            _ => self
                .errors
                .push(wrong(&[name], &format!("`{name}` must be a string"))),
        }
    }

    /// Of parameters that stand for one another the first that is given counts, and one
    /// is needed; says which others do not count.
    fn displaced<'a>(
        &mut self,
        provider: &'a Provider,
        parameters: &Map<String, Value>,
    ) -> Vec<&'a str> {
        let mut displaced = Vec::new();
        for group in &provider.one_of {
            let is_given = |name: &&String| parameters.get(*name).is_some_and(|it| !it.is_null());
            let mut given = group.iter().filter(is_given);
            if given.next().is_none() {
                let names: Vec<String> = group.iter().map(|name| format!("`{name}`")).collect();
                let problem = format!("{} needs {}", provider.name, names.join(" or "));
                self.errors.push(wrong(&[&group[0]], &problem));
            }
            displaced.extend(given.map(String::as_str));
        }
        displaced
    }

    fn check_endpoints(&mut self, provider: &Provider, parameters: &Map<String, Value>) {
        let given = |name: &str| parameters.get(name).filter(|value| !value.is_null());
        for (name, rule) in &provider.endpoint_rules {
            let Some(endpoint) = given(name) else {
                continue;
            };
            let text = endpoint.as_str().unwrap_or_default();
            if let Some(part) = rule.contains.as_ref().filter(|part| !text.contains(*part)) {
                let problem = format!("`{name}` must contain `{part}`");
                self.errors.push(wrong(&[name], &problem));
            }
            if let Some(other) = rule.excludes.iter().find(|other| given(other).is_some()) {
                let problem = format!("`{name}` must not be given beside `{other}`");
                self.errors.push(wrong(&[name], &problem));
            }
        }
    }

    fn must_be_object(&mut self, name: &str, value: &Value) {
        if !value.is_null() {
            self.errors
                .push(wrong(&[name], &format!("`{name}` must be an object")));
        }
    }
}

/// An endpoint with the scheme that the row gives to one without.
fn with_scheme<'a>(provider: &Provider, text: &'a str) -> Cow<'a, str> {
    match &provider.endpoint_scheme {
        Some(scheme) if !text.contains("://") => format!("{scheme}://{text}").into(),
        _ => text.into(),
    }
}

/// Why a group must not hold a member of the body of this name.
fn member_problem(name: &str) -> Option<String> {
    if is_secret_name(name) {
        Some(secret_message(name))
    } else if matches!(name, "messages" | "model" | "stream") {
        Some(format!(
            "`{name}` is set by the configuration or the request itself"
        ))
    } else {
        None
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
