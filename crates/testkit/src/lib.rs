//! What tests and drills need: a scripted stand-in for providers, throw-away servers
//! and a client. `quartermaster simulate` is the stand-in behind a listener.
//!
//! * [`simulator`]: answers as OpenAI and Anthropic do, and misbehaves on demand.
//! * [`application`]: the real `quartermaster` program as a child process.
//! * [`client`]: a small HTTP client that shows what came back, byte for byte.
//! * [`postgres`]: a PostgreSQL cluster of the test's own.

pub mod application;
pub mod client;
pub mod postgres;
pub mod simulator;
