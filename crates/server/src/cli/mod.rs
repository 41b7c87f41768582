//! The command line: one file for each command.

mod api_key;
mod budget;
mod credential;
mod direct;
mod doctor;
mod model;
mod openapi;
mod organization;
mod output;
mod prices;
mod providers;
mod role;
mod secret_place;
mod serve;
mod simulate;
mod usage;
mod vault;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::hardening;
use crate::settings::{self, Settings, SettingsError, SettingsSource};

/// The exit code for settings or a root key that cannot be used (sysexits.h: `EX_CONFIG`).
const UNUSABLE_CONFIGURATION: u8 = 78;

/// Issues models to AI agents: named model configurations, a vault for their keys, and
/// one endpoint that every agent calls.
#[derive(Debug, Parser)]
#[command(
    name = "quartermaster",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Begin with:
  quartermaster serve
It prints the first API key, its address, and a curl line that works at once.

Every command explains itself: quartermaster COMMAND --help"
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Create and list organizations, directly in the database
    #[command(subcommand)]
    Organization(organization::Organization),
    /// Create, list and revoke API keys, directly in the database
    #[command(subcommand)]
    ApiKey(api_key::ApiKey),
    /// Work with model configurations of a running server
    Model(Box<model::Model>),
    /// Say which model configuration does which job of an agent
    Role(Box<role::Role>),
    /// Bring the organization's own provider credentials
    Credential(Box<credential::Credential>),
    /// Show what calls took and cost
    Usage(Box<usage::Usage>),
    /// List calls with their attempts, newest first
    Calls(Box<usage::Calls>),
    /// Show, set and remove what may be spent in a month
    #[command(subcommand)]
    Budget(budget::Budget),
    /// Show, check and replace the price list
    #[command(subcommand)]
    Prices(prices::Prices),
    /// Look at the vault, rotate its root key, back it up, restore it
    #[command(subcommand)]
    Vault(vault::Vault),
    /// Run a stand-in for providers: demos, tests, benchmarks, fault drills
    Simulate(simulate::Simulate),
    /// Check settings, database, vault, clock and the way out
    Doctor(doctor::Doctor),
    /// Print the OpenAPI 3.1 document
    Openapi,
    /// Print the page of providers (Markdown)
    Providers,
}

/// Where settings come from; the same for every command that needs them.
#[derive(Debug, Clone, Default, Args)]
struct SettingsArguments {
    /// Settings that differ from the defaults (TOML; see config.default.toml)
    #[arg(long, value_name = "FILE", env = "QUARTERMASTER_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Where the SQLite file and the root key lie [default: quartermaster-data]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl SettingsArguments {
    fn source(&self) -> SettingsSource {
        let data_dir = self.data_dir.as_ref();
        let flags = data_dir.map(|path| ("server.data_dir", path.display().to_string()));
        SettingsSource {
            file: self.config.clone(),
            flags: flags.into_iter().collect(),
        }
    }

    fn load(&self) -> Result<Settings, SettingsError> {
        settings::load(&self.source())
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::explain(&format!("error: {error:#}"));
            exit_code(&error)
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    hardening::protect_memory()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Serve(command) => command.run().await,
            Command::Organization(command) => command.run().await,
            Command::ApiKey(command) => command.run().await,
            Command::Model(command) => command.run().await,
            Command::Role(command) => command.run().await,
            Command::Credential(command) => command.run().await,
            Command::Usage(command) => command.run().await,
            Command::Calls(command) => command.run().await,
            Command::Budget(command) => command.run().await,
            Command::Prices(command) => command.run().await,
            Command::Vault(command) => command.run().await,
            Command::Simulate(command) => command.run().await,
            Command::Doctor(command) => command.run().await,
            Command::Openapi => openapi::run(),
            Command::Providers => providers::run(),
        }
    })
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    let is_configuration = error.chain().any(|cause| {
        cause.is::<SettingsError>()
            || matches!(cause.downcast_ref(), Some(::vault::VaultError::RootKey(_)))
    });
    if is_configuration {
        ExitCode::from(UNUSABLE_CONFIGURATION)
    } else {
        ExitCode::FAILURE
    }
}
