//! `quartermaster vault`: the root key, and what hangs from it.

mod backup;
mod restore;
mod rotate;
mod status;

use std::path::Path;

use anyhow::Context;
use clap::Subcommand;
use domain::secret::Secret;

#[derive(Debug, Subcommand)]
pub(super) enum Vault {
    /// Show the root keys and whether everything stored can be opened
    Status(status::Status),
    /// Make a new root key and wrap every organization's key with it, while servers run
    RotateRootKey(rotate::RotateRootKey),
    /// Copy the database to one place and the root keys to another
    Backup(backup::Backup),
    /// Put a backup in place, once everything in it has been opened
    Restore(restore::Restore),
}

impl Vault {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Status(command) => command.run().await,
            Self::RotateRootKey(command) => command.run().await,
            Self::Backup(command) => command.run().await,
            Self::Restore(command) => command.run().await,
        }
    }
}

/// The passphrase in a file: its text without the line break at its end.
fn read_passphrase(file: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the passphrase file {} cannot be read", file.display()))?;
    let passphrase = Secret::new(text);
    let trimmed = passphrase.expose().trim_end_matches(['\n', '\r']);
    anyhow::ensure!(
        !trimmed.is_empty(),
        "the passphrase file {} is empty",
        file.display()
    );
    Ok(Secret::new(trimmed.to_owned()))
}
