//! `/v1/messages/count_tokens`: how many tokens a prompt has, by the provider's own count.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use providers::chat::WireFormat;
use serde_json::json;

use crate::attempt::{Call, count};
use crate::authenticate::authenticate;
use crate::error::CallError;
use crate::gateway::Gateway;
use crate::ingress::{answer, body};
use crate::limit::admit;
use crate::meter::{CallMeter, Outcome};
use crate::resolve::resolve;

const DIALECT: WireFormat = WireFormat::AnthropicMessages;

/// Count the tokens of a prompt
///
/// The selected configuration's provider counts: one that Anthropic's format, Gemini or
/// Amazon Bedrock is spoken to. There is no fallback, since others count otherwise, and
/// nothing is booked as usage; the call counts for the limits of requests.
#[utoipa::path(
    post,
    path = "/v1/messages/count_tokens",
    tag = "inference",
    operation_id = "count_message_tokens",
    request_body(
        content = Object,
        content_type = "application/json",
        description = "A request as for `/v1/messages`, see https://docs.anthropic.com/en/api/messages-count-tokens",
        example = json!({
            "model": "simulated",
            "messages": [{"role": "user", "content": "Hello!"}]
        })
    ),
    responses(
        (status = 200, content_type = "application/json", body = Object, description = "`{\"input_tokens\": …}`"),
        (status = 400, description = "The request is not valid, or the provider counts no tokens ahead of a call"),
        (status = 401, description = "The API key is missing or not valid"),
        (status = 403, description = "The API key lacks the scope `invoke`"),
        (status = 404, description = "No such model configuration, or the provider does not know the model"),
        (status = 413, description = "The request body is too large"),
        (status = 429, description = "A limit is used up, or the provider limits the rate; see `Retry-After`"),
        (status = 502, description = "The provider failed, or refused its key (`provider_authentication`)"),
        (status = 503, description = "The provider is overloaded; see `Retry-After`"),
        (status = 504, description = "The provider took too long"),
    ),
    security(("api_key" = ["invoke"]))
)]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut meter = CallMeter::begin(&gateway, DIALECT, &parts.headers);
    match counted(&gateway, &parts, body, &mut meter).await {
        Ok(tokens) => success(tokens, meter),
        Err(error) => answer::failure(DIALECT, error, meter),
    }
}

/// The stages of a call, but for a count in place of an answer.
async fn counted(
    gateway: &Gateway,
    parts: &Parts,
    body: Body,
    meter: &mut CallMeter,
) -> Result<u64, CallError> {
    let snapshot = gateway.snapshot.load_full();
    let caller = authenticate(gateway, &snapshot, parts)?;
    let headers = &parts.headers;
    meter.caller_is(&caller);
    let (body, _room) = body::read(headers, body, &gateway.limits, &gateway.body_room).await?;
    let envelope = body::scan(DIALECT, body)?;
    meter.request_is(&envelope);
    let plan = resolve(&snapshot, &caller, &envelope, headers, gateway.limits.call)?;
    let call = Call::new(envelope, headers, gateway)?;
    meter.admitted(admit(gateway, &snapshot, &caller, &call, &plan)?);
    meter.takes_no_tokens();
    let entry = plan.targets.first().ok_or_else(CallError::model_missing)?;
    meter.asks(entry);
    count(gateway, &call, caller.organization_id, entry, plan.deadline).await
}

fn success(tokens: u64, mut meter: CallMeter) -> Response<Body> {
    let mut response = Response::new(Body::from(json!({"input_tokens": tokens}).to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer::say_what_happened(DIALECT, &meter, headers);
    meter.call_ends(200, Outcome::Success);
    response
}
