//! A role as it is shown.

use domain::agent_role::{self, AgentRole, RoleAssignments, RoleSource};
use domain::id::ModelConfigurationId;
use serde::Serialize;
use utoipa::ToSchema;

/// An agent role and who does it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AgentRole, example = json!({
    "role": "focused_action",
    "model_configuration_id": "0195f2a3-7c1e-7d44-8a86-2f6a4c0d9b11",
    "model_configuration_name": "Sonnet for the desktop",
    "source": "inherited",
}))]
pub(crate) struct AgentRoleView {
    /// Its name; calls select it as `role:<name>`.
    #[schema(value_type = String)]
    pub(crate) role: AgentRole,
    /// The configuration that does it; null where there is none.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub(crate) model_configuration_id: Option<ModelConfigurationId>,
    /// That configuration's name.
    pub(crate) model_configuration_name: Option<String>,
    /// Whose assignment that is: `organization`, `system`, `inherited` (from the role that
    /// this one follows) or `none`.
    #[schema(value_type = String, pattern = "^(organization|system|inherited|none)$")]
    pub(crate) source: RoleSource,
}

impl AgentRoleView {
    /// A role as it resolves; the caller adds the name.
    pub(crate) fn resolved(
        role: AgentRole,
        own: &RoleAssignments,
        system: &RoleAssignments,
    ) -> Self {
        let resolved = agent_role::resolve(role, own, system);
        Self {
            role,
            model_configuration_id: resolved.model_configuration_id,
            model_configuration_name: None,
            source: resolved.source,
        }
    }
}
