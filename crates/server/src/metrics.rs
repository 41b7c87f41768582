//! `/metrics`, in the OpenMetrics text format that Prometheus reads.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::api_key::{ApiKeyToken, Scope};
use gateway::snapshot::Snapshot;
use http::{HeaderMap, StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Gauges of the process itself.
#[derive(Clone, Default)]
pub struct ProcessMetrics {
    /// Open connections of clients.
    pub connections: Gauge,
    /// The revision of the change feed that calls are made at.
    pub snapshot_revision: Gauge,
}

impl ProcessMetrics {
    /// Makes and registers them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "quartermaster_connections",
            "Open connections of clients",
            metrics.connections.clone(),
        );
        registry.register(
            "quartermaster_snapshot_revision",
            "The revision of the change feed that calls are made at",
            metrics.snapshot_revision.clone(),
        );
        metrics
    }
}

/// Who may read the metrics.
#[derive(Clone)]
pub enum Audience {
    /// Everybody who reaches the listener, which is the metrics' own.
    Everybody,
    /// Keys with the scope `operator`.
    Operators,
}

#[derive(Clone)]
struct MetricsState {
    registry: Arc<Registry>,
    process: ProcessMetrics,
    snapshot: Arc<ArcSwap<Snapshot>>,
    audience: Audience,
}

/// `GET /metrics`.
pub fn router(
    registry: Arc<Registry>,
    process: ProcessMetrics,
    snapshot: Arc<ArcSwap<Snapshot>>,
    audience: Audience,
) -> Router {
    let state = MetricsState {
        registry,
        process,
        snapshot,
        audience,
    };
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(state)
}

async fn metrics(State(state): State<MetricsState>, headers: HeaderMap) -> Response {
    if let Audience::Operators = state.audience {
        match scope(&state, &headers) {
            None => return refusal(StatusCode::UNAUTHORIZED, "Not authenticated"),
            Some(false) => {
                return refusal(
                    StatusCode::FORBIDDEN,
                    "metrics need a key with scope `operator`",
                );
            }
            Some(true) => {}
        }
    }
    let revision = state.snapshot.load().revision();
    state.process.snapshot_revision.set(revision);
    let mut text = String::new();
    match encode(&mut text, &state.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether the presented key is an operator's; none where no valid key is presented.
/// It is looked up in the snapshot, so that metrics can be read during an outage.
fn scope(state: &MetricsState, headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let digest = ApiKeyToken::parse(token.trim()).ok()?.digest();
    let snapshot = state.snapshot.load();
    let caller = snapshot.caller(&digest)?;
    Some(caller.may(Scope::Operator))
}

fn refusal(status: StatusCode, detail: &str) -> Response {
    let body = axum::Json(serde_json::json!({"detail": detail}));
    let mut response = (status, body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = http::HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
