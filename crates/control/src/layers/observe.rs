//! Counts and logs requests, by route rather than by path.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::layers::request_id::RequestId;
use crate::state::ControlState;

pub(crate) async fn layer(
    State(state): State<ControlState>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let method = request.method().as_str().to_owned();
    let id = request.extensions().get::<RequestId>();
    let span = tracing::info_span!(
        "control",
        http.request.method = %method,
        http.route = %route,
        request.id = id.map_or("", |id| id.0.as_str()),
    );
    let began = tokio::time::Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let took = began.elapsed();
    let status = response.status().as_u16();
    span.in_scope(|| {
        tracing::debug!(
            http.response.status_code = status,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "answered"
        );
    });
    state
        .metrics()
        .count_request(&route, known_method(&method), status, took);
    response
}

/// Methods are the client's to invent; labels are not.
fn known_method(method: &str) -> &str {
    match method {
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" => method,
        _ => "other",
    }
}
