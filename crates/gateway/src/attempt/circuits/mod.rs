//! Circuit breakers: skipping a target that fails, refuses our key or asks us to wait.
//!
//! There is one [`circuit`] for each organisation, origin and credential, for what says
//! that an origin is down or a key bad; and beside it one for each model, for what a
//! provider says about a model only: a rate limit, or that the key may not use it.
//! Organisations are kept apart even where they share the operator's key: otherwise one
//! with a timeout of a millisecond could take a provider from all of them.
//!
//! Only targets in trouble are remembered. While an organisation has none, an attempt
//! costs one atomic load before it and one after it.

mod circuit;
mod registry;

use std::sync::Arc;

use domain::id::OrganizationId;
use providers::error::{ErrorKind, ProviderError};
use tokio::time::Instant;

pub(crate) use circuit::{Phase, Reason, Refusal};
pub use registry::CircuitBreakers;
pub(crate) use registry::{Circuits, sweep_until};

use crate::snapshot::Entry;
use crate::upstream::PoolKey;
use circuit::{Ticket, Verdict};

/// What a circuit is kept for; models have their own below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CircuitKey {
    pub(crate) organization_id: OrganizationId,
    /// Origin and credential.
    pub(crate) pool_key: Arc<PoolKey>,
}

/// One attempt that was let through. Dropped without an outcome, it says that nobody
/// waited for one, which is neither good nor bad and lets another probe go.
pub(crate) struct Permit {
    circuits: Arc<Circuits>,
    key: CircuitKey,
    entry: Arc<Entry>,
    tickets: Tickets,
    is_settled: bool,
}

/// What let an attempt through: the circuit of its credential and that of its model.
#[derive(Clone, Copy, Debug, Default)]
struct Tickets {
    credential: Ticket,
    model: Ticket,
}

/// What an attempt says about the one and the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdicts {
    credential: Verdict,
    model: Verdict,
}

impl Permit {
    /// Asks whether an attempt on `entry` may be made now.
    pub(crate) fn ask(
        circuits: &Arc<Circuits>,
        key: CircuitKey,
        entry: &Arc<Entry>,
    ) -> Result<Self, Refusal> {
        let tickets = circuits.admit(&key, entry, Instant::now())?;
        Ok(Self {
            circuits: Arc::clone(circuits),
            key,
            entry: Arc::clone(entry),
            tickets,
            is_settled: false,
        })
    }

    /// The first content of a stream is there. A probe need not wait for its end.
    pub(crate) fn content_comes(&mut self) {
        if self.tickets.credential.is_probe() || self.tickets.model.is_probe() {
            self.settle(Verdicts::ALIVE);
        }
    }

    /// The whole answer is there.
    pub(crate) fn succeeds(mut self) {
        self.settle(Verdicts::ALIVE);
    }

    /// The attempt failed.
    pub(crate) fn fails(mut self, error: &ProviderError) {
        self.settle(Verdicts::of(error));
    }

    fn settle(&mut self, verdicts: Verdicts) {
        if !std::mem::replace(&mut self.is_settled, true) {
            let now = Instant::now();
            self.circuits
                .record(&self.key, &self.entry, self.tickets, verdicts, now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle(Verdicts::CANCELLED);
    }
}

impl Verdicts {
    const ALIVE: Self = Self::both(Verdict::Alive);
    const CANCELLED: Self = Self::both(Verdict::Cancelled);

    const fn both(verdict: Verdict) -> Self {
        Self {
            credential: verdict,
            model: verdict,
        }
    }

    /// A 403 may be about the model alone, and a 429 is: most providers count by model.
    /// Whoever answers at all is alive, whatever it says about the request.
    fn of(error: &ProviderError) -> Self {
        use ErrorKind as Kind;
        let wait = error.retry_after.map(Verdict::RateLimited);
        let (credential, model) = match error.kind {
            Kind::Connect | Kind::Connection | Kind::Timeout | Kind::Server | Kind::Overloaded => {
                (Verdict::Failed(error.kind), Verdict::Unclear)
            }
            Kind::Authentication if error.status == Some(403) => (Verdict::Alive, Verdict::Refused),
            Kind::Authentication => (Verdict::Refused, Verdict::Unclear),
            Kind::RateLimit | Kind::Quota => (Verdict::Alive, wait.unwrap_or(Verdict::Unclear)),
            Kind::InvalidRequest | Kind::ModelNotFound => (Verdict::Alive, Verdict::Unclear),
            Kind::Conflict | Kind::Malformed => (Verdict::Unclear, Verdict::Unclear),
        };
        Self { credential, model }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn error(kind: ErrorKind, status: Option<u16>, wait: Option<u64>) -> ProviderError {
        ProviderError {
            status,
            retry_after: wait.map(Duration::from_secs),
            ..ProviderError::new(kind, String::new())
        }
    }

    #[test]
    fn every_failure_has_its_verdicts() {
        use ErrorKind as Kind;
        use Verdict::{Alive, Failed, RateLimited, Refused, Unclear};
        let five = Duration::from_secs(5);
        let table = [
            (Kind::Connect, None, None, Failed(Kind::Connect), Unclear),
            (
                Kind::Connection,
                None,
                None,
                Failed(Kind::Connection),
                Unclear,
            ),
            (Kind::Timeout, None, None, Failed(Kind::Timeout), Unclear),
            (Kind::Server, Some(500), None, Failed(Kind::Server), Unclear),
            (
                Kind::Overloaded,
                Some(529),
                Some(5),
                Failed(Kind::Overloaded),
                Unclear,
            ),
            (Kind::Authentication, Some(401), None, Refused, Unclear),
            (Kind::Authentication, None, None, Refused, Unclear),
            (Kind::Authentication, Some(403), None, Alive, Refused),
            (
                Kind::RateLimit,
                Some(429),
                Some(5),
                Alive,
                RateLimited(five),
            ),
            (Kind::RateLimit, Some(429), None, Alive, Unclear),
            (Kind::Quota, Some(429), None, Alive, Unclear),
            (Kind::Quota, Some(429), Some(5), Alive, RateLimited(five)),
            (Kind::InvalidRequest, Some(400), None, Alive, Unclear),
            (Kind::ModelNotFound, Some(404), None, Alive, Unclear),
            (Kind::Conflict, Some(409), None, Unclear, Unclear),
            (Kind::Malformed, None, None, Unclear, Unclear),
        ];
        for (kind, status, wait, credential, model) in table {
            let verdicts = Verdicts::of(&error(kind, status, wait));
            let expected = Verdicts { credential, model };
            assert_eq!(verdicts, expected, "{kind:?} {status:?}");
        }
    }
}
