//! One contract, two engines: every test of these modules runs on SQLite and on
//! PostgreSQL, except where a module says which it is about.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

#[macro_use]
mod support;

mod agent_roles;
mod api_keys;
mod audit;
mod budgets;
mod changes;
mod copy;
mod feed;
mod idempotency;
mod migrations;
mod model;
mod model_configurations;
mod organizations;
mod outages;
mod outbox;
mod prices;
mod provider_credentials;
mod rate_limits;
mod sealed;
mod tls;
mod transactions;
mod usage;
