//! `quartermaster vault status`.

use clap::Args;
use serde_json::{Value, json};
use vault::operations::status::{self, CanaryState, RootKeyStatus, VaultStatus};

use crate::cli::output::{self, Format};
use crate::cli::{SettingsArguments, direct};
use crate::sealed_storage::StoreSealedStorage;

/// Show the root keys and whether everything stored can be opened
#[derive(Debug, Args)]
#[command(after_help = "\
STATE   current wraps what is new; old opens what it wrapped before a rotation;
        prepared waits for the next rotation; missing is needed and not in the file
CANARY  opens: the key is the one that the database was sealed with

Exit code 0 means that everything stored can be opened with the keys in the file. It
changes nothing, and answers also when a server would refuse to start.

Examples:
  quartermaster vault status
  quartermaster vault status --output json")]
pub(in crate::cli) struct Status {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl Status {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<()> {
        let settings = self.settings.load()?;
        let database = direct::open_existing(&settings).await?;
        let storage = StoreSealedStorage::new(database);
        let status = status::status(&storage, &settings.root_key_file()).await?;
        match self.output {
            Format::Json => output::json(&view(&status))?,
            Format::Table => print(&status)?,
        }
        if let Some(error) = status.root_key_file_error {
            return Err(vault::VaultError::RootKey(error).into());
        }
        anyhow::ensure!(
            status.is_healthy(),
            "something stored cannot be opened with the keys in {}",
            settings.root_key_file().display()
        );
        Ok(())
    }
}

fn print(status: &VaultStatus) -> std::io::Result<()> {
    let rows: Vec<Vec<String>> = status.root_keys.iter().map(cells).collect();
    output::table(
        &["root key", "state", "made", "organization keys", "canary"],
        &rows,
    )?;
    output::explain(&format!("sealed secrets: {}", status.sealed_secrets));
    if status.is_rotating() {
        output::explain(
            "a rotation is unfinished; `quartermaster vault rotate-root-key` finishes it",
        );
    }
    Ok(())
}

fn cells(key: &RootKeyStatus) -> Vec<String> {
    vec![
        key.id.clone(),
        state(key).to_owned(),
        key.in_file
            .map(|(_, made)| made.to_string())
            .unwrap_or_default(),
        key.organization_keys.to_string(),
        canary(key.canary).to_owned(),
    ]
}

fn state(key: &RootKeyStatus) -> &'static str {
    key.in_file.map_or("missing", |(state, _)| state.name())
}

const fn canary(state: CanaryState) -> &'static str {
    match state {
        CanaryState::Opens => "opens",
        CanaryState::DoesNotOpen => "does not open",
        CanaryState::Untried => "untried",
        CanaryState::Absent => "absent",
    }
}

fn view(status: &VaultStatus) -> Value {
    let root_keys: Vec<Value> = status
        .root_keys
        .iter()
        .map(|key| {
            json!({
                "id": key.id,
                "state": state(key),
                "created_at": key.in_file.map(|(_, made)| made.to_string()),
                "organization_keys": key.organization_keys,
                "canary": canary(key.canary),
            })
        })
        .collect();
    json!({
        "healthy": status.is_healthy(),
        "rotating": status.is_rotating(),
        "sealed_secrets": status.sealed_secrets,
        "root_key_file_error": status.root_key_file_error,
        "root_keys": root_keys,
    })
}
