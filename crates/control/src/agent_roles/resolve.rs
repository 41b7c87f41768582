//! `GET /v1/agent-roles/{role}/resolve`.

use axum::extract::State;
use domain::api_key::Scope;
use http::StatusCode;

use crate::agent_roles::role_in;
use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::extract::path::PathParameters;
use crate::openapi::{Refusals, Unprocessable};
use crate::state::{ControlState, RolePlan};

/// Resolve an agent role
///
/// A dry run: where a call of this role would go, with whose key and which parameters,
/// what it would fall back to, and why. It calls nobody. It shows what this node's data
/// plane knows now, which is at most a second behind what others have just written.
#[utoipa::path(
    get,
    path = "/v1/agent-roles/{role}/resolve",
    operation_id = "resolve_agent_role",
    tag = "Agent roles",
    params(("role" = String, Path, description = "Which role")),
    responses(
        (status = 200, description = "What a call would do", body = RolePlan),
        Refusals, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn resolve(
    State(state): State<ControlState>,
    caller: Authenticated,
    path: PathParameters,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Manage)?.organization_id;
    let role = role_in(&path).map_err(|fault| ApiError::invalid(vec![fault]))?;
    let plan = state.role_planner().plan(organization_id, role);
    Answer::json(StatusCode::OK, &plan)
}
