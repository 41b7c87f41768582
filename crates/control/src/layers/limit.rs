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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use http::StatusCode;
    use http::header::RETRY_AFTER;
    use tower::ServiceExt;

    use super::*;

    async fn answer(path: &str) -> Response {
        let router = Router::new()
            .route("/hangs", get(std::future::pending::<()>))
            .route("/panics", get(|| async { panic!("sk-canary") as () }))
            .layer(from_fn(layer));
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_is_a_503() {
        let response = answer("/hangs").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(RETRY_AFTER));
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_a_500_that_says_nothing() {
        let response = answer("/panics").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 1000)
            .await
            .unwrap();
        assert_eq!(&body[..], br#"{"detail":"Internal Server Error"}"#);
    }
}
