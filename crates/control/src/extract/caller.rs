//! Who is calling: `Authorization: Bearer <key>`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use domain::api_key::{ApiKeyToken, Caller, Scope};
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::error::ApiError;
use crate::state::ControlState;

/// Who presented a good key.
#[derive(Clone, Debug)]
pub(crate) struct Authenticated(Caller);

impl Authenticated {
    /// The caller, whatever the key allows.
    pub(crate) fn any(self) -> Caller {
        self.0
    }

    /// The caller, where the key allows `scope`.
    pub(crate) fn with(self, scope: Scope) -> Result<Caller, ApiError> {
        require(&self.0, scope)?;
        Ok(self.0)
    }
}

impl FromRequestParts<ControlState> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &ControlState,
    ) -> Result<Self, Self::Rejection> {
        authenticate(state, parts).await.map(Self)
    }
}

/// Refuses a caller whose key does not allow `scope`.
pub(crate) fn require(caller: &Caller, scope: Scope) -> Result<(), ApiError> {
    if caller.may(scope) {
        return Ok(());
    }
    Err(ApiError::forbidden(format!(
        "This needs an API key with the scope `{scope}`"
    )))
}

/// Recognises the caller.
///
/// There are two refusals, as in FastAPI: nothing that could be a key, and a key that
/// is not good. Unknown, revoked, mistyped and malformed keys all get the second, and
/// only a well-formed key is looked up at all.
pub(crate) async fn authenticate(state: &ControlState, parts: &Parts) -> Result<Caller, ApiError> {
    let presented = bearer(&parts.headers)?;
    let Ok(token) = ApiKeyToken::parse(presented) else {
        return Err(wrong_key(state, parts));
    };
    let key = store::api_keys::by_digest(state.database(), &token.digest()).await?;
    match key {
        Some(key) if key.revoked_at.is_none() => Ok(Caller {
            api_key_id: key.id,
            organization_id: key.organization_id,
            scopes: key.scopes,
        }),
        _ => Err(wrong_key(state, parts)),
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let missing = || ApiError::unauthenticated("Not authenticated");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(missing());
    };
    if values.next().is_some() {
        return Err(ApiError::text(
            StatusCode::BAD_REQUEST,
            "The Authorization header must be given once",
        ));
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    Ok(token)
}

fn wrong_key(state: &ControlState, parts: &Parts) -> ApiError {
    state.metrics().wrong_keys.inc();
    let wait = client_address(parts)
        .and_then(|address| state.throttle().failure(address, state.clock().now()));
    match wait {
        None => ApiError::unauthenticated("Invalid API key"),
        Some(seconds) => ApiError::text(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong API keys from this address",
        )
        .with_header(RETRY_AFTER, HeaderValue::from(seconds)),
    }
}

/// The peer of the connection. Headers such as `X-Forwarded-For` are not believed:
/// anybody can send them.
fn client_address(parts: &Parts) -> Option<IpAddr> {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip())
}
