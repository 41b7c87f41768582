//! `/v1/models`: what the caller may select, in OpenAI's or Anthropic's shape.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use domain::agent_role::AgentRole;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response};
use providers::chat::WireFormat;
use serde_json::{Value, json};

use crate::authenticate::authenticate;
use crate::error::CallError;
use crate::gateway::Gateway;
use crate::ingress::answer::insert_request_id;
use crate::meter::request_id;
use crate::resolve::{ROLE_PREFIX, select};
use crate::snapshot::Entry;

/// List what can be called
///
/// Everything that the key may select: the organisation's own model configurations, then
/// the system defaults, then `role:<name>` for every agent role that has one. In OpenAI's shape; in Anthropic's where the request carries
/// `anthropic-version`.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "inference",
    operation_id = "list_models",
    responses(
        (status = 200, content_type = "application/json", body = Object, description = "A list of models"),
        (status = 401, description = "The API key is missing or not valid"),
    ),
    security(("api_key" = ["invoke"]))
)]
pub(super) async fn list(State(gateway): State<Arc<Gateway>>, parts: Parts) -> Response<Body> {
    let dialect = dialect(&parts.headers);
    let snapshot = gateway.snapshot.load_full();
    let listed = authenticate(&gateway, &snapshot, &parts).map(|caller| {
        let organization_id = caller.organization_id;
        let named = snapshot.selectable(organization_id);
        let named = named.map(|entry| model(dialect, entry.name(), entry));
        let roles = AgentRole::ALL.into_iter().filter_map(|role| {
            let entry = snapshot.role(organization_id, role).entry?;
            Some(model(dialect, &format!("{ROLE_PREFIX}{role}"), entry))
        });
        let models: Vec<Value> = named.chain(roles).collect();
        model_list(dialect, &models)
    });
    answer(&gateway, dialect, &parts.headers, listed)
}

/// Look up one thing that can be called
#[utoipa::path(
    get,
    path = "/v1/models/{model}",
    tag = "inference",
    operation_id = "get_model",
    params(("model" = String, Path, description = "Id or exact name of a model configuration, or `role:<agent role>`")),
    responses(
        (status = 200, content_type = "application/json", body = Object, description = "The model"),
        (status = 401, description = "The API key is missing or not valid"),
        (status = 404, description = "No such model configuration"),
    ),
    security(("api_key" = ["invoke"]))
)]
pub(super) async fn get(
    State(gateway): State<Arc<Gateway>>,
    Path(selector): Path<String>,
    parts: Parts,
) -> Response<Body> {
    let dialect = dialect(&parts.headers);
    let snapshot = gateway.snapshot.load_full();
    let found = authenticate(&gateway, &snapshot, &parts).and_then(|caller| {
        let selected = select(&snapshot, caller.organization_id, "model", &selector)?;
        let id = match selected.role {
            Some(_) => selector.as_str(),
            None => selected.entry.name(),
        };
        Ok(model(dialect, id, selected.entry))
    });
    answer(&gateway, dialect, &parts.headers, found)
}

/// Anthropic's clients always send their API's version.
fn dialect(headers: &HeaderMap) -> WireFormat {
    if headers.contains_key("anthropic-version") {
        WireFormat::AnthropicMessages
    } else {
        WireFormat::OpenAiChat
    }
}

/// One entry, under what selects it.
fn model(dialect: WireFormat, id: &str, entry: &Entry) -> Value {
    let row = entry.glance();
    match dialect {
        WireFormat::OpenAiChat | WireFormat::OpenAiResponses => json!({
            "id": id,
            "object": "model",
            "created": row.created_at.as_second(),
            "owned_by": row.settings.provider,
            "model_configuration_id": row.id,
        }),
        WireFormat::AnthropicMessages => json!({
            "type": "model",
            "id": id,
            "display_name": row.settings.name,
            "created_at": row.created_at.to_string(),
            "model_configuration_id": row.id,
        }),
    }
}

/// Everything fits one page.
fn model_list(dialect: WireFormat, models: &[Value]) -> Value {
    match dialect {
        WireFormat::OpenAiChat | WireFormat::OpenAiResponses => {
            json!({"object": "list", "data": models})
        }
        WireFormat::AnthropicMessages => {
            let id = |model: Option<&Value>| model.and_then(|model| model.get("id")).cloned();
            json!({
                "first_id": id(models.first()),
                "last_id": id(models.last()),
                "has_more": false,
                "data": models,
            })
        }
    }
}

fn answer(
    gateway: &Gateway,
    dialect: WireFormat,
    headers: &HeaderMap,
    result: Result<Value, CallError>,
) -> Response<Body> {
    let id = request_id(gateway, headers);
    let mut response = match result {
        Ok(value) => {
            let mut response = Response::new(Body::from(value.to_string()));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(error) => error.into_response(dialect, &id),
    };
    insert_request_id(dialect, &id, response.headers_mut());
    response
}
