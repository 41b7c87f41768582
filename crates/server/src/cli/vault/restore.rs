//! `quartermaster vault restore`.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use domain::clock::random;
use store::{Database, DatabaseOptions};
use vault::operations::backup::{check_root_keys, import_root_keys};

use super::read_passphrase;
use crate::cli::{SettingsArguments, output};
use crate::clock::{SystemClock, SystemEntropy};
use crate::sealed_storage::StoreSealedStorage;
use crate::settings::{Settings, seconds};
use crate::{database, vault_check};

/// Put a backup in place, once everything in it has been opened
#[derive(Debug, Args)]
#[command(after_help = "\
Works on copies, opens every secret that a model configuration refers to, and only then
moves the files to where the settings want them. It overwrites nothing: where a database
or a root key file stands already, move it away first, or, for a root key file that is
the right one, leave --root-key out.

A PostgreSQL database is restored by its own tool first:
  pg_restore --dbname=\"$QUARTERMASTER_DATABASE__URL\" quartermaster.dump
  quartermaster vault restore --root-key /mnt/safe/quartermaster/root-keys-….sealed \\
      --passphrase-file passphrase.txt

Example:
  quartermaster vault restore \\
      --database /mnt/backup/quartermaster/quartermaster-….db \\
      --root-key /mnt/safe/quartermaster/root-keys-….key")]
pub(in crate::cli) struct Restore {
    /// The copy of the database (SQLite)
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// The copy of the root keys
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// The passphrase that the copy of the root keys is sealed with
    #[arg(long, value_name = "FILE", requires = "root_key")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl Restore {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<()> {
        let settings = self.settings.load()?;
        let target = self.target(&settings)?;
        database::make_data_dir(&settings)?;
        // Beside the final place, since a link cannot reach another file system.
        let beside = target.as_deref().and_then(Path::parent);
        let staging = Staging::make(beside.unwrap_or(&settings.server.data_dir))?;
        let root_key_file = self.stage_root_keys(&settings, &staging)?;
        let url = match (&self.database, &target) {
            (Some(copy), Some(_)) => staging.database(copy)?,
            _ => settings.database_url(),
        };
        let opened = verify(&settings, url, &root_key_file)
            .await
            .context("nothing was restored: the copy does not open with these root keys")?;
        self.put_in_place(&settings, target.as_deref(), &staging)?;
        output::explain(&format!("restored; secrets opened: {opened}"));
        Ok(())
    }

    /// Where the database file goes; none where it is a server's business.
    fn target(&self, settings: &Settings) -> anyhow::Result<Option<PathBuf>> {
        let url = settings.database_url();
        let Some(path) = url.strip_prefix("sqlite://") else {
            anyhow::ensure!(
                self.database.is_none(),
                "the settings name a PostgreSQL database: restore it with pg_restore, then run \
                 this command without --database"
            );
            return Ok(None);
        };
        let path = PathBuf::from(path.split('?').next().unwrap_or(path));
        anyhow::ensure!(
            self.database.is_some(),
            "--database is missing: the copy of the database that goes to {}",
            path.display()
        );
        anyhow::ensure!(
            !path.exists(),
            "{} is there already, and a restore overwrites nothing: move it away first",
            path.display()
        );
        Ok(Some(path))
    }

    /// The root key file to try the backup with.
    fn stage_root_keys(&self, settings: &Settings, staging: &Staging) -> anyhow::Result<PathBuf> {
        let standing = settings.root_key_file();
        match &self.root_key {
            None if standing.exists() => Ok(standing),
            None => anyhow::bail!(
                "--root-key is missing: the copy of the root keys that goes to {}",
                standing.display()
            ),
            Some(_) if standing.exists() => anyhow::bail!(
                "the root key file {} is there already, and a restore overwrites nothing: leave \
                 --root-key out to use it, or move it away first",
                standing.display()
            ),
            Some(copy) => {
                let staged = staging.0.join("root.key");
                self.import(copy, &staged)?;
                Ok(staged)
            }
        }
    }

    fn import(&self, copy: &Path, to: &Path) -> anyhow::Result<()> {
        let passphrase = self
            .passphrase_file
            .as_deref()
            .map(read_passphrase)
            .transpose()?;
        import_root_keys(copy, to, passphrase.as_ref(), &SystemEntropy)?;
        Ok(())
    }

    /// The root keys first: a database whose key is missing refuses every start, a key
    /// without a database does no harm.
    fn put_in_place(
        &self,
        settings: &Settings,
        target: Option<&Path>,
        staging: &Staging,
    ) -> anyhow::Result<()> {
        if let Some(copy) = &self.root_key {
            let path = settings.root_key_file();
            self.import(copy, &path)?;
            output::result(&path.display().to_string())?;
        }
        let Some(target) = target else {
            return Ok(());
        };
        // A link fails where something has appeared meanwhile; a rename would replace it.
        fs::hard_link(staging.database_path(), target)
            .with_context(|| format!("{} cannot be put in place", target.display()))?;
        fs::File::open(target.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        output::result(&target.display().to_string())?;
        Ok(())
    }
}

/// Opens everything; gives how many secrets that were.
async fn verify(settings: &Settings, url: String, root_key_file: &Path) -> anyhow::Result<usize> {
    let options = DatabaseOptions {
        url,
        max_connections: settings.database.max_connections,
        timeout: seconds(settings.database.timeout_seconds),
    };
    let database = Database::connect(&options)
        .await
        .context("the copy cannot be used")?;
    let result = verify_database(&database, root_key_file).await;
    // So that the file holds everything before it is moved.
    database.close().await;
    result
}

async fn verify_database(database: &Database, root_key_file: &Path) -> anyhow::Result<usize> {
    let storage = Arc::new(StoreSealedStorage::new(database.clone()));
    check_root_keys(storage.as_ref(), root_key_file).await?;
    let entropy = Arc::new(SystemEntropy);
    let vault = vault::start::open(storage, root_key_file, &SystemClock, entropy).await?;
    let result = vault_check::open_everything(database, &vault).await?;
    anyhow::ensure!(
        result.failures.is_empty(),
        "not every secret opens:\n{}",
        result.failures.join("\n")
    );
    Ok(result.opened)
}

/// A private directory beside the final place, gone when the restore ends.
struct Staging(PathBuf);

impl Staging {
    fn make(beside: &Path) -> anyhow::Result<Self> {
        let unique = u64::from_be_bytes(random(&SystemEntropy));
        let path = beside.join(format!("restoring-{unique:016x}"));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }

    fn database_path(&self) -> PathBuf {
        self.0.join("quartermaster.db")
    }

    /// Copies the copy, which stays as it is, and gives the URL of the new one.
    fn database(&self, copy: &Path) -> anyhow::Result<String> {
        let path = self.database_path();
        fs::copy(copy, &path)
            .and_then(|_| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
            .with_context(|| format!("{} cannot be copied", copy.display()))?;
        Ok(format!("sqlite://{}", path.display()))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            output::explain(&format!("{} is left behind: {error}", self.0.display()));
        }
    }
}
