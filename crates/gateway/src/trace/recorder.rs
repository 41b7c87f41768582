//! Notes moments while a call runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use jiff::Timestamp;

use super::{AttemptTrace, Period, StageTrace, TraceContext, TraceId, TraceSink};
use crate::gateway::Gateway;

/// The notes of one call that somebody wants traced.
pub(crate) struct Recorder {
    sink: Arc<dyn TraceSink>,
    context: TraceContext,
    started_at: Timestamp,
    started: Instant,
    /// Until when everything is accounted for, since the call began.
    noted: Duration,
    stages: Vec<StageTrace>,
    attempts: Vec<AttemptTrace>,
}

/// What a recorder knows when its call is over.
pub(crate) struct Notes {
    pub(crate) sink: Arc<dyn TraceSink>,
    pub(crate) context: TraceContext,
    pub(crate) started_at: Timestamp,
    pub(crate) stages: Vec<StageTrace>,
    pub(crate) attempts: Vec<AttemptTrace>,
}

impl Recorder {
    /// Begins, where somebody wants this call's trace.
    pub(crate) fn begin(gateway: &Gateway, headers: &HeaderMap) -> Option<Box<Self>> {
        let sink = gateway.traces.as_ref()?;
        let context = TraceContext::begin(headers, gateway.entropy.as_ref());
        sink.wants(&context).then(|| {
            Box::new(Self {
                sink: Arc::clone(sink),
                context,
                started_at: gateway.clock.now(),
                started: Instant::now(),
                noted: Duration::ZERO,
                stages: Vec::with_capacity(8),
                attempts: Vec::new(),
            })
        })
    }

    pub(crate) const fn trace_id(&self) -> TraceId {
        self.context.trace_id
    }

    /// A stage has ended; it began where the one before did end.
    pub(crate) fn stage_ends(&mut self, name: &'static str) {
        let time = self.since_noted();
        self.stages.push(StageTrace { name, time });
    }

    /// An attempt begins: what lay between it and the last stage was waiting.
    pub(crate) fn attempt_begins(&mut self) {
        self.noted = self.started.elapsed();
    }

    /// An attempt has ended. `of` is told when it was.
    pub(crate) fn attempt_ends(&mut self, of: impl FnOnce(Period) -> AttemptTrace) {
        let time = self.since_noted();
        self.attempts.push(of(time));
    }

    /// The call is over.
    pub(crate) fn end(self) -> Notes {
        Notes {
            sink: self.sink,
            context: self.context,
            started_at: self.started_at,
            stages: self.stages,
            attempts: self.attempts,
        }
    }

    fn since_noted(&mut self) -> Period {
        let to = self.started.elapsed();
        let from = std::mem::replace(&mut self.noted, to);
        Period { from, to }
    }
}
