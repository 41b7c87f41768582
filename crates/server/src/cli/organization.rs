//! `quartermaster organization`: tenants, directly in the database.

use clap::{Args, Subcommand};
use domain::clock::Clock;
use domain::id::OrganizationId;
use domain::organization::Organization as Row;
use serde_json::{Value, json};
use store::StoreError;

use super::output::{self, Format};
use super::{SettingsArguments, direct};
use crate::clock::SystemClock;

#[derive(Debug, Subcommand)]
pub(super) enum Organization {
    /// Make an organization and print its id
    #[command(after_help = "\
Example:
  quartermaster organization create research
  quartermaster api-key create --organization research")]
    Create(Create),
    /// List all organizations
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// A name that no other organization has; 1 to 255 characters
    name: String,
    #[command(flatten)]
    settings: SettingsArguments,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl Organization {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run().await,
            Self::List(command) => command.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<()> {
        let name = self.name;
        anyhow::ensure!(
            (1..=255).contains(&name.chars().count()) && !name.chars().any(char::is_control),
            "a name has 1 to 255 characters and no control characters"
        );
        let database = direct::open_or_make(&self.settings).await?;
        let row = Row {
            id: OrganizationId(direct::new_id()),
            name,
            created_at: SystemClock.now(),
        };
        let mut transaction = database.write().await?;
        match store::organizations::insert(&mut transaction, &row).await {
            Err(StoreError::Conflict(_)) => {
                anyhow::bail!("there is an organization `{}`", row.name)
            }
            inserted => inserted?,
        }
        let after = serde_json::to_value(&row)?;
        direct::commit(
            transaction,
            row.id,
            "organization.create",
            row.id.to_string(),
            after,
        )
        .await?;
        output::explain(&format!("organization `{}` made; its id:", row.name));
        output::result(&row.id.to_string())?;
        Ok(())
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let database = direct::open(&self.settings).await?;
        let rows = store::organizations::list(&database).await?;
        match self.output {
            Format::Json => output::json(&rows.iter().map(view).collect())?,
            Format::Table => {
                let cells: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| {
                        vec![
                            row.id.to_string(),
                            row.name.clone(),
                            row.created_at.to_string(),
                        ]
                    })
                    .collect();
                output::table(&["id", "name", "created at"], &cells)?;
            }
        }
        Ok(())
    }
}

fn view(row: &Row) -> Value {
    json!({"id": row.id, "name": row.name, "created_at": row.created_at})
}
