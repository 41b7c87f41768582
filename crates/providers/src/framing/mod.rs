//! Cutting a byte stream into messages.

pub mod sse;
pub mod sse_writer;
