//! Tries, retries and fallbacks: from a plan to an answer.

mod call;
mod exchange;
mod policy;
mod prepare;

use std::sync::Arc;
use std::time::Duration;

use domain::clock::{Entropy, random};
use domain::id::OrganizationId;
use http::HeaderMap;
use providers::auth::Credential;
use providers::error::Loss;
use tokio::time::Instant;

pub(crate) use call::Call;
pub(crate) use exchange::{Content, Failed, exchange};
pub(crate) use prepare::{Prepared, prepare, scrubber};

use crate::error::CallError;
use crate::gateway::Gateway;
use crate::meter::CallMeter;
use crate::resolve::Plan;
use crate::snapshot::Entry;
use policy::{Failure, History, Step, next_step};

/// An answer, and who gave it.
pub(crate) struct Answer {
    pub(crate) entry: Arc<Entry>,
    pub(crate) losses: Vec<Loss>,
    /// The provider's headers.
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    /// What the request was made with, for scrubbing.
    pub(crate) credential: Option<Arc<Credential>>,
}

/// Works through the plan until a target answers.
///
/// # Errors
/// The last failure, when none does.
pub(crate) async fn attempt(
    gateway: &Gateway,
    call: &Call,
    organization_id: OrganizationId,
    plan: &Plan,
    meter: &mut CallMeter,
) -> Result<Answer, CallError> {
    let mut failure = None;
    for (position, entry) in plan.targets.iter().enumerate() {
        let limit = Limit {
            deadline: plan.deadline,
            has_fallback: position + 1 < plan.targets.len(),
        };
        let tried = match prepare(gateway, call, organization_id, entry).await {
            Ok(prepared) => try_target(gateway, call, entry, prepared, limit, meter).await,
            Err(error) => Err((Step::Fallback, error)),
        };
        match tried {
            Ok(answer) => return Ok(answer),
            Err((Step::Fallback, error)) => failure = Some(error),
            Err((_, error)) => return Err(error),
        }
    }
    // A plan is never empty.
    Err(failure.unwrap_or_else(CallError::model_missing))
}

#[derive(Clone, Copy)]
struct Limit {
    deadline: Instant,
    has_fallback: bool,
}

/// Tries one target until it answers, or policy says to leave it.
async fn try_target(
    gateway: &Gateway,
    call: &Call,
    entry: &Arc<Entry>,
    prepared: Prepared<'_>,
    limit: Limit,
    meter: &mut CallMeter,
) -> Result<Answer, (Step, CallError)> {
    let max_retries = entry.route.as_ref().map_or(0, |route| route.max_retries);
    let mut tries = 0;
    loop {
        tries += 1;
        meter.attempt_begins(entry);
        let failed = match exchange(gateway, call, &prepared, limit.deadline).await {
            Ok(received) => {
                return Ok(Answer {
                    entry: Arc::clone(entry),
                    losses: prepared.losses,
                    headers: received.headers,
                    content: received.content,
                    credential: prepared.credential,
                });
            }
            Err(failed) => failed,
        };
        let (failure, error) = judge(failed, &prepared);
        meter.attempt_ends(error.outcome, None);
        let history = History {
            tries,
            time_left: limit.deadline.saturating_duration_since(Instant::now()),
            has_fallback: limit.has_fallback,
            jitter: jitter(gateway.entropy.as_ref()),
        };
        let step = next_step(failure, &history, max_retries);
        log_failure(meter.request_id(), tries, &error, step);
        match step {
            Step::Retry { after } => tokio::time::sleep(after).await,
            step => return Err((step, error)),
        }
    }
}

/// The failure for policy, and for the client.
fn judge(failed: Failed, prepared: &Prepared<'_>) -> (Failure, CallError) {
    match failed {
        Failed::NotSent(reason) => (Failure::NotSent, CallError::egress(reason)),
        Failed::Provider(error) => {
            let failure = Failure::Provider {
                kind: error.kind,
                retry_after: error.retry_after,
            };
            (failure, CallError::provider(&error, &prepared.scrubber()))
        }
    }
}

fn log_failure(request_id: &str, tries: u32, error: &CallError, step: Step) {
    let (next, wait) = match step {
        Step::Retry { after } => ("retry", after),
        Step::Fallback => ("fallback", Duration::ZERO),
        Step::GiveUp => ("give_up", Duration::ZERO),
    };
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(
        request.id = request_id,
        attempt.number = tries,
        attempt.next = next,
        attempt.wait_ms = wait_ms,
        error.kind = error.outcome.as_str(),
        error.message = %error.message,
        "attempt failed"
    );
}

/// From 0 up to, not including, 1.
fn jitter(entropy: &dyn Entropy) -> f64 {
    let bits = u32::from_le_bytes(random(entropy));
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}
