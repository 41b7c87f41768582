//! `/v1/agent-roles`: which model configuration does which job of an agent.

pub(crate) mod assign;
pub(crate) mod list;
pub(crate) mod resolve;
pub(crate) mod unassign;
pub(crate) mod view;

use domain::agent_role::AgentRole;

use crate::error::FieldError;
use crate::extract::path::PathParameters;

/// The role in the path.
pub(crate) fn role_in(path: &PathParameters) -> Result<AgentRole, FieldError> {
    let names = AgentRole::ALL.map(AgentRole::as_str);
    let text = path.one_of("role", &names)?;
    // It is one of them.
    Ok(text.parse().unwrap_or(AgentRole::MainAgent))
}
