//! The gateway against real servers on 127.0.0.1: scripted providers, over plain HTTP
//! and TLS, and clients that come and go.

#![expect(clippy::expect_used, reason = "a helper of a test fails the test")]

mod budgets;
mod calls;
mod cancellation;
mod check;
mod circuits;
mod commit;
mod egress;
mod failures;
mod faults;
mod gateway_under_test;
mod limits;
mod raw_upstream;
mod responses;
mod roles;
mod secrets;
mod slots;
mod streams;
mod tls;
mod tokens;
mod traces;
mod transport;
