//! One try to have a prompt's tokens counted.

use std::sync::Arc;

use domain::id::OrganizationId;
use providers::protocol::count_tokens::{count_tokens, decode_count};
use tokio::time::Instant;

use super::exchange::{failure, refuse_compressed};
use super::{Call, Failed, Prepared, authorize, forget_refused_token, prepare};
use crate::error::CallError;
use crate::gateway::Gateway;
use crate::snapshot::Entry;
use crate::upstream::Timing;

/// Asks the provider of `entry` how many tokens the call's prompt has: once, and again
/// only where an access token was too old.
///
/// # Errors
/// When it has no such request, or fails.
pub(crate) async fn count(
    gateway: &Gateway,
    call: &Call,
    organization_id: OrganizationId,
    entry: &Arc<Entry>,
    deadline: Instant,
) -> Result<u64, CallError> {
    let mut prepared = prepare(gateway, call, organization_id, entry).await?;
    prepared.request =
        count_tokens(prepared.target, prepared.request.clone()).map_err(CallError::invalid)?;
    let mut tried = exchange(gateway, &mut prepared, deadline).await;
    if let Err(failed) = &tried
        && forget_refused_token(gateway, &prepared, failed)
    {
        tried = exchange(gateway, &mut prepared, deadline).await;
    }
    tried.map_err(|failed| match failed {
        Failed::NotSent(reason) => CallError::egress(reason),
        Failed::NoRoom => CallError::no_room_for_answer(),
        Failed::Provider(error) => CallError::provider(&error, &prepared.scrubber()),
    })
}

async fn exchange(
    gateway: &Gateway,
    prepared: &mut Prepared<'_>,
    deadline: Instant,
) -> Result<u64, Failed> {
    authorize(gateway, prepared, deadline).await?;
    let timing = Timing {
        connect: gateway.limits.connect,
        idle: prepared.idle,
        deadline,
    };
    let sent = gateway
        .upstream
        .send(&prepared.request, &prepared.pool_key, timing);
    let mut response = sent.await?;
    if !response.status.is_success() {
        return Err(failure(gateway, prepared, &mut response).await);
    }
    refuse_compressed(&response.headers)?;
    let body = response
        .body
        .collect(gateway.limits.error_body_bytes)
        .await?;
    Ok(decode_count(prepared.target, &body)?)
}
