//! `quartermaster model`: model configurations of a running server, over HTTP.

pub(super) mod api;
mod apply;
mod fields;
mod file;
mod plan;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{self, Format};
use api::{Api, ServerArguments};
use fields::Fields;

const PATH: &str = "/v1/model-configurations";

/// Model configurations of a running server
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  export QUARTERMASTER_API_KEY=...
  quartermaster model list
  quartermaster model create fast --provider openai --model gpt-5-mini \\
      --api-key-from env:OPENAI_API_KEY
  quartermaster model update fast --temperature 0.2 --clear max_tokens
  quartermaster model export > models.json
  quartermaster model apply -f models.yaml --dry-run")]
pub(super) struct Model {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List system defaults and own configurations
    List(List),
    /// Show one
    Get(Get),
    /// Make one and print its id
    Create(Create),
    /// Change one
    Update(Update),
    /// Delete one, and its key
    Delete(Delete),
    /// Print all own configurations as a file for `apply` (never their keys)
    Export,
    /// Create, update and, if asked to, delete configurations until they are as a file says
    Apply(Apply),
}

#[derive(Debug, Args)]
struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// Archived ones too
    #[arg(long)]
    archived: bool,
}

#[derive(Debug, Args)]
struct Get {
    /// Name or id
    #[arg(value_name = "NAME_OR_ID")]
    configuration: String,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Where no key is given, the operator's own for the provider is used, if there is one.
`GET /v1/providers` lists the providers, what each takes in --additional-params, and
whether the operator lends a key.

Examples:
  quartermaster model create fast --provider openai --model gpt-5-mini \\
      --api-key-from env:OPENAI_API_KEY
  quartermaster model create local --provider openai --model qwen3 \\
      --additional-params '{\"base_url\": \"http://127.0.0.1:8000/v1\"}' --api-key-from - < key.txt
  (a base_url with http:// needs the operator's egress.allow_private_networks)")]
struct Create {
    /// What clients select it by
    name: String,
    /// A provider of the catalog, by LangChain's name
    #[arg(long)]
    provider: String,
    /// The provider's own name of the model
    #[arg(long)]
    model: String,
    #[command(flatten)]
    fields: Fields,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What is left out stays as it is.

Examples:
  quartermaster model update fast --temperature 0.2 --clear max_tokens
  quartermaster model update fast --api-key-from env:OPENAI_API_KEY")]
struct Update {
    /// Name or id
    #[arg(value_name = "NAME_OR_ID")]
    configuration: String,
    /// Another name
    #[arg(long)]
    name: Option<String>,
    /// Another provider
    #[arg(long)]
    provider: Option<String>,
    /// Another model of the provider
    #[arg(long)]
    model: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// A member to clear; repeat for several
    #[arg(long, value_name = "MEMBER", value_parser = fields::CLEARABLE)]
    clear: Vec<String>,
    /// Destroy its own key
    #[arg(long)]
    clear_api_key: bool,
}

#[derive(Debug, Args)]
struct Delete {
    /// Name or id
    #[arg(value_name = "NAME_OR_ID")]
    configuration: String,
    /// Even where agent roles go to it; they go back to their defaults
    #[arg(long)]
    force: bool,
}

/// `model apply`
#[derive(Debug, Args)]
#[command(after_help = "\
The file is YAML, TOML or JSON with a list `model_configurations`, as `export` prints it.
Configurations are told apart by name. An entry says all of its configuration: a member
that it leaves out is cleared. First the plan is printed, with every member that changes;
then it is carried out. When all is as the file says, nothing is sent.

A key never stands in the file. An entry may say where it is: `api_key_from` is `env:NAME`
or `file:PATH`, read on this machine. The key is sent when the configuration is made, and
again only with --replace-keys, since nobody can see whether the server has the same one.

Examples:
  quartermaster model apply -f models.yaml --dry-run
  quartermaster model apply -f models.yaml --prune

models.yaml:
  model_configurations:
    - name: fast
      provider: openai
      model: gpt-5-mini
      temperature: 0.2
      additional_params: {top_p: 0.9}
      api_key_from: env:OPENAI_API_KEY")]
struct Apply {
    /// The file; its name ends in .yaml, .yml, .toml or .json
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete own configurations, archived ones too, that the file does not name
    #[arg(long)]
    prune: bool,
    /// Send keys for configurations that exist already, too
    #[arg(long)]
    replace_keys: bool,
    /// How to print the plan
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

impl Model {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let api = Api::new(&self.server)?;
        match self.command {
            Command::List(command) => command.run(&api).await,
            Command::Get(command) => command.run(&api).await,
            Command::Create(command) => command.run(&api).await,
            Command::Update(command) => command.run(&api).await,
            Command::Delete(command) => command.run(&api).await,
            Command::Export => apply::export(&api).await,
            Command::Apply(command) => apply::apply(&api, &command).await,
        }
    }
}

impl List {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let mut rows = list(api).await?;
        rows.retain(|row| self.archived || row["is_archived"] != true);
        match self.output {
            Format::Json => output::json(&Value::Array(rows))?,
            Format::Table => {
                let headings = ["name", "provider", "model", "key", "origin", "id"];
                let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
                output::table(&headings, &cells)?;
            }
        }
        Ok(())
    }
}

impl Get {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let row = find(api, &self.configuration).await?;
        if self.output == Format::Json {
            output::json(&row)?;
            return Ok(());
        }
        let members = row.as_object().into_iter().flatten();
        let cells: Vec<Vec<String>> = members
            .map(|(name, value)| vec![name.clone(), text(value)])
            .collect();
        output::table(&["member", "value"], &cells)?;
        Ok(())
    }
}

impl Create {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let mut body = self.fields.body()?;
        body.insert("name".to_owned(), json!(self.name));
        body.insert("provider".to_owned(), json!(self.provider));
        body.insert("model".to_owned(), json!(self.model));
        let row = api.post(PATH, &Value::Object(body)).await?;
        output::explain(&format!(
            "`{}` made; call it as model \"{0}\" or by its id:",
            self.name
        ));
        output::result(&text(&row["id"]))?;
        Ok(())
    }
}

impl Update {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let row = find(api, &self.configuration).await?;
        let mut body = self.fields.body()?;
        let given = [
            ("name", self.name),
            ("provider", self.provider),
            ("model", self.model),
        ];
        for (member, value) in given {
            if let Some(value) = value {
                body.insert(member.to_owned(), json!(value));
            }
        }
        for member in self.clear {
            body.insert(member, Value::Null);
        }
        if self.clear_api_key {
            body.insert("clear_api_key".to_owned(), json!(true));
        }
        if body.is_empty() {
            bail!("nothing to change; `quartermaster model update --help` lists what can be");
        }
        let path = format!("{PATH}/{}", text(&row["id"]));
        let row = api.patch(&path, &Value::Object(body)).await?;
        output::explain(&format!("`{}` changed; its id:", text(&row["name"])));
        output::result(&text(&row["id"]))?;
        Ok(())
    }
}

impl Delete {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let row = find(api, &self.configuration).await?;
        let force = if self.force { "?force=true" } else { "" };
        let path = format!("{PATH}/{}{force}", text(&row["id"]));
        api.delete(&path).await?;
        output::explain(&format!("`{}` deleted", text(&row["name"])));
        Ok(())
    }
}

/// System defaults, then own rows.
async fn list(api: &Api) -> anyhow::Result<Vec<Value>> {
    match api.get(PATH).await? {
        Value::Array(rows) => Ok(rows),
        _ => bail!("this is not a Quartermaster server"),
    }
}

/// By id, else by exact name: own rows before system defaults, unarchived before archived.
pub(in crate::cli) async fn find(api: &Api, wanted: &str) -> anyhow::Result<Value> {
    let rows = list(api).await?;
    let rank = |row: &Value| match (&row["id"], &row["name"]) {
        (id, _) if id == wanted => Some(0),
        (_, name) if name == wanted => {
            let is_archived = u8::from(row["is_archived"] == true);
            let is_default = u8::from(is_system_default(row));
            Some(1 + is_default + 2 * is_archived)
        }
        _ => None,
    };
    rows.iter()
        .filter_map(|row| Some((rank(row)?, row)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, row)| row.clone())
        .with_context(|| format!("there is no `{wanted}`; `quartermaster model list` shows all"))
}

fn is_system_default(row: &Value) -> bool {
    row["is_system_default"] == true || row["organization_id"].is_null()
}

fn cells(row: &Value) -> Vec<String> {
    let key = if row["api_key_alias"].is_null() {
        ""
    } else {
        "own"
    };
    let origin = if is_system_default(row) {
        "system"
    } else {
        "own"
    };
    vec![
        text(&row["name"]),
        text(&row["provider"]),
        text(&row["model"]),
        key.to_owned(),
        origin.to_owned(),
        text(&row["id"]),
    ]
}

/// A member as a cell of a table: text without quotation marks, nothing for null.
pub(in crate::cli) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
