//! Metric families of the data plane. Labels are bounded: catalog names, dialects
//! and outcome kinds; never a model, a configuration's name or anything a user wrote.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use providers::chat::usage::Usage;

/// The families, cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<CallLabels, Counter>,
    in_flight: Gauge,
    duration: Family<TimeLabels, Histogram, fn() -> Histogram>,
    time_to_first_byte: Family<TimeLabels, Histogram, fn() -> Histogram>,
    attempts: Family<AttemptLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
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

/// What a finished call was, in the words of the labels.
pub(crate) struct FinishedCall {
    pub(crate) dialect: &'static str,
    pub(crate) provider: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) duration: Duration,
    pub(crate) time_to_first_byte: Option<Duration>,
}

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
        metrics
    }

    pub(crate) fn call_begins(&self) {
        self.in_flight.inc();
    }

    pub(crate) fn call_ends(&self, call: &FinishedCall) {
        self.in_flight.dec();
        self.requests
            .get_or_create(&CallLabels {
                dialect: call.dialect,
                provider: call.provider,
                outcome: call.outcome,
            })
            .inc();
        let labels = TimeLabels {
            dialect: call.dialect,
            provider: call.provider,
        };
        self.duration
            .get_or_create(&labels)
            .observe(call.duration.as_secs_f64());
        if let Some(first) = call.time_to_first_byte {
            self.time_to_first_byte
                .get_or_create(&labels)
                .observe(first.as_secs_f64());
        }
    }

    pub(crate) fn attempt_ends(
        &self,
        provider: &'static str,
        outcome: &'static str,
        usage: Option<Usage>,
    ) {
        self.attempts
            .get_or_create(&AttemptLabels { provider, outcome })
            .inc();
        let Some(usage) = usage else { return };
        let kinds = [
            ("input_uncached", usage.uncached_input_tokens),
            ("input_cache_read", usage.cache_read_tokens),
            ("input_cache_write_5m", usage.cache_write_5m_tokens),
            ("input_cache_write_1h", usage.cache_write_1h_tokens),
            ("output", usage.output_tokens),
            ("output_reasoning", usage.reasoning_tokens),
        ];
        for (kind, tokens) in kinds.into_iter().filter(|(_, tokens)| *tokens > 0) {
            self.tokens
                .get_or_create(&TokenLabels { provider, kind })
                .inc_by(tokens);
        }
    }
}
