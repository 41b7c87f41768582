//! Tests of the test kit itself.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod postgres;
mod simulator;
