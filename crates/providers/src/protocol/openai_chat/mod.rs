//! OpenAI's chat completions, which most providers speak in a form of their own.
//!
//! As a protocol it follows LangChain's `ChatOpenAI`; how another provider's form
//! differs is in its catalog row ([`crate::catalog::OpenAiChatRules`]).

pub(crate) mod encode;
pub(crate) mod request;
mod types;
