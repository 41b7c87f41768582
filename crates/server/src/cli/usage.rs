//! `quartermaster usage` and `quartermaster calls`: what calls took and cost.

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;
use store::usage::Period;

use super::model::api::{Api, ServerArguments};
use super::output::{self, Format};
use super::{SettingsArguments, direct, prices};

/// `quartermaster usage`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Usage {
    #[command(subcommand)]
    command: Option<UsageCommand>,
    /// What to tell apart: configuration, role, model, key, day, provider, run
    #[arg(long, value_name = "LIST", default_value = "model")]
    group_by: String,
    #[command(flatten)]
    filter: Filter,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Debug, Subcommand)]
enum UsageCommand {
    /// Compute costs anew with the prices that hold, directly in the database
    Recompute(Recompute),
}

#[derive(Debug, Args)]
struct Recompute {
    /// From this time on, e.g. 2026-11-01 or 2026-11-01T12:00:00Z (UTC where no offset is said)
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    #[command(flatten)]
    settings: SettingsArguments,
}

/// `quartermaster calls`
#[derive(Debug, Args)]
pub(super) struct Calls {
    #[command(flatten)]
    filter: Filter,
    /// How many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArguments,
}

/// Which calls.
#[derive(Debug, Args)]
struct Filter {
    /// From this time on
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only of this run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Only with this model configuration
    #[arg(long, value_name = "ID")]
    configuration: Option<String>,
    /// Only by this API key
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// success, failed, client_closed or unsuccessful
    #[arg(long)]
    outcome: Option<String>,
}

impl Filter {
    fn query(&self, first: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(first);
        let members = [
            ("from_date", &self.from),
            ("to_date", &self.to),
            ("run_id", &self.run),
            ("model_configuration_id", &self.configuration),
            ("api_key_id", &self.key),
            ("outcome", &self.outcome),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

impl Usage {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        if let Some(UsageCommand::Recompute(command)) = self.command {
            return command.run().await;
        }
        let query = self.filter.query(&[("group_by", &self.group_by)]);
        let api = Api::new(&self.server)?;
        let report = api.get(&format!("/v1/usage?{query}")).await?;
        if self.output == Format::Json {
            return Ok(output::json(&report)?);
        }
        let items = report["items"]
            .as_array()
            .context("the answer has no items")?;
        // What was grouped by comes first in each item, up to `calls`.
        let groups: Vec<String> = items
            .first()
            .and_then(Value::as_object)
            .map(|item| {
                item.keys()
                    .take_while(|key| *key != "calls")
                    .cloned()
                    .collect()
            })
            .unwrap_or_default();
        let rows = items.iter().map(|item| {
            let group = groups.iter().map(|group| shown(&item[group.as_str()]));
            group.chain(sums(item)).collect()
        });
        let mut rows: Vec<Vec<String>> = rows.collect();
        let total = std::iter::once("total".to_owned());
        let blanks = groups.iter().skip(1).map(|_| String::new());
        rows.push(total.chain(blanks).chain(sums(&report["total"])).collect());
        let groups = if groups.is_empty() {
            vec![String::new()]
        } else {
            groups
        };
        let mut headings: Vec<&str> = groups.iter().map(String::as_str).collect();
        headings.extend(["calls", "input", "output", "cost usd", "unpriced"]);
        Ok(output::table(&headings, &rows)?)
    }
}

fn sums(item: &Value) -> Vec<String> {
    let tokens = &item["tokens"];
    let kinds = [
        "uncached_input",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
    ];
    let input: u64 = kinds.iter().filter_map(|kind| tokens[kind].as_u64()).sum();
    vec![
        shown(&item["calls"]),
        input.to_string(),
        shown(&tokens["output"]),
        shown(&item["cost_usd"]),
        if item["has_unpriced"] == true {
            "yes"
        } else {
            ""
        }
        .to_owned(),
    ]
}

impl Recompute {
    async fn run(self) -> anyhow::Result<()> {
        let database = direct::open(&self.settings).await?;
        let table = prices::current(&database).await?;
        let period = Period {
            from: self.from,
            to: self.to,
        };
        for organization in store::organizations::list(&database).await? {
            let id = organization.id;
            let found = store::usage::upkeep::recompute(&database, id, period, &table).await?;
            output::explain(&format!(
                "{}: {} attempts, {} cost something else now, {} micro-dollars in all; \
                 {} have no price",
                organization.name,
                found.attempts,
                found.changed,
                found.difference_micros,
                found.unpriced
            ));
        }
        Ok(())
    }
}

impl Calls {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let query = self.filter.query(&[("limit", &self.limit.to_string())]);
        let api = Api::new(&self.server)?;
        let page = api.get(&format!("/v1/calls?{query}")).await?;
        if self.output == Format::Json {
            return Ok(output::json(&page)?);
        }
        let items = page["items"]
            .as_array()
            .context("the answer has no items")?;
        let row = |call: &Value| {
            let attempts = call["attempts"].as_array().map_or(0, Vec::len);
            vec![
                shown(&call["started_at"]),
                shown(&call["request_id"]),
                shown(&call["model"]),
                shown(&call["outcome"]),
                shown(&call["status"]),
                attempts.to_string(),
                shown(&call["duration_ms"]),
                shown(&call["cost_micros"]),
            ]
        };
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        let headings = [
            "started at",
            "request",
            "model",
            "outcome",
            "status",
            "attempts",
            "ms",
            "micro-dollars",
        ];
        Ok(output::table(&headings, &rows)?)
    }
}

/// A time as `GET /v1/usage` takes one: with or without an offset, or a date alone.
fn time(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let civil: Option<DateTime> = text.parse().ok();
    let civil = civil.or_else(|| Some(text.parse::<Date>().ok()?.at(0, 0, 0, 0)));
    civil
        .and_then(|civil| TimeZone::UTC.to_timestamp(civil).ok())
        .ok_or_else(|| "neither a date (2026-11-01) nor a time (2026-11-01T12:00:00Z)".to_owned())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn a_date_is_its_midnight_in_utc() {
        let midnight = "2026-11-24T00:00:00Z".parse();
        for text in [
            "2026-11-24",
            "2026-11-24T00:00:00",
            "2026-11-24T01:00:00+01:00",
        ] {
            assert_eq!(time(text).ok(), midnight.as_ref().ok().copied(), "{text}");
        }
        assert!(time("yesterday").is_err());
    }
}
