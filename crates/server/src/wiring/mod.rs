//! From settings to a running server.
//!
//! * `foundation`: database, vault, first key, system defaults, snapshot.
//! * `reload`: settings that may change while the server runs.
//! * `routers`: which routes answer on which port.
//! * `tasks`: what runs beside the requests.

mod foundation;
mod reload;
mod routers;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use control::quota::Quota;
use control::state::{ControlParts, ControlState};
use domain::api_key::ApiKeyToken;
use gateway::limit::Limits;
use gateway::limit::budgets::Spending;
use gateway::upstream::egress::EgressSettings;
use gateway::upstream::resolver::SystemResolver;
use gateway::{CircuitBreakers, Dependencies, Gateway, StreamCommit};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::openapi::OpenApi;

use crate::clock::{SystemClock, SystemEntropy};
use crate::metrics::ProcessMetrics;
use crate::ports::{GatewayCheck, simulated_origin};
use crate::role_planner::SnapshotPlanner;
use crate::settings::{Settings, StreamCommitSetting, seconds};
use crate::traces;
use crate::usage::metrics::UsageMetrics;
use crate::usage::recorder::{self, Recorder, RecorderSettings};
use foundation::Foundation;
pub use reload::Reload;
use routers::{Planes, Routers};

/// How long a replaced secret outlives its replacement, for calls under way.
const REPLACED_SECRET_GRACE: Duration = Duration::from_secs(600);

/// Everything a server is, before it serves.
pub struct Server {
    /// What answers on `server.listen`.
    pub main: Router,
    /// What answers on `server.control_listen`, where that is set.
    pub control: Option<Router>,
    /// What answers on `server.metrics_listen`, where that is set.
    pub metrics: Option<Router>,
    /// The gauges that listeners keep.
    pub process_metrics: ProcessMetrics,
    /// Takes in settings that may change while it runs.
    pub reload: Reload,
    /// The first key, where this start made it: to be shown once.
    pub first_key: Option<ApiKeyToken>,
}

/// What a server runs on.
pub struct Runtime {
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
    /// Tasks that shutdown waits for.
    pub tasks: TaskTracker,
    /// Cancelled when no call is under way any more: what they left is written and sent.
    pub calls_are_over: CancellationToken,
    /// Tasks that take what calls leave; shutdown waits for them last.
    pub recorders: TaskTracker,
}

/// Opens database and vault and puts the server together; its background tasks begin.
///
/// # Errors
/// When settings, database or root key cannot be used.
pub async fn assemble(settings: &Settings, runtime: &Runtime) -> anyhow::Result<Server> {
    let gateway_settings = gateway_settings(settings)?;
    let foundation = Foundation::lay(settings).await?;

    let mut registry = Registry::default();
    let process_metrics = ProcessMetrics::register(&mut registry);
    let gateway_metrics = gateway::metrics::Metrics::register(&mut registry);
    let control_metrics = control::metrics::Metrics::register(&mut registry);

    let usage_metrics = UsageMetrics::register(&mut registry);
    let database = foundation.database.clone();
    let spending = Arc::<Spending>::default();
    let budgets = (
        Arc::clone(&spending),
        Arc::clone(foundation.snapshots.current()),
    );
    let recorder_settings = recorder_settings(settings);
    let (usage, mut storing) = recorder::new(database, recorder_settings, usage_metrics, budgets);
    storing
        .seed()
        .await
        .context("what was spent this month cannot be read")?;
    runtime
        .recorders
        .spawn(storing.run(runtime.calls_are_over.clone()));
    let mut dependencies = dependencies(runtime, &foundation, (usage, spending), gateway_metrics);
    if let Some((traces, sending)) = traces::from_settings(settings, &mut registry)? {
        runtime
            .recorders
            .spawn(sending.run(runtime.calls_are_over.clone()));
        dependencies.traces = Some(traces);
    }
    let gateway = Gateway::new(gateway_settings, dependencies)?;
    let parts = control_parts(settings, &foundation, &gateway, control_metrics.clone());
    tasks::begin(runtime, settings, &foundation, control_metrics);

    let snapshots = &foundation.snapshots;
    let reload = Reload::of(&foundation, &gateway);
    let planes = Planes::new(gateway, ControlState::new(parts), snapshots, runtime);
    let Routers {
        main,
        control,
        metrics,
    } = planes.spread(&settings.server, snapshots, registry, &process_metrics);
    Ok(Server {
        main,
        control,
        metrics,
        process_metrics,
        reload,
        first_key: foundation.first_key,
    })
}

/// The OpenAPI document of control plane and data plane.
#[must_use]
pub fn openapi() -> OpenApi {
    control::openapi(gateway::ingress::openapi())
}

fn dependencies(
    runtime: &Runtime,
    foundation: &Foundation,
    (usage, spending): (Arc<Recorder>, Arc<Spending>),
    metrics: gateway::metrics::Metrics,
) -> Dependencies {
    Dependencies {
        snapshot: Arc::clone(foundation.snapshots.current()),
        secrets: Arc::clone(&foundation.secrets) as _,
        traces: None,
        usage,
        prices: Arc::clone(foundation.prices.current()),
        spending,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        resolver: Arc::new(SystemResolver),
        in_process: simulated_origin(),
        tasks: runtime.tasks.clone(),
        shutdown: runtime.shutdown.clone(),
        metrics,
    }
}

fn control_parts(
    settings: &Settings,
    foundation: &Foundation,
    gateway: &Arc<Gateway>,
    metrics: control::metrics::Metrics,
) -> ControlParts {
    ControlParts {
        database: foundation.database.clone(),
        vault: Arc::clone(&foundation.vault) as _,
        root_keys: Arc::clone(foundation.vault.root_keys()),
        live_check: Arc::new(GatewayCheck(Arc::clone(gateway))),
        role_planner: Arc::new(SnapshotPlanner(Arc::clone(foundation.snapshots.current()))),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        platform_credentials: foundation.platform_providers.subscribe(),
        endpoint_policy: settings.endpoint_policy(),
        quota: Quota {
            rows: settings.limits.model_configurations_per_organization,
            bytes: settings.limits.configuration_bytes_per_organization,
        },
        replaced_secret_grace: REPLACED_SECRET_GRACE,
        metrics,
    }
}

fn recorder_settings(settings: &Settings) -> RecorderSettings {
    RecorderSettings {
        queue: settings.usage.queued_attempts,
        flush_every: seconds(settings.usage.flush_seconds),
    }
}

fn gateway_settings(settings: &Settings) -> anyhow::Result<gateway::Settings> {
    let file = settings.egress.extra_root_certificates.as_ref();
    let extra_root_certificates = file
        .map(|path| {
            std::fs::read(path)
                .with_context(|| format!("egress.extra_root_certificates: {}", path.display()))
        })
        .transpose()?;
    Ok(gateway::Settings {
        limits: Limits {
            request_body_bytes: settings.limits.data_plane_body_bytes,
            request_bodies_bytes: settings.limits.data_plane_bodies_bytes,
            answers_bytes: settings.limits.answers_bytes,
            connect: seconds(settings.limits.connect_seconds),
            idle: seconds(settings.limits.idle_seconds),
            call: seconds(settings.limits.call_seconds),
            api_key: settings.limits.api_key.into(),
            organization: settings.limits.organization.into(),
            ..Limits::default()
        },
        egress: EgressSettings {
            allow_private_networks: settings.egress.allow_private_networks,
            connect_to: settings.egress.connect_to.clone(),
            extra_root_certificates,
        },
        circuit_breakers: if settings.limits.circuit_breakers {
            CircuitBreakers::On
        } else {
            CircuitBreakers::Off
        },
        stream_commit: match settings.stream.commit {
            StreamCommitSetting::FirstByte => StreamCommit::FirstByte,
            StreamCommitSetting::FirstBlock => StreamCommit::FirstBlock,
        },
    })
}
