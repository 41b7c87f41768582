//! One trace for each call: what happened when, stage by stage and attempt by attempt.
//!
//! A call notes moments while it runs, and hands the whole over as a value when it is over.
//! Nothing is noted where nobody wants traces, so that a gateway without a collector pays
//! one comparison for each call.

mod context;
mod recorder;

use std::time::Duration;

use domain::id::{ApiKeyId, ModelConfigurationId, OrganizationId};
use jiff::Timestamp;
use providers::chat::WireFormat;
use providers::chat::usage::Usage;
use providers::target::Origin;

pub use context::{SpanId, TraceContext, TraceId, TraceParent};
pub(crate) use recorder::Recorder;

use crate::meter::Outcome;

/// Everything about one call that has ended.
#[derive(Clone, Debug)]
pub struct CallTrace {
    /// Which trace and span the call is.
    pub context: TraceContext,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What its client speaks.
    pub dialect: WireFormat,
    /// The request's id, which its answer carried too.
    pub request_id: String,
    /// The client's `X-Run-Id`, where given.
    pub run_id: Option<String>,
    /// Who called, where that is known.
    pub caller: Option<(OrganizationId, ApiKeyId)>,
    /// The status that the client was answered with.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the answer was wanted as a stream.
    pub is_stream: bool,
    /// What was done besides the attempts, in order.
    pub stages: Vec<StageTrace>,
    /// The requests to providers, in order.
    pub attempts: Vec<AttemptTrace>,
}

/// A part of a call that is no attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageTrace {
    /// Its name: the function of the gateway that did it.
    pub name: &'static str,
    /// When, since the call began.
    pub time: Period,
}

/// One request to a provider.
#[derive(Clone, Debug)]
pub struct AttemptTrace {
    /// When, since the call began.
    pub time: Period,
    /// How long the first content took, or the whole answer where it did not stream.
    pub time_to_first_byte: Option<Duration>,
    /// Counts the attempts of the call, from 1.
    pub number: u32,
    /// Which configuration was called.
    pub model_configuration_id: ModelConfigurationId,
    /// Which revision of it.
    pub revision: i64,
    /// The catalog name of the provider.
    pub provider: &'static str,
    /// The provider's own name of the model.
    pub model: String,
    /// Where the request went.
    pub origin: Origin,
    /// How it ended.
    pub outcome: Outcome,
    /// Tokens, where the provider counted them.
    pub usage: Option<Usage>,
}

/// A span of time, measured from the beginning of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its beginning.
    pub from: Duration,
    /// Its end, not before its beginning.
    pub to: Duration,
}

/// Takes traces. It neither blocks nor fails a call; what it must drop, it counts.
pub trait TraceSink: Send + Sync {
    /// Whether a call that is part of this trace is to be noted.
    fn wants(&self, context: &TraceContext) -> bool;

    /// Takes one.
    fn record(&self, trace: CallTrace);
}
