//! `DELETE /v1/agent-roles/{role}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::agent_role::{AgentRole, RoleAssignments};
use domain::api_key::Scope;
use domain::id::OrganizationId;
use http::StatusCode;
use store::WriteTransaction;
use store::changes::Change;

use crate::agent_roles::role_in;
use crate::agent_roles::view::AgentRoleView;
use crate::answer::{Answer, to_value};
use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::openapi::{Conflict, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// Unassign an agent role
///
/// Takes the organisation's own assignment back, if there is one, so that the role follows
/// the installation's default, or the role it inherits from, again.
#[utoipa::path(
    delete,
    path = "/v1/agent-roles/{role}",
    operation_id = "unassign_agent_role",
    tag = "Agent roles",
    params(("role" = String, Path, description = "Which role"), crate::openapi::IdempotencyKey),
    responses(
        (status = 200, description = "The role as it is now", body = AgentRoleView),
        Refusals, Conflict, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn unassign(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Unassign>(state, request).await
}

struct Unassign(AgentRole);

impl Operation for Unassign {
    const ACTION: &'static str = "agent_role.unassign";
    const SCOPE: Scope = Scope::Manage;
    const BODY: BodyRule = BodyRule::Ignored;
    type Prepared = ();

    fn read(call: &Call) -> Result<Self, ApiError> {
        call.if_match.refuse()?;
        let mut faults = Faults::default();
        let role = faults.noting(role_in(&call.path));
        call.check_headers(&mut faults);
        faults.finish(role).map(Self)
    }

    async fn prepare(&self, _: &mut Preparation<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn run(&self, (): (), context: &mut WriteContext<'_>) -> Result<Outcome, ApiError> {
        let organization_id = context.call.caller.organization_id;
        let transaction = &mut *context.transaction;
        let owner = Some(organization_id);
        let own = store::agent_roles::of_in(transaction, owner).await?;
        let system = store::agent_roles::of_in(transaction, None).await?;
        let before = AgentRoleView::resolved(self.0, &own, &system);
        store::agent_roles::unassign(transaction, owner, self.0).await?;
        let rest: RoleAssignments = AgentRole::ALL
            .into_iter()
            .filter(|role| *role != self.0)
            .filter_map(|role| Some((role, own.get(role)?)))
            .collect();
        let mut view = AgentRoleView::resolved(self.0, &rest, &system);
        view.model_configuration_name = name_of(transaction, organization_id, &view).await?;
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::OK, &view)?,
            sealed_answer: None,
            audited: Audited {
                resource_id: self.0.to_string(),
                before: Some(to_value(&before)?),
                after: Some(to_value(&view)?),
            },
            change: Change::Organization(organization_id),
        }))
    }
}

async fn name_of(
    transaction: &mut WriteTransaction,
    organization_id: OrganizationId,
    view: &AgentRoleView,
) -> Result<Option<String>, ApiError> {
    let Some(id) = view.model_configuration_id else {
        return Ok(None);
    };
    let row = store::model_configurations::get_in(transaction, organization_id, id).await?;
    Ok(row.map(|row| row.settings.name))
}
