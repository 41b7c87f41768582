//! What every call and attempt took: tokens, time, outcome.

mod call_meter;

use std::time::Duration;

use domain::agent_role::AgentRole;
use domain::id::{ApiKeyId, CallId, ModelConfigurationId, OrganizationId};
use domain::usage::Tokens;
use jiff::Timestamp;
use providers::catalog::Protocol;
use providers::chat::usage::Usage;
use providers::error::ErrorKind;

pub(crate) use call_meter::{CallMeter, request_id};

/// One attempt, recorded when the next one begins or the call ends.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    /// Names the call; it sorts by when the call began.
    pub call_id: CallId,
    /// When the call began.
    pub called_at: Timestamp,
    /// The request's id, which its answer carried too.
    pub request_id: String,
    /// Who pays.
    pub organization_id: OrganizationId,
    /// The key that the client presented.
    pub api_key_id: ApiKeyId,
    /// The client's `X-Run-Id`, where given.
    pub run_id: Option<String>,
    /// The agent role that the call belongs to, if it belongs to one.
    pub role: Option<AgentRole>,
    /// The wire format that the client spoke.
    pub dialect: &'static str,
    /// What the client sent as `model`; cut where it is too long to be anything.
    pub model_asked: String,
    /// Which configuration was called.
    pub model_configuration_id: ModelConfigurationId,
    /// Which revision of it.
    pub revision: i64,
    /// The catalog name of the provider.
    pub provider: &'static str,
    /// The wire format that the provider spoke.
    pub protocol: Protocol,
    /// The provider's own name of the model.
    pub model: String,
    /// The model that the provider says has answered.
    pub model_answered: Option<String>,
    /// The provider's class of service, where it is not the usual one.
    pub service_tier: Option<String>,
    /// Whose key was used.
    pub key_owner: KeyOwner,
    /// Counts the attempts of the call, from 1.
    pub attempt: u32,
    /// Whether the answer was wanted as a stream.
    pub is_stream: bool,
    /// Tokens, where the provider counted them.
    pub usage: Option<Usage>,
    /// What they cost, in micro-dollars; none where the model has no price.
    pub cost_micros: Option<i64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The provider's HTTP status, where it answered.
    pub status: Option<u16>,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// How long the first content took, or the whole answer where it did not stream.
    pub time_to_first_byte: Option<Duration>,
    /// How the call ended; only the last attempt of a call has it.
    pub call: Option<CallEnd>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// In which way.
    pub outcome: Outcome,
    /// The HTTP status that the client got; 499 where it had gone away.
    pub status: u16,
    /// From the first byte of the call to the last of its answer.
    pub duration: Duration,
    /// From the first byte of the call to the first content of its answer.
    pub time_to_first_byte: Option<Duration>,
}

/// Whose key an attempt was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// The organisation's, stored with the configuration.
    Organization,
    /// The organisation's, from a slot that all its configurations share.
    Slot,
    /// The operator's.
    Platform,
    /// Nobody's; the provider wants none.
    Nobody,
}

/// How an attempt or a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With a whole answer.
    Success,
    /// With a failure of, or on the way to, the provider.
    Failed(ErrorKind),
    /// The client went away first.
    ClientClosed,
    /// Refused before anything was sent.
    Refused,
}

impl KeyOwner {
    /// A stable name: `own`, `slot`, `platform` or `none`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "own",
            Self::Slot => "slot",
            Self::Platform => "platform",
            Self::Nobody => "none",
        }
    }
}

impl Outcome {
    /// The ways alone, without the kinds of failure.
    #[must_use]
    pub const fn way(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed(_) => "failed",
            Self::ClientClosed => "client_closed",
            Self::Refused => "refused",
        }
    }

    /// What kind of failure it was.
    #[must_use]
    pub const fn error_kind(self) -> Option<&'static str> {
        match self {
            Self::Failed(kind) => Some(kind.as_str()),
            Self::Success | Self::ClientClosed | Self::Refused => None,
        }
    }

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed(kind) => kind.as_str(),
            Self::ClientClosed => "client_closed",
            Self::Refused => "refused",
        }
    }
}

/// Takes attempt records. Recording never blocks and never fails a call; what an
/// implementation must drop, it counts.
pub trait UsageSink: Send + Sync {
    /// Takes one.
    fn record(&self, record: AttemptRecord);
}

/// The tokens of an answer, as they are priced and stored.
#[must_use]
pub fn tokens(usage: Usage) -> Tokens {
    Tokens {
        uncached_input: usage.uncached_input_tokens,
        cache_read: usage.cache_read_tokens,
        cache_write_5m: usage.cache_write_5m_tokens,
        cache_write_1h: usage.cache_write_1h_tokens,
        output: usage.output_tokens,
        reasoning: usage.reasoning_tokens,
    }
}
