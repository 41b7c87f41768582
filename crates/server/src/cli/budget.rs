//! `quartermaster budget`: what an organization and its API keys may spend in a month.

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::model::api::{Api, ServerArguments};
use super::output::{self, Format};
use super::prices::dollars;

#[derive(Debug, Subcommand)]
pub(super) enum Budget {
    /// Show all budgets, and what was spent of them this month
    List(List),
    /// Set a budget, in place of the one there was
    #[command(after_help = "\
Months are those of the calendar, in UTC. Calls with models that have no price are never
counted: `quartermaster usage` shows whether there are any.

Examples:
  quartermaster budget set organization --soft 400 --hard 500
  quartermaster budget set 0195f2a3-7c1e-7d44-8a86-2f6a4c0d9b11 --hard 2.50")]
    Set(Set),
    /// Remove a budget
    Remove(Remove),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// `organization`, or the id of one of its API keys
    owner: String,
    /// From this on, answers carry a warning
    #[arg(long, value_name = "USD", value_parser = micros, required_unless_present = "hard")]
    soft: Option<i64>,
    /// From this on, calls are refused
    #[arg(long, value_name = "USD", value_parser = micros)]
    hard: Option<i64>,
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// `organization`, or the id of one of its API keys
    owner: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Budget {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(command) => command.run().await,
            Self::Set(command) => command.run().await,
            Self::Remove(command) => command.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let budgets = Api::new(&self.server)?.get("/v1/budgets").await?;
        if self.output == Format::Json {
            return Ok(output::json(&budgets)?);
        }
        let budgets = budgets.as_array().context("the answer is no list")?;
        let rows: Vec<Vec<String>> = budgets.iter().map(row).collect();
        output::explain("US dollars in a month, UTC");
        let headings = ["owner", "month", "spent", "soft", "hard"];
        Ok(output::table(&headings, &rows)?)
    }
}

impl Set {
    async fn run(self) -> anyhow::Result<()> {
        let body = json!({"soft_micros": self.soft, "hard_micros": self.hard});
        let path = path_of(&self.owner);
        Api::new(&self.server)?.put(&path, &body).await?;
        output::explain("the budget holds from now on");
        Ok(())
    }
}

impl Remove {
    async fn run(self) -> anyhow::Result<()> {
        Api::new(&self.server)?
            .delete(&path_of(&self.owner))
            .await?;
        output::explain("the budget is removed");
        Ok(())
    }
}

fn path_of(owner: &str) -> String {
    let owner: String = url::form_urlencoded::byte_serialize(owner.as_bytes()).collect();
    format!("/v1/budgets/{owner}")
}

fn row(budget: &Value) -> Vec<String> {
    let owner = budget["api_key_id"].as_str().or(budget["owner"].as_str());
    let amount = |name: &str| budget[name].as_u64().map(dollars).unwrap_or_default();
    vec![
        owner.unwrap_or_default().to_owned(),
        budget["month"].as_str().unwrap_or_default().to_owned(),
        amount("spent_micros"),
        amount("soft_micros"),
        amount("hard_micros"),
    ]
}

/// Dollars as micro-dollars, exactly.
fn micros(text: &str) -> Result<i64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
        return Err("dollars look like 2.50, with six decimal places at most".to_owned());
    }
    let micros = format!("{whole}{fraction:0<6}").parse::<i64>();
    let micros = micros.map_err(|_| "nobody has so many dollars".to_owned())?;
    if micros == 0 {
        return Err("a budget is above zero".to_owned());
    }
    Ok(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly() {
        assert_eq!(micros("500"), Ok(500_000_000));
        assert_eq!(micros("2.5"), Ok(2_500_000));
        assert_eq!(micros("0.000001"), Ok(1));
        for wrong in ["", ".5", "-1", "1e3", "0", "0.0000001", "9999999999999999"] {
            assert!(micros(wrong).is_err(), "{wrong}");
        }
    }
}
