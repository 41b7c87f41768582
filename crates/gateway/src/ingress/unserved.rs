//! Paths and methods of the official clients that are not served, and what to do
//! instead. Without these, a client shows a bare 404 and nobody learns why.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::any;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Response, Uri};
use providers::chat::WireFormat;

use crate::error::CallError;
use crate::gateway::Gateway;
use crate::ingress::answer::insert_request_id;
use crate::meter::request_id;

use WireFormat::{AnthropicMessages, OpenAiChat, OpenAiResponses};

const NO_VERSION: &str =
    "The client's base URL lacks `/v1` at its end: OpenAI's clients want one that ends with it.";
const TWO_VERSIONS: &str = "The client's base URL has `/v1` at its end, and Anthropic's clients \
                            add it themselves: leave it out.";

/// The path, who asks for it, and what to tell them.
const UNSERVED: [(&str, WireFormat, &str); 10] = [
    (
        "/v1/responses/{id}",
        OpenAiResponses,
        "No answers are kept here that could be asked for again. Read the answer of \
         POST /v1/responses, or its stream.",
    ),
    (
        "/v1/conversations",
        OpenAiResponses,
        "No conversations are kept here. Send the whole conversation as the `input` of \
         POST /v1/responses.",
    ),
    (
        "/v1/completions",
        OpenAiChat,
        "OpenAI's older completions are not served. Use POST /v1/chat/completions.",
    ),
    (
        "/v1/embeddings",
        OpenAiChat,
        "Embeddings are not served; model configurations are for chat models.",
    ),
    ("/chat/completions", OpenAiChat, NO_VERSION),
    ("/responses", OpenAiChat, NO_VERSION),
    ("/models", OpenAiChat, NO_VERSION),
    (
        "/v1/messages/batches",
        AnthropicMessages,
        "Batches are not served. Send each call to POST /v1/messages.",
    ),
    ("/v1/v1/messages", AnthropicMessages, TWO_VERSIONS),
    ("/v1/v1/models", AnthropicMessages, TWO_VERSIONS),
];

/// Answers each of them with a 404 that teaches.
pub(super) fn router(gateway: Arc<Gateway>) -> Router {
    UNSERVED
        .iter()
        .fold(Router::new(), |router, (path, dialect, advice)| {
            let answer = async move |State(gateway): State<Arc<Gateway>>, headers: HeaderMap| {
                refuse(&gateway, *dialect, &headers, CallError::not_served(advice))
            };
            router.route(path, any(answer))
        })
        .with_state(gateway)
}

/// An answer without a call still has an id, by which it can be asked about.
fn refuse(
    gateway: &Gateway,
    dialect: WireFormat,
    headers: &HeaderMap,
    error: CallError,
) -> Response<Body> {
    let id = request_id(gateway, headers);
    let mut response = error.into_response(dialect, &id);
    insert_request_id(dialect, &id, response.headers_mut());
    response
}

/// A path that is served, but not with this method.
pub(super) async fn wrong_method(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let path = uri.path();
    let method = if path.starts_with("/v1/models") {
        "GET"
    } else {
        "POST"
    };
    let dialect = match path {
        "/v1/messages" | "/v1/messages/count_tokens" => AnthropicMessages,
        "/v1/responses" => OpenAiResponses,
        _ => OpenAiChat,
    };
    let error = CallError::wrong_method(path, method);
    let mut response = refuse(&gateway, dialect, &headers, error);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(method));
    response
}
