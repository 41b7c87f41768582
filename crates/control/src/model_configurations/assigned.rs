//! What becomes of the agent roles of a row that is about to be unable to do them.

use domain::agent_role::AgentRole;
use domain::model_configuration::ModelConfiguration;

use crate::agent_roles::view::AgentRoleView;
use crate::answer::to_value;
use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::Call;
use crate::extract::path::flag;
use crate::write::Audited;
use crate::write::context::WriteContext;

/// What the caller wants done with roles that name the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AssignedRoles {
    /// The row is left as it is while a role names it.
    Protect,
    /// `?force=true`: the assignments go with it.
    Release,
}

impl AssignedRoles {
    /// Reads the query.
    pub(crate) fn read(call: &Call, faults: &mut Faults) -> Self {
        match faults.noting(flag(&call.query, "force")) {
            Some(true) => Self::Release,
            Some(false) | None => Self::Protect,
        }
    }
}

/// Sees to the roles of a deleted row.
pub(crate) async fn before_delete(
    context: &mut WriteContext<'_>,
    row: &ModelConfiguration,
    roles: AssignedRoles,
) -> Result<(), ApiError> {
    release(context, row, roles, |_| true).await
}

/// Sees to the roles that a row does before a change and may not do after it.
pub(crate) async fn before_change(
    context: &mut WriteContext<'_>,
    before: &ModelConfiguration,
    after: &ModelConfiguration,
    roles: AssignedRoles,
) -> Result<(), ApiError> {
    let is_archived = after.settings.is_archived;
    let uses_computer = after.settings.is_computer_use_model;
    if !is_archived && uses_computer {
        return Ok(());
    }
    release(context, before, roles, |role| {
        is_archived || (role.needs_computer_use() && !uses_computer)
    })
    .await
}

/// The row is locked, so that no role can be given to it meanwhile.
async fn release(
    context: &mut WriteContext<'_>,
    row: &ModelConfiguration,
    roles: AssignedRoles,
    concerns: impl Fn(AgentRole) -> bool,
) -> Result<(), ApiError> {
    let organization_id = context.call.caller.organization_id;
    let owner = Some(organization_id);
    let assigned = store::agent_roles::of_configuration(context.transaction, row.id).await?;
    let lost: Vec<AgentRole> = assigned
        .into_iter()
        .filter(|it| it.organization_id == owner && concerns(it.role))
        .map(|it| it.role)
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    if roles == AssignedRoles::Protect {
        let names: Vec<&str> = lost.iter().map(|role| role.as_str()).collect();
        return Err(ApiError::conflict(format!(
            "The model configuration is assigned to these agent roles, which it could no longer \
             do: {}. Assign another to them, or repeat the request with ?force=true to unassign \
             it",
            names.join(", ")
        )));
    }
    for role in lost {
        store::agent_roles::unassign(context.transaction, owner, role).await?;
        let before = AgentRoleView {
            role,
            model_configuration_id: Some(row.id),
            model_configuration_name: Some(row.settings.name.clone()),
            source: domain::agent_role::RoleSource::Organization,
        };
        let audited = Audited {
            resource_id: role.to_string(),
            before: Some(to_value(&before)?),
            after: None,
        };
        context.audit("agent_role.unassign", audited).await?;
    }
    Ok(())
}
