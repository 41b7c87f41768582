//! `GET /v1/agent-roles`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use axum::extract::State;
use domain::agent_role::AgentRole;
use domain::api_key::Scope;
use http::StatusCode;

use crate::agent_roles::view::AgentRoleView;
use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::openapi::Refusals;
use crate::state::ControlState;

/// List agent roles
///
/// All seven, each with the model configuration that does it now, and whose choice that
/// is: the organisation's, the installation's, or that of the role it follows.
#[utoipa::path(
    get,
    path = "/v1/agent-roles",
    operation_id = "list_agent_roles",
    tag = "Agent roles",
    responses((status = 200, description = "All of them", body = Vec<AgentRoleView>), Refusals),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Manage)?.organization_id;
    let database = state.database();
    let own = store::agent_roles::of(database, Some(organization_id)).await?;
    let system = store::agent_roles::of(database, None).await?;
    let mut names = HashMap::new();
    let mut views = Vec::with_capacity(AgentRole::ALL.len());
    for role in AgentRole::ALL {
        let mut view = AgentRoleView::resolved(role, &own, &system);
        if let Some(id) = view.model_configuration_id {
            let name = match names.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let row = store::model_configurations::get(database, organization_id, id);
                    unknown.insert(row.await?.map(|row| row.settings.name))
                }
            };
            view.model_configuration_name = name.clone();
        }
        views.push(view);
    }
    Answer::json(StatusCode::OK, &views)
}
