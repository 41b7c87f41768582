//! One `Host`, as RFC 9112 (section 3.2) asks of HTTP/1.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::HOST;
use http::{StatusCode, Version};

/// Answers 400 where `Host` is missing or comes twice. Nothing here goes by it, but
/// whatever stands in front of this server may: where the two read different hosts out of
/// one request, somebody else's rules are got around.
pub async fn checked(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(HOST).iter().count();
    let is_fine = match request.version() {
        Version::HTTP_11 => hosts == 1,
        // HTTP/1.0 did not have it, and HTTP/2 says it in another way.
        _ => hosts <= 1,
    };
    if is_fine {
        return next.run(request).await;
    }
    let body = serde_json::json!({"detail": "The Host header must be given once"});
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}
