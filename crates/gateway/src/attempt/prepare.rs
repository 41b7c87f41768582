//! Making the request for one target: translation, and the credential that goes in.

use std::sync::Arc;
use std::time::Duration;

use domain::id::OrganizationId;
use providers::auth::{self, Credential};
use providers::chat::WireFormat;
use providers::error::Loss;
use providers::pass_through::splice;
use providers::protocol::{add_betas, encode};
use providers::target::{HttpRequest, Target};
use tokio::time::timeout;

use super::authorize::Key;
use super::{Call, CircuitKey};
use crate::error::CallError;
use crate::gateway::Gateway;
use crate::resolve::speaks_computer_use;
use crate::scrub::{Filter, Scrubber};
use crate::secrets::SecretError;
use crate::snapshot::{Entry, KeySource, Route};
use crate::upstream::{Partition, PoolKey};

/// How an answer gets from the provider's format into the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It is the client's format already.
    PassThrough,
    /// By way of the canonical reply.
    Translate,
}

/// A request for one target; it can be sent several times.
pub(crate) struct Prepared<'a> {
    pub(crate) target: &'a Target,
    pub(crate) request: HttpRequest,
    pub(crate) passage: Passage,
    pub(crate) losses: Vec<Loss>,
    pub(crate) pool_key: Arc<PoolKey>,
    pub(crate) key: Option<Key<'a>>,
    pub(crate) idle: Duration,
}

impl Prepared<'_> {
    /// Which circuit breaker watches over this target for an organisation.
    pub(crate) fn circuit_key(&self, organization_id: OrganizationId) -> CircuitKey {
        CircuitKey {
            organization_id,
            pool_key: Arc::clone(&self.pool_key),
        }
    }

    /// What the request is made with.
    pub(crate) fn credential(&self) -> Option<&Arc<Credential>> {
        self.key.as_ref().map(Key::credential)
    }

    /// Knows every secret that went into the request.
    pub(crate) fn scrubber(&self) -> Scrubber {
        scrubber(self.credential().map(Arc::as_ref))
    }

    /// The same for an answer that goes well.
    pub(super) fn filter(&self) -> Filter {
        Filter::new(self.credential().map(Arc::as_ref))
    }
}

/// Knows the secrets of a credential.
pub(crate) fn scrubber(credential: Option<&Credential>) -> Scrubber {
    Scrubber::new(credential.map(Credential::secrets).unwrap_or_default())
}

/// Makes the request.
///
/// # Errors
/// When the configuration cannot be called, the call cannot be said to this
/// provider, or there is no credential.
pub(crate) async fn prepare<'a>(
    gateway: &Gateway,
    call: &Call,
    organization_id: OrganizationId,
    entry: &'a Entry,
) -> Result<Prepared<'a>, CallError> {
    let name = entry.name();
    let route = entry
        .route()
        .map_err(|reason| CallError::uncallable(name, &reason.message))?;
    let target = routed(call, &route.target)?;
    let (mut request, passage, mut losses) = translate(call, entry, target)?;
    losses.extend(target.dropped());
    check_kept_answers(route, target, name)?;
    forward_betas(call, target, &mut request);
    let key = key(gateway, route, name).await?;
    if let Some(key) = &key {
        auth::check(target, key.credential())
            .map_err(|error| CallError::uncallable(name, &error.message))?;
    }
    Ok(Prepared {
        target,
        request,
        passage,
        losses,
        pool_key: pool_key(route, organization_id),
        key,
        idle: route.idle.unwrap_or(gateway.limits.idle),
    })
}

/// The target as this call meets it: some calls go through another protocol of the same
/// provider.
fn routed<'a>(call: &Call, target: &'a Target) -> Result<&'a Target, CallError> {
    let by_scan = call
        .envelope()
        .and_then(|envelope| target.for_envelope(envelope));
    match by_scan {
        Some(target) => Ok(target),
        None => Ok(target.for_call(call.canonical()?)),
    }
}

/// Answers that a provider keeps belong to the account of the key: only where that is the
/// organisation's own may a configuration have calls continue them.
fn check_kept_answers(route: &Route, target: &Target, name: &str) -> Result<(), CallError> {
    if matches!(route.key, KeySource::Platform(_)) && target.continues_kept_answers() {
        let reason = "it refers to what its provider keeps, and uses the installation's key, \
                      whose account is shared. Give it a key of its own";
        return Err(CallError::uncallable(name, reason));
    }
    Ok(())
}

/// Splices the client's body where the formats agree, else goes by the canonical call, which
/// shows computer-use tools that the scan does not see.
fn translate(
    call: &Call,
    entry: &Entry,
    target: &Target,
) -> Result<(HttpRequest, Passage, Vec<Loss>), CallError> {
    if let Some(envelope) = call.envelope()
        && let Some(spliced) = splice(envelope, target)
    {
        let request = spliced.map_err(CallError::invalid)?;
        return Ok((request, Passage::PassThrough, Vec::new()));
    }
    let canonical = call.canonical()?;
    if canonical.has_computer_use_tool() && !speaks_computer_use(entry) {
        return Err(CallError::computer_use_unsupported(entry.name()));
    }
    let encoded = encode(canonical, target).map_err(CallError::invalid)?;
    Ok((encoded.request, Passage::Translate, encoded.losses))
}

/// Which of Anthropic's beta features a client wants stands in a header and not in
/// the body. No other header of a client goes to a provider.
fn forward_betas(call: &Call, target: &Target, request: &mut HttpRequest) {
    let asked = call
        .anthropic_beta
        .as_ref()
        .and_then(|value| value.to_str().ok());
    if let Some(asked) = asked
        && call.dialect == WireFormat::AnthropicMessages
    {
        add_betas(target, request, asked);
    }
}

async fn key<'a>(
    gateway: &Gateway,
    route: &'a Route,
    name: &str,
) -> Result<Option<Key<'a>>, CallError> {
    let reference = match &route.key {
        KeySource::Own(reference) | KeySource::Slot(reference) | KeySource::Platform(reference) => {
            reference
        }
        KeySource::NotNeeded => return Ok(None),
        KeySource::Unusable { slot, status } => {
            return Err(CallError::slot_unusable(name, slot, *status));
        }
        KeySource::Unfit { slot, kind } => {
            let provider = &route.target.provider.name;
            return Err(CallError::slot_unfit(name, slot, *kind, provider));
        }
        KeySource::Missing => {
            let Target {
                provider, origin, ..
            } = &route.target;
            return Err(if route.target.is_catalog_origin {
                CallError::credential_missing(name, &provider.name)
            } else {
                let origin = origin.to_string();
                CallError::credential_missing_elsewhere(name, &provider.name, &origin)
            });
        }
    };
    if let Some(open) = gateway.secrets.cached(reference) {
        return Ok(Some(Key::new(reference, open)));
    }
    let opened = timeout(gateway.limits.secret, gateway.secrets.open(reference)).await;
    match opened.unwrap_or_else(|_| Err(SecretError::Unavailable("it is too slow".to_owned()))) {
        Ok(opened) => Ok(Some(Key::new(reference, opened))),
        Err(error) => {
            tracing::warn!(error.message = %error, "a provider's key cannot be opened");
            Err(CallError::secret(&error, reference))
        }
    }
}

/// Who else may use the connections of this call.
fn pool_key(route: &Route, organization_id: OrganizationId) -> Arc<PoolKey> {
    route.pool_key.clone().unwrap_or_else(|| {
        Arc::new(PoolKey {
            origin: route.target.origin.clone(),
            partition: Partition::Tenant(organization_id),
        })
    })
}
