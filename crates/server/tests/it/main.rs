//! The program from outside: the real binary, real connections, real databases.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]
#![expect(clippy::panic, reason = "a helper that fails fails the test")]

mod architecture;
mod budgets;
mod canary;
mod cancellation;
mod catalog_host;
mod command_line;
mod connections;
mod first_start;
mod freshness;
mod generated;
mod keys;
mod model_commands;
mod outage;
mod queries;
mod replicas;
mod root_key;
mod settings;
mod shutdown;
mod support;
mod threat_model;
mod traces;
mod usage;
mod vault;
mod vault_online;
