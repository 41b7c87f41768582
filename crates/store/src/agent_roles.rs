//! Which model configuration does which agent role.

use domain::agent_role::{AgentRole, RoleAssignments};
use domain::id::{ModelConfigurationId, OrganizationId};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::error::StoreError;
use crate::row::{Read as _, all, optional_text, owner};
use crate::{Database, WriteTransaction};

/// One assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// For whom; none for the installation's default, which holds for everybody.
    pub organization_id: Option<OrganizationId>,
    /// Which role.
    pub role: AgentRole,
    /// Who does it.
    pub model_configuration_id: ModelConfigurationId,
}

/// What one organisation (or, with none, the installation) assigned.
pub async fn of(
    database: &Database,
    organization_id: Option<OrganizationId>,
) -> Result<RoleAssignments, StoreError> {
    let statement = sqlx::query(OF).bind(owner(organization_id));
    let rows = all(&database.fetch(statement).await?, read)?;
    Ok(assignments(&rows))
}

/// The same inside a transaction.
pub async fn of_in(
    transaction: &mut WriteTransaction,
    organization_id: Option<OrganizationId>,
) -> Result<RoleAssignments, StoreError> {
    let statement = sqlx::query(OF).bind(owner(organization_id));
    let rows = all(&transaction.fetch(statement).await?, read)?;
    Ok(assignments(&rows))
}

/// Every assignment there is, for a snapshot.
pub async fn list_everything(database: &Database) -> Result<Vec<Assignment>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, role, model_configuration_id FROM agent_roles
         ORDER BY COALESCE(organization_id, ''), role",
    );
    all(&database.fetch(statement).await?, read)
}

/// Who assigned a configuration to what.
pub async fn of_configuration(
    transaction: &mut WriteTransaction,
    id: ModelConfigurationId,
) -> Result<Vec<Assignment>, StoreError> {
    let statement = sqlx::query(
        "SELECT organization_id, role, model_configuration_id FROM agent_roles
         WHERE model_configuration_id = $1 ORDER BY COALESCE(organization_id, ''), role",
    )
    .bind(id.to_string());
    all(&transaction.fetch(statement).await?, read)
}

/// Assigns a configuration, in place of the one before. The caller has seen to it, in this
/// transaction, that the configuration is there and may do the role.
pub async fn assign(
    transaction: &mut WriteTransaction,
    assignment: &Assignment,
    at: Timestamp,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO agent_roles (organization_id, role, model_configuration_id, assigned_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (COALESCE(organization_id, ''), role)
         DO UPDATE SET model_configuration_id = $3, assigned_at = $4",
    )
    .bind(optional_text(assignment.organization_id))
    .bind(assignment.role.as_str())
    .bind(assignment.model_configuration_id.to_string())
    .bind(at.as_microsecond());
    transaction.execute(statement).await?;
    transaction.note(Change::to(assignment.organization_id));
    Ok(())
}

/// Takes an assignment back, if there is one; says whether there was.
pub async fn unassign(
    transaction: &mut WriteTransaction,
    organization_id: Option<OrganizationId>,
    role: AgentRole,
) -> Result<bool, StoreError> {
    let statement = sqlx::query(
        "DELETE FROM agent_roles WHERE COALESCE(organization_id, '') = $1 AND role = $2",
    )
    .bind(owner(organization_id))
    .bind(role.as_str());
    let was_there = transaction.execute(statement).await? > 0;
    transaction.note(Change::to(organization_id));
    Ok(was_there)
}

const OF: &str = "SELECT organization_id, role, model_configuration_id FROM agent_roles
     WHERE COALESCE(organization_id, '') = $1 ORDER BY role";

fn assignments(rows: &[Assignment]) -> RoleAssignments {
    let pairs = rows
        .iter()
        .map(|row| (row.role, row.model_configuration_id));
    pairs.collect()
}

fn read(row: &AnyRow) -> Result<Assignment, StoreError> {
    Ok(Assignment {
        organization_id: row.parsed_optional("organization_id")?,
        role: row.parsed("role")?,
        model_configuration_id: row.parsed("model_configuration_id")?,
    })
}
