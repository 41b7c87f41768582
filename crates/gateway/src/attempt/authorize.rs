//! Putting a credential into a prepared request, anew for every try: signatures and
//! access tokens grow old.

use std::sync::Arc;

use http::StatusCode;
use providers::auth::{self, Credential, exchange};
use providers::error::{ErrorKind, ProviderError};
use tokio::time::{Instant, timeout_at};

use super::{Failed, Prepared};
use crate::gateway::Gateway;
use crate::secrets::KeyReference;
use crate::tokens::Fetch;

/// The credential that a request is made with.
pub(crate) struct Key<'a> {
    reference: &'a KeyReference,
    /// As it was stored.
    opened: Arc<Credential>,
    /// With its access token, where it needs one.
    authorized: Option<Arc<Credential>>,
    /// Whether the token was fetched for an earlier call.
    has_kept_token: bool,
}

impl<'a> Key<'a> {
    /// A credential that has not been put into a request.
    pub(crate) const fn new(reference: &'a KeyReference, opened: Arc<Credential>) -> Self {
        Self {
            reference,
            opened,
            authorized: None,
            has_kept_token: false,
        }
    }

    /// What is in the request.
    pub(crate) fn credential(&self) -> &Arc<Credential> {
        self.authorized.as_ref().unwrap_or(&self.opened)
    }
}

/// Puts the credential into the request; the token that it is exchanged for, where the
/// provider wants one.
///
/// # Errors
/// When there is no token to be had, or the credential lacks what the target needs.
pub(crate) async fn authorize(
    gateway: &Gateway,
    prepared: &mut Prepared<'_>,
    deadline: Instant,
) -> Result<(), Failed> {
    let Some(key) = &mut prepared.key else {
        return Ok(());
    };
    key.authorized = None;
    key.has_kept_token = false;
    let provider = prepared.target.provider;
    if exchange::is_needed(provider, &key.opened) {
        let fetch = Fetch {
            upstream: &gateway.upstream,
            clock: &gateway.clock,
            limits: &gateway.limits,
            provider,
            credential: &key.opened,
            partition: &prepared.pool_key.partition,
        };
        let token = timeout_at(deadline, gateway.tokens.get(key.reference, &fetch)).await;
        let token = token.unwrap_or_else(|_| Err(late()))?;
        key.authorized = Some(token.credential);
        key.has_kept_token = token.was_kept;
    }
    let now = gateway.clock.now();
    auth::apply(
        prepared.target,
        key.credential(),
        &mut prepared.request,
        now,
    )
    .map_err(|error| Failed::NotSent(error.message))
}

/// Drops an access token that the provider no longer takes. Whether the call is worth
/// another try at once: the token was fetched for an earlier call, so that a new one may
/// be taken.
pub(crate) fn forget_refused_token(
    gateway: &Gateway,
    prepared: &Prepared<'_>,
    failed: &Failed,
) -> bool {
    let Some(key) = &prepared.key else {
        return false;
    };
    let (Failed::Provider(error), Some(authorized)) = (failed, &key.authorized) else {
        return false;
    };
    if error.status != Some(StatusCode::UNAUTHORIZED.as_u16()) {
        return false;
    }
    gateway.tokens.forget(key.reference, authorized);
    key.has_kept_token
}

fn late() -> Failed {
    let message = "the call's time was over before there was an access token".to_owned();
    ProviderError::new(ErrorKind::Timeout, message).into()
}
