//! `quartermaster vault rotate-root-key`.

use std::path::Path;

use clap::Args;
use serde_json::json;
use store::{Database, idempotency};
use vault::keyring::RootKeyring;
use vault::operations::rotate::{Rotation, RotationReport};
use vault::root_key::RootKeyState;

use crate::cli::output::{self, Format};
use crate::cli::{SettingsArguments, direct};
use crate::clock::{SystemClock, SystemEntropy};
use crate::sealed_storage::StoreSealedStorage;

/// Make a new root key and wrap every organization's key with it, while servers run
#[derive(Debug, Args)]
#[command(after_help = "\
Servers go on meanwhile and follow by themselves. A rotation that is cut short, at
whatever moment, is finished by running it again. Secrets are not sealed anew: what
changes is the key that wraps the organizations' keys.

The old root key stays in the file until --retire. Retire it when nothing may be
restored any more from backups made under it.

Where servers run on several machines, each with its own copy of the root key file:
  1. quartermaster vault rotate-root-key --prepare     on one machine
  2. copy its root key file to all others
  3. quartermaster vault rotate-root-key               on that machine
  4. copy its root key file to all others again

Examples:
  quartermaster vault rotate-root-key
  quartermaster vault rotate-root-key --retire")]
pub(in crate::cli) struct RotateRootKey {
    /// Add a new key to the file, to be copied to other machines, and use it for nothing yet
    #[arg(long, conflicts_with = "retire")]
    prepare: bool,
    /// Make no new key; take old ones that nothing needs any more out of the file
    #[arg(long)]
    retire: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl RotateRootKey {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<()> {
        let settings = self.settings.load()?;
        let database = direct::open(&self.settings).await?;
        let root_key_file = settings.root_key_file();
        let rotation = Rotation {
            storage: &StoreSealedStorage::new(database.clone()),
            root_key_file: &root_key_file,
            clock: &SystemClock,
            entropy: &SystemEntropy,
        };
        if self.prepare {
            let id = rotation.prepare().await?;
            direct::note(&database, "root_key.prepare", &id, json!({})).await?;
            return self.prepared(&id, &root_key_file);
        }
        if self.retire {
            refuse_while_remembered(&database, &root_key_file).await?;
            let ids = rotation.retire_old().await?;
            for id in &ids {
                direct::note(&database, "root_key.retire", id, json!({})).await?;
            }
            return self.retired(&ids);
        }
        let report = rotation.rotate().await?;
        let after = json!({"resumed": report.is_resumed, "rewrapped": report.rewrapped});
        direct::note(&database, "root_key.rotate", &report.current, after).await?;
        self.rotated(&report)
    }

    fn prepared(&self, id: &str, root_key_file: &Path) -> anyhow::Result<()> {
        match self.output {
            Format::Json => output::json(&json!({"prepared": id}))?,
            Format::Table => output::result(id)?,
        }
        output::explain(&format!(
            "prepared; copy {} to the other machines, then rotate",
            root_key_file.display()
        ));
        Ok(())
    }

    fn retired(&self, ids: &[String]) -> anyhow::Result<()> {
        match self.output {
            Format::Json => output::json(&json!({"retired": ids}))?,
            Format::Table if ids.is_empty() => output::explain("there was no old root key"),
            Format::Table => output::result(&ids.join("\n"))?,
        }
        Ok(())
    }

    fn rotated(&self, report: &RotationReport) -> anyhow::Result<()> {
        match self.output {
            Format::Json => output::json(&json!({
                "current": report.current,
                "resumed": report.is_resumed,
                "rewrapped": report.rewrapped,
                "damaged": report.damaged,
            }))?,
            Format::Table => output::result(&report.current)?,
        }
        let what = if report.is_resumed {
            "the unfinished rotation is finished"
        } else {
            "this root key is current now"
        };
        output::explain(&format!(
            "{what}; organization keys rewrapped: {}",
            report.rewrapped
        ));
        output::explain("back up the root key file: earlier copies lack this key");
        anyhow::ensure!(
            report.damaged.is_empty(),
            "the keys of these organizations do not open and stay as they are: {}",
            report.damaged.join(", ")
        );
        Ok(())
    }
}

/// Idempotent answers are found by hashes under the root key of their day. Without it a
/// repeated request would be done twice.
async fn refuse_while_remembered(database: &Database, root_key_file: &Path) -> anyhow::Result<()> {
    let keys = RootKeyring::load(root_key_file)?.keys();
    for (state, key) in keys.iter() {
        if state != RootKeyState::Old {
            continue;
        }
        let claims = idempotency::claims_under(database, key.id()).await?;
        anyhow::ensure!(
            claims == 0,
            "{claims} requests with an idempotency key are still remembered under the root key {}; \
             they are forgotten within two days, retire it then",
            key.id()
        );
    }
    Ok(())
}
