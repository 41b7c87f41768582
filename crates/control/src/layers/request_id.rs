//! `X-Request-Id`: accepted where it is well-formed, made otherwise, always given back.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use domain::clock::time_ordered_id;
use http::{HeaderName, HeaderValue};

use crate::state::ControlState;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters in an id that a client chose, at most.
const MAXIMUM_LENGTH: usize = 128;

/// The id of a request, as an extension of it.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

pub(crate) async fn layer(
    State(state): State<ControlState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request
        .headers()
        .get(X_REQUEST_ID)
        .and_then(accepted)
        .unwrap_or_else(|| time_ordered_id(state.clock(), state.entropy()).to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

/// The id of a client, if it cannot be mistaken for anything else in a log.
fn accepted(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let well_formed = (1..=MAXIMUM_LENGTH).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    well_formed.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_accepted() {
        for (text, expected) in [
            ("req-1_A.b", true),
            ("", false),
            ("a b", false),
            ("a=b level=error", false),
            (&"x".repeat(129), false),
        ] {
            let value = HeaderValue::from_str(text).unwrap();
            assert_eq!(accepted(&value).is_some(), expected, "{text}");
        }
    }
}
