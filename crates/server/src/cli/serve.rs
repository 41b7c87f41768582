//! `quartermaster serve`: the server.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use domain::api_key::ApiKeyToken;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{SettingsArguments, output};
use crate::http::{ConnectionLimits, Listener};
use crate::settings::{self, Settings, seconds};
use crate::wiring::{self, Runtime, Server};
use crate::{shutdown, telemetry};

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
        let settings = settings::load(&source)?;
        telemetry::begin(settings.log.format);
        let runtime = Runtime {
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let server = wiring::assemble(&settings, &runtime).await?;
        let first_key = listen_on_all(&settings, &runtime, server).await?;
        if let Some((key, address)) = first_key {
            introduce(&key, address)?;
        }
        shutdown::signal().await?;
        tracing::info!("shutting down: calls under way may finish");
        runtime.shutdown.cancel();
        runtime.tasks.close();
        // The listeners keep to the limit; the rest ends at once.
        let limit = seconds(settings.server.shutdown_seconds) + Duration::from_secs(1);
        if tokio::time::timeout(limit, runtime.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some tasks did not end in time");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Takes the ports, then serves on all of them. Returns the first key and where it works.
async fn listen_on_all(
    settings: &Settings,
    runtime: &Runtime,
    server: Server,
) -> anyhow::Result<Option<(ApiKeyToken, SocketAddr)>> {
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
    let main = listener.bind(settings.server.listen).await?;
    let address = main.local_addr()?;
    let others = [
        (
            "control.address",
            settings.server.control_listen.zip(server.control),
        ),
        (
            "metrics.address",
            settings.server.metrics_listen.zip(server.metrics),
        ),
    ];
    let mut bound: Vec<(TcpListener, axum::Router)> = vec![(main, server.main)];
    for (name, wanted) in others {
        let Some((wanted, router)) = wanted else {
            continue;
        };
        let other = listener.bind(wanted).await?;
        tracing::info!(listener = name, address = %other.local_addr()?, "listening too");
        bound.push((other, router));
    }
    for (port, router) in bound {
        runtime.tasks.spawn(listener.clone().serve(port, router));
    }
    tracing::info!(server.address = %address, "listening");
    Ok(server.first_key.map(|key| (key, address)))
}

/// Shows the first key, the only time that it can be shown.
fn introduce(key: &ApiKeyToken, address: SocketAddr) -> std::io::Result<()> {
    let key = key.expose();
    output::result(&format!(
        "\
Quartermaster runs at http://{address}

Your first API key, shown only now:

    {key}

Try it; the built-in stand-in needs no provider's key:

curl http://{address}/v1/chat/completions -H \"Authorization: Bearer {key}\" \
         -H \"Content-Type: application/json\" \
         -d '{{\"model\": \"simulated\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}'
"
    ))
}
