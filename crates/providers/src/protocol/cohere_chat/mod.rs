//! Cohere's chat, version 2, as LangChain's `ChatCohere` speaks it.
//!
//! It earned a folder: tool results are documents, what stands beside tool calls is a
//! plan, sampling has names of its own, and a stream's events are typed. Nobody speaks it
//! to us, so that it has one direction only.

pub(crate) mod encode;
pub(crate) mod error;
mod messages;
pub(crate) mod response;
pub(crate) mod stream;
mod tools;
