//! `quartermaster role`: which model configuration does which job of an agent.

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::model::api::{Api, ServerArguments};
use super::model::{find, text};
use super::output::{self, Format};

const PATH: &str = "/v1/agent-roles";

/// Say which model configuration does which job of an agent
///
/// An agent calls `role:main_agent` as its model and never learns which model that is. Each
/// role goes to the configuration that the organization assigned to it, else to the
/// operator's default; focused_action follows main_agent until it has its own. A call of a
/// role falls back to fallback_1, then fallback_2 (cache_detection to
/// cache_detection_fallback first). Only configurations with is_computer_use_model may do
/// main_agent, focused_action, fallback_1 and fallback_2.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quartermaster role list
  quartermaster role set main_agent \"Sonnet for the desktop\"
  quartermaster role resolve main_agent
  quartermaster role unset main_agent")]
pub(super) struct Role {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all roles, who does each, and whose choice that is
    List(List),
    /// Give a role to a configuration, an own one or a system default
    Set(Set),
    /// Take it back: the role follows the operator's default, or main_agent, again
    Unset(Unset),
    /// Show where a call of a role would go, with whose key, and why; nobody is called
    Resolve(Resolve),
}

#[derive(Debug, Args)]
struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Args)]
struct Set {
    /// Which role
    role: RoleName,
    /// The configuration's name or id
    #[arg(value_name = "NAME_OR_ID")]
    configuration: String,
}

#[derive(Debug, Args)]
struct Unset {
    /// Which role
    role: RoleName,
}

#[derive(Debug, Args)]
struct Resolve {
    /// Which role
    role: RoleName,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// The roles, so that a wrong one is refused with the right ones before anything is sent.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum RoleName {
    /// Plans and acts
    MainAgent,
    /// One action on the screen; follows main_agent
    FocusedAction,
    /// Reads values from the screen
    ExtractPrompt,
    /// Tells whether a recorded step fits the screen
    CacheDetection,
    /// When cache_detection fails
    CacheDetectionFallback,
    /// When the role itself fails
    #[value(name = "fallback_1")]
    Fallback1,
    /// When that fails, too
    #[value(name = "fallback_2")]
    Fallback2,
}

impl RoleName {
    fn path(self) -> String {
        let value = self.to_possible_value();
        let name = value.as_ref().map_or("", |value| value.get_name());
        format!("{PATH}/{name}")
    }
}

impl Role {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let api = Api::new(&self.server)?;
        match self.command {
            Command::List(command) => command.run(&api).await,
            Command::Set(command) => command.run(&api).await,
            Command::Unset(command) => {
                let view = api.delete(&command.role.path()).await?;
                output::explain(&sentence(&view));
                Ok(())
            }
            Command::Resolve(command) => command.run(&api).await,
        }
    }
}

impl List {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let roles = api.get(PATH).await?;
        if self.output == Format::Json {
            return Ok(output::json(&roles)?);
        }
        let roles = roles.as_array().context("the answer is no list")?;
        let rows = roles.iter().map(|role| {
            let members = [
                "role",
                "model_configuration_name",
                "source",
                "model_configuration_id",
            ];
            members.map(|member| text(&role[member])).to_vec()
        });
        let headings = ["role", "configuration", "source", "id"];
        Ok(output::table(&headings, &rows.collect::<Vec<_>>())?)
    }
}

impl Set {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let row = find(api, &self.configuration).await?;
        let body = json!({"model_configuration_id": row["id"]});
        let view = api.put(&self.role.path(), &body).await?;
        output::explain(&sentence(&view));
        Ok(())
    }
}

impl Resolve {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let plan = api.get(&format!("{}/resolve", self.role.path())).await?;
        if self.output == Format::Json {
            return Ok(output::json(&plan)?);
        }
        let targets = targets(&plan);
        let steps = plan["steps"]
            .as_array()
            .context("the answer has no steps")?;
        let steps = steps.iter().map(|step| {
            let id = &step["model_configuration_id"];
            let name = targets
                .iter()
                .find(|target| target["model_configuration_id"] == *id)
                .map_or(id, |target| &target["model_configuration_name"]);
            let is_taken = if step["is_taken"] == true {
                "yes"
            } else {
                "no"
            };
            [
                text(&step["role"]),
                text(name),
                is_taken.to_owned(),
                text(&step["reason"]),
            ]
            .to_vec()
        });
        let headings = ["role", "configuration", "called", "why"];
        output::table(&headings, &steps.collect::<Vec<_>>())?;
        if targets.is_empty() {
            return Ok(());
        }
        output::result("")?;
        let rows = targets.iter().map(|target| {
            let members = ["model_configuration_name", "provider", "model", "origin"];
            let mut cells = members.map(|member| text(&target[member])).to_vec();
            cells.push(text(&target["key"]["source"]));
            cells.push(text(&target["parameters"]));
            cells
        });
        let headings = [
            "configuration",
            "provider",
            "model",
            "origin",
            "key",
            "parameters",
        ];
        output::table(&headings, &rows.collect::<Vec<_>>())?;
        for target in targets.iter().filter(|target| !target["problem"].is_null()) {
            let name = text(&target["model_configuration_name"]);
            output::explain(&format!("`{name}` fails: {}", text(&target["problem"])));
        }
        Ok(())
    }
}

/// In the order in which they are called.
fn targets(plan: &Value) -> Vec<&Value> {
    let first = Some(&plan["target"]).filter(|target| !target.is_null());
    let fallbacks = plan["fallbacks"].as_array().into_iter().flatten();
    first.into_iter().chain(fallbacks).collect()
}

/// A role as it is now.
fn sentence(view: &Value) -> String {
    let role = text(&view["role"]);
    if view["model_configuration_id"].is_null() {
        return format!("nothing does {role}: a call of role:{role} is refused");
    }
    let name = text(&view["model_configuration_name"]);
    let whose = match view["source"].as_str() {
        Some("organization") => "your organization's choice",
        Some("system") => "the operator's default",
        _ => "as the role that it follows",
    };
    format!("`{name}` does {role} ({whose})")
}
