//! Where calls come in: routes, bodies, and answers in the client's dialect.

pub(crate) mod answer;
pub(crate) mod body;
mod count_tokens;
mod document;
mod models;
mod unserved;
pub mod write_deadline;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Request, Response};
use providers::chat::WireFormat;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::gateway::Gateway;
use crate::serve::serve;
use document::{CallFailures, CallHeaders};

/// Every route of the data plane, and its OpenAPI operations.
pub fn router(gateway: Arc<Gateway>) -> (axum::Router, utoipa::openapi::OpenApi) {
    let (served, document) = routes().split_for_parts();
    let router = served
        .method_not_allowed_fallback(unserved::wrong_method)
        .with_state(Arc::clone(&gateway))
        .merge(unserved::router(gateway));
    (router, document)
}

/// The OpenAPI operations alone, for who has no gateway.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(chat_completions))
        .routes(routes!(responses))
        .routes(routes!(messages))
        .routes(routes!(count_tokens::create))
        .routes(routes!(models::list))
        .routes(routes!(models::get))
}

/// Call a model in OpenAI's chat-completions format
///
/// `model` is the id or the exact name of a model configuration; `models` lists, in
/// order, the configurations to fall back to. All other members are OpenAI's, and win
/// over what the configuration sets. With `"stream": true` the answer is a stream of
/// server-sent events.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    tag = "inference",
    operation_id = "create_chat_completion",
    request_body(
        content = Object,
        content_type = "application/json",
        description = "A chat-completions request, see https://platform.openai.com/docs/api-reference/chat/create",
        example = json!({
            "model": "simulated",
            "messages": [{"role": "user", "content": "Hello!"}]
        })
    ),
    params(CallHeaders),
    responses(
        (status = 200, content_type = "application/json", body = Object, description = "OpenAI's chat completion, or a stream of `text/event-stream`"),
        CallFailures,
    ),
    security(("api_key" = ["invoke"]))
)]
async fn chat_completions(
    State(gateway): State<Arc<Gateway>>,
    request: Request<Body>,
) -> Response<Body> {
    serve(&gateway, WireFormat::OpenAiChat, request).await
}

/// Call a model in the format of OpenAI's Responses API
///
/// `model` is the id or the exact name of a model configuration; `models` lists, in
/// order, the configurations to fall back to. All other members are OpenAI's, and win
/// over what the configuration sets. With `"stream": true` the answer is a stream of
/// server-sent events. No answers are kept: `previous_response_id`, `conversation`,
/// `prompt`, `"background": true` and `"store": true` are refused.
#[utoipa::path(
    post,
    path = "/v1/responses",
    tag = "inference",
    operation_id = "create_response",
    request_body(
        content = Object,
        content_type = "application/json",
        description = "A request of the Responses API, see https://platform.openai.com/docs/api-reference/responses/create",
        example = json!({
            "model": "simulated",
            "input": "Hello!"
        })
    ),
    params(CallHeaders),
    responses(
        (status = 200, content_type = "application/json", body = Object, description = "OpenAI's response, or a stream of `text/event-stream`"),
        CallFailures,
    ),
    security(("api_key" = ["invoke"]))
)]
async fn responses(State(gateway): State<Arc<Gateway>>, request: Request<Body>) -> Response<Body> {
    serve(&gateway, WireFormat::OpenAiResponses, request).await
}

/// Call a model in Anthropic's messages format
///
/// `model` is the id or the exact name of a model configuration; `models` lists, in
/// order, the configurations to fall back to. All other members are Anthropic's, and win
/// over what the configuration sets. With `"stream": true` the answer is a stream of
/// server-sent events. The key may also be sent as `x-api-key`.
#[utoipa::path(
    post,
    path = "/v1/messages",
    tag = "inference",
    operation_id = "create_message",
    request_body(
        content = Object,
        content_type = "application/json",
        description = "A messages request, see https://docs.anthropic.com/en/api/messages",
        example = json!({
            "model": "simulated",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": "Hello!"}]
        })
    ),
    params(CallHeaders),
    responses(
        (status = 200, content_type = "application/json", body = Object, description = "Anthropic's message, or a stream of `text/event-stream`"),
        CallFailures,
    ),
    security(("api_key" = ["invoke"]))
)]
async fn messages(State(gateway): State<Arc<Gateway>>, request: Request<Body>) -> Response<Body> {
    serve(&gateway, WireFormat::AnthropicMessages, request).await
}
