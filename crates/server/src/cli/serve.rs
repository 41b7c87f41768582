//! `quartermaster serve`: the server.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use domain::api_key::ApiKeyToken;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{SettingsArguments, output};
use crate::http::{ConnectionLimits, Listener, bind, descriptors};
use crate::settings::{self, Settings, SettingsSource, seconds};
use crate::shutdown::{Hangups, Signals};
use crate::telemetry;
use crate::wiring::{self, Reload, Runtime, Server};

/// How long what the calls left may take to be written, after the last of them.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Run the server
#[derive(Debug, Args)]
#[command(after_help = "\
The first start with an empty database makes an API key and prints it, once, with a curl
line that works without any provider's key. SIGTERM or SIGINT ends the server; calls
under way may finish.

Examples:
  quartermaster serve
  quartermaster serve --listen 0.0.0.0:8700 --data-dir /var/lib/quartermaster
  QUARTERMASTER_DATABASE__URL=postgres://user@host/database quartermaster serve

Every setting, with its default and meaning, stands in config.default.toml.")]
pub(super) struct Serve {
    /// Where to answer HTTP [default: 127.0.0.1:8700]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut source = self.settings.source();
        let listen = self
            .listen
            .map(|address| ("server.listen", address.to_string()));
        source.flags.extend(listen);
        let mut settings = settings::load(&source)?;
        telemetry::begin(settings.log.format);
        settings::warn_of_stray_variables();
        let started_with = settings.clone();
        settings.server.max_connections = descriptors::affordable(settings.server.max_connections);
        let mut signals = Signals::listen()?;
        let hangups = Hangups::listen()?;
        // The ports come first: a first start that fails here has not made a key that
        // nobody gets to see.
        let ports = Ports::bind(&settings).await?;
        let runtime = Runtime {
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            calls_are_over: CancellationToken::new(),
            recorders: TaskTracker::new(),
        };
        let server = wiring::assemble(&settings, &runtime).await?;
        let addresses = ports.addresses()?;
        let first_key = server.first_key.clone();
        let reloads = reload_at(hangups, source, started_with, server.reload.clone());
        let shutdown = runtime.shutdown.clone();
        runtime.tasks.spawn(async move {
            shutdown.run_until_cancelled(reloads).await;
        });
        ports.serve(&settings, &runtime, server)?;
        if let Some(key) = first_key {
            output::result(&introduction(&key, &addresses, &settings))?;
        }
        signals.next().await;
        end(&settings, &runtime, &mut signals).await;
        Ok(())
    }
}

/// Reads the settings again at every SIGHUP. Those that cannot be used change nothing.
async fn reload_at(
    mut hangups: Hangups,
    source: SettingsSource,
    started_with: Settings,
    reload: Reload,
) {
    loop {
        hangups.next().await;
        let taken = match settings::load(&source) {
            Ok(settings) => reload.take_in(&settings).await.map(|()| settings),
            Err(error) => Err(error.into()),
        };
        match taken {
            Ok(settings) => {
                tracing::info!(
                    "settings read again: platform credentials, system model configurations, roles"
                );
                warn_of_waiting(&settings::waiting_for_restart(&started_with, &settings));
            }
            Err(error) => {
                tracing::error!("settings cannot be used, and nothing was changed: {error:#}");
            }
        }
    }
}

/// Says which settings were changed to no avail.
fn warn_of_waiting(settings: &[String]) {
    if !settings.is_empty() {
        tracing::warn!(
            settings.changed = settings.join(", "),
            "these settings changed too, and hold only from the next start on"
        );
    }
}

/// Every port that the settings name.
struct Ports {
    main: TcpListener,
    control: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Ports {
    async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let server = &settings.server;
        let main = bind(server.listen).await?;
        let control = match server.control_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let metrics = match server.metrics_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self {
            main,
            control,
            metrics,
        })
    }

    fn addresses(&self) -> std::io::Result<Addresses> {
        let control = self.control.as_ref().map(TcpListener::local_addr);
        Ok(Addresses {
            main: self.main.local_addr()?,
            control: control.transpose()?,
        })
    }

    /// Begins to serve on all of them.
    fn serve(self, settings: &Settings, runtime: &Runtime, server: Server) -> anyhow::Result<()> {
        let limits = ConnectionLimits {
            connections: settings.server.max_connections,
            header_read: seconds(settings.server.header_read_seconds),
            header_bytes: settings.server.header_bytes,
            shutdown: seconds(settings.server.shutdown_seconds),
        };
        let listener = Listener::new(
            limits,
            runtime.shutdown.clone(),
            runtime.tasks.clone(),
            server.process_metrics.connections.clone(),
        );
        let others = [
            ("control.address", self.control.zip(server.control)),
            ("metrics.address", self.metrics.zip(server.metrics)),
        ];
        for (name, other) in others {
            let Some((port, router)) = other else {
                continue;
            };
            tracing::info!(listener = name, address = %port.local_addr()?, "listening too");
            runtime.tasks.spawn(listener.clone().serve(port, router));
        }
        tracing::info!(server.address = %self.main.local_addr()?, "listening");
        runtime.tasks.spawn(listener.serve(self.main, server.main));
        Ok(())
    }
}

/// Lets calls under way finish. A second signal ends the process at once.
async fn end(settings: &Settings, runtime: &Runtime, signals: &mut Signals) {
    tracing::info!("shutting down: calls under way may finish");
    runtime.shutdown.cancel();
    runtime.tasks.close();
    // The listeners keep to the limit; everything else ends at once.
    let limit = seconds(settings.server.shutdown_seconds) + Duration::from_secs(1);
    tokio::select! {
        () = runtime.tasks.wait() => {}
        () = tokio::time::sleep(limit) => tracing::warn!("some tasks did not end in time"),
        () = signals.next() => tracing::warn!("a second signal: calls under way are cut off"),
    }
    runtime.calls_are_over.cancel();
    runtime.recorders.close();
    if tokio::time::timeout(LAST_WRITES, runtime.recorders.wait())
        .await
        .is_err()
    {
        tracing::warn!("not everything that calls left could be written in time");
    }
    tracing::info!("stopped");
}

/// Where the two planes answer; one place where `control` is none.
struct Addresses {
    main: SocketAddr,
    control: Option<SocketAddr>,
}

/// Shows the first key, the only time that it can be shown, and what to do with it.
fn introduction(key: &ApiKeyToken, addresses: &Addresses, settings: &Settings) -> String {
    let key = key.expose();
    let Addresses { main, control } = addresses;
    let elsewhere = control
        .map(|address| format!("; its control plane at http://{address}"))
        .unwrap_or_default();
    let next = first_step(key, addresses, settings);
    format!(
        "\
Quartermaster runs at http://{main}{elsewhere}

Your first API key, shown only now:

    {key}

{next}
"
    )
}

/// One line that works. The stand-in is there unless the settings replace the system
/// defaults.
fn first_step(key: &str, addresses: &Addresses, settings: &Settings) -> String {
    let stand_in = settings
        .system_model_configurations
        .iter()
        .find(|row| row.provider == "simulated");
    if let Some(row) = stand_in {
        let body = serde_json::json!({
            "model": row.name,
            "messages": [{"role": "user", "content": "Hello!"}],
        });
        let address = addresses.main;
        // The shell ends the text at a quotation mark, wherever it stands.
        let body = body.to_string().replace('\'', r"'\''");
        return format!(
            "Try it; the built-in stand-in needs no provider's key:\n\n\
             curl http://{address}/v1/chat/completions -H \"Authorization: Bearer {key}\" \
             -H \"Content-Type: application/json\" -d '{body}'"
        );
    }
    let address = addresses.control.unwrap_or(addresses.main);
    format!(
        "See what there is to call:\n\n\
         curl http://{address}/v1/model-configurations -H \"Authorization: Bearer {key}\""
    )
}
