//! From settings to a running server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use control::state::{ControlParts, ControlState};
use domain::api_key::ApiKeyToken;
use gateway::limit::Limits;
use gateway::upstream::egress::EgressSettings;
use gateway::upstream::resolver::SystemResolver;
use gateway::{Dependencies, Gateway};
use prometheus_client::registry::Registry;
use store::Database;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;
use vault::VaultBackend;
use vault::backend::embedded::EmbeddedVault;

use crate::clock::{SystemClock, SystemEntropy};
use crate::freshness::{self, UnknownKeys};
use crate::http::panic;
use crate::metrics::{self, Audience, ProcessMetrics};
use crate::ports::{GatewayCheck, LoggedUsage, simulated_origin};
use crate::secrets::{SealedRows, Secrets};
use crate::settings::{Settings, seconds};
use crate::snapshots::Snapshots;
use crate::{bootstrap, database, platform_credentials, shutdown, system_defaults, vault_setup};

/// How long a replaced secret outlives its replacement, for calls under way.
const REPLACED_SECRET_GRACE: Duration = Duration::from_secs(600);

/// How long answers are kept for replays: longer than the day that clients are promised.
const IDEMPOTENT_ANSWERS_KEPT: Duration = Duration::from_secs(48 * 3600);

const REAP_EVERY: Duration = Duration::from_secs(600);

/// Everything a server is, before it listens.
pub struct Server {
    /// What answers on `server.listen`.
    pub main: Router,
    /// What answers on `server.control_listen`, where that is set.
    pub control: Option<Router>,
    /// What answers on `server.metrics_listen`, where that is set.
    pub metrics: Option<Router>,
    /// The gauges that listeners keep.
    pub process_metrics: ProcessMetrics,
    /// The first key, where this start made it: to be shown once.
    pub first_key: Option<ApiKeyToken>,
}

/// What a server runs on.
pub struct Runtime {
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
    /// Tasks that shutdown waits for.
    pub tasks: TaskTracker,
}

/// Opens database and vault and puts the server together; its background tasks begin.
///
/// # Errors
/// When settings, database or root key cannot be used.
pub async fn assemble(settings: &Settings, runtime: &Runtime) -> anyhow::Result<Server> {
    let defaults = system_defaults::wanted(settings)?;
    let platform = platform_credentials::load(settings)?;
    let platform_providers: BTreeSet<String> = platform.keys().cloned().collect();
    let chosen_key = bootstrap::chosen_key()?;
    let egress = egress(settings)?;

    let database = database::open(settings).await?;
    let vault = Arc::new(vault_setup::open(settings, &database).await?);
    let first_key =
        bootstrap::ensure_key(&database, chosen_key, &SystemClock, &SystemEntropy).await?;
    system_defaults::synchronize(&database, &defaults, &SystemClock, &SystemEntropy)
        .await
        .context("the system model configurations cannot be stored")?;
    let sealed = Arc::new(SealedRows::default());
    let snapshots = Snapshots::load(
        database.clone(),
        platform_providers.clone(),
        Arc::clone(&sealed),
    )
    .await?;
    let snapshots = Arc::new(snapshots);

    let mut registry = Registry::default();
    let process_metrics = ProcessMetrics::register(&mut registry);
    let gateway_metrics = gateway::metrics::Metrics::register(&mut registry);
    let control_metrics = control::metrics::Metrics::register(&mut registry);
    let gateway = Gateway::new(
        gateway::Settings {
            limits: limits(settings),
            egress,
        },
        Dependencies {
            snapshot: Arc::clone(snapshots.current()),
            secrets: Arc::new(Secrets::new(Arc::clone(&vault), sealed, platform)),
            usage: Arc::new(LoggedUsage),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            resolver: Arc::new(SystemResolver),
            in_process: simulated_origin(),
            tasks: runtime.tasks.clone(),
            shutdown: runtime.shutdown.clone(),
            metrics: gateway_metrics,
        },
    )?;
    let parts = ControlParts {
        database: database.clone(),
        vault: Arc::clone(&vault) as Arc<dyn VaultBackend>,
        root_keys: Arc::clone(vault.root_keys()),
        live_check: Arc::new(GatewayCheck(Arc::clone(&gateway))),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        platform_credentials: platform_providers,
        endpoint_policy: settings.endpoint_policy(),
        replaced_secret_grace: REPLACED_SECRET_GRACE,
        metrics: control_metrics.clone(),
    };
    begin_tasks(runtime, &database, &vault, &snapshots, control_metrics);

    let routers = Routers::new(gateway, ControlState::new(parts), &snapshots, runtime);
    let registry = Arc::new(registry);
    let metrics = |audience| {
        let snapshot = Arc::clone(snapshots.current());
        metrics::router(
            Arc::clone(&registry),
            process_metrics.clone(),
            snapshot,
            audience,
        )
    };
    let (control_plane, metrics) = match settings.server.metrics_listen {
        Some(_) => (routers.control_plane, Some(metrics(Audience::Everybody))),
        None => (
            routers.control_plane.merge(metrics(Audience::Operators)),
            None,
        ),
    };
    let (main, control) = match settings.server.control_listen {
        Some(_) => {
            let main = with_health_of(routers.data_plane, &control_plane);
            (main, Some(control_plane))
        }
        None => (routers.data_plane.merge(control_plane), None),
    };
    let caught = |router: Router| router.layer(from_fn(panic::caught));
    let (main, control) = (caught(main), control.map(caught));
    Ok(Server {
        main,
        control,
        metrics,
        process_metrics,
        first_key,
    })
}

/// The two planes, each with the layers that keep it fresh.
struct Routers {
    data_plane: Router,
    control_plane: Router,
}

impl Routers {
    fn new(
        gateway: Arc<Gateway>,
        state: ControlState,
        snapshots: &Arc<Snapshots>,
        runtime: &Runtime,
    ) -> Self {
        let (data_plane, data_plane_document) = gateway::router(gateway);
        let control_plane = control::router(state, data_plane_document);
        let unknown_keys = UnknownKeys::new(Arc::clone(snapshots));
        let readiness = runtime.shutdown.clone();
        Self {
            data_plane: data_plane.layer(from_fn_with_state(
                unknown_keys,
                freshness::before_unknown_keys,
            )),
            control_plane: control_plane
                .layer(from_fn_with_state(
                    Arc::clone(snapshots),
                    freshness::after_writes,
                ))
                .layer(from_fn_with_state(readiness, shutdown::unready)),
        }
    }
}

/// A data plane with a listener of its own answers load balancers there too.
fn with_health_of(data_plane: Router, control_plane: &Router) -> Router {
    let paths = [
        "/health",
        "/health/live",
        "/health/ready",
        "/health/db",
        "/v1/health",
        "/v1/health/db",
    ];
    paths.into_iter().fold(data_plane, |router, path| {
        let control_plane = control_plane.clone();
        router.route(
            path,
            get(move |request: Request| control_plane.oneshot(request)),
        )
    })
}

/// Tasks that run until shutdown.
fn begin_tasks(
    runtime: &Runtime,
    database: &Database,
    vault: &Arc<EmbeddedVault>,
    snapshots: &Arc<Snapshots>,
    metrics: control::metrics::Metrics,
) {
    let outbox = control::outbox::Outbox {
        database: database.clone(),
        vault: Arc::clone(vault) as Arc<dyn VaultBackend>,
        clock: Arc::new(SystemClock),
        metrics,
    };
    let snapshots = Arc::clone(snapshots);
    let database = database.clone();
    until_shutdown(runtime, async move { snapshots.follow().await });
    until_shutdown(runtime, control::outbox::run(outbox));
    until_shutdown(
        runtime,
        async move { reap_idempotent_answers(&database).await },
    );
}

fn until_shutdown(runtime: &Runtime, task: impl Future<Output = ()> + Send + 'static) {
    let shutdown = runtime.shutdown.clone();
    runtime.tasks.spawn(async move {
        shutdown.run_until_cancelled(task).await;
    });
}

async fn reap_idempotent_answers(database: &Database) {
    use domain::clock::Clock;
    loop {
        tokio::time::sleep(REAP_EVERY).await;
        let before = SystemClock.now() - IDEMPOTENT_ANSWERS_KEPT;
        match store::idempotency::reap(database, before).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old idempotent answers deleted"),
            Err(error) => tracing::debug!(%error, "old idempotent answers cannot be deleted now"),
        }
    }
}

fn egress(settings: &Settings) -> anyhow::Result<EgressSettings> {
    let file = settings.egress.extra_root_certificates.as_ref();
    let extra_root_certificates = file
        .map(|path| {
            std::fs::read(path)
                .with_context(|| format!("egress.extra_root_certificates: {}", path.display()))
        })
        .transpose()?;
    Ok(EgressSettings {
        allow_private_networks: settings.egress.allow_private_networks,
        connect_to: settings.egress.connect_to.clone(),
        extra_root_certificates,
    })
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        request_body_bytes: settings.limits.data_plane_body_bytes,
        connect: seconds(settings.limits.connect_seconds),
        idle: seconds(settings.limits.idle_seconds),
        call: seconds(settings.limits.call_seconds),
        ..Limits::default()
    }
}

/// The OpenAPI document of control plane and data plane.
#[must_use]
pub fn openapi() -> OpenApi {
    control::openapi(gateway::ingress::openapi())
}
