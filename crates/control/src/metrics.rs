//! Counters of the control plane. Labels are routes and kinds, never names or ids.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The counters. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    writes: Family<WriteLabels, Counter>,
    pub(crate) replays: Counter,
    pub(crate) wrong_keys: Counter,
    pub(crate) secrets_to_destroy: Gauge,
    pub(crate) destructions_failed: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    action: &'static str,
    outcome: &'static str,
}

impl Metrics {
    /// Makes the counters and has them shown by `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 14))
            }),
            writes: Family::default(),
            replays: Counter::default(),
            wrong_keys: Counter::default(),
            secrets_to_destroy: Gauge::default(),
            destructions_failed: Counter::default(),
        };
        metrics.show(registry.sub_registry_with_prefix("quartermaster_control"));
        metrics
    }

    fn show(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Requests answered by the control plane",
            self.requests.clone(),
        );
        registry.register(
            "request_seconds",
            "Time to answer a request of the control plane",
            self.seconds.clone(),
        );
        registry.register(
            "writes",
            "Writes by what they do and whether they were refused; replays count as done",
            self.writes.clone(),
        );
        registry.register(
            "idempotent_replays",
            "Answers given again under an Idempotency-Key",
            self.replays.clone(),
        );
        registry.register(
            "wrong_api_keys",
            "Requests refused for their API key",
            self.wrong_keys.clone(),
        );
        registry.register(
            "secrets_to_destroy",
            "Abandoned secrets that are still in the vault",
            self.secrets_to_destroy.clone(),
        );
        registry.register(
            "secret_destructions_failed",
            "Tries to destroy an abandoned secret that failed and will be repeated",
            self.destructions_failed.clone(),
        );
    }

    pub(crate) fn count_request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        let method = method.to_owned();
        self.seconds
            .get_or_create(&RouteLabels {
                route: route.clone(),
                method: method.clone(),
            })
            .observe(took.as_secs_f64());
        self.requests
            .get_or_create(&RequestLabels {
                route,
                method,
                status,
            })
            .inc();
    }

    pub(crate) fn count_write(&self, action: &'static str, succeeded: bool) {
        let outcome = if succeeded { "done" } else { "refused" };
        self.writes
            .get_or_create(&WriteLabels { action, outcome })
            .inc();
    }
}
