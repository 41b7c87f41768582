//! When the process is to end, and what it says meanwhile.

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::signal::unix::{SignalKind, signal as on};
use tokio_util::sync::CancellationToken;

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be listened to.
pub async fn signal() -> std::io::Result<()> {
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Answers 503 on `/health/ready` once the process is to end, so that load balancers
/// send no more calls.
pub async fn unready(
    State(shutdown): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    if shutdown.is_cancelled() && request.uri().path() == "/health/ready" {
        let body = serde_json::json!({"status": "error", "detail": "shutting down"});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    }
    next.run(request).await
}
