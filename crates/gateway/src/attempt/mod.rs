//! Tries, retries and fallbacks: from a plan to an answer.

mod authorize;
mod call;
mod circuits;
mod count;
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

pub(crate) use authorize::{authorize, forget_refused_token};
pub(crate) use call::Call;
pub use circuits::CircuitBreakers;
pub(crate) use circuits::{
    CircuitKey, Circuits, Permit, Phase, Reason, Refusal, sweep_until as sweep_circuits_until,
};
pub(crate) use count::count;
pub(crate) use exchange::{Content, Failed, Received, exchange};
pub(crate) use prepare::{Prepared, prepare, scrubber};

use crate::error::CallError;
use crate::gateway::Gateway;
use crate::meter::CallMeter;
use crate::resolve::Plan;
use crate::snapshot::Entry;
use policy::{Failure, History, Step, next_step};

/// The longest that a call waits because all of its targets are rate limited.
const LONGEST_REST: Duration = Duration::from_secs(8);

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

/// A target that was not tried.
pub(crate) struct Skipped {
    pub(crate) entry: Arc<Entry>,
    pub(crate) refusal: Refusal,
}

/// What came of a target that did not answer.
enum Left {
    /// Its circuit is open.
    Skipped(Refusal),
    /// It failed, and policy says where to go.
    Failed(Step, CallError),
}

/// Works through the plan until a target answers.
///
/// Where none can be tried now and one of them only rests because of a rate limit, and
/// not for long, the call waits for that one.
///
/// # Errors
/// The last failure, when none does; where no target was even tried, which of them
/// were skipped and why.
pub(crate) async fn attempt(
    gateway: &Gateway,
    call: &Call,
    organization_id: OrganizationId,
    plan: &Plan,
    meter: &mut CallMeter,
) -> Result<Answer, CallError> {
    let patient_until = plan.deadline.min(Instant::now() + LONGEST_REST);
    loop {
        let skipped = match walk(gateway, call, organization_id, plan, meter).await? {
            Walked::Answered(answer) => return Ok(*answer),
            Walked::AllSkipped(skipped) => skipped,
        };
        let Some(rest) = shortest_rest(&skipped) else {
            return Err(CallError::all_skipped(&skipped));
        };
        if Instant::now() + rest >= patient_until {
            return Err(CallError::all_skipped(&skipped));
        }
        tokio::time::sleep(rest).await;
    }
}

/// What came of going through the plan once.
enum Walked {
    Answered(Box<Answer>),
    AllSkipped(Vec<Skipped>),
}

async fn walk(
    gateway: &Gateway,
    call: &Call,
    organization_id: OrganizationId,
    plan: &Plan,
    meter: &mut CallMeter,
) -> Result<Walked, CallError> {
    let mut failure = None;
    let mut skipped = Vec::new();
    for (position, entry) in plan.targets.iter().enumerate() {
        let limit = Limit {
            deadline: plan.deadline,
            has_fallback: position + 1 < plan.targets.len(),
        };
        let prepared = prepare(gateway, call, organization_id, entry).await;
        meter.stage_ends("prepare");
        let tried = match prepared {
            Ok(prepared) => {
                let key = prepared.circuit_key(organization_id);
                try_target(gateway, call, entry, (prepared, key), limit, meter).await
            }
            Err(error) => Err(Left::Failed(Step::Fallback, error)),
        };
        match tried {
            Ok(answer) => return Ok(Walked::Answered(Box::new(answer))),
            Err(Left::Skipped(refusal)) => skipped.push(Skipped {
                entry: Arc::clone(entry),
                refusal,
            }),
            Err(Left::Failed(Step::Fallback, error)) => failure = Some(error),
            Err(Left::Failed(_, error)) => return Err(error),
        }
    }
    match failure {
        Some(failure) => Err(failure),
        // A plan is never empty.
        None => Ok(Walked::AllSkipped(skipped)),
    }
}

/// How long until the first of the targets has rested, where they only rest.
fn shortest_rest(skipped: &[Skipped]) -> Option<Duration> {
    let rests = skipped
        .iter()
        .map(|skipped| &skipped.refusal)
        .filter(|refusal| refusal.reason == Reason::RateLimited);
    rests.map(|refusal| refusal.wait).min()
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
    (mut prepared, key): (Prepared<'_>, CircuitKey),
    limit: Limit,
    meter: &mut CallMeter,
) -> Result<Answer, Left> {
    let max_retries = entry.route().map_or(0, |route| route.max_retries);
    let mut tries = 0;
    let mut failure = None;
    loop {
        let permit = match Permit::ask(&gateway.circuits, key.clone(), entry) {
            Ok(permit) => permit,
            Err(refusal) => return Err(leave(refusal, failure)),
        };
        tries += 1;
        meter.attempt_begins(entry);
        let failed = match exchange(gateway, call, &mut prepared, limit.deadline).await {
            Ok(received) => return Ok(answer(entry, prepared, received, permit)),
            Err(failed) => failed,
        };
        let status = failed.status();
        // An access token that has been revoked says nothing about the credential.
        let is_stale = forget_refused_token(gateway, &prepared, &failed);
        let (policy_failure, error) = judge(failed, &prepared, (!is_stale).then_some(permit));
        meter.attempt_ends(error.outcome, None, status);
        let history = History {
            tries,
            time_left: limit.deadline.saturating_duration_since(Instant::now()),
            has_fallback: limit.has_fallback,
            jitter: jitter(gateway.entropy.as_ref()),
        };
        let step = if is_stale {
            let after = Duration::ZERO;
            Step::Retry { after }
        } else {
            next_step(policy_failure, &history, max_retries)
        };
        log_failure(meter.request_id(), tries, &error, step);
        match step {
            Step::Retry { after } => {
                failure = Some(error);
                tokio::time::sleep(after).await;
            }
            step => return Err(Left::Failed(step, error)),
        }
    }
}

/// A target whose circuit is open is left: with what went wrong before, where this call
/// was there when it opened.
fn leave(refusal: Refusal, failure: Option<CallError>) -> Left {
    failure.map_or(Left::Skipped(refusal), |error| {
        Left::Failed(Step::Fallback, error)
    })
}

fn answer(
    entry: &Arc<Entry>,
    prepared: Prepared<'_>,
    received: Received,
    permit: Permit,
) -> Answer {
    let content = match received.content {
        Content::Stream(mut stream) => {
            stream.holds(permit);
            Content::Stream(stream)
        }
        whole @ Content::Whole { .. } => {
            permit.succeeds();
            whole
        }
    };
    Answer {
        entry: Arc::clone(entry),
        credential: prepared.credential().cloned(),
        losses: prepared.losses,
        headers: received.headers,
        content,
    }
}

/// The failure for policy, and for the client; the circuit is told too.
fn judge(failed: Failed, prepared: &Prepared<'_>, permit: Option<Permit>) -> (Failure, CallError) {
    match failed {
        Failed::NotSent(reason) => (Failure::NotSent, CallError::egress(reason)),
        // The provider did well: its circuit is told nothing.
        Failed::NoRoom => (Failure::NoRoom, CallError::no_room_for_answer()),
        Failed::Provider(error) => {
            if let Some(permit) = permit {
                permit.fails(&error);
            }
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
