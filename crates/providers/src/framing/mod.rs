//! Cutting a byte stream into messages.

pub mod event_stream;
pub mod sse;
pub mod sse_writer;
