//! Which routes answer on which port, and the layers around each plane.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Json, Router};
use control::state::ControlState;
use gateway::Gateway;
use http::StatusCode;
use prometheus_client::registry::Registry;
use tower::ServiceExt;

use super::Runtime;
use crate::freshness::{self, UnknownKeys};
use crate::http::panic;
use crate::metrics::{self, Audience, ProcessMetrics};
use crate::settings::ServerSettings;
use crate::shutdown;
use crate::snapshots::Snapshots;

/// The two planes, each with the layers that keep it fresh.
pub(super) struct Planes {
    data_plane: Router,
    control_plane: Router,
}

/// What answers on each port.
pub(super) struct Routers {
    pub(super) main: Router,
    pub(super) control: Option<Router>,
    pub(super) metrics: Option<Router>,
}

impl Planes {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        state: ControlState,
        snapshots: &Arc<Snapshots>,
        runtime: &Runtime,
    ) -> Self {
        let (data_plane, document) = gateway::router(gateway);
        let control_plane = control::router(state, document);
        let unknown_keys = UnknownKeys::new(Arc::clone(snapshots));
        let looked_up = from_fn_with_state(unknown_keys, freshness::before_unknown_keys);
        let caught_up = from_fn_with_state(Arc::clone(snapshots), freshness::after_writes);
        let unready = from_fn_with_state(runtime.shutdown.clone(), shutdown::unready);
        Self {
            data_plane: data_plane.layer(looked_up),
            control_plane: control_plane.layer(caught_up).layer(unready),
        }
    }

    /// Spreads them over the ports that the settings name.
    pub(super) fn spread(
        self,
        settings: &ServerSettings,
        snapshots: &Snapshots,
        registry: Registry,
        process_metrics: &ProcessMetrics,
    ) -> Routers {
        let metrics = |audience| {
            let snapshot = Arc::clone(snapshots.current());
            metrics::router(
                Arc::new(registry),
                process_metrics.clone(),
                snapshot,
                audience,
            )
        };
        let (control_plane, metrics) = if settings.metrics_listen.is_some() {
            (self.control_plane, Some(metrics(Audience::Everybody)))
        } else {
            let operators = metrics(Audience::Operators);
            (self.control_plane.merge(operators), None)
        };
        let (main, control) = if settings.control_listen.is_some() {
            let main = with_health_of(self.data_plane, &control_plane).fallback(elsewhere);
            (main, Some(control_plane))
        } else {
            (self.data_plane.merge(control_plane), None)
        };
        // Outermost, so that a panic in any other layer is caught too.
        let caught = |router: Router| router.layer(from_fn(panic::caught));
        Routers {
            main: caught(main),
            control: control.map(caught),
            metrics,
        }
    }
}

/// What a data plane with a port of its own says of every path that it does not serve.
async fn elsewhere() -> (StatusCode, Json<serde_json::Value>) {
    let detail = "Not Found: only the data plane answers here; the control plane has an address \
                  of its own (server.control_listen)";
    (
        StatusCode::NOT_FOUND,
        Json(serde_json::json!({"detail": detail})),
    )
}

/// A data plane with a port of its own answers load balancers there too.
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
        let forward = move |request: Request| control_plane.oneshot(request);
        router.route(path, get(forward))
    })
}
