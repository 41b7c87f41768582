//! `quartermaster doctor`: what may be wrong, and what to do about it.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use domain::clock::Clock;
use jiff::Timestamp;
use providers::catalog;

use super::{SettingsArguments, output};
use crate::clock::SystemClock;
use crate::database::Looseness;
use crate::platform_credentials::PlatformCredentials;
use crate::settings::Settings;
use crate::{database, system_defaults, vault_setup};

/// Check settings, database, vault, clock and the way out
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 0 means that all is well; 1 that something is not, with advice beside it.

Examples:
  quartermaster doctor
  quartermaster doctor --config /etc/quartermaster/config.toml --offline")]
pub(super) struct Doctor {
    /// Make no connection to a provider
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    settings: SettingsArguments,
}

/// What one check found.
enum Finding {
    Good(String),
    /// Something is wrong; and what to do.
    Bad(String, String),
}

use Finding::{Bad, Good};

fn bad(what: impl std::fmt::Display, advice: &str) -> Finding {
    Bad(what.to_string(), advice.to_owned())
}

impl Doctor {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut report = Report::default();
        let settings = match self.settings.load() {
            Ok(settings) => settings,
            Err(error) => {
                report.add(
                    "settings",
                    &bad(&error, "config.default.toml lists every key"),
                )?;
                return report.end();
            }
        };
        report.add("settings", &check_settings(&settings))?;
        let server = &settings.server;
        let listeners = [
            ("server.listen", Some(server.listen)),
            ("server.control_listen", server.control_listen),
            ("server.metrics_listen", server.metrics_listen),
        ];
        for (setting, address) in listeners {
            if let Some(address) = address {
                report.add("address", &check_address(setting, address).await)?;
            }
        }
        report.add("data", &check_data_dir(&settings))?;
        report.add("clock", &check_clock())?;
        match database::open_existing(&settings).await {
            Err(error) => {
                let advice = "is it running, and is database.url right?";
                report.add("database", &bad(format!("{error:#}"), advice))?;
            }
            Ok(None) => report.add(
                "database",
                &Good("none yet; `quartermaster serve` makes it".to_owned()),
            )?,
            Ok(Some(database)) => {
                report.add("database", &check_database(&database).await)?;
                report.add("rows", &check_rows(&database).await)?;
                report.add("vault", &check_vault(&settings, &database).await)?;
            }
        }
        if !self.offline {
            report.add("egress", &check_egress(&settings).await)?;
        }
        report.end()
    }
}

#[derive(Default)]
struct Report {
    bad: usize,
}

impl Report {
    fn add(&mut self, name: &str, finding: &Finding) -> std::io::Result<()> {
        match finding {
            Good(what) => output::result(&format!("ok    {name:<9} {what}")),
            Bad(what, advice) => {
                self.bad += 1;
                output::result(&format!("FAIL  {name:<9} {what}\n      {:<9} {advice}", ""))
            }
        }
    }

    fn end(self) -> anyhow::Result<()> {
        match self.bad {
            0 => Ok(()),
            1 => anyhow::bail!("one check failed"),
            many => anyhow::bail!("{many} checks failed"),
        }
    }
}

fn check_settings(settings: &Settings) -> Finding {
    let defaults = match system_defaults::wanted(settings) {
        Ok(defaults) => defaults.configurations.len(),
        Err(error) => return bad(&error, "see [[system_model_configurations]]"),
    };
    match PlatformCredentials::load(settings) {
        Ok(credentials) => Good(format!(
            "system model configurations: {defaults}, platform credentials: {}",
            credentials.count()
        )),
        Err(error) => bad(&error, "see [platform_credentials]"),
    }
}

async fn check_address(setting: &str, address: SocketAddr) -> Finding {
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Good(format!("{address} is free ({setting})")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Good(format!(
            "{address} is taken, by a running server or another program ({setting})"
        )),
        Err(error) => bad(
            format!("{address}: {error}"),
            &format!("choose another {setting}"),
        ),
    }
}

fn check_data_dir(settings: &Settings) -> Finding {
    let path = &settings.server.data_dir;
    let shown = path.display();
    match database::looseness(path) {
        None if !path.exists() => Good(format!("{shown} is made at the first start")),
        None => Good(format!("{shown} is this user's alone")),
        Some(Looseness::Readable) => Good(format!("{shown} can be read by other users")),
        Some(Looseness::Writable) => bad(
            format!("{shown} can be changed by other users"),
            &format!("run `chmod 700 {shown}`"),
        ),
    }
}

/// A clock that is years off breaks TLS and retention; nothing smaller shows without a network.
fn check_clock() -> Finding {
    let now = SystemClock.now();
    let built_after: Timestamp = Timestamp::constant(1_767_225_600, 0);
    if now < built_after {
        let advice = "set the clock (timedatectl set-ntp true)";
        return bad(format!("{now} is before this program was made"), advice);
    }
    Good(format!("{now:.0}"))
}

async fn check_database(database: &store::Database) -> Finding {
    match database.ping().await {
        Ok(()) => Good("answers, and its schema is current".to_owned()),
        Err(error) => bad(&error, "is it running, and is database.url right?"),
    }
}

/// Rows that cannot be read do not stop a server, and their owners see only that they
/// cannot be called.
async fn check_rows(database: &store::Database) -> Finding {
    let mut pages = store::model_configurations::everything(database);
    let (mut readable, mut unreadable) = (0_usize, Vec::new());
    loop {
        match pages.next_page().await {
            Ok(Some(page)) => {
                for row in page {
                    match row {
                        Ok(_) => readable += 1,
                        Err(row) => unreadable.push(row.id.to_string()),
                    }
                }
            }
            Ok(None) => break,
            Err(error) => return bad(&error, "is it running, and is database.url right?"),
        }
    }
    if unreadable.is_empty() {
        return Good(format!("model configurations that can be read: {readable}"));
    }
    bad(
        format!(
            "model configurations that cannot be read: {}",
            unreadable.join(", ")
        ),
        "a newer version may have written them, or they are damaged: restore or delete them",
    )
}

async fn check_vault(settings: &Settings, database: &store::Database) -> Finding {
    match vault_setup::check(settings, database).await {
        Ok(what) => Good(what),
        Err(error) => bad(
            &error,
            "put the root key file back from your copy, readable by the server only",
        ),
    }
}

/// Whether the first provider that is called over the internet can be reached.
async fn check_egress(settings: &Settings) -> Finding {
    let used = settings
        .system_model_configurations
        .iter()
        .map(|entry| entry.provider.as_str());
    let url = used
        .chain(["openai"])
        .filter_map(catalog::provider)
        .map(|provider| provider.base_url.as_str())
        // The host of an address with variables depends on the configuration.
        .find(|url| url.starts_with("https://") && !url.contains('{'));
    let Some(host) = url.and_then(|url| url.strip_prefix("https://")?.split('/').next()) else {
        return Good("no provider on the internet is configured".to_owned());
    };
    let place = format!("{host}:443");
    let place = settings.egress.connect_to.get(&place).unwrap_or(&place);
    let connecting = tokio::net::TcpStream::connect(place.as_str());
    match tokio::time::timeout(Duration::from_secs(5), connecting).await {
        Ok(Ok(_)) => Good(format!("{place} can be reached")),
        Ok(Err(error)) => bad(
            format!("{place}: {error}"),
            "check name resolution and firewall; --offline leaves this out",
        ),
        Err(_) => bad(
            format!("{place} does not answer"),
            "check the firewall; --offline leaves this out",
        ),
    }
}
