//! A panic in a handler is that request's failure and nobody else's.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::StatusCode;

/// Answers 500 where a handler panics. The panic hook has logged the place; what the
/// panic said is dropped, since it may hold whatever the code was working on.
pub async fn caught(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| {
        let body = serde_json::json!({
            "detail": "internal error",
            "error": {"type": "server_error", "message": "internal error", "code": "internal_error"},
        });
        (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(body)).into_response()
    })
}
