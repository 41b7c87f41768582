//! `PUT /v1/agent-roles/{role}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::agent_role::{AgentRole, RoleSource};
use domain::api_key::Scope;
use domain::id::ModelConfigurationId;
use domain::model_configuration::ModelConfiguration;
use http::StatusCode;
use serde::Deserialize;
use store::agent_roles::Assignment;
use store::changes::Change;
use utoipa::ToSchema;

use crate::agent_roles::role_in;
use crate::agent_roles::view::AgentRoleView;
use crate::answer::{Answer, to_value};
use crate::body::coerce;
use crate::body::fault::Fault;
use crate::body::fields::{Faults, Fields};
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::model_configurations::not_found;
use crate::openapi::{BodyRefusals, Conflict, NotFound, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// Who is to do a role.
#[derive(Deserialize, ToSchema)]
#[schema(as = AssignAgentRole)]
#[expect(dead_code, reason = "it only describes a body to the document")]
pub(crate) struct AssignAgentRole {
    /// A model configuration of the own organisation, or a system default.
    model_configuration_id: uuid::Uuid,
}

/// Assign an agent role
///
/// From now on the model configuration does the role for the organisation, in place of the
/// one before. It may be an own one or a system default, but not an archived one; only
/// computer-use models may be `main_agent`, `focused_action`, `fallback_1` or `fallback_2`.
#[utoipa::path(
    put,
    path = "/v1/agent-roles/{role}",
    operation_id = "assign_agent_role",
    tag = "Agent roles",
    params(("role" = String, Path, description = "Which role"), crate::openapi::IdempotencyKey),
    request_body = AssignAgentRole,
    responses(
        (status = 200, description = "The role as it is now", body = AgentRoleView),
        Refusals, NotFound, Conflict, BodyRefusals, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn assign(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Assign>(state, request).await
}

struct Assign {
    role: AgentRole,
    id: ModelConfigurationId,
}

impl Operation for Assign {
    const ACTION: &'static str = "agent_role.assign";
    const SCOPE: Scope = Scope::Manage;
    const BODY: BodyRule = BodyRule::Json;
    type Prepared = ();

    fn read(call: &Call) -> Result<Self, ApiError> {
        call.if_match.refuse()?;
        let mut faults = Faults::default();
        let role = faults.noting(role_in(&call.path));
        call.check_headers(&mut faults);
        let id = Fields::of(&call.content, &mut faults)
            .and_then(|mut fields| fields.required("model_configuration_id", coerce::uuid));
        let id = id.map(ModelConfigurationId);
        let operation = role.zip(id).map(|(role, id)| Self { role, id });
        faults.finish(operation)
    }

    async fn prepare(&self, _: &mut Preparation<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    /// The row is locked before it is looked at, so that nobody archives or deletes it
    /// between the look and the commit.
    async fn run(&self, (): (), context: &mut WriteContext<'_>) -> Result<Outcome, ApiError> {
        let organization_id = context.call.caller.organization_id;
        let now = context.now;
        let transaction = &mut *context.transaction;
        let row =
            store::model_configurations::get_for_update(transaction, organization_id, self.id)
                .await?
                .ok_or_else(not_found)?;
        check(self.role, &row)?;
        let owner = Some(organization_id);
        let own = store::agent_roles::of_in(transaction, owner).await?;
        let system = store::agent_roles::of_in(transaction, None).await?;
        let before = AgentRoleView::resolved(self.role, &own, &system);
        let assignment = Assignment {
            organization_id: owner,
            role: self.role,
            model_configuration_id: row.id,
        };
        store::agent_roles::assign(transaction, &assignment, now).await?;
        let view = AgentRoleView {
            role: self.role,
            model_configuration_id: Some(row.id),
            model_configuration_name: Some(row.settings.name),
            source: RoleSource::Organization,
        };
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::OK, &view)?,
            sealed_answer: None,
            audited: Audited {
                resource_id: self.role.to_string(),
                before: Some(to_value(&before)?),
                after: Some(to_value(&view)?),
            },
            change: Change::Organization(organization_id),
        }))
    }
}

/// Whether a configuration may do a role.
fn check(role: AgentRole, row: &ModelConfiguration) -> Result<(), ApiError> {
    let refuse = |why: &str| {
        let fault = Fault::value_error(why);
        Err(ApiError::invalid(vec![
            fault.about("model_configuration_id"),
        ]))
    };
    if row.settings.is_archived {
        return refuse("an archived model configuration cannot be assigned to a role");
    }
    if role.needs_computer_use() && !row.settings.is_computer_use_model {
        return refuse(&format!(
            "only model configurations with is_computer_use_model may do the role {role}"
        ));
    }
    Ok(())
}
