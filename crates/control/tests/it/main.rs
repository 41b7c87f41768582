//! The control plane over a real database and a real vault, without sockets.

mod harness;

mod api_keys;
mod authentication;
mod compatibility;
mod idempotency;
mod limits;
mod model_configurations;
mod openapi;
mod revisions;
mod secrets;
mod tenancy;
mod trail;
mod vectors;
