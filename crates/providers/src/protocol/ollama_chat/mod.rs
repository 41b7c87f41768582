//! Ollama's own chat endpoint, `/api/chat`, as LangChain's `ChatOllama` speaks it.
//!
//! It earned a folder: sampling stands in `options`, pictures beside the text, arguments
//! of tool calls are objects without identifiers, and a stream is one JSON value a line.
//! Nobody speaks it to us, so that it has one direction only.

pub(crate) mod encode;
pub(crate) mod error;
mod messages;
pub(crate) mod response;
pub(crate) mod stream;
mod tools;
