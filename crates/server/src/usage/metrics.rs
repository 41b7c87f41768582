//! Whether usage is recorded or lost.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of attempt records.
#[derive(Clone)]
pub struct UsageMetrics {
    /// Stored.
    pub stored: Counter,
    /// Dropped, since the queue was full.
    pub dropped_full: Counter,
    /// Dropped, since the database refused them for good.
    pub dropped_refused: Counter,
    /// Dropped, since the process ended and the database could not be reached.
    pub dropped_at_end: Counter,
    /// Waiting to be stored.
    pub queued: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl UsageMetrics {
    /// Makes and registers them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let dropped = Family::<Reason, Counter>::default();
        let counter = |reason| dropped.get_or_create_owned(&Reason { reason });
        let metrics = Self {
            stored: Counter::default(),
            dropped_full: counter("queue_full"),
            dropped_refused: counter("refused"),
            dropped_at_end: counter("shutdown"),
            queued: Gauge::default(),
        };
        registry.register(
            "quartermaster_usage_stored",
            "Attempt records that are in the database",
            metrics.stored.clone(),
        );
        registry.register(
            "quartermaster_usage_dropped",
            "Attempt records that were lost, by why",
            dropped,
        );
        registry.register(
            "quartermaster_usage_queued",
            "Attempt records that wait for the database",
            metrics.queued.clone(),
        );
        metrics
    }
}
