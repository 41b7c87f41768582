//! `quartermaster vault backup`.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use domain::clock::Clock;
use domain::secret::Secret;
use serde_json::json;
use store::Database;
use store::copy::{Copied, copy_into};
use vault::operations::backup::{export_root_keys, hold_rotation};

use super::read_passphrase;
use crate::cli::{SettingsArguments, direct, output};
use crate::clock::{SystemClock, SystemEntropy};
use crate::settings::Settings;
use crate::{vault_check, vault_setup};

/// Copy the database to one place and the root keys to another
#[derive(Debug, Args)]
#[command(after_help = "\
The two together are every secret in the clear, so they must go to different places:
the same directory, or one inside the other, is refused. Servers go on meanwhile.
Before it copies, it opens every secret, so that a backup is known to be good.

The copy of the root keys is a file that only you can read, or with --passphrase-file
one that is sealed (Argon2id, AES-256-GCM). Nobody can open it without the passphrase.

A PostgreSQL database is copied by its own tool, before the root keys:
  pg_dump --format=custom --file=quartermaster.dump \"$QUARTERMASTER_DATABASE__URL\"
  quartermaster vault backup --root-key-output /mnt/safe/quartermaster

Example:
  quartermaster vault backup --output /mnt/backup/quartermaster \\
      --root-key-output /mnt/safe/quartermaster --passphrase-file passphrase.txt")]
pub(in crate::cli) struct Backup {
    /// Where the copy of the database goes (SQLite)
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Where the copy of the root keys goes: somewhere else
    #[arg(long, value_name = "DIR")]
    root_key_output: PathBuf,
    /// Seal the copy of the root keys with the passphrase in this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl Backup {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<()> {
        let settings = self.settings.load()?;
        self.refuse_postgres(&settings)?;
        let database = direct::open(&self.settings).await?;
        self.refuse_one_place(&settings)?;
        let passphrase = self
            .passphrase_file
            .as_deref()
            .map(read_passphrase)
            .transpose()?;
        if let Some(passphrase) = &passphrase {
            refuse_short(passphrase)?;
        }
        let root_key_file = settings.root_key_file();
        // A rotation between the two copies could leave a pair that does not fit.
        let _held = hold_rotation(&root_key_file)?;
        let opened = open_everything(&settings, &database).await?;
        let stamp = SystemClock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        if let Some(directory) = &self.output {
            let path = directory.join(format!("quartermaster-{stamp}.db"));
            copy_database(&database, &path).await?;
            output::result(&path.display().to_string())?;
        }
        let suffix = if passphrase.is_some() {
            "sealed"
        } else {
            "key"
        };
        let path = self
            .root_key_output
            .join(format!("root-keys-{stamp}.{suffix}"));
        let ids = export_root_keys(&root_key_file, &path, passphrase.as_ref(), &SystemEntropy)?;
        // Whoever reads the trail should know that the keys left the machine, and how.
        let after = json!({"root_keys": ids, "sealed": passphrase.is_some()});
        direct::note(&database, "root_key.export", &stamp, after).await?;
        output::result(&path.display().to_string())?;
        output::explain(&format!("secrets opened before copying: {opened}"));
        Ok(())
    }

    /// Before anything is made: a PostgreSQL database is not a file of ours to copy.
    fn refuse_postgres(&self, settings: &Settings) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.output.is_none() || settings.database_url().starts_with("sqlite:"),
            "a PostgreSQL database is copied by its own tool. First:\n  pg_dump --format=custom \
             --file=quartermaster.dump \"$QUARTERMASTER_DATABASE__URL\"\nthen this command again \
             without --output, for the root keys"
        );
        Ok(())
    }

    /// Makes the directories, and compares what they really are.
    fn refuse_one_place(&self, settings: &Settings) -> anyhow::Result<()> {
        let data_dir = real(&settings.server.data_dir)?;
        let root_keys = real(&self.root_key_output)?;
        anyhow::ensure!(
            !overlap(&root_keys, &data_dir),
            "the root keys would go where the originals are: name another place than the data \
             directory"
        );
        let Some(output) = &self.output else {
            return Ok(());
        };
        let output = real(output)?;
        anyhow::ensure!(
            !overlap(&output, &root_keys) && !overlap(&output, &data_dir),
            "the database and the root keys would lie together, where whoever finds one finds \
             the other: name two places, neither inside the other or the data directory"
        );
        Ok(())
    }
}

/// Argon2id makes guessing slow, not impossible.
fn refuse_short(passphrase: &Secret) -> anyhow::Result<()> {
    const SHORTEST: usize = 12;
    anyhow::ensure!(
        passphrase.expose().chars().count() >= SHORTEST,
        "the passphrase has fewer than {SHORTEST} characters: whoever finds the copy could guess it"
    );
    Ok(())
}

/// How many secrets there are to open; an error when one does not.
async fn open_everything(settings: &Settings, database: &Database) -> anyhow::Result<usize> {
    let vault = vault_setup::open(settings, database).await?;
    let result = vault_check::open_everything(database, &vault).await?;
    anyhow::ensure!(
        result.failures.is_empty(),
        "nothing was copied, since not every secret opens:\n{}",
        result.failures.join("\n")
    );
    Ok(result.opened)
}

async fn copy_database(database: &Database, path: &Path) -> anyhow::Result<()> {
    // SQLite fills an empty file that is there; made first, so that it is private from
    // its first byte on.
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    match copy_into(database, path).await {
        Ok(Copied::Whole) => {}
        Ok(Copied::NotOurs) => {
            fs::remove_file(path).ok();
            anyhow::bail!("the database is not a file");
        }
        Err(error) => {
            fs::remove_file(path).ok();
            return Err(error).context("the database cannot be copied");
        }
    }
    file.sync_all()?;
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

/// The directory itself, made if need be.
fn real(directory: &Path) -> anyhow::Result<PathBuf> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| directory.canonicalize())
        .with_context(|| format!("{} cannot be used", directory.display()))
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_overlap_when_one_is_inside_the_other() {
        let overlaps = |one: &str, other: &str| overlap(Path::new(one), Path::new(other));
        assert!(overlaps("/a", "/a"));
        assert!(overlaps("/a", "/a/b"));
        assert!(overlaps("/a/b", "/a"));
        assert!(!overlaps("/a", "/ab"));
        assert!(!overlaps("/a/b", "/a/c"));
    }
}
