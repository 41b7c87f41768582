//! Metric families of the data plane. Labels are bounded: catalog names, dialects
//! and outcome kinds; never a model, a configuration's name or anything a user wrote.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use providers::chat::WireFormat;
use providers::chat::usage::Usage;

use crate::attempt::{Phase, Reason};
use crate::limit::budgets::Reached;
use crate::meter::Outcome;

/// The families, cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<CallLabels, Counter>,
    in_flight: Gauge,
    duration: Family<TimeLabels, Histogram, fn() -> Histogram>,
    time_to_first_byte: Family<TimeLabels, Histogram, fn() -> Histogram>,
    attempts: Family<AttemptLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    circuits: Family<CircuitLabels, Gauge>,
    circuit_openings: Family<OpeningLabels, Counter>,
    circuit_skips: Family<OpeningLabels, Counter>,
    budgets: Family<BudgetLabels, Counter>,
    limited: Family<LimitLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    dialect: &'static str,
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TimeLabels {
    dialect: &'static str,
    provider: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    provider: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CircuitLabels {
    provider: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OpeningLabels {
    provider: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabels {
    whose: &'static str,
    bound: &'static str,
}

/// What a finished call was.
pub(crate) struct FinishedCall {
    pub(crate) dialect: WireFormat,
    pub(crate) outcome: Outcome,
    pub(crate) duration: Duration,
    pub(crate) time_to_first_byte: Option<Duration>,
}

/// The series of one provider that every good call touches, looked up once.
pub(crate) struct ProviderMetrics {
    provider: &'static str,
    dialects: [DialectMetrics; DIALECTS.len()],
    succeeded_attempts: Counter,
    tokens: [Counter; TOKEN_KINDS.len()],
}

struct DialectMetrics {
    succeeded: Counter,
    duration: Histogram,
    time_to_first_byte: Histogram,
}

const DIALECTS: [WireFormat; WireFormat::ALL.len()] = WireFormat::ALL;

const TOKEN_KINDS: [&str; 6] = [
    "input_uncached",
    "input_cache_read",
    "input_cache_write_5m",
    "input_cache_write_1h",
    "output",
    "output_reasoning",
];

/// What calls are counted under that never got as far as a provider.
const NO_PROVIDER: &str = "none";

/// From a millisecond to ten minutes: a model answers in seconds, a cached or
/// simulated one in milliseconds.
fn histogram() -> Histogram {
    Histogram::new([
        0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        120.0, 300.0, 600.0,
    ])
}

impl Metrics {
    /// Makes the families and registers them, with their full names, in a registry
    /// that has no prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            in_flight: Gauge::default(),
            duration: Family::new_with_constructor(histogram),
            time_to_first_byte: Family::new_with_constructor(histogram),
            attempts: Family::default(),
            tokens: Family::default(),
            circuits: Family::default(),
            circuit_openings: Family::default(),
            circuit_skips: Family::default(),
            budgets: Family::default(),
            limited: Family::default(),
        };
        registry.register(
            "quartermaster_calls",
            "Inference calls, by how they ended",
            metrics.requests.clone(),
        );
        registry.register(
            "quartermaster_calls_in_flight",
            "Inference calls that have not ended yet",
            metrics.in_flight.clone(),
        );
        registry.register(
            "quartermaster_call_duration_seconds",
            "From the first byte of a call to the last of its answer",
            metrics.duration.clone(),
        );
        registry.register(
            "quartermaster_call_time_to_first_byte_seconds",
            "From the first byte of a call to the first content of its answer",
            metrics.time_to_first_byte.clone(),
        );
        registry.register(
            "quartermaster_attempts",
            "Requests to providers, by how they ended",
            metrics.attempts.clone(),
        );
        registry.register(
            "quartermaster_tokens",
            "Tokens that providers counted, by kind",
            metrics.tokens.clone(),
        );
        registry.register(
            "quartermaster_budget_calls",
            "Calls that met a budget: let through with a warning (soft) or refused (hard)",
            metrics.budgets.clone(),
        );
        registry.register(
            "quartermaster_limited_calls",
            "Calls refused by a limit of an API key or organization, by what was used up",
            metrics.limited.clone(),
        );
        metrics.register_circuits(registry);
        metrics
    }

    fn register_circuits(&self, registry: &mut Registry) {
        registry.register(
            "quartermaster_circuits",
            "Circuits that are not closed, by state: open, probing, resting (rate limited)",
            self.circuits.clone(),
        );
        registry.register(
            "quartermaster_circuit_openings",
            "How often circuits opened",
            self.circuit_openings.clone(),
        );
        registry.register(
            "quartermaster_circuit_skips",
            "How often a target was skipped, by why its circuit was open",
            self.circuit_skips.clone(),
        );
    }

    /// A circuit of a provider went from one state to another.
    pub(crate) fn circuit_changes(&self, provider: &'static str, before: Phase, after: Phase) {
        let gauge = |state| {
            let labels = CircuitLabels { provider, state };
            self.circuits.get_or_create_owned(&labels)
        };
        if let Some(state) = before.as_str() {
            gauge(state).dec();
        }
        if let Some(state) = after.as_str() {
            gauge(state).inc();
        }
        if let (Phase::Closed, Phase::Open(reason)) = (before, after) {
            let reason = reason.as_str();
            let labels = OpeningLabels { provider, reason };
            self.circuit_openings.get_or_create(&labels).inc();
        }
    }

    /// A call met a bound of a budget.
    pub(crate) fn budget_is_reached(&self, reached: &Reached) {
        let labels = BudgetLabels {
            whose: reached.whose.as_str(),
            bound: reached.bound.as_str(),
        };
        self.budgets.get_or_create(&labels).inc();
    }

    /// A target was skipped.
    pub(crate) fn circuit_skips(&self, provider: &'static str, reason: Reason) {
        let reason = reason.as_str();
        let labels = OpeningLabels { provider, reason };
        self.circuit_skips.get_or_create(&labels).inc();
    }

    /// A limit of our own refused a call.
    pub(crate) fn limit_refuses(&self, limit: &'static str) {
        self.limited.get_or_create(&LimitLabels { limit }).inc();
    }

    /// The series of a provider.
    pub(crate) fn of_provider(&self, provider: &'static str) -> ProviderMetrics {
        let success = Outcome::Success.as_str();
        ProviderMetrics {
            provider,
            dialects: DIALECTS.map(|dialect| self.of_dialect(dialect, provider)),
            succeeded_attempts: self.attempts.get_or_create_owned(&AttemptLabels {
                provider,
                outcome: success,
            }),
            tokens: TOKEN_KINDS.map(|kind| {
                let labels = TokenLabels { provider, kind };
                self.tokens.get_or_create_owned(&labels)
            }),
        }
    }

    fn of_dialect(&self, dialect: WireFormat, provider: &'static str) -> DialectMetrics {
        let dialect = dialect.as_str();
        let labels = TimeLabels { dialect, provider };
        DialectMetrics {
            succeeded: self.calls(dialect, provider, Outcome::Success),
            duration: self.duration.get_or_create_owned(&labels),
            time_to_first_byte: self.time_to_first_byte.get_or_create_owned(&labels),
        }
    }

    fn calls(&self, dialect: &'static str, provider: &'static str, outcome: Outcome) -> Counter {
        self.requests.get_or_create_owned(&CallLabels {
            dialect,
            provider,
            outcome: outcome.as_str(),
        })
    }

    pub(crate) fn call_begins(&self) {
        self.in_flight.inc();
    }

    pub(crate) fn call_ends(&self, call: &FinishedCall, provider: Option<&ProviderMetrics>) {
        self.in_flight.dec();
        let dialect = call.dialect.as_str();
        let Some(provider) = provider else {
            self.calls(dialect, NO_PROVIDER, call.outcome).inc();
            return;
        };
        let mut series = DIALECTS.iter().zip(&provider.dialects);
        let Some((_, of_dialect)) = series.find(|(dialect, _)| **dialect == call.dialect) else {
            return;
        };
        if call.outcome == Outcome::Success {
            of_dialect.succeeded.inc();
        } else {
            self.calls(dialect, provider.provider, call.outcome).inc();
        }
        of_dialect.duration.observe(call.duration.as_secs_f64());
        if let Some(first) = call.time_to_first_byte {
            of_dialect.time_to_first_byte.observe(first.as_secs_f64());
        }
    }

    pub(crate) fn attempt_ends(
        &self,
        provider: &ProviderMetrics,
        outcome: Outcome,
        usage: Option<Usage>,
    ) {
        if outcome == Outcome::Success {
            provider.succeeded_attempts.inc();
        } else {
            let labels = AttemptLabels {
                provider: provider.provider,
                outcome: outcome.as_str(),
            };
            self.attempts.get_or_create(&labels).inc();
        }
        let Some(usage) = usage else { return };
        let tokens = [
            usage.uncached_input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_5m_tokens,
            usage.cache_write_1h_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
        ];
        for (counter, tokens) in provider.tokens.iter().zip(tokens) {
            counter.inc_by(tokens);
        }
    }
}
