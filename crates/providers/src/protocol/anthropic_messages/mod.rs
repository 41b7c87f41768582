//! Anthropic's messages.
//!
//! As a protocol it follows LangChain's `ChatAnthropic`; as a dialect it answers what the
//! official `anthropic` SDKs read. What differs between models is in the catalog row
//! ([`rules::AnthropicMessagesRules`]).

pub(crate) mod betas;
mod blocks;
pub(crate) mod configuration;
pub(crate) mod conversation;
pub(crate) mod encode;
pub(crate) mod error;
mod native_blocks;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod rules;
mod schema;
pub(crate) mod stream;
mod stream_blocks;
pub(crate) mod stream_renderer;
mod tools;
pub(crate) mod types;
pub(crate) mod usage;
