//! The vault over real databases, and `quartermaster vault` as a program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use domain::clock::{Clock, random};
use domain::id::{Alias, ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::organization::Organization;
use domain::provider_credential::{
    AuthType, CredentialStatus, DisplayMetadata, ProviderCredential,
};
use domain::secret::Secret;
use providers::slots::SLOT_ORIGIN;
use providers::target::Target;
use serde_json::Value;
use server::clock::{SystemClock, SystemEntropy};
use server::settings::{Settings, SettingsSource};
use server::{database, vault_check, vault_setup};
use store::Database;
use store::sealed::SealedSecretRow;
use tempfile::TempDir;
use testkit::postgres::Cluster;
use uuid::Uuid;
use vault::backend::embedded::EmbeddedVault;
use vault::{Binding, Deposit, Purpose, VaultBackend};

const PASSPHRASE: &str = "correct horse battery staple";

/// One installation: a data directory and a database.
struct Installation {
    directory: TempDir,
    /// None for SQLite in the data directory.
    database_url: Option<String>,
}

impl Installation {
    fn sqlite() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            database_url: None,
        }
    }

    fn postgres() -> Self {
        Self {
            database_url: Some(Cluster::shared().fresh_database()),
            ..Self::sqlite()
        }
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn root_key_file(&self) -> PathBuf {
        self.data_dir().join("root.key")
    }

    fn settings(&self) -> Settings {
        let mut flags = vec![("server.data_dir", self.data_dir().display().to_string())];
        if let Some(url) = &self.database_url {
            flags.push(("database.url", url.clone()));
        }
        server::settings::load(&SettingsSource { file: None, flags }).unwrap()
    }

    async fn open(&self) -> (Database, EmbeddedVault) {
        let settings = self.settings();
        let database = database::open(&settings).await.unwrap();
        let vault = vault_setup::open(&settings, &database).await.unwrap();
        (database, vault)
    }

    /// Makes organisations with one model configuration each, as the control plane would.
    async fn fill(&self, organizations: usize) {
        let (database, vault) = self.open().await;
        for _ in 0..organizations {
            add_organization(&database, &vault).await;
        }
        database.close().await;
    }

    /// How many secrets open; a failure when one does not.
    async fn opened(&self) -> usize {
        let (database, vault) = self.open().await;
        let result = vault_check::open_everything(&database, &vault)
            .await
            .unwrap();
        database.close().await;
        assert_eq!(result.failures, Vec::<String>::new());
        assert_eq!(result.unreferenced, 0);
        result.opened
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quartermaster"));
        command.arg("vault").args(arguments).stdin(Stdio::null());
        command.arg("--data-dir").arg(self.data_dir()).env_clear();
        if let Some(url) = &self.database_url {
            command.env("QUARTERMASTER_DATABASE__URL", url);
        }
        command
    }

    /// Runs `quartermaster vault …` to its end.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it printed; a failure when it failed.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            errors(&output)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it said on standard error; a failure when it succeeded.
    fn refuse(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        errors(&output)
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.succeed(&["status", "--output", "json"])).unwrap()
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn settings_of_model(number: u128) -> ModelSettings {
    ModelSettings {
        name: format!("model {number}"),
        description: None,
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        temperature: None,
        max_tokens: None,
        timeout_seconds: None,
        max_retries: None,
        additional_params: None,
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    }
}

async fn add_organization(database: &Database, vault: &EmbeddedVault) {
    let number = u128::from_be_bytes(random(&SystemEntropy));
    let organization = Organization {
        id: OrganizationId(Uuid::from_u128(number)),
        name: number.to_string(),
        created_at: SystemClock.now(),
    };
    let settings = settings_of_model(number);
    let alias = Alias::from_random(number.to_be_bytes());
    let binding = Binding {
        organization_id: Some(organization.id),
        alias: alias.clone(),
        version: 1,
        purpose: Purpose::ProviderApiKey,
        provider: settings.provider.clone(),
        allowed_origin: Target::new(&settings).unwrap().origin.as_str().to_owned(),
    };
    let secret = Secret::new(format!("sk-{alias}"));
    let Deposit::Row(sealed) = vault.put(&binding, &secret).await.unwrap() else {
        panic!("the embedded vault hands out rows")
    };
    let mut transaction = database.write().await.unwrap();
    store::organizations::insert(&mut transaction, &organization)
        .await
        .unwrap();
    let row = SealedSecretRow {
        alias: sealed.alias,
        version: sealed.version,
        organization_id: sealed.organization_id,
        blob: sealed.blob,
    };
    store::sealed::insert_secret(&mut transaction, &row)
        .await
        .unwrap();
    let configuration = ModelConfiguration {
        id: ModelConfigurationId(Uuid::from_u128(number ^ 1)),
        organization_id: Some(organization.id),
        revision: 1,
        settings,
        api_key_alias: Some(alias),
        created_at: SystemClock.now(),
        updated_at: SystemClock.now(),
    };
    store::model_configurations::insert(&mut transaction, &configuration)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

/// Gives the first organisation a provider credential, as the control plane would.
async fn add_slot(database: &Database, vault: &EmbeddedVault, slot: &str) {
    let organization_id = store::organizations::list(database).await.unwrap()[0].id;
    let alias = Alias::from_random(random(&SystemEntropy));
    let binding = Binding {
        organization_id: Some(organization_id),
        alias: alias.clone(),
        version: 1,
        purpose: Purpose::ProviderCredential,
        provider: slot.to_owned(),
        allowed_origin: SLOT_ORIGIN.to_owned(),
    };
    let secret = Secret::new(format!("sk-{alias}"));
    let Deposit::Row(sealed) = vault.put(&binding, &secret).await.unwrap() else {
        panic!("the embedded vault hands out rows")
    };
    let mut transaction = database.write().await.unwrap();
    let row = SealedSecretRow {
        alias: sealed.alias,
        version: sealed.version,
        organization_id: sealed.organization_id,
        blob: sealed.blob,
    };
    store::sealed::insert_secret(&mut transaction, &row)
        .await
        .unwrap();
    let now = SystemClock.now();
    let credential = ProviderCredential {
        organization_id,
        slot: slot.to_owned(),
        revision: 1,
        status: CredentialStatus::Active,
        auth_type: Some(AuthType::ApiKey),
        alias: Some(alias),
        display_metadata: DisplayMetadata::default(),
        last_error: None,
        activated_at: Some(now),
        last_validated_at: None,
        created_at: now,
        updated_at: now,
    };
    store::provider_credentials::put(&mut transaction, &credential)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

/// Makes of each function a test on SQLite and one on PostgreSQL.
macro_rules! on_both_engines {
    ($(async fn $name:ident($installation:ident) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn body($installation: Installation) $body

            #[tokio::test]
            async fn sqlite() {
                body(Installation::sqlite()).await;
            }

            #[tokio::test]
            async fn postgres() {
                body(Installation::postgres()).await;
            }
        }
    )+};
}

on_both_engines! {
    async fn secrets_of_slots_open_before_and_after_a_rotation_and_nowhere_else(installation) {
        installation.fill(2).await;
        let (database, vault) = installation.open().await;
        add_slot(&database, &vault, "openai").await;
        add_slot(&database, &vault, "mistralai").await;
        assert_eq!(installation.opened().await, 4);
        installation.succeed(&["rotate-root-key"]);
        assert_eq!(installation.opened().await, 4);

        // A secret that is moved to another slot does not open there.
        let rows = store::provider_credentials::list_everything(&database).await.unwrap();
        let moved = ProviderCredential {
            alias: rows[1].alias.clone(),
            revision: rows[0].revision + 1,
            ..rows[0].clone()
        };
        let mut transaction = database.write().await.unwrap();
        store::provider_credentials::put(&mut transaction, &moved).await.unwrap();
        transaction.commit().await.unwrap();
        let result = vault_check::open_everything(&database, &vault).await.unwrap();
        assert!(!result.failures.is_empty());
        let named = format!("provider credential `{}`", moved.slot);
        assert!(result.failures[0].contains(&named), "{:?}", result.failures);
    }

    async fn a_rotation_reaches_running_servers_and_the_status_tells(installation) {
        installation.fill(3).await;
        let before = installation.status();
        assert_eq!(before["healthy"], true);
        assert_eq!(before["root_keys"].as_array().unwrap().len(), 1);
        assert_eq!(before["root_keys"][0]["organization_keys"], 3);
        assert_eq!(before["sealed_secrets"], 3);
        let (database, running) = installation.open().await;

        let id = installation.succeed(&["rotate-root-key"]);
        let after = installation.status();
        assert_eq!(after["root_keys"][0]["state"], "old");
        assert_eq!(after["root_keys"][0]["organization_keys"], 0);
        assert_eq!(after["root_keys"][1]["id"], id.trim());
        assert_eq!(after["root_keys"][1]["state"], "current");
        assert_eq!(after["root_keys"][1]["organization_keys"], 3);
        let table = installation.succeed(&["status"]);
        assert!(table.starts_with("ROOT KEY"), "{table}");
        assert!(table.contains(id.trim()), "{table}");

        add_organization(&database, &running).await;
        let everything = vault_check::open_everything(&database, &running).await.unwrap();
        assert_eq!(everything.opened, 4);
        let retired = installation.succeed(&["rotate-root-key", "--retire"]);
        assert_eq!(retired.trim(), before["root_keys"][0]["id"]);
        assert_eq!(installation.status()["root_keys"].as_array().unwrap().len(), 1);
        assert_eq!(installation.opened().await, 4);
    }

    async fn a_root_key_that_remembered_requests_need_is_not_retired(installation) {
        installation.fill(1).await;
        let (database, vault) = installation.open().await;
        let organization = store::organizations::list(&database).await.unwrap().remove(0);
        let purpose = vault::root_key::HashPurpose::IdempotencyKey;
        let (hash_key_id, key_hash) = vault.root_keys().keyed_hash(purpose, b"key").unwrap();
        let claim = store::idempotency::Claim {
            organization_id: organization.id,
            key_hash,
            fingerprint: [0; 32],
            hash_key_id,
            at: SystemClock.now(),
        };
        let answer = store::idempotency::StoredAnswer {
            status: 204,
            headers: Vec::new(),
            body: Vec::new(),
            is_sealed: false,
        };
        let mut transaction = database.write().await.unwrap();
        store::idempotency::claim(&mut transaction, &claim).await.unwrap();
        store::idempotency::complete(&mut transaction, &claim, &answer).await.unwrap();
        transaction.commit().await.unwrap();

        installation.succeed(&["rotate-root-key"]);
        let why = installation.refuse(&["rotate-root-key", "--retire"]);
        assert!(why.contains(&claim.hash_key_id) && why.contains("1 requests"), "{why}");
        let tomorrow = SystemClock.now() + jiff::SignedDuration::from_hours(24);
        store::idempotency::reap(&database, tomorrow).await.unwrap();
        installation.succeed(&["rotate-root-key", "--retire"]);
    }

    async fn a_rotation_killed_again_and_again_ends_with_everything_readable(installation) {
        installation.fill(40).await;
        let mut killed = 0;
        for attempt in 0_u32..12 {
            let mut child = installation
                .command(&["rotate-root-key"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(5 + 25 * u64::from(attempt)));
            let was_running = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            killed += u32::from(was_running);
            assert_eq!(installation.opened().await, 40);
        }
        assert!(killed > 0, "the program was never in time to be killed");
        let current = installation.succeed(&["rotate-root-key"]);
        let status = installation.status();
        let keys = status["root_keys"].as_array().unwrap();
        let mine = keys.iter().find(|key| key["id"] == current.trim()).unwrap();
        assert_eq!(mine["organization_keys"], 40);
        assert_eq!(installation.opened().await, 40);
    }

    async fn a_wrong_missing_or_open_root_key_is_named_and_changes_nothing(installation) {
        let stranger = Installation::sqlite();
        stranger.fill(1).await;
        installation.fill(2).await;
        let id = installation.status()["root_keys"][0]["id"].as_str().unwrap().to_owned();
        let path = installation.root_key_file();
        let right = fs::read(&path).unwrap();

        fs::remove_file(&path).unwrap();
        let missing = installation.run(&["rotate-root-key"]);
        assert_eq!(missing.status.code(), Some(78));
        assert!(errors(&missing).contains(text(&path)), "{}", errors(&missing));
        let output = installation.run(&["status", "--output", "json"]);
        assert_eq!(output.status.code(), Some(78));
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(status["healthy"], false);
        assert_eq!(status["root_keys"][0]["state"], "missing");
        assert_eq!(status["root_keys"][0]["id"], id);
        assert!(!path.exists());

        fs::copy(stranger.root_key_file(), &path).unwrap();
        let why = installation.refuse(&["rotate-root-key"]);
        assert!(why.contains(&id), "{why}");
        fs::write(&path, right).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(&path, open).unwrap();
        let why = installation.refuse(&["rotate-root-key"]);
        assert!(why.contains("chmod 600"), "{why}");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&path, private).unwrap();
        assert_eq!(installation.opened().await, 2);
    }
}

/// Where a backup goes, and its passphrase.
struct Safe {
    directory: TempDir,
}

impl Safe {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join("passphrase.txt"),
            format!("{PASSPHRASE}\n"),
        )
        .unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

#[tokio::test]
async fn a_backup_of_sqlite_restores_every_secret_on_another_machine() {
    let (installation, safe) = (Installation::sqlite(), Safe::new());
    installation.fill(3).await;
    installation.succeed(&["rotate-root-key"]);
    let (running, vault) = installation.open().await;
    add_slot(&running, &vault, "anthropic").await;
    for passphrase in [None, Some(safe.path("passphrase.txt"))] {
        let name = if passphrase.is_some() {
            "sealed"
        } else {
            "clear"
        };
        let (db, keys) = (
            safe.path(&format!("{name}-db")),
            safe.path(&format!("{name}-keys")),
        );
        let mut backup = vec!["backup", "--output", &db, "--root-key-output", &keys];
        let mut restore = vec!["restore"];
        if let Some(file) = &passphrase {
            backup.extend(["--passphrase-file", file]);
            restore.extend(["--passphrase-file", file]);
        }
        let printed = installation.succeed(&backup);
        let (database, root_keys) = printed.trim().split_once('\n').unwrap();
        for file in [database, root_keys] {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(file).unwrap());
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }

        let other = Installation::sqlite();
        let without = other.refuse(&["restore", "--database", database]);
        assert!(without.contains("--root-key"), "{without}");
        restore.extend(["--database", database, "--root-key", root_keys]);
        other.succeed(&restore);
        assert_eq!(other.opened().await, 4);
        assert_eq!(
            other.status()["root_keys"],
            installation.status()["root_keys"]
        );
        let left: Vec<_> = fs::read_dir(other.data_dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_str().unwrap().contains("restoring"))
            .collect();
        assert_eq!(left, Vec::<std::ffi::OsString>::new());

        let again = other.refuse(&restore);
        assert!(again.contains("overwrites nothing"), "{again}");
    }
}

#[tokio::test]
async fn a_restore_with_another_key_or_a_damaged_copy_leaves_nothing() {
    let (installation, stranger, safe) =
        (Installation::sqlite(), Installation::sqlite(), Safe::new());
    installation.fill(2).await;
    stranger.fill(1).await;
    let (db, keys, theirs) = (safe.path("db"), safe.path("keys"), safe.path("theirs"));
    let printed = installation.succeed(&["backup", "--output", &db, "--root-key-output", &keys]);
    let (database, root_keys) = printed.trim().split_once('\n').unwrap();
    let their_keys = stranger.succeed(&[
        "backup",
        "--output",
        &safe.path("their-db"),
        "--root-key-output",
        &theirs,
    ]);
    let their_keys = their_keys.trim().split_once('\n').unwrap().1;

    let other = Installation::sqlite();
    let wrong = ["restore", "--database", database, "--root-key", their_keys];
    let why = other.refuse(&wrong);
    let id = installation.status()["root_keys"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(why.contains(&id), "{why}");
    assert!(!other.root_key_file().exists());

    // One secret is changed in the copy: the restore finds it.
    let options = store::DatabaseOptions {
        url: format!("sqlite://{database}"),
        max_connections: 1,
        timeout: Duration::from_secs(1),
    };
    let copy = Database::connect(&options).await.unwrap();
    let mut row = store::sealed::all_secrets(&copy).await.unwrap().remove(0);
    store::sealed::delete_secret(&copy, &row.alias)
        .await
        .unwrap();
    *row.blob.last_mut().unwrap() ^= 1;
    let mut transaction = copy.write().await.unwrap();
    store::sealed::insert_secret(&mut transaction, &row)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    copy.close().await;
    let why = other.refuse(&["restore", "--database", database, "--root-key", root_keys]);
    assert!(
        why.contains("not every secret opens") && why.contains("model "),
        "{why}"
    );
    let left = fs::read_dir(other.data_dir()).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_passphrase_that_can_be_guessed_is_refused() {
    let (installation, safe) = (Installation::sqlite(), Safe::new());
    installation.fill(1).await;
    let (db, keys, file) = (safe.path("db"), safe.path("keys"), safe.path("short.txt"));
    fs::write(&file, "password\n").unwrap();
    let places = ["--output", &db, "--root-key-output", &keys];
    let arguments = [&["backup"], &places[..], &["--passphrase-file", &file]].concat();
    let why = installation.refuse(&arguments);
    assert!(why.contains("12 characters"), "{why}");
    assert_eq!(fs::read_dir(&db).unwrap().count(), 0);
}

#[tokio::test]
async fn a_backup_to_one_place_is_refused() {
    let (installation, safe) = (Installation::sqlite(), Safe::new());
    installation.fill(1).await;
    let (place, inside) = (safe.path("a"), safe.path("a/b"));
    fs::create_dir(&place).unwrap();
    let link = safe.path("link");
    std::os::unix::fs::symlink(&place, &link).unwrap();
    let data = installation.data_dir().display().to_string();
    for (output, root_keys) in [
        (&place, &place),
        (&place, &inside),
        (&inside, &place),
        (&link, &place),
        (&data, &place),
        (&place, &data),
    ] {
        let why =
            installation.refuse(&["backup", "--output", output, "--root-key-output", root_keys]);
        assert!(why.contains("place"), "{why}");
    }
    let files = |path: &str| {
        fs::read_dir(path)
            .unwrap()
            .filter(|it| it.as_ref().unwrap().path().is_file())
            .count()
    };
    assert_eq!(files(&place), 0);
}

#[tokio::test]
async fn a_backup_of_postgres_is_a_dump_and_the_root_keys() {
    let (installation, safe) = (Installation::postgres(), Safe::new());
    installation.fill(3).await;
    let (db, keys) = (safe.path("db"), safe.path("keys"));
    let why = installation.refuse(&["backup", "--output", &db, "--root-key-output", &keys]);
    assert!(why.contains("pg_dump"), "{why}");
    assert!(!fs::exists(&db).unwrap(), "a refusal makes nothing");

    let dump = safe.path("quartermaster.dump");
    let url = installation.database_url.clone().unwrap();
    postgres_tool(
        "pg_dump",
        &["--format=custom", &format!("--file={dump}"), &url],
    );
    let printed = installation.succeed(&["backup", "--root-key-output", &keys]);

    let other = Installation::postgres();
    let url = other.database_url.clone().unwrap();
    postgres_tool("pg_restore", &[&format!("--dbname={url}"), &dump]);
    let root_keys = printed.trim();
    other.succeed(&["restore", "--root-key", root_keys]);
    assert_eq!(other.opened().await, 3);
}

fn postgres_tool(name: &str, arguments: &[&str]) {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}; install postgresql-client"));
    assert!(output.status.success(), "{name}: {}", errors(&output));
}

#[tokio::test]
async fn what_is_done_to_root_keys_stands_in_the_audit_trail() {
    let (installation, safe) = (Installation::postgres(), Safe::new());
    installation.fill(1).await;
    let keys = safe.path("keys");
    installation.succeed(&["rotate-root-key", "--prepare"]);
    installation.succeed(&["rotate-root-key"]);
    installation.succeed(&["backup", "--root-key-output", &keys]);
    installation.succeed(&["rotate-root-key", "--retire"]);
    let url = installation.database_url.as_deref().unwrap();
    let database = url.rsplit('/').next().unwrap();
    let actions = Cluster::shared().query(
        database,
        "SELECT action FROM audit_events WHERE organization_id IS NULL ORDER BY id",
    );
    let actions: Vec<&str> = actions.lines().collect();
    assert_eq!(
        actions,
        [
            "root_key.prepare",
            "root_key.rotate",
            "root_key.export",
            "root_key.retire"
        ]
    );
}
