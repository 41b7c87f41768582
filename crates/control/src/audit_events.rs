//! `GET /v1/audit-events`: who changed what, when.

use axum::extract::State;
use domain::api_key::Scope;
use domain::audit::{Actor, AuditEvent};
use domain::id::AuditEventId;
use http::{StatusCode, Uri};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::answer::{Answer, time};
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::extract::path::Page;
use crate::openapi::{AuditEventPaging, Refusals, Unprocessable};
use crate::state::ControlState;

/// One change.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEvent)]
struct AuditEventView<'row> {
    #[schema(value_type = uuid::Uuid)]
    id: AuditEventId,
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "time")]
    at: Timestamp,
    #[schema(value_type = ActorView)]
    actor: Actor,
    /// `<resource>.<verb>`.
    #[schema(example = "model_configuration.update")]
    action: &'row str,
    /// What was changed.
    resource_id: &'row str,
    /// The thing before, without secrets; null where it was made.
    before: Option<&'row Value>,
    /// The thing after, without secrets; null where it was deleted.
    after: Option<&'row Value>,
    /// The `X-Request-Id` of the request that did it.
    request_id: Option<&'row str>,
}

/// Who made a change.
#[derive(ToSchema)]
#[schema(as = AuditActor, example = json!({"type": "api_key", "id": "0195f2a3-7c1e-7d44-8a86-2f6a4c0d9b11"}))]
#[expect(
    dead_code,
    reason = "it only describes `domain::audit::Actor` to the document"
)]
struct ActorView {
    /// `api_key`, `command_line` or `settings`.
    r#type: String,
    /// The API key, where it was one.
    id: Option<uuid::Uuid>,
}

/// A page of changes, newest first.
#[derive(Serialize, ToSchema)]
struct AuditEventPage<'row> {
    items: Vec<AuditEventView<'row>>,
    /// What to send as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

impl<'row> From<&'row AuditEvent> for AuditEventView<'row> {
    fn from(event: &'row AuditEvent) -> Self {
        Self {
            id: event.id,
            at: event.at,
            actor: event.actor,
            action: &event.action,
            resource_id: &event.resource_id,
            before: event.before.as_ref(),
            after: event.after.as_ref(),
            request_id: event.request_id.as_deref(),
        }
    }
}

/// List audit events
///
/// Every write of the organisation, with what it changed.
#[utoipa::path(
    get,
    path = "/v1/audit-events",
    operation_id = "list_audit_events",
    tag = "Audit",
    params(AuditEventPaging),
    responses(
        (status = 200, description = "A page of them", body = AuditEventPage),
        Refusals, Unprocessable
    ),
    security(("api_key" = ["admin"]))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
    uri: Uri,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Admin)?.organization_id;
    let page = Page::<AuditEventId>::read(&uri)?;
    let database = state.database();
    // One more than asked for tells whether there is another page.
    let rows = store::audit::list(database, organization_id, page.after, page.limit + 1).await?;
    let (rows, next_cursor) = page.cut(&rows, |event| event.id);
    Answer::json(
        StatusCode::OK,
        &AuditEventPage {
            items: rows.iter().map(AuditEventView::from).collect(),
            next_cursor,
        },
    )
}
