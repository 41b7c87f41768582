//! Work on the database beside, or before, a running server.

use anyhow::Context;
use domain::audit::{Actor, AuditEvent};
use domain::clock::{Clock, time_ordered_id};
use domain::id::{AuditEventId, OrganizationId};
use domain::organization::Organization;
use serde_json::Value;
use store::changes::Change;
use store::{Database, WriteTransaction};

use crate::clock::{SystemClock, SystemEntropy};
use crate::database;

use super::SettingsArguments;

/// Opens the database that the settings name.
pub(super) async fn open(arguments: &SettingsArguments) -> anyhow::Result<Database> {
    let settings = arguments.load()?;
    database::open(&settings).await
}

/// A new identifier.
pub(super) fn new_id() -> uuid::Uuid {
    time_ordered_id(&SystemClock, &SystemEntropy)
}

/// The organisation of this name.
pub(super) async fn organization(database: &Database, name: &str) -> anyhow::Result<Organization> {
    let found = store::organizations::by_name(database, name).await?;
    found.with_context(|| {
        format!("there is no organization `{name}`; make it with `quartermaster organization create {name}`")
    })
}

/// Ends a change: with its audit event, and with news for running servers.
pub(super) async fn commit(
    mut transaction: WriteTransaction,
    organization_id: OrganizationId,
    action: &str,
    resource_id: String,
    after: Value,
) -> anyhow::Result<()> {
    let event = event(Some(organization_id), action, resource_id, after);
    store::audit::append(&mut transaction, &event).await?;
    store::changes::record(&mut transaction, Change::Organization(organization_id)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Leaves an audit event of something that was done to the installation as a whole.
pub(super) async fn note(
    database: &Database,
    action: &str,
    resource_id: &str,
    after: Value,
) -> anyhow::Result<()> {
    let mut transaction = database.write().await?;
    let event = event(None, action, resource_id.to_owned(), after);
    store::audit::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    Ok(())
}

fn event(
    organization_id: Option<OrganizationId>,
    action: &str,
    resource_id: String,
    after: Value,
) -> AuditEvent {
    AuditEvent {
        id: AuditEventId(new_id()),
        organization_id,
        at: SystemClock.now(),
        actor: Actor::CommandLine,
        action: action.to_owned(),
        resource_id,
        before: None,
        after: Some(after),
        request_id: None,
    }
}
