//! The audit trail: appended to, never changed.

use domain::audit::{Actor, AuditEvent};
use domain::id::{AuditEventId, OrganizationId};
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::error::StoreError;
use crate::row::{Read as _, all, json, optional_text, unreadable};
use crate::{Database, WriteTransaction};

/// Adds an event.
pub async fn append(
    transaction: &mut WriteTransaction,
    event: &AuditEvent,
) -> Result<(), StoreError> {
    let (actor_type, actor_id) = match event.actor {
        Actor::ApiKey { id } => (API_KEY, Some(id.to_string())),
        Actor::CommandLine => (COMMAND_LINE, None),
        Actor::Settings => (SETTINGS, None),
    };
    let statement = sqlx::query(
        "INSERT INTO audit_events
             (id, organization_id, occurred_at, actor_type, actor_id, action, resource_id,
              document_before, document_after, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(event.id.to_string())
    .bind(optional_text(event.organization_id))
    .bind(event.at.as_microsecond())
    .bind(actor_type)
    .bind(actor_id)
    .bind(event.action.as_str())
    .bind(event.resource_id.as_str())
    .bind(event.before.as_ref().map(json).transpose()?)
    .bind(event.after.as_ref().map(json).transpose()?)
    .bind(event.request_id.clone());
    transaction.execute(statement).await.map(drop)
}

/// An organisation's events, newest first; at most `limit`, older than `before`.
pub async fn list(
    database: &Database,
    organization_id: OrganizationId,
    before: Option<AuditEventId>,
    limit: u32,
) -> Result<Vec<AuditEvent>, StoreError> {
    let statement = sqlx::query(
        "SELECT id, organization_id, occurred_at, actor_type, actor_id, action, resource_id,
                document_before, document_after, request_id
         FROM audit_events WHERE COALESCE(organization_id, '') = $1 AND id < $2
         ORDER BY id DESC LIMIT $3",
    )
    .bind(organization_id.to_string())
    .bind(before.map_or_else(Uuid::max, |id| id.0).to_string())
    .bind(i64::from(limit));
    all(&database.fetch(statement).await?, read)
}

const API_KEY: &str = "api_key";
const COMMAND_LINE: &str = "command_line";
const SETTINGS: &str = "settings";

fn read(row: &AnyRow) -> Result<AuditEvent, StoreError> {
    let actor_type: String = row.value("actor_type")?;
    let actor = match actor_type.as_str() {
        API_KEY => Actor::ApiKey {
            id: row.parsed("actor_id")?,
        },
        COMMAND_LINE => Actor::CommandLine,
        SETTINGS => Actor::Settings,
        _ => return Err(unreadable("actor_type")),
    };
    Ok(AuditEvent {
        id: row.parsed("id")?,
        organization_id: row.parsed_optional("organization_id")?,
        at: row.time("occurred_at")?,
        actor,
        action: row.value("action")?,
        resource_id: row.value("resource_id")?,
        before: row.document_optional("document_before")?,
        after: row.document_optional("document_after")?,
        request_id: row.value("request_id")?,
    })
}
