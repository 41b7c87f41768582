//! A limit in time for every handler, and an answer even where one panics: Cyberdesk's
//! SDK waits for ever, so that a server which says nothing hangs its caller.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use crate::error::ApiError;

/// How long a handler may take.
pub(crate) const HANDLER: Duration = Duration::from_secs(10);

pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let handler = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(HANDLER, handler).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            // The payload is not shown: it could hold anything.
            tracing::error!("a handler panicked");
            ApiError::internal().into_response()
        }
        Err(_) => {
            tracing::warn!("a handler took too long");
            ApiError::unavailable("This took too long; try again").into_response()
        }
    }
}
