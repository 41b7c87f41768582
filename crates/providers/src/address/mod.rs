//! Where the calls of a target go: the row's templates or the configuration's own
//! endpoint, filled with what the configuration says.
//!
//! A host is only ever filled with letters, digits and hyphens, and only from variables
//! of the catalog with a pattern of their own, so that no value leads to another domain.
//! What a credential alone knows is filled in last, by [`Address::fill`], and only into
//! paths.

pub(crate) mod template;

use std::collections::BTreeMap;

use http::Uri;
use url::Url;

use self::template::{Piece, encoded, pieces};
use crate::catalog::endpoints::{BaseUrlCase, EndpointVariable, Names};
use crate::catalog::{Parameter, Protocol, Provider};
use crate::endpoint::Origin;
use crate::error::InvalidCall;
use crate::json::invalid;
use crate::parameters::Resolution;
use crate::parameters::landing::Landing;

/// Where the calls of one target go.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// Where the key may be sent.
    pub(crate) origin: Origin,
    /// Whether that is the catalog's own host.
    pub(crate) is_catalog_origin: bool,
    /// Where calls go whose answer comes whole, query included.
    pub(crate) call: Uri,
    /// Where calls go whose answer is a stream.
    pub(crate) stream: Uri,
    /// The region, where the row has that variable.
    pub(crate) region: Option<String>,
    /// What only a credential knows.
    pub(crate) from_credential: Vec<FromCredential>,
}

/// A variable of a path that only a credential knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FromCredential {
    /// The variable.
    pub(crate) variable: String,
    /// The member of the credential.
    pub(crate) field: String,
    /// Parameters that could say it too.
    parameters: Vec<String>,
}

impl Address {
    /// Resolves the templates of `provider` for calls in a protocol, a model and its
    /// parameters. Only the row's own protocol knows its cases' and streams' paths.
    ///
    /// # Errors
    /// When a variable has no value, or the result is no address.
    pub(crate) fn resolve(
        provider: &Provider,
        protocol: Protocol,
        model: &str,
        resolution: &Resolution,
    ) -> Result<Self, InvalidCall> {
        Resolver {
            provider,
            protocol,
            model,
            resolution,
            from_credential: Vec::new(),
        }
        .resolve()
    }
}

struct Resolver<'a> {
    provider: &'a Provider,
    protocol: Protocol,
    model: &'a str,
    resolution: &'a Resolution,
    from_credential: Vec<FromCredential>,
}

impl<'a> Resolver<'a> {
    fn resolve(mut self) -> Result<Address, InvalidCall> {
        let case = self.case()?;
        let (base, is_catalog_origin) = self.base(case)?;
        let is_own = self.is_rows_own_protocol();
        let own_case = case.filter(|_| is_own);
        let call_path = own_case.and_then(|case| case.call_path.as_deref());
        let call_path = call_path.unwrap_or_else(|| self.provider.call_path(self.protocol));
        let own_stream = self.provider.stream_path.as_deref().filter(|_| is_own);
        let stream_path = own_case.and_then(|case| case.stream_path.as_deref());
        let stream_path = stream_path.or(own_stream).unwrap_or(call_path);
        let call = self.uri(&base, call_path)?;
        let stream = if stream_path == call_path {
            call.clone()
        } else {
            self.uri(&base, stream_path)?
        };
        Ok(Address {
            origin: Origin::of(&base),
            is_catalog_origin,
            region: self.region(&base)?,
            call,
            stream,
            from_credential: self.from_credential,
        })
    }

    fn is_rows_own_protocol(&self) -> bool {
        self.protocol == self.provider.protocol
    }

    /// The row's case for the values at hand, if there is one.
    fn case(&self) -> Result<Option<&'a BaseUrlCase>, InvalidCall> {
        for case in &self.provider.base_url_cases {
            // Which host has a model says nothing of a host that has been given.
            if case.variable == "model" && self.resolution.endpoint.is_some() {
                continue;
            }
            let value = self.known_value(&case.variable)?;
            if value.is_some_and(|value| case.holds_for(&value)) {
                return Ok(Some(case));
            }
        }
        Ok(None)
    }

    /// The base address, and whether its host is the catalog's.
    fn base(&mut self, case: Option<&BaseUrlCase>) -> Result<(Url, bool), InvalidCall> {
        let provider = self.provider;
        let template = case.map_or(provider.base_url.as_str(), |case| &case.base_url);
        let Some((name, own)) = &self.resolution.endpoint else {
            return Ok((
                self.catalog_base(template)?,
                self.is_providers_own(template),
            ));
        };
        let suffix = provider.endpoint_suffixes.get(name);
        let suffix = suffix.or(provider.endpoint_suffix.as_ref());
        let base = with_endings(own.clone(), &provider.endpoint_endings);
        let base = with_suffix(base, suffix.map(String::as_str));
        // An address that says the catalog's host once more leads nowhere else.
        let origin = Origin::of(&base);
        let mut is_catalog_origin = provider
            .origins
            .iter()
            .any(|known| known == origin.as_str());
        if self.is_providers_own(template)
            && let Ok(catalog) = self.catalog_base(template)
        {
            is_catalog_origin |= Origin::of(&catalog) == origin;
        }
        Ok((base, is_catalog_origin))
    }

    fn is_providers_own(&self, template: &str) -> bool {
        let (host, _) = authority_and_path(template);
        pieces(host).all(|piece| match piece {
            Piece::Text(_) => true,
            Piece::Variable { name, .. } => self
                .variable(name)
                .is_some_and(|variable| variable.names == Names::Provider),
        })
    }

    fn catalog_base(&mut self, template: &str) -> Result<Url, InvalidCall> {
        let (host, path) = authority_and_path(template);
        let host = self.host(host)?;
        let path = self.filled(path)?;
        let scheme = template.split("://").next().unwrap_or("https");
        Url::parse(&format!("{scheme}://{host}{path}"))
            .ok()
            // Parsing must find the very host that was written.
            .filter(|url| url.host_str() == host.split(':').next())
            .ok_or_else(|| invalid("provider", "has no usable address"))
    }

    fn host(&mut self, template: &str) -> Result<String, InvalidCall> {
        let mut host = String::new();
        for piece in pieces(template) {
            match piece {
                Piece::Text(text) => host.push_str(text),
                Piece::Variable { name, .. } => {
                    let value = self.known_value(name)?;
                    let value = value.ok_or_else(|| self.missing(name))?;
                    if !is_host_label(&value) {
                        return Err(self.misshapen(name));
                    }
                    host.push_str(&value);
                }
            }
        }
        Ok(host)
    }

    fn uri(&mut self, base: &Url, path: &str) -> Result<Uri, InvalidCall> {
        let mut url = base.clone();
        let own = base.path().strip_suffix('/').unwrap_or(base.path());
        let prefix = self.call_prefix(own)?;
        let (path, own_query) = path.split_once('?').unwrap_or((path, ""));
        let path = self.filled(path)?;
        url.set_path(&format!("{own}{prefix}{path}"));
        if !own_query.is_empty() {
            url.set_query(Some(own_query));
        }
        let query = self.query()?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Uri::try_from(url.as_str()).map_err(|error| {
            invalid(
                "additional_params",
                &format!("make no usable address: {error}"),
            )
        })
    }

    /// What stands between the base and the call's path.
    fn call_prefix(&mut self, base_path: &str) -> Result<String, InvalidCall> {
        let prefix = self.provider.call_prefix.as_ref();
        let Some(prefix) = prefix.filter(|_| self.is_rows_own_protocol()) else {
            return Ok(String::new());
        };
        let first = prefix.split('/').nth(1).unwrap_or_default();
        let is_there = base_path.split('/').any(|segment| segment == first);
        if is_there {
            Ok(String::new())
        } else {
            self.filled(prefix)
        }
    }

    /// The row's query, then the configuration's: the later wins.
    fn query(&self) -> Result<Vec<(String, String)>, InvalidCall> {
        let own = &self.resolution.query;
        let mut query = Vec::new();
        for (name, template) in &self.provider.query {
            if own.iter().all(|(known, _)| known != name) {
                query.push((name.clone(), self.plain(template)?));
            }
        }
        query.extend(own.iter().cloned());
        Ok(query)
    }

    /// A template of a path with its values.
    fn filled(&mut self, template: &str) -> Result<String, InvalidCall> {
        let mut path = String::with_capacity(template.len() + 32);
        for piece in pieces(template) {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Variable {
                    name,
                    keeps_reserved,
                } => match self.known_value(name)? {
                    Some(value) => path.push_str(&encoded(&value, keeps_reserved)),
                    None => path.push_str(&self.placeholder(name)?),
                },
            }
        }
        Ok(path)
    }

    /// What `{region}` stands for: what the configuration says, else what its own
    /// endpoint's host says, else the row's default.
    fn region(&self, base: &Url) -> Result<Option<String>, InvalidCall> {
        const NAME: &str = "region";
        let Some(variable) = self.variable(NAME) else {
            return Ok(None);
        };
        let own = self.resolution.endpoint.as_ref().and(base.host_str());
        let mut labels = own.unwrap_or_default().split('.');
        let in_host = labels.find(|label| variable.pattern.matches(label));
        match in_host.filter(|_| self.said(NAME).is_none()) {
            Some(label) => Ok(Some(label.to_owned())),
            None => self.known_value(NAME),
        }
    }

    /// A template with its values as they are.
    fn plain(&self, template: &str) -> Result<String, InvalidCall> {
        let mut text = String::new();
        for piece in pieces(template) {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable { name, .. } => {
                    let value = self.known_value(name)?;
                    text.push_str(&value.ok_or_else(|| self.missing(name))?);
                }
            }
        }
        Ok(text)
    }

    /// What the configuration, or else the catalog, says of a variable.
    fn known_value(&self, name: &str) -> Result<Option<String>, InvalidCall> {
        if name == "model" {
            return Ok(Some(self.model.to_owned()));
        }
        let Some(variable) = self.variable(name) else {
            return Err(self.missing(name));
        };
        let said = self.said(name);
        if let Some(value) = said {
            if !variable.pattern.matches(value) || matches!(value, "." | "..") {
                return Err(self.misshapen(name));
            }
            return Ok(Some(value.to_owned()));
        }
        match &variable.default {
            Some(default) => self.plain(default).map(Some),
            None => Ok(None),
        }
    }

    /// What the first parameter says that lands in this variable.
    fn said(&self, name: &str) -> Option<&'a str> {
        self.parameters_of(name).find_map(|parameter| {
            let given = &self.resolution.endpoint_values;
            let found = given.iter().find(|(known, _)| *known == parameter.name);
            found.map(|(_, value)| value.as_str())
        })
    }

    /// What stands in a path until a credential is there.
    fn placeholder(&mut self, name: &str) -> Result<String, InvalidCall> {
        let field = self
            .variable(name)
            .and_then(|variable| variable.credential_field.clone());
        let Some(field) = field else {
            return Err(self.missing(name));
        };
        let entry = FromCredential {
            variable: name.to_owned(),
            field,
            parameters: self
                .parameters_of(name)
                .map(|row| row.name.clone())
                .collect(),
        };
        let placeholder = entry.placeholder();
        if !self.from_credential.contains(&entry) {
            self.from_credential.push(entry);
        }
        Ok(placeholder)
    }

    fn variable(&self, name: &str) -> Option<&'a EndpointVariable> {
        let mut variables = self.provider.endpoint_variables.iter();
        variables.find(|variable| variable.name == name)
    }

    fn parameters_of<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a Parameter> + 's {
        let lands = move |row: &&Parameter| matches!(&row.lands, Landing::Endpoint(variable) if variable == name);
        self.provider.parameters.iter().filter(lands)
    }

    fn missing(&self, name: &str) -> InvalidCall {
        let parameter = self.parameters_of(name).next().map(|row| &row.name);
        let parameter = parameter.or(self.provider.endpoint_parameters.first());
        let parameter = parameter.map_or(name, String::as_str);
        invalid(
            &format!("additional_params.{parameter}"),
            &format!("is needed by {}", self.provider.name),
        )
    }

    fn misshapen(&self, name: &str) -> InvalidCall {
        let mut given = self.parameters_of(name).filter(|parameter| {
            let values = &self.resolution.endpoint_values;
            values.iter().any(|(known, _)| *known == parameter.name)
        });
        let parameter = given.next().map_or(name, |parameter| &parameter.name);
        let example = self
            .variable(name)
            .map_or("", |variable| variable.example.as_str());
        invalid(
            &format!("additional_params.{parameter}"),
            &format!("must have the form of `{example}`"),
        )
    }
}

impl FromCredential {
    /// What stands in the path in place of the value; no value that is encoded
    /// holds it.
    pub(crate) fn placeholder(&self) -> String {
        format!("({})", self.variable)
    }

    /// The message where the credential does not say it.
    pub(crate) fn missing(&self) -> String {
        match self.parameters.first() {
            Some(parameter) => format!(
                "the key does not say `{}`: give it as `{parameter}` in additional_params",
                self.field
            ),
            None => format!("the key does not say `{}`", self.field),
        }
    }
}

/// The part between the two slashes and the path, and the path.
fn authority_and_path(template: &str) -> (&str, &str) {
    let rest = template
        .split_once("://")
        .map_or(template, |(_, rest)| rest);
    match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    }
}

fn is_host_label(value: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&value.len())
        && value.bytes().all(is_inner)
        && !value.starts_with('-')
        && !value.ends_with('-')
}

/// The address with the ending of its path replaced, where the row has one for it.
fn with_endings(mut url: Url, endings: &BTreeMap<String, String>) -> Url {
    let found = endings.iter().find_map(|(ending, other)| {
        let rest = url.path().strip_suffix(ending.as_str())?;
        Some(format!("{rest}{other}"))
    });
    if let Some(path) = found {
        url.set_path(&path);
    }
    url
}

fn with_suffix(mut url: Url, suffix: Option<&str>) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    if let Some(suffix) = suffix.filter(|suffix| !path.ends_with(suffix)) {
        url.set_path(&format!("{path}{suffix}"));
    }
    url
}

#[cfg(test)]
mod tests;
