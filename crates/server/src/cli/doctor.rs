//! `quartermaster doctor`: what may be wrong, and what to do about it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use domain::clock::Clock;
use jiff::Timestamp;
use providers::catalog;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

/// How long whoever has a listener's address may take to say who it is.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// How much of its answer is read.
const PROBE_BYTES: u64 = 16 * 1024;

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
        for listener in Listener::of(&settings) {
            report.add("address", &listener.check().await)?;
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

/// One address that the server answers on.
struct Listener {
    setting: &'static str,
    address: SocketAddr,
    /// What a running Quartermaster answers there without a key, and a part of it.
    probe: (&'static str, &'static str),
}

impl Listener {
    /// Those that the settings name.
    fn of(settings: &Settings) -> impl Iterator<Item = Self> {
        const LIVE: (&str, &str) = ("/health/live", "\"version\"");
        const METRICS: (&str, &str) = ("/metrics", "quartermaster_");
        let server = &settings.server;
        let listeners = [
            ("server.listen", Some(server.listen), LIVE),
            ("server.control_listen", server.control_listen, LIVE),
            ("server.metrics_listen", server.metrics_listen, METRICS),
        ];
        listeners
            .into_iter()
            .filter_map(|(setting, address, probe)| {
                Some(Self {
                    setting,
                    address: address?,
                    probe,
                })
            })
    }

    /// Free, or taken by a Quartermaster. Anything else keeps a server from starting.
    async fn check(&self) -> Finding {
        let Self {
            setting, address, ..
        } = self;
        match tokio::net::TcpListener::bind(address).await {
            Ok(_) => Good(format!("{address} is free ({setting})")),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if self.is_quartermaster().await {
                    return Good(format!("{address} is a running server's ({setting})"));
                }
                bad(
                    format!("{address} is taken by another program ({setting})"),
                    &format!("end it, or choose another {setting}"),
                )
            }
            Err(error) => bad(
                format!("{address}: {error}"),
                &format!("choose another {setting}"),
            ),
        }
    }

    async fn is_quartermaster(&self) -> bool {
        let (path, part) = self.probe;
        let asking = ask(self.address, path);
        let answered = tokio::time::timeout(PROBE_PATIENCE, asking).await;
        let Ok(Ok(answer)) = answered else {
            return false;
        };
        answer.starts_with("HTTP/1.1 200") && answer.contains(part)
    }
}

/// The answer to a GET without a key, as much of it as tells who answers.
async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(PROBE_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
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
        Err(error) if is_open_to_others(&settings.root_key_file()) => bad(
            &error,
            "the file itself need not be replaced: mend its owner and mode as said",
        ),
        Err(error) => bad(
            &error,
            "put the root key file back from your copy, readable by the server only",
        ),
    }
}

/// Whether it is a file's owner or mode that keeps it from being used.
fn is_open_to_others(file: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    std::fs::metadata(file).is_ok_and(|metadata| {
        let has_other_owner = metadata.uid() != user && metadata.uid() != 0;
        has_other_owner || metadata.mode() & 0o077 != 0
    })
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
