//! `quartermaster prices`: what tokens cost, directly in the database.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use domain::clock::Clock;
use domain::price::PriceTable;
use serde_json::json;

use super::output::{self, Format};
use super::{SettingsArguments, direct};
use crate::clock::SystemClock;
use crate::database;
use crate::usage::prices;

#[derive(Debug, Subcommand)]
pub(super) enum Prices {
    /// Show the price list that holds
    List(List),
    /// Say whether a price list can be used, and change nothing
    Check(Check),
    /// Replace the price list, on all servers
    #[command(after_help = "\
The list that the program comes with is crates/server/prices.toml. What was booked before
keeps its price; `quartermaster usage recompute` sets it right.

Examples:
  quartermaster prices check prices.toml
  quartermaster prices update prices.toml")]
    Update(Update),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    settings: SettingsArguments,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// A price list (TOML)
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    /// A price list (TOML)
    file: PathBuf,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl Prices {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(command) => command.run().await,
            Self::Check(command) => command.run(),
            Self::Update(command) => command.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let table = match database::open_existing(&self.settings.load()?).await? {
            Some(database) => current(&database).await?,
            // Without a database, what a new one begins with.
            None => prices::parse(prices::BUILT_IN)?,
        };
        let list = table.list();
        match self.output {
            Format::Json => output::json(&serde_json::to_value(list)?)?,
            Format::Table => {
                let cells = |price: &domain::price::Price| {
                    let rates = price.rates;
                    let optional = |rate: Option<u64>| rate.map_or_else(String::new, dollars);
                    vec![
                        price.provider.clone(),
                        price.models.join(" "),
                        price.service_tier.clone().unwrap_or_default(),
                        dollars(rates.input),
                        optional(rates.cache_read),
                        optional(rates.cache_write_5m),
                        optional(rates.cache_write_1h),
                        dollars(rates.output),
                        price.date.to_string(),
                    ]
                };
                let rows: Vec<Vec<String>> = list.prices.iter().map(cells).collect();
                let headings = [
                    "provider",
                    "models",
                    "tier",
                    "input",
                    "cache read",
                    "write 5m",
                    "write 1h",
                    "output",
                    "date",
                ];
                output::explain("US dollars for a million tokens");
                output::table(&headings, &rows)?;
            }
        }
        Ok(())
    }
}

impl Check {
    fn run(&self) -> anyhow::Result<()> {
        let table = read(&self.file)?;
        output::explain(&format!("{} prices, all sound", table.list().prices.len()));
        Ok(())
    }
}

impl Update {
    async fn run(self) -> anyhow::Result<()> {
        let table = read(&self.file)?;
        let count = table.list().prices.len();
        let database = direct::open_or_make(&self.settings).await?;
        let mut transaction = database.write().await?;
        store::prices::put(&mut transaction, table.list(), SystemClock.now()).await?;
        transaction.commit().await?;
        direct::note(
            &database,
            "prices.update",
            "prices",
            json!({"prices": count}),
        )
        .await?;
        output::explain(&format!("{count} prices hold from now on"));
        Ok(())
    }
}

/// The table that holds.
pub(super) async fn current(database: &store::Database) -> anyhow::Result<PriceTable> {
    let stored = store::prices::get(database).await?;
    Ok(match stored {
        Some((list, _)) => PriceTable::new(list)?,
        None => prices::parse(prices::BUILT_IN)?,
    })
}

fn read(file: &PathBuf) -> anyhow::Result<PriceTable> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    prices::parse(&text).with_context(|| file.display().to_string())
}

/// Micro-dollars as dollars, exactly.
pub(super) fn dollars(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let shortest = text.trim_end_matches('0');
    let (whole, fraction) = shortest.split_once('.').unwrap_or((shortest, ""));
    format!("{whole}.{fraction:0<2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact_with_two_digits_at_least() {
        assert_eq!(dollars(3_000_000), "3.00");
        assert_eq!(dollars(37_500), "0.0375");
        assert_eq!(dollars(1_250_000), "1.25");
    }
}
