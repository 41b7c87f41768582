//! The audit trail: appended to, never changed.

use domain::audit::AuditEvent;
use domain::id::{AuditEventId, OrganizationId};

use crate::error::StoreError;
use crate::{Database, WriteTransaction};

/// Adds an event.
pub async fn append(
    transaction: &mut WriteTransaction,
    event: &AuditEvent,
) -> Result<(), StoreError> {
    let _ = (transaction, event);
    unimplemented!()
}

/// An organisation's events, newest first; at most `limit`, older than `before`.
pub async fn list(
    database: &Database,
    organization_id: OrganizationId,
    before: Option<AuditEventId>,
    limit: u32,
) -> Result<Vec<AuditEvent>, StoreError> {
    let _ = (database, organization_id, before, limit);
    unimplemented!()
}
