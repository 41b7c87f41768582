//! OpenAI's chat completions, which most providers speak in a form of their own.
//!
//! As a protocol it follows LangChain's `ChatOpenAI`; how another provider's form
//! differs is in its catalog row ([`crate::catalog::OpenAiChatRules`]). The request and
//! the stream have two files each, one for every direction.

mod call_ids;
pub(crate) mod encode;
pub(crate) mod error;
mod messages;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
mod stream_answer;
pub(crate) mod stream_renderer;
pub(crate) mod strict;
mod tools;
mod types;
