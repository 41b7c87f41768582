//! Cutting a byte stream into messages.

pub mod sse;
