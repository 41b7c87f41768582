//! `GET /v1/api-keys`.

use axum::extract::State;
use domain::api_key::Scope;
use http::StatusCode;

use crate::answer::Answer;
use crate::api_keys::view::ApiKeyView;
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::openapi::Refusals;
use crate::state::ControlState;

/// List API keys
///
/// Those of the organisation, oldest first, revoked ones included. No key is shown.
#[utoipa::path(
    get,
    path = "/v1/api-keys",
    operation_id = "list_api_keys",
    tag = "API keys",
    responses((status = 200, description = "All of them", body = Vec<ApiKeyView>), Refusals),
    security(("api_key" = ["admin"]))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
) -> Result<Answer, ApiError> {
    let caller = caller.with(Scope::Admin)?;
    let rows = store::api_keys::list(state.database(), caller.organization_id).await?;
    let limits = store::rate_limits::of(state.database(), caller.organization_id).await?;
    let views = rows
        .iter()
        .map(|row| ApiKeyView::new(row, limits.of_key(row.id)));
    let views: Vec<_> = views.collect();
    Answer::json(StatusCode::OK, &views)
}
