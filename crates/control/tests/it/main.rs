//! The control plane over a real database and a real vault, without sockets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "helpers of tests fail as tests do, and take what reads well where they are called"
)]

mod harness;

mod agent_roles;
mod api_keys;
mod architecture;
mod authentication;
mod budgets;
mod compatibility;
mod idempotency;
mod limits;
mod model_configurations;
mod openapi;
mod provider_credentials;
mod revisions;
mod secrets;
mod tenancy;
mod trail;
mod usage;
mod vectors;
