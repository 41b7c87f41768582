//! Command line, settings and wiring: the one place where the crates meet.
//!
//! * [`cli`]: one file for each command.
//! * [`settings`]: flags over environment over file over defaults.
//! * [`wiring`]: from settings to a running server.
//! * [`snapshots`], [`freshness`]: what the gateway reads follows what the control plane
//!   writes, here and on other nodes.
//! * [`secrets`]: opened credentials, for a while, from sealed rows in memory.
//! * [`usage`]: what calls took, into the database.
//! * [`hardening`]: what the process gives up, so that its memory stays its own.
//! * [`http`]: sockets towards clients.

pub mod bootstrap;
pub mod cli;
pub mod clock;
pub mod database;
pub mod freshness;
pub mod hardening;
pub mod http;
pub mod metrics;
pub mod platform_credentials;
pub mod ports;
pub mod role_planner;
pub mod sealed_storage;
pub mod secrets;
pub mod settings;
pub mod shutdown;
pub mod snapshots;
pub mod system_defaults;
pub mod telemetry;
pub mod traces;
pub mod usage;
pub mod vault_check;
pub mod vault_setup;
pub mod wiring;
