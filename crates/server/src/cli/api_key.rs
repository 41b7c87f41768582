//! `quartermaster api-key`: keys, directly in the database.

use std::collections::BTreeSet;

use anyhow::Context;
use clap::{Args, Subcommand};
use domain::api_key::{ApiKey as Row, ApiKeyToken, Scope};
use domain::clock::{Clock, random};
use domain::id::ApiKeyId;
use serde_json::{Value, json};
use store::Database;

use super::output::{self, Format};
use super::{SettingsArguments, direct};
use crate::clock::{SystemClock, SystemEntropy};

#[derive(Debug, Subcommand)]
pub(super) enum ApiKey {
    /// Make a key and print it, once
    #[command(after_help = "\
A running server knows the key within a second.

Scopes:
  invoke     call models
  manage     read and write model configurations and credentials
  admin      API keys and the audit trail of the organization
  operator   the whole installation: organizations, metrics

Examples:
  quartermaster api-key create --organization default
  quartermaster api-key create --organization research --name ci --scope invoke
  export OPENAI_API_KEY=$(quartermaster api-key create --organization research --scope invoke)")]
    Create(Create),
    /// List keys (never the keys themselves)
    List(List),
    /// Revoke a key, by the id that `list` shows
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Whose key
    #[arg(long, value_name = "NAME")]
    organization: String,
    /// A label for people
    #[arg(long, default_value = "command line")]
    name: String,
    /// What it may do; repeat for several [default: admin, manage and invoke]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    #[command(flatten)]
    settings: SettingsArguments,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only this organization's keys
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    settings: SettingsArguments,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The key's id
    id: ApiKeyId,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl ApiKey {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Revoke(command) => command.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<()> {
        let database = direct::open_or_make(&self.settings).await?;
        let organization = direct::organization(&database, &self.organization).await?;
        let scopes: BTreeSet<Scope> = if self.scopes.is_empty() {
            Scope::WITHIN_ORGANIZATION.into()
        } else {
            self.scopes.into_iter().collect()
        };
        let token = ApiKeyToken::from_random(&random(&SystemEntropy));
        let row = Row {
            id: ApiKeyId(direct::new_id()),
            organization_id: organization.id,
            name: self.name,
            scopes,
            created_at: SystemClock.now(),
            revoked_at: None,
        };
        let mut transaction = database.write().await?;
        store::api_keys::insert(&mut transaction, &row, &token.digest()).await?;
        let after = serde_json::to_value(&row)?;
        direct::commit(
            transaction,
            organization.id,
            "api_key.create",
            row.id.to_string(),
            after,
        )
        .await?;
        let id = row.id;
        output::explain(&format!(
            "key {id} of `{}` made; it is shown only now:",
            organization.name
        ));
        output::result(token.expose())?;
        Ok(())
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let database = direct::open(&self.settings).await?;
        let rows = keys(&database, self.organization.as_deref()).await?;
        match self.output {
            Format::Json => {
                let views: Vec<Value> = rows
                    .iter()
                    .map(|(organization, row)| view(organization, row))
                    .collect();
                output::json(&Value::Array(views))?;
            }
            Format::Table => {
                let cells: Vec<Vec<String>> = rows
                    .iter()
                    .map(|(organization, row)| cells(organization, row))
                    .collect();
                let headings = [
                    "id",
                    "organization",
                    "name",
                    "scopes",
                    "created at",
                    "revoked at",
                ];
                output::table(&headings, &cells)?;
            }
        }
        Ok(())
    }
}

impl Revoke {
    async fn run(self) -> anyhow::Result<()> {
        let database = direct::open(&self.settings).await?;
        let all = keys(&database, None).await?;
        let (_, row) = all
            .into_iter()
            .find(|(_, row)| row.id == self.id)
            .with_context(|| format!("there is no key {}; `api-key list` shows all", self.id))?;
        let mut transaction = database.write().await?;
        store::api_keys::revoke(
            &mut transaction,
            row.organization_id,
            row.id,
            SystemClock.now(),
        )
        .await?;
        let after = json!({"id": row.id, "name": row.name, "is_revoked": true});
        let id = row.id.to_string();
        direct::commit(
            transaction,
            row.organization_id,
            "api_key.revoke",
            id,
            after,
        )
        .await?;
        output::explain(&format!(
            "key {} revoked; running servers refuse it within a second",
            row.id
        ));
        Ok(())
    }
}

/// Keys with their organisation's name.
async fn keys(database: &Database, only: Option<&str>) -> anyhow::Result<Vec<(String, Row)>> {
    let organizations = match only {
        Some(name) => vec![direct::organization(database, name).await?],
        None => store::organizations::list(database).await?,
    };
    let mut keys = Vec::new();
    for organization in organizations {
        let rows = store::api_keys::list(database, organization.id).await?;
        keys.extend(rows.into_iter().map(|row| (organization.name.clone(), row)));
    }
    Ok(keys)
}

fn view(organization: &str, row: &Row) -> Value {
    json!({
        "id": row.id,
        "organization_id": row.organization_id,
        "organization": organization,
        "name": row.name,
        "scopes": row.scopes,
        "created_at": row.created_at,
        "revoked_at": row.revoked_at,
    })
}

fn cells(organization: &str, row: &Row) -> Vec<String> {
    let scopes: Vec<&str> = row.scopes.iter().map(|scope| scope.as_str()).collect();
    vec![
        row.id.to_string(),
        organization.to_owned(),
        row.name.clone(),
        scopes.join(","),
        row.created_at.to_string(),
        row.revoked_at.map(|at| at.to_string()).unwrap_or_default(),
    ]
}
