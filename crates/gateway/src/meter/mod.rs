//! What every call and attempt took: tokens, time, outcome.

mod call_meter;

use std::time::Duration;

use domain::agent_role::AgentRole;
use domain::id::{ApiKeyId, ModelConfigurationId, OrganizationId};
use jiff::Timestamp;
use providers::chat::usage::Usage;
use providers::error::ErrorKind;

pub(crate) use call_meter::{CallMeter, client_request_id, request_id};

/// One attempt, recorded when it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
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
    /// Which configuration was called.
    pub model_configuration_id: ModelConfigurationId,
    /// Which revision of it.
    pub revision: i64,
    /// The catalog name of the provider.
    pub provider: &'static str,
    /// The provider's own name of the model.
    pub model: String,
    /// Whose key was used.
    pub key_owner: KeyOwner,
    /// Counts the attempts of the call, from 1.
    pub attempt: u32,
    /// Whether the answer was wanted as a stream.
    pub is_stream: bool,
    /// Tokens, where the provider counted them.
    pub usage: Option<Usage>,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// How long the first content took, or the whole answer where it did not stream.
    pub time_to_first_byte: Option<Duration>,
}

/// Whose key an attempt was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// The organisation's.
    Organization,
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

impl Outcome {
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
