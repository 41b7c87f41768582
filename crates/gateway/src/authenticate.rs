//! Which caller an API key belongs to.

use domain::api_key::{ApiKeyToken, Caller, Digest256, Scope};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use std::sync::Arc;

use crate::error::CallError;
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
        presented_digest(headers).ok()
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
/// The same 401 for a key that is missing, malformed, unknown or revoked; a 403
/// for one without the scope `invoke`.
pub(crate) fn authenticate(
    snapshot: &Snapshot,
    headers: &HeaderMap,
) -> Result<Arc<Caller>, CallError> {
    authenticate_digest(snapshot, presented_digest(headers)?)
}

/// The same for who has the digest already.
pub(crate) fn authenticate_digest(
    snapshot: &Snapshot,
    digest: KeyDigest,
) -> Result<Arc<Caller>, CallError> {
    let caller = snapshot
        .caller(&digest.0)
        .ok_or_else(CallError::unauthenticated)?;
    if !caller.may(Scope::Invoke) {
        return Err(CallError::forbidden());
    }
    Ok(Arc::clone(caller))
}

fn presented_digest(headers: &HeaderMap) -> Result<KeyDigest, CallError> {
    let token = presented(headers)?.and_then(|text| ApiKeyToken::parse(text).ok());
    let token = token.ok_or_else(CallError::unauthenticated)?;
    Ok(KeyDigest(token.digest()))
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
