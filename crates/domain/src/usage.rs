//! What calls took: tokens, time, money.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, CallId, ModelConfigurationId, OrganizationId};

/// Tokens by kind. The kinds do not overlap, except that reasoning is part of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Prompt tokens that no cache served or stored.
    pub uncached_input: u64,
    /// Prompt tokens read from a cache.
    pub cache_read: u64,
    /// Prompt tokens written to a cache for five minutes.
    pub cache_write_5m: u64,
    /// Prompt tokens written to a cache for an hour.
    pub cache_write_1h: u64,
    /// Generated tokens, reasoning included.
    pub output: u64,
    /// Generated tokens that were reasoning.
    pub reasoning: u64,
}

impl Tokens {
    /// All prompt tokens.
    #[must_use]
    pub const fn input(&self) -> u64 {
        self.uncached_input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
    }
}

/// One attempt, as it is stored. What belongs to the whole call is repeated in each of
/// its attempts; most calls have one.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Which call it belongs to.
    pub call_id: CallId,
    /// Counts the attempts of the call, from 1.
    pub number: u32,
    /// Who pays.
    pub organization_id: OrganizationId,
    /// The key that the client presented.
    pub api_key_id: ApiKeyId,
    /// The request's id, which its answer carried too. Clients may choose it, so that it
    /// need not be unique.
    pub request_id: String,
    /// The client's `X-Run-Id`.
    pub run_id: Option<String>,
    /// The agent role that the call was made for.
    pub role: Option<String>,
    /// When the call began.
    pub called_at: Timestamp,
    /// The wire format that the client spoke.
    pub dialect: String,
    /// What the client sent as `model`.
    pub model_asked: String,
    /// Whether the answer was wanted as a stream.
    pub is_stream: bool,
    /// How the call ended; only the last attempt of a call has it.
    pub call: Option<CallEnd>,

    /// Which configuration was called.
    pub model_configuration_id: ModelConfigurationId,
    /// Which revision of it.
    pub revision: i64,
    /// The catalog name of the provider.
    pub provider: String,
    /// The wire format that the provider spoke.
    pub protocol: String,
    /// The provider's own name of the model, as the configuration has it.
    pub model: String,
    /// The model that the provider says has answered.
    pub model_answered: Option<String>,
    /// The provider's class of service, where it is not the usual one.
    pub service_tier: Option<String>,
    /// Whose key was used: `own`, `slot`, `platform` or `none`.
    pub key_owner: String,
    /// `success`, `failed` or `client_closed`.
    pub outcome: String,
    /// What kind of failure it was.
    pub error_kind: Option<String>,
    /// The provider's HTTP status, where it answered.
    pub status: Option<u16>,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// How long the first content took, or the whole answer where it did not stream.
    pub time_to_first_byte: Option<Duration>,
    /// Tokens, where the provider counted them.
    pub tokens: Option<Tokens>,
    /// What they cost, in micro-dollars; none where the model has no price, or nothing
    /// was counted.
    pub cost_micros: Option<i64>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEnd {
    /// `success`, `failed`, `refused` or `client_closed`.
    pub outcome: String,
    /// The HTTP status that the client got; 499 where it had gone away.
    pub status: u16,
    /// From the first byte of the call to the last of its answer.
    pub duration: Duration,
    /// From the first byte of the call to the first content of its answer.
    pub time_to_first_byte: Option<Duration>,
}
