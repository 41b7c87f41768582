//! Which caller an API key belongs to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use domain::api_key::{ApiKeyToken, Caller, Digest256, Scope};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::error::CallError;
use crate::gateway::Gateway;
use crate::snapshot::Snapshot;

/// Anthropic's clients send their key in this header.
const X_API_KEY: &str = "x-api-key";

/// The digest of the key that a request presents. A layer that has computed it leaves it
/// in the request's extensions, which no client can write to, so that it is not computed
/// again.
#[derive(Clone, Copy)]
pub struct KeyDigest(Digest256);

impl KeyDigest {
    /// None where the request presents no well-formed key, or more than one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = presented(headers).ok()??;
        Self::of_text(text)
    }

    fn of_text(text: &str) -> Option<Self> {
        let token = ApiKeyToken::parse(text).ok()?;
        Some(Self(token.digest()))
    }

    /// Whether the snapshot has a caller with this key.
    #[must_use]
    pub fn is_known_to(&self, snapshot: &Snapshot) -> bool {
        snapshot.caller(&self.0).is_some()
    }
}

/// The caller of a request, who may call models.
///
/// # Errors
/// The same 401 for a key that is missing, malformed, unknown or revoked, a 429 in its
/// place for an address that presents wrong keys again and again; a 403 for a key without
/// the scope `invoke`.
pub(crate) fn authenticate(
    gateway: &Gateway,
    snapshot: &Snapshot,
    parts: &Parts,
) -> Result<Arc<Caller>, CallError> {
    let digest = match parts.extensions.get::<KeyDigest>() {
        Some(digest) => Some(*digest),
        None => {
            let text = presented(&parts.headers)?.ok_or_else(CallError::unauthenticated)?;
            KeyDigest::of_text(text)
        }
    };
    let caller = digest
        .and_then(|digest| snapshot.caller(&digest.0))
        .ok_or_else(|| wrong_key(gateway, parts))?;
    if !caller.may(Scope::Invoke) {
        return Err(CallError::forbidden());
    }
    Ok(Arc::clone(caller))
}

/// Only whoever presents a wrong key is slowed down, so that a good key is served whatever
/// others behind the same address do. Headers that name another address are not believed.
fn wrong_key(gateway: &Gateway, parts: &Parts) -> CallError {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let now = gateway.clock.now();
    let wait = peer.and_then(|peer| gateway.wrong_keys.failure(peer.0.ip(), now));
    match wait.and_then(|seconds| u64::try_from(seconds).ok()) {
        None => CallError::unauthenticated(),
        Some(seconds) => CallError::too_many_wrong_keys(Duration::from_secs(seconds)),
    }
}

/// The key that a request presents.
///
/// # Errors
/// When a header that holds one comes twice: nobody can say which was meant.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, CallError> {
    let Some(authorization) = only(headers, AUTHORIZATION.as_str())? else {
        return only(headers, X_API_KEY);
    };
    let bearer = authorization
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Ok(bearer.map(|(_, token)| token.trim_start_matches(' ')))
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, CallError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(CallError::doubled_header(name));
    }
    // A value that is no text is a key that does not exist.
    Ok(value.map(|value| value.to_str().unwrap_or_default()))
}
