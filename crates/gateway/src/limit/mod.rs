//! Bounds on what one call may take, time and bytes, and on how much a caller may call.

mod asked;
pub mod budgets;
pub(crate) mod rates;
pub(crate) mod room;
mod window;

use std::time::Duration;

use domain::api_key::Caller;
use domain::rate_limits::RateLimits;

use crate::attempt::Call;
use crate::error::CallError;
use crate::gateway::Gateway;
use crate::resolve::Plan;
use crate::snapshot::{Entry, Snapshot};
use budgets::{IsNew, Payer, Reached, Refusal, Reservation};
use domain::price::PriceTable;
use rates::{Admission, Bounds};

/// Bounds of every call. The defaults are those of the product.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest request body (`limits.data_plane_body_bytes`), in bytes.
    pub request_body_bytes: usize,
    /// The request bodies of all calls together, and what those take that are parsed
    /// (`limits.data_plane_bodies_bytes`), in bytes.
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
    /// The answers of all calls together, as far as they are held (`limits.answers_bytes`),
    /// in bytes.
    pub answers_bytes: usize,
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
/// The most that is reserved for one answer: most stay far below their bound.
const MOST_OUTPUT_RESERVED: u64 = 4096;

/// The most that an answer is held to take where nobody bounds it: what the models that
/// write longest give at most.
const LONGEST_ANSWER: u64 = 131_072;

/// What lets a call through. Dropped, it is under way no more.
#[derive(Default)]
pub(crate) struct Admitted {
    pub(crate) rates: Option<Admission>,
    pub(crate) budget: Option<Reservation>,
}

impl Admitted {
    /// The soft bound of a budget that is reached.
    pub(crate) fn warning(&self) -> Option<&Reached> {
        let (reached, _) = self.budget.as_ref()?.warning.as_ref()?;
        Some(reached)
    }
}

/// Asks the budgets and the limits of the caller's key and organisation. Budgets come
/// first: a reservation is given back, a request that was counted is not.
///
/// # Errors
/// When one of them is used up.
pub(crate) fn admit(
    gateway: &Gateway,
    snapshot: &Snapshot,
    caller: &Caller,
    call: &Call,
    plan: &Plan,
) -> Result<Admitted, CallError> {
    let budget = reserve(gateway, snapshot, caller, call, plan)?;
    let (of_key, of_organization) = snapshot.rate_limits(caller);
    let bounds = Bounds {
        organization_id: caller.organization_id,
        organization: of_organization.or(gateway.limits.organization),
        api_key_id: caller.api_key_id,
        api_key: of_key.or(gateway.limits.api_key),
    };
    let admitted = gateway.rates.admit(bounds, || estimate(call, plan));
    let rates = admitted.map_err(|exceeded| {
        gateway
            .metrics
            .limit_refuses(exceeded.standing.what.as_str());
        CallError::limit_exceeded(&exceeded)
    })?;
    Ok(Admitted { rates, budget })
}

fn reserve(
    gateway: &Gateway,
    snapshot: &Snapshot,
    caller: &Caller,
    call: &Call,
    plan: &Plan,
) -> Result<Option<Reservation>, CallError> {
    let budgets = snapshot.budgets(caller);
    let payer = Payer {
        organization_id: caller.organization_id,
        api_key_id: caller.api_key_id,
    };
    let most = || most(&gateway.prices.load(), call, plan);
    let now = gateway.clock.now();
    match gateway.spending.admit(payer, budgets, now, most) {
        Ok(reservation) => {
            let warning = reservation.as_ref().and_then(|it| it.warning.as_ref());
            if let Some((reached, is_new)) = warning {
                gateway.metrics.budget_is_reached(reached);
                if *is_new == IsNew(true) {
                    log(payer, reached);
                }
            }
            Ok(reservation)
        }
        Err(refusal) => {
            let (Refusal::Spent(reached) | Refusal::Reserved(reached)) = &refusal;
            gateway.metrics.budget_is_reached(reached);
            gateway.metrics.limit_refuses("budget");
            Err(CallError::budget_exceeded(&refusal, now))
        }
    }
}

fn log(payer: Payer, reached: &Reached) {
    tracing::warn!(
        organization.id = %payer.organization_id,
        api_key.id = %payer.api_key_id,
        budget.whose = reached.whose.as_str(),
        budget.month = %reached.month,
        budget.soft_micros = reached.limit_micros,
        budget.spent_micros = reached.spent_micros,
        "a budget has reached its soft bound"
    );
}

/// The most that a call may cost, in micro-dollars: with its dearest target, no text having
/// more tokens than bytes. Images and documents that are only named by an address are not
/// in it. Targets without a price cost nothing.
fn most(prices: &PriceTable, call: &Call, plan: &Plan) -> i64 {
    let bytes = call.envelope().map_or(0, |envelope| envelope.body().len());
    let input = u64::try_from(bytes).unwrap_or(u64::MAX);
    let choices = asked::choices(call);
    let asked = asked::tokens(call);
    let costs = plan.targets.iter().filter_map(|entry| {
        let target = &entry.route().ok()?.target;
        let output = asked
            .or(longest_configured(entry))
            .unwrap_or(LONGEST_ANSWER);
        let output = output.saturating_mul(choices);
        prices.most(target.provider.name.as_str(), &target.model, input, output)
    });
    costs.max().unwrap_or(0)
}

fn longest_configured(entry: &Entry) -> Option<u64> {
    u64::try_from(entry.configuration().settings.max_tokens?).ok()
}

/// About how many tokens a call may take.
fn estimate(call: &Call, plan: &Plan) -> u64 {
    let bytes = call.envelope().map_or(0, |envelope| envelope.body().len());
    let input = u64::try_from(bytes / BYTES_PER_TOKEN).unwrap_or(u64::MAX);
    let configured = plan
        .targets
        .first()
        .and_then(|entry| longest_configured(entry));
    let output = asked::tokens(call)
        .or(configured)
        .unwrap_or(MOST_OUTPUT_RESERVED);
    input.min(MOST_INPUT_RESERVED) + output.min(MOST_OUTPUT_RESERVED) * asked::choices(call)
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
            answers_bytes: 1024 * MEBIBYTE,
            error_body_bytes: 256 * 1024,
            stream_event_bytes: 16 * MEBIBYTE,
            api_key: RateLimits::default(),
            organization: RateLimits::default(),
        }
    }
}
