//! Tests of the providers crate through its public interface.

mod pass_through;
mod pass_through_stream;
