//! Rows ⇄ domain types, transactions, migrations and the change feed.
//!
//! One SQL text serves SQLite and PostgreSQL. This crate knows no HTTP, no
//! provider and no plaintext secret: a secret passes through it sealed, as bytes.
//!
//! Reads take a [`Database`]; writes take a [`WriteTransaction`], which carries the
//! rows, the sealed secret, the audit event, the idempotent answer and the notice
//! of the change to one commit.

pub mod agent_roles;
pub mod api_keys;
pub mod audit;
pub mod budgets;
pub mod changes;
pub mod copy;
pub mod database;
mod engine;
pub mod error;
mod feed;
pub mod idempotency;
mod migrations;
pub mod model_configurations;
pub mod organizations;
pub mod outbox;
pub mod prices;
pub mod provider_credentials;
pub mod rate_limits;
mod row;
pub mod sealed;
mod transaction;
pub mod usage;

pub use database::{Database, DatabaseOptions, WriteTransaction};
pub use error::StoreError;
