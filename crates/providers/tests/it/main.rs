//! Tests of the providers crate through its public interface.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "helpers take JSON literals, which read better without a reference"
)]

mod anthropic;
mod anthropic_dialect;
mod anthropic_streams;
mod bedrock_streams;
mod chat_forms;
mod gemini;
mod inference;
mod losses;
mod other_streams;
mod parameters;
mod pass_through;
mod pass_through_stream;
mod recipe;
mod responses_streams;
mod streams;
mod vectors;
