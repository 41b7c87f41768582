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
use crate::settings::Settings;

use super::{SettingsArguments, output};

/// Opens the database that the settings name. Makes none: a directory that was mistyped
/// would get an empty one, which then looks like the right one.
pub(super) async fn open(arguments: &SettingsArguments) -> anyhow::Result<Database> {
    open_existing(&arguments.load()?).await
}

/// The same with settings that were read before.
pub(super) async fn open_existing(settings: &Settings) -> anyhow::Result<Database> {
    let found = database::open_existing(settings).await?;
    found.with_context(|| {
        format!(
            "there is no database yet at {}; `quartermaster serve` makes it (--data-dir or \
             --config name another place)",
            database::place(settings)
        )
    })
}

/// Opens the database, or makes it: an installation may be prepared before its first
/// start. Says where it is, for a person to see that it is the right one.
pub(super) async fn open_or_make(arguments: &SettingsArguments) -> anyhow::Result<Database> {
    let settings = arguments.load()?;
    let database = database::open(&settings).await?;
    output::explain(&format!("database: {}", database::place(&settings)));
    Ok(database)
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
