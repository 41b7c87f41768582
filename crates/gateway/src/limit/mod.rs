//! Bounds on what one call may take, time and bytes, and on how much a caller may call.

pub(crate) mod bodies;
pub(crate) mod rates;
mod window;

use std::time::Duration;

use domain::api_key::Caller;
use domain::rate_limits::RateLimits;

use crate::attempt::Call;
use crate::error::CallError;
use crate::gateway::Gateway;
use crate::resolve::Plan;
use crate::snapshot::Snapshot;
use rates::{Admission, Bounds};

/// Bounds of every call. The defaults are those of the product.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest request body (`limits.data_plane_body_bytes`), in bytes.
    pub request_body_bytes: usize,
    /// The request bodies of all calls together (`limits.data_plane_bodies_bytes`), in
    /// bytes.
    pub request_bodies_bytes: usize,
    /// How long a client may pause while it sends its body.
    pub request_body_idle: Duration,
    /// The slowest a client may send its body, in bytes per second, once
    /// [`Limits::request_body_grace`] has passed.
    pub request_body_bytes_per_second: u64,
    /// How long a client may be slower than that.
    pub request_body_grace: Duration,
    /// How long the vault may take to open a key that is not open yet.
    pub secret: Duration,
    /// How long a request for an access token may take, from name resolution to its end.
    pub token: Duration,
    /// Name resolution, TCP and TLS together.
    pub connect: Duration,
    /// The wait for a response header and between two pieces, where the
    /// configuration says no `timeout_seconds`.
    pub idle: Duration,
    /// The whole call, retries and fallbacks included (`limits.call_seconds`).
    pub call: Duration,
    /// The largest whole answer of a provider, in bytes.
    pub answer_bytes: usize,
    /// How much of a provider's error body is read, in bytes.
    pub error_body_bytes: usize,
    /// How much of a stream is held back until its first content, and the largest
    /// single event, in bytes.
    pub stream_event_bytes: usize,
    /// What a key may call that has no limits of its own (`limits.api_key`).
    pub api_key: RateLimits,
    /// The same for an organisation (`limits.organization`).
    pub organization: RateLimits,
}

/// Text has about four bytes a token.
const BYTES_PER_TOKEN: usize = 4;
/// The most that is reserved for a prompt. Images and documents have many more bytes
/// than tokens; what they did take is counted when the provider has said it.
const MOST_INPUT_RESERVED: u64 = 32_768;
/// The most that is reserved for an answer: most stay far below their bound.
const MOST_OUTPUT_RESERVED: u64 = 4096;

/// Asks the limits of the caller's key and organisation. A budget of money would be
/// asked here too.
///
/// # Errors
/// When one of them is used up.
pub(crate) fn admit(
    gateway: &Gateway,
    snapshot: &Snapshot,
    caller: &Caller,
    call: &Call,
    plan: &Plan,
) -> Result<Option<Admission>, CallError> {
    let (of_key, of_organization) = snapshot.rate_limits(caller);
    let bounds = Bounds {
        organization_id: caller.organization_id,
        organization: of_organization.or(gateway.limits.organization),
        api_key_id: caller.api_key_id,
        api_key: of_key.or(gateway.limits.api_key),
    };
    let admitted = gateway.rates.admit(bounds, || estimate(call, plan));
    admitted.map_err(|exceeded| CallError::limit_exceeded(&exceeded))
}

/// About how many tokens a call may take.
fn estimate(call: &Call, plan: &Plan) -> u64 {
    let envelope = call.envelope();
    let bytes = envelope.map_or(0, |envelope| envelope.body().len());
    let input = u64::try_from(bytes / BYTES_PER_TOKEN).unwrap_or(u64::MAX);
    let asked = ["max_completion_tokens", "max_tokens"]
        .into_iter()
        .find_map(|name| {
            std::str::from_utf8(envelope?.member(name)?)
                .ok()?
                .parse()
                .ok()
        });
    let configured = plan.targets.first().and_then(|entry| {
        let bound = entry.configuration().settings.max_tokens?;
        u64::try_from(bound).ok()
    });
    let output = asked.or(configured).unwrap_or(MOST_OUTPUT_RESERVED);
    input.min(MOST_INPUT_RESERVED) + output.min(MOST_OUTPUT_RESERVED)
}

impl Default for Limits {
    fn default() -> Self {
        const MEBIBYTE: usize = 1024 * 1024;
        Self {
            request_body_bytes: 64 * MEBIBYTE,
            request_bodies_bytes: 1024 * MEBIBYTE,
            request_body_idle: Duration::from_secs(15),
            request_body_bytes_per_second: 1024,
            request_body_grace: Duration::from_secs(15),
            secret: Duration::from_secs(2),
            token: Duration::from_secs(15),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            call: Duration::from_secs(3600),
            answer_bytes: 64 * MEBIBYTE,
            error_body_bytes: 256 * 1024,
            stream_event_bytes: 16 * MEBIBYTE,
            api_key: RateLimits::default(),
            organization: RateLimits::default(),
        }
    }
}
