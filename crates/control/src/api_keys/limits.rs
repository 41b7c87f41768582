//! Rate limits in bodies and answers, of keys and of organisations alike.

use domain::rate_limits::RateLimits;
use domain::validation::{self, Violation};
use serde::Serialize;
use utoipa::ToSchema;

use crate::body::coerce;
use crate::body::fields::{Fields, Sent};

/// How much may be called. What is null is not limited here: a limit of the settings
/// holds then, where there is one.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = RateLimits)]
pub(crate) struct RateLimitsView {
    /// Calls begun within any 60 seconds.
    #[schema(minimum = 1)]
    requests_per_minute: Option<u64>,
    /// Tokens, input and output, of calls begun within any 60 seconds.
    #[schema(minimum = 1)]
    tokens_per_minute: Option<u64>,
    /// Calls under way at the same time.
    #[schema(minimum = 1)]
    concurrent_calls: Option<u64>,
}

impl From<RateLimits> for RateLimitsView {
    fn from(limits: RateLimits) -> Self {
        Self {
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            concurrent_calls: limits.concurrent_calls,
        }
    }
}

/// What changes. Left out: stays; null: is not limited any more.
#[derive(ToSchema)]
#[schema(example = json!({"requests_per_minute": 600, "concurrent_calls": null}))]
#[expect(dead_code, reason = "it only describes the body to the document")]
pub(crate) struct RateLimitsUpdate {
    /// Calls begun within any 60 seconds.
    #[schema(minimum = 1)]
    requests_per_minute: Option<u64>,
    /// Tokens, input and output, of calls begun within any 60 seconds.
    #[schema(minimum = 1)]
    tokens_per_minute: Option<u64>,
    /// Calls under way at the same time.
    #[schema(minimum = 1)]
    concurrent_calls: Option<u64>,
}

/// What a body says about limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentLimits {
    pub(crate) requests_per_minute: Sent<u64>,
    pub(crate) tokens_per_minute: Sent<u64>,
    pub(crate) concurrent_calls: Sent<u64>,
}

impl SentLimits {
    /// Their members. Whoever misspells one would believe in a limit that does not hold:
    /// bodies with limits forbid others.
    pub(crate) const MEMBERS: [&'static str; 3] = [
        "requests_per_minute",
        "tokens_per_minute",
        "concurrent_calls",
    ];

    /// Reads a body that consists of limits.
    pub(crate) fn read_alone(mut fields: Fields<'_>) -> Self {
        let limits = Self::read(&mut fields);
        fields.forbid_others(&Self::MEMBERS);
        limits
    }

    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        let mut limit = |name| {
            fields.nullable(name, |json| {
                let number = coerce::integer(json, at_least_one)?;
                Ok(number.unsigned_abs())
            })
        };
        Self {
            requests_per_minute: limit("requests_per_minute"),
            tokens_per_minute: limit("tokens_per_minute"),
            concurrent_calls: limit("concurrent_calls"),
        }
    }

    /// Replaces what was sent, and leaves what was not.
    pub(crate) fn applied_to(&self, current: RateLimits) -> RateLimits {
        let mut limits = current;
        let sent = self.clone();
        sent.requests_per_minute
            .apply_to(&mut limits.requests_per_minute);
        sent.tokens_per_minute
            .apply_to(&mut limits.tokens_per_minute);
        sent.concurrent_calls.apply_to(&mut limits.concurrent_calls);
        limits
    }
}

fn at_least_one(number: i64) -> Result<(), Violation> {
    validation::max_tokens(number)
}
