//! `request` and `request_error` records.

use bytes::Bytes;
use domain::secret::Secret;
use http::Uri;
use jiff::Timestamp;
use providers::auth::{self, Credential, exchange};
use providers::catalog;
use providers::chat::WireFormat;
use providers::endpoint::EndpointPolicy;
use providers::error::InvalidCall;
use providers::pass_through::{self, Envelope};
use providers::target::{HttpRequest, Target};
use providers::{parameters, protocol};
use serde_json::{Value, json};

use super::compare::{difference, is_branding, is_placeholder};
use super::record::Record;
use super::{Outcome, Suite};

/// The request that LangChain sent is the one that `encode` makes, and the one that the
/// pass-through makes wherever it takes the call.
pub(crate) fn sends(suite: &Suite, record: &Record) -> Result<(), String> {
    let (encoded, spliced) = both(suite, record)?;
    let encoded = encoded.map_err(|error| format!("encode: {error}"))?;
    compare(record, &encoded).map_err(|problem| format!("encode: {problem}"))?;
    if let Some(spliced) = spliced {
        let spliced = spliced.map_err(|error| format!("splice: {error}"))?;
        compare(record, &spliced).map_err(|problem| format!("splice: {problem}"))?;
    }
    Ok(())
}

/// LangChain failed before it sent anything, and so do we.
pub(crate) fn fails(suite: &Suite, record: &Record) -> Result<(), String> {
    match both(suite, record) {
        Err(_) | Ok((Err(_), _)) => Ok(()),
        Ok((Ok(_), _)) => Err("a request was made although LangChain makes none".to_owned()),
    }
}

/// The record needs a protocol that is not spoken yet, and both ways say so.
pub(crate) fn refuses(suite: &Suite, record: &Record) -> Outcome {
    match both(suite, record) {
        Ok((Err(error), spliced)) if says_unavailable(&error) => match spliced {
            Some(Ok(_)) => Outcome::Failed("the pass-through takes it".to_owned()),
            _ => Outcome::Pending,
        },
        Ok((Err(error), _)) => Outcome::Failed(format!("refused for another reason: {error}")),
        Ok((Ok(_), _)) => Outcome::Failed("was sent through another protocol".to_owned()),
        Err(problem) => Outcome::Failed(problem),
    }
}

fn says_unavailable(error: &InvalidCall) -> bool {
    error.message.contains("not available yet")
}

type Made = Result<HttpRequest, InvalidCall>;

/// The request by way of `encode`, and by way of the pass-through if it takes the call.
fn both(suite: &Suite, record: &Record) -> Result<(Made, Option<Made>), String> {
    let settings = record.settings();
    let provider = catalog::provider(&settings.provider).ok_or("no such provider")?;
    let policy = EndpointPolicy::PrivateNetworksAllowed;
    if let Some(error) = parameters::check(provider, &settings, policy).first() {
        return Err(format!("parameter {:?}: {error}", error.path));
    }
    let target = Target::new(&settings).map_err(|error| error.to_string())?;
    let secret = record.secret();
    let credential = match &secret {
        Some(secret) => {
            Some(Credential::parse(provider, secret).map_err(|error| error.to_string())?)
        }
        None if !provider.needs_key() => None,
        None => return Err("no key".to_owned()),
    };
    let body = Bytes::from(record.body(suite.structured_output).to_string());
    let encoded = protocol::parse(WireFormat::OpenAiChat, &body)
        .and_then(|call| protocol::encode(&call, &target))
        .map(|encoded| encoded.request);
    let envelope =
        Envelope::scan(WireFormat::OpenAiChat, body).map_err(|error| error.to_string())?;
    let spliced = pass_through::splice(&envelope, &target);
    let sign = |made: Made| signed(&target, credential.as_ref(), made?);
    Ok((sign(encoded), spliced.map(sign)))
}

fn signed(target: &Target, credential: Option<&Credential>, mut request: HttpRequest) -> Made {
    if let Some(credential) = credential {
        let is_exchanged = exchange::is_needed(target.provider, credential);
        let token = Secret::new("<IBM_IAM_TOKEN>".to_owned());
        let exchanged = is_exchanged.then(|| credential.with_access_token(token));
        let credential = exchanged.as_ref().unwrap_or(credential);
        let applied = auth::apply(target, credential, &mut request, Timestamp::UNIX_EPOCH);
        applied.map_err(|error| InvalidCall {
            message: error.message,
            parameter: None,
        })?;
    }
    Ok(request)
}

fn compare(record: &Record, request: &HttpRequest) -> Result<(), String> {
    let expected = &record.expected;
    let address = address(&request.uri);
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| error.to_string())?;
    let checks = [
        (
            &expected["method"],
            json!(request.method.as_str()),
            "method",
        ),
        (&expected["origin"], address["origin"].clone(), "origin"),
        (&expected["path"], address["path"].clone(), "path"),
        (&expected["query"], address["query"].clone(), "query"),
        (&expected["body"], body, "body"),
    ];
    for (expected, actual, name) in checks {
        if let Some(problem) = difference(expected, &actual, name) {
            return Err(problem);
        }
    }
    for (name, value) in expected["headers"].as_object().into_iter().flatten() {
        let actual = request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        let expected = value.as_str().unwrap_or_default();
        let is_same = match name.as_str() {
            "content-type" => {
                actual.and_then(|text| text.split(';').next()) == expected.split(';').next()
            }
            name if is_branding(name) || is_placeholder(expected) => true,
            "authorization" if expected.starts_with("AWS4-") => {
                signing_scope(expected) == actual.and_then(signing_scope)
            }
            _ => actual == Some(expected),
        };
        if !is_same {
            return Err(format!(
                "header {name}: expected {expected}, got {actual:?}"
            ));
        }
    }
    Ok(())
}

/// Algorithm, region and service of a signature of AWS.
fn signing_scope(authorization: &str) -> Option<(&str, &str)> {
    let (algorithm, rest) = authorization.split_once(' ')?;
    let (credential, _) = rest.strip_prefix("Credential=")?.split_once(',')?;
    let (_, scope) = credential.split_once('/')?;
    Some((algorithm, scope.split_once('/')?.1))
}

fn address(uri: &Uri) -> Value {
    let url = url::Url::parse(&uri.to_string()).unwrap();
    let query: serde_json::Map<String, Value> = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    json!({
        "origin": url.origin().ascii_serialization(),
        "path": url.path(),
        "query": query,
    })
}
