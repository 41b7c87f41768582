//! Cutting a byte stream into messages.

pub mod event_stream;
pub(crate) mod json_array;
pub mod ndjson;
pub mod sse;
pub mod sse_writer;
