//! Traces of calls, sent to an OpenTelemetry collector (OTLP over HTTP).
//!
//! Calls hand their traces to a bounded queue and go on; one task turns them into spans and
//! sends them in batches. What a full queue or an unreachable collector costs is counted.

mod exporter;
mod spans;

use std::sync::Arc;
use std::time::Duration;

use gateway::trace::{CallTrace, TraceContext, TraceSink};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SpanExporter as _;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::settings::{Settings, SettingsError};

/// Traces that wait to be sent; more are dropped.
const QUEUE: usize = 4096;
/// Traces that are sent at once.
const BATCH: usize = 256;
/// How long a trace waits for others to be sent with.
const LINGER: Duration = Duration::from_secs(1);

/// Takes traces; cheap and never in the way.
pub struct Traces {
    queue: mpsc::Sender<CallTrace>,
    /// Of 2^63 trace ids, how many are recorded where the client decides nothing.
    threshold: u64,
    dropped: Counter,
}

/// Sends what [`Traces`] takes. Nothing is sent until it runs.
pub struct Sending {
    queue: mpsc::Receiver<CallTrace>,
    exporter: SpanExporter,
    failed: Counter,
}

/// Both ends of the queue, where the settings name a collector.
///
/// # Errors
/// When the collector's address or a header cannot be used.
pub fn from_settings(
    settings: &Settings,
    registry: &mut Registry,
) -> Result<Option<(Arc<Traces>, Sending)>, SettingsError> {
    let Some(exporter) = exporter::from_settings(&settings.telemetry)? else {
        return Ok(None);
    };
    let (sender, receiver) = mpsc::channel(QUEUE);
    let (dropped, failed) = (Counter::default(), Counter::default());
    registry.register(
        "quartermaster_traces_dropped",
        "Traces of calls that found the queue full",
        dropped.clone(),
    );
    registry.register(
        "quartermaster_traces_failed",
        "Traces of calls that the collector did not take",
        failed.clone(),
    );
    let traces = Traces {
        queue: sender,
        threshold: threshold(settings.telemetry.sample_ratio),
        dropped,
    };
    let sending = Sending {
        queue: receiver,
        exporter,
        failed,
    };
    Ok(Some((Arc::new(traces), sending)))
}

/// As OpenTelemetry's `TraceIdRatioBased` samplers do, so that all of them agree on a trace.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a ratio from 0 to 1 of a number of 63 bits; the last bits do not matter"
)]
fn threshold(ratio: f64) -> u64 {
    (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64
}

impl TraceSink for Traces {
    /// A client that decided is followed; else the id of the trace decides.
    fn wants(&self, context: &TraceContext) -> bool {
        if let Some(parent) = context.parent {
            return parent.is_sampled;
        }
        let [_, _, _, _, _, _, _, _, low @ ..] = context.trace_id.0;
        u64::from_be_bytes(low) >> 1 < self.threshold
    }

    fn record(&self, trace: CallTrace) {
        if self.queue.try_send(trace).is_err() {
            self.dropped.inc();
        }
    }
}

impl Sending {
    /// Sends until the calls are over, then what is left.
    pub async fn run(mut self, calls_are_over: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let ends = tokio::select! {
                () = calls_are_over.cancelled() => true,
                received = self.queue.recv_many(&mut batch, BATCH) => received == 0,
            };
            if ends {
                break;
            }
            self.wait_for_more(&mut batch, &calls_are_over).await;
            self.send(&mut batch).await;
        }
        self.queue.close();
        while self.queue.recv_many(&mut batch, BATCH).await > 0 {
            self.send(&mut batch).await;
        }
    }

    async fn wait_for_more(
        &mut self,
        batch: &mut Vec<CallTrace>,
        calls_are_over: &CancellationToken,
    ) {
        let more = async {
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                if self.queue.recv_many(batch, room).await == 0 {
                    break;
                }
            }
        };
        tokio::select! {
            () = more => {}
            () = tokio::time::sleep(LINGER) => {}
            () = calls_are_over.cancelled() => {}
        }
    }

    async fn send(&self, batch: &mut Vec<CallTrace>) {
        let count = batch.len();
        let spans = batch.iter().flat_map(spans::of_call).collect();
        batch.clear();
        if let Err(error) = self.exporter.export(spans).await {
            self.failed.inc_by(count as u64);
            tracing::warn!(%error, count, "traces cannot be sent to the collector");
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway::trace::{SpanId, TraceId, TraceParent};

    use super::*;

    fn wants(ratio: f64, low: u64, parent: Option<bool>) -> bool {
        let mut id = [7; 16];
        id[8..].copy_from_slice(&low.to_be_bytes());
        let traces = Traces {
            queue: mpsc::channel(1).0,
            threshold: threshold(ratio),
            dropped: Counter::default(),
        };
        traces.wants(&TraceContext {
            trace_id: TraceId(id),
            span_id: SpanId([1; 8]),
            parent: parent.map(|is_sampled| TraceParent {
                trace_id: TraceId(id),
                span_id: SpanId([2; 8]),
                is_sampled,
            }),
        })
    }

    #[test]
    fn the_client_decides_else_the_ratio() {
        let quarter = u64::MAX / 4;
        for (ratio, low, parent, expected) in [
            (1.0, u64::MAX, None, true),
            (0.0, 0, None, false),
            (0.5, quarter, None, true),
            (0.5, 3 * quarter, None, false),
            (0.0, u64::MAX, Some(true), true),
            (1.0, 0, Some(false), false),
        ] {
            assert_eq!(
                wants(ratio, low, parent),
                expected,
                "{ratio} {low} {parent:?}"
            );
        }
    }
}
