//! `GET /v1/calls`: one call after another, with its attempts.

use std::time::Duration;

use axum::extract::State;
use domain::api_key::Scope;
use domain::id::{ApiKeyId, CallId, ModelConfigurationId};
use domain::usage::Attempt;
use http::{StatusCode, Uri};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::query::Query;
use super::report::TokenCounts;
use crate::answer::{Answer, time};
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::extract::path::Page;
use crate::openapi::{Refusals, Unprocessable};
use crate::state::ControlState;

/// One call. It says nothing of what was asked and answered.
#[derive(Serialize, ToSchema)]
#[schema(as = Call)]
struct CallView<'row> {
    #[schema(value_type = uuid::Uuid)]
    id: CallId,
    /// The `X-Request-Id` of the answer.
    request_id: &'row str,
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "time")]
    started_at: Timestamp,
    #[schema(value_type = uuid::Uuid)]
    api_key_id: ApiKeyId,
    run_id: Option<&'row str>,
    role: Option<&'row str>,
    /// The wire format that the client spoke.
    dialect: &'row str,
    /// What the client sent as `model`.
    model: &'row str,
    is_stream: bool,
    /// `success`, `failed`, `refused` or `client_closed`; null where the process ended first.
    outcome: Option<&'row str>,
    /// What the client got; 499 where it had gone away.
    status: Option<u16>,
    duration_ms: Option<f64>,
    time_to_first_byte_ms: Option<f64>,
    /// Of all attempts together, in millionths of a US dollar.
    cost_micros: i64,
    has_unpriced: bool,
    attempts: Vec<AttemptView<'row>>,
}

/// One request to a provider.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptView<'row> {
    number: u32,
    #[schema(value_type = uuid::Uuid)]
    model_configuration_id: ModelConfigurationId,
    revision: i64,
    provider: &'row str,
    protocol: &'row str,
    model: &'row str,
    /// The model that the provider says has answered.
    model_answered: Option<&'row str>,
    service_tier: Option<&'row str>,
    /// Whose key was used: `own`, `slot`, `platform` or `none`.
    key_owner: &'row str,
    /// `success`, `failed` or `client_closed`.
    outcome: &'row str,
    error_kind: Option<&'row str>,
    /// The provider's HTTP status.
    status: Option<u16>,
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "time")]
    started_at: Timestamp,
    duration_ms: f64,
    time_to_first_byte_ms: Option<f64>,
    /// Null where the provider counted none.
    tokens: Option<TokenCounts>,
    /// Null where the model has no price, or nothing was counted.
    cost_micros: Option<i64>,
}

/// A page of calls, newest first.
#[derive(Serialize, ToSchema)]
struct CallPage<'row> {
    items: Vec<CallView<'row>>,
    /// What to send as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// List calls
///
/// Newest first, each with its attempts. A call that was refused before anything was sent
/// to a provider is not among them.
#[utoipa::path(
    get,
    path = "/v1/calls",
    operation_id = "list_calls",
    tag = "Usage",
    params(
        ("cursor" = Option<uuid::Uuid>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "Items at most", minimum = 1, maximum = 200),
        ("from_date" = Option<String>, Query, description = "From this time on (ISO 8601)"),
        ("to_date" = Option<String>, Query, description = "Before this time"),
        ("run_id" = Option<String>, Query, description = "Only of this run"),
        ("api_key_id" = Option<uuid::Uuid>, Query, description = "Only by this key"),
        ("model_configuration_id" = Option<uuid::Uuid>, Query, description = "Only those whose last attempt went there"),
        ("outcome" = Option<String>, Query, description = "`success`, `failed`, `client_closed`, or `unsuccessful` for all but the first"),
    ),
    responses(
        (status = 200, description = "A page of them", body = CallPage),
        Refusals, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
    uri: Uri,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Manage)?.organization_id;
    let page = Page::<CallId>::read(&uri)?;
    let mut query = Query::of(&uri);
    let filter = query.filter();
    query.finish()?;
    let calls = store::usage::calls::list(
        state.database(),
        organization_id,
        &filter,
        page.after,
        page.limit + 1,
    )
    .await?;
    let (calls, next_cursor) = page.cut(&calls, |call| {
        call.first()
            .map_or_else(String::new, |it| it.call_id.to_string())
    });
    Answer::json(
        StatusCode::OK,
        &CallPage {
            items: calls.iter().filter_map(|call| view(call)).collect(),
            next_cursor,
        },
    )
}

fn view(attempts: &[Attempt]) -> Option<CallView<'_>> {
    let last = attempts.last()?;
    let end = last.call.as_ref();
    let is_unpriced = |row: &Attempt| row.tokens.is_some() && row.cost_micros.is_none();
    Some(CallView {
        id: last.call_id,
        request_id: &last.request_id,
        started_at: last.called_at,
        api_key_id: last.api_key_id,
        run_id: last.run_id.as_deref(),
        role: last.role.as_deref(),
        dialect: &last.dialect,
        model: &last.model_asked,
        is_stream: last.is_stream,
        outcome: end.map(|end| end.outcome.as_str()),
        status: end.map(|end| end.status),
        duration_ms: end.map(|end| milliseconds(end.duration)),
        time_to_first_byte_ms: end.and_then(|end| end.time_to_first_byte.map(milliseconds)),
        cost_micros: attempts.iter().filter_map(|row| row.cost_micros).sum(),
        has_unpriced: attempts.iter().any(is_unpriced),
        attempts: attempts.iter().map(AttemptView::from).collect(),
    })
}

impl<'row> From<&'row Attempt> for AttemptView<'row> {
    fn from(row: &'row Attempt) -> Self {
        Self {
            number: row.number,
            model_configuration_id: row.model_configuration_id,
            revision: row.revision,
            provider: &row.provider,
            protocol: &row.protocol,
            model: &row.model,
            model_answered: row.model_answered.as_deref(),
            service_tier: row.service_tier.as_deref(),
            key_owner: &row.key_owner,
            outcome: &row.outcome,
            error_kind: row.error_kind.as_deref(),
            status: row.status,
            started_at: row.started_at,
            duration_ms: milliseconds(row.duration),
            time_to_first_byte_ms: row.time_to_first_byte.map(milliseconds),
            tokens: row.tokens.map(TokenCounts::from),
            cost_micros: row.cost_micros,
        }
    }
}

/// To the microsecond, as it is stored.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
