//! `GET /v1/model-configurations` and `GET /v1/model-configurations/{id}`.

use axum::extract::State;
use domain::api_key::Scope;
use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::ModelConfiguration;
use http::StatusCode;

use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::extract::path::PathParameters;
use crate::model_configurations::not_found;
use crate::model_configurations::view::ModelConfigurationView;
use crate::openapi::{NotFound, Refusals, Unprocessable};
use crate::state::ControlState;

/// List model configurations
///
/// System defaults first, then the organisation's own, oldest first; archived ones are
/// included. There is no paging.
#[utoipa::path(
    get,
    path = "/v1/model-configurations",
    operation_id = "list_model_configurations",
    tag = "Model configurations",
    responses(
        (status = 200, description = "All of them", body = Vec<ModelConfigurationView>),
        Refusals
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
) -> Result<Answer, ApiError> {
    let caller = caller.with(Scope::Manage)?;
    let rows = store::model_configurations::list(state.database(), caller.organization_id).await?;
    let views: Vec<_> = rows.iter().map(ModelConfigurationView::from).collect();
    Answer::json(StatusCode::OK, &views)
}

/// Get a model configuration
#[utoipa::path(
    get,
    path = "/v1/model-configurations/{model_configuration_id}",
    operation_id = "get_model_configuration",
    tag = "Model configurations",
    params(("model_configuration_id" = uuid::Uuid, Path, description = "Which one")),
    responses(
        (status = 200, description = "It", body = ModelConfigurationView,
         headers(("ETag" = String, description = "Its revision, for `If-Match`"))),
        Refusals, NotFound, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn get(
    State(state): State<ControlState>,
    caller: Authenticated,
    path: PathParameters,
) -> Result<Answer, ApiError> {
    let caller = caller.with(Scope::Manage)?;
    let id = id_in(&path)?;
    let row = visible(&state, caller.organization_id, id).await?;
    let view = ModelConfigurationView::from(&row);
    Ok(Answer::json(StatusCode::OK, &view)?.with_etag(row.revision))
}

/// The id in the path.
pub(crate) fn id_in(path: &PathParameters) -> Result<ModelConfigurationId, ApiError> {
    path.uuid("model_configuration_id")
        .map(ModelConfigurationId)
        .map_err(|fault| ApiError::invalid(vec![fault]))
}

/// A row that the organisation sees.
pub(crate) async fn visible(
    state: &ControlState,
    organization_id: OrganizationId,
    id: ModelConfigurationId,
) -> Result<ModelConfiguration, ApiError> {
    store::model_configurations::get(state.database(), organization_id, id)
        .await?
        .ok_or_else(not_found)
}
