//! Makes the database say what the settings say.

use std::collections::HashMap;

use domain::agent_role::{AgentRole, RoleAssignments};
use domain::audit::{Actor, AuditEvent};
use domain::clock::{Clock, Entropy, time_ordered_id};
use domain::id::{AuditEventId, ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings, ReadConfiguration};
use serde_json::{Value, json};
use store::agent_roles::{self, Assignment};
use store::{Database, StoreError, WriteTransaction, audit, model_configurations};

use super::{Wanted, id_of};

/// Makes the database's system defaults and their roles those of the settings.
///
/// Several servers may do so at once: who finds a row that another has just made
/// looks again.
///
/// # Errors
/// When the database cannot be written.
pub async fn synchronize(
    database: &Database,
    wanted: &Wanted,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let writer = Writer { clock, entropy };
    for _ in 0..5 {
        match synchronize_once(database, wanted, &writer).await {
            Err(StoreError::Conflict(_) | StoreError::Busy) => {}
            done => return done,
        }
    }
    synchronize_once(database, wanted, &writer).await
}

async fn synchronize_once(
    database: &Database,
    wanted: &Wanted,
    writer: &Writer<'_>,
) -> Result<(), StoreError> {
    let changes = Changes::between(database, wanted).await?;
    if changes.is_empty() {
        return Ok(());
    }
    let mut transaction = database.write().await?;
    // Roles are taken back before what they name can go, and given once it is there.
    let (gone, kept): (Vec<_>, Vec<_>) = changes
        .configurations
        .into_iter()
        .partition(|(_, after)| after.is_none());
    for (role, _) in changes.roles.iter().filter(|(_, id)| id.is_none()) {
        writer.assign(&mut transaction, *role, None).await?;
    }
    for (before, after) in kept {
        if let (Some(Ok(before)), Some(after)) = (&before, after)
            && before.settings.is_computer_use_model
            && !after.is_computer_use_model
        {
            writer
                .release(&mut transaction, before.id, AgentRole::needs_computer_use)
                .await?;
        }
        writer.change(&mut transaction, before, after).await?;
    }
    for (role, id) in changes.roles.iter().filter(|(_, id)| id.is_some()) {
        writer.assign(&mut transaction, *role, *id).await?;
    }
    for (before, _) in gone {
        if let Some(before) = &before {
            let id = id_of_read(before);
            writer.release(&mut transaction, id, |_| true).await?;
        }
        writer.change(&mut transaction, before, None).await?;
    }
    transaction.commit().await
}

/// What differs between the database and the settings.
struct Changes<'wanted> {
    configurations: Vec<(Option<ReadConfiguration>, Option<&'wanted ModelSettings>)>,
    roles: Vec<(AgentRole, Option<ModelConfigurationId>)>,
}

impl<'wanted> Changes<'wanted> {
    async fn between(database: &Database, wanted: &'wanted Wanted) -> Result<Self, StoreError> {
        let rows = model_configurations::list_owned(database, None).await?;
        let mut present: HashMap<_, _> = rows
            .into_iter()
            .map(|row| (id_of_read(&row), row))
            .collect();
        let mut configurations = Vec::new();
        for settings in &wanted.configurations {
            match present.remove(&id_of(&settings.name)) {
                Some(Ok(row)) if row.settings == *settings => {}
                before => configurations.push((before, Some(settings))),
            }
        }
        configurations.extend(present.into_values().map(|row| (Some(row), None)));
        let assigned = agent_roles::of(database, None).await?;
        let roles: RoleAssignments = wanted.roles.iter().copied().collect();
        let roles = AgentRole::ALL
            .into_iter()
            .filter(|role| assigned.get(*role) != roles.get(*role))
            .map(|role| (role, roles.get(role)));
        Ok(Self {
            configurations,
            roles: roles.collect(),
        })
    }

    const fn is_empty(&self) -> bool {
        self.configurations.is_empty() && self.roles.is_empty()
    }
}

/// What an audit event says of a change.
struct Audited {
    organization_id: Option<OrganizationId>,
    action: String,
    resource_id: String,
    before: Option<Value>,
    after: Option<Value>,
}

struct Writer<'a> {
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
}

impl Writer<'_> {
    async fn change(
        &self,
        transaction: &mut WriteTransaction,
        before: Option<ReadConfiguration>,
        settings: Option<&ModelSettings>,
    ) -> Result<(), StoreError> {
        let readable = before.as_ref().and_then(|row| row.as_ref().ok());
        let after = settings.map(|settings| self.row(readable, settings));
        let (verb, id) = match (&before, &after) {
            (Some(row), None) => {
                let id = id_of_read(row);
                model_configurations::delete(transaction, None, id).await?;
                ("delete", id)
            }
            (Some(Err(_)), Some(row)) => {
                model_configurations::replace_unreadable(transaction, row).await?;
                ("update", row.id)
            }
            (None, Some(row)) => {
                model_configurations::insert(transaction, row).await?;
                ("create", row.id)
            }
            (Some(_), Some(row)) => {
                model_configurations::update(transaction, row).await?;
                ("update", row.id)
            }
            (None, None) => return Ok(()),
        };
        let audited = Audited {
            organization_id: None,
            action: format!("model_configuration.{verb}"),
            resource_id: id.to_string(),
            before: readable.map(shown),
            after: after.as_ref().map(shown),
        };
        self.audit(transaction, audited).await
    }

    /// Gives a role of the installation to a configuration, or takes it back.
    async fn assign(
        &self,
        transaction: &mut WriteTransaction,
        role: AgentRole,
        id: Option<ModelConfigurationId>,
    ) -> Result<(), StoreError> {
        let Some(model_configuration_id) = id else {
            return self.take_back(transaction, None, role).await;
        };
        let assignment = Assignment {
            organization_id: None,
            role,
            model_configuration_id,
        };
        agent_roles::assign(transaction, &assignment, self.clock.now()).await?;
        let audited = Audited {
            organization_id: None,
            action: "agent_role.assign".to_owned(),
            resource_id: role.to_string(),
            before: None,
            after: Some(json!({"model_configuration_id": id})),
        };
        self.audit(transaction, audited).await
    }

    /// Takes back whatever anybody assigned to a configuration that is about to go, or that
    /// may no longer do some roles: the operator's settings win, and the roles' owners find
    /// in their audit trails what became of them.
    async fn release(
        &self,
        transaction: &mut WriteTransaction,
        id: ModelConfigurationId,
        concerns: impl Fn(AgentRole) -> bool,
    ) -> Result<(), StoreError> {
        for assignment in agent_roles::of_configuration(transaction, id).await? {
            if !concerns(assignment.role) {
                continue;
            }
            tracing::warn!(
                agent.role = %assignment.role,
                organization.id = assignment.organization_id.map(tracing::field::display),
                model_configuration.id = %id,
                "a role loses its configuration, since the settings took it away"
            );
            let Assignment {
                organization_id,
                role,
                ..
            } = assignment;
            self.take_back(transaction, organization_id, role).await?;
        }
        Ok(())
    }

    async fn take_back(
        &self,
        transaction: &mut WriteTransaction,
        organization_id: Option<OrganizationId>,
        role: AgentRole,
    ) -> Result<(), StoreError> {
        if !agent_roles::unassign(transaction, organization_id, role).await? {
            return Ok(());
        }
        let audited = Audited {
            organization_id,
            action: "agent_role.unassign".to_owned(),
            resource_id: role.to_string(),
            before: None,
            after: None,
        };
        self.audit(transaction, audited).await
    }

    async fn audit(
        &self,
        transaction: &mut WriteTransaction,
        audited: Audited,
    ) -> Result<(), StoreError> {
        let event = AuditEvent {
            id: AuditEventId(time_ordered_id(self.clock, self.entropy)),
            organization_id: audited.organization_id,
            at: self.clock.now(),
            actor: Actor::Settings,
            action: audited.action,
            resource_id: audited.resource_id,
            before: audited.before,
            after: audited.after,
            request_id: None,
        };
        audit::append(transaction, &event).await
    }

    fn row(
        &self,
        before: Option<&ModelConfiguration>,
        settings: &ModelSettings,
    ) -> ModelConfiguration {
        let now = self.clock.now();
        ModelConfiguration {
            id: id_of(&settings.name),
            organization_id: None,
            revision: before.map_or(1, |row| row.revision + 1),
            settings: settings.clone(),
            api_key_alias: None,
            created_at: before.map_or(now, |row| row.created_at),
            updated_at: now,
        }
    }
}

const fn id_of_read(row: &ReadConfiguration) -> ModelConfigurationId {
    match row {
        Ok(row) => row.id,
        Err(row) => row.id,
    }
}

fn shown(row: &ModelConfiguration) -> Value {
    json!({"revision": row.revision, "settings": row.settings})
}
