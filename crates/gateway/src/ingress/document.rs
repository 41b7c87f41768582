//! What the OpenAPI operations of all dialects have in common.

use utoipa::{IntoParams, IntoResponses};

/// Headers of every call.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it only describes headers to the document")]
pub(super) struct CallHeaders {
    /// The run that the call's cost is booked on: 1 to 128 visible ASCII characters.
    #[param(rename = "X-Run-Id", required = false)]
    run_id: Option<String>,
    /// The agent role that a call by id or name belongs to: its cost is booked there, and it
    /// falls back as the role does.
    #[param(rename = "X-Agent-Role", required = false)]
    agent_role: Option<String>,
    /// When a stream is released, after which no other target can answer: `first_byte` or
    /// `first_block` (its first whole text, thought or tool call).
    #[param(rename = "X-Quartermaster-Stream-Commit", required = false)]
    stream_commit: Option<String>,
}

/// How every call can fail, in the envelope of its dialect.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the document")]
pub(super) enum CallFailures {
    /// The request is not valid, or the configuration cannot be called
    #[response(status = 400)]
    Invalid,
    /// The API key is missing or not valid
    #[response(status = 401)]
    Unauthenticated,
    /// The API key lacks the scope `invoke`
    #[response(status = 403)]
    Forbidden,
    /// No such model configuration, or the provider does not know the model
    #[response(status = 404)]
    NotFound,
    /// The request body is too large
    #[response(status = 413)]
    TooLarge,
    /// A limit or a budget of one's own is used up, or the provider limits the rate; see
    /// `Retry-After`
    #[response(status = 429)]
    Limited,
    /// The provider failed, or refused its key (`provider_authentication`)
    #[response(status = 502)]
    Failed,
    /// The provider is overloaded, or every target is skipped by its circuit; see
    /// `Retry-After`
    #[response(status = 503)]
    Overloaded,
    /// The provider took too long
    #[response(status = 504)]
    TooSlow,
}
