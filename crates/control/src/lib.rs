//! The control plane over HTTP: where configuration is written.
//!
//! Model configurations, API keys, organisations, the audit trail, the catalog of
//! providers and health, as Cyberdesk's clients expect them: paths, bodies, statuses and
//! errors are those of a FastAPI application.
//!
//! * [`router()`] is the table of contents: every route, by who calls it.
//! * [`write`](mod@write) runs every change: one transaction holds rows, sealed secret,
//!   audit event, idempotent answer and the notice of the change.
//! * `body` reads requests as FastAPI and pydantic do; `extract` says who calls;
//!   `layers` surround every handler.
//!
//! This crate never sees the gateway: it writes, and `server` turns the change feed into
//! what the gateway reads. It writes no SQL itself, and no type that it answers with has
//! a place for a provider's key.

mod agent_roles;
mod answer;
mod api_keys;
mod audit_events;
mod body;
mod budgets;
mod error;
mod extract;
mod health;
mod idempotency;
mod layers;
pub mod metrics;
mod model_configurations;
mod openapi;
mod organizations;
pub mod outbox;
mod provider_credentials;
mod providers;
pub mod quota;
mod root;
mod router;
pub mod state;
mod usage;
mod write;

pub use router::{openapi, router};
