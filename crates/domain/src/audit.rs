//! Audit events: who changed what, when.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::id::{ApiKeyId, AuditEventId, OrganizationId};

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// A caller with an API key.
    ApiKey {
        /// That key.
        id: ApiKeyId,
    },
    /// Somebody at the command line of the machine, beside the server.
    CommandLine,
    /// The server itself, when it follows its settings.
    Settings,
}

/// One change, written in the transaction that made it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditEvent {
    /// Its identifier; later events have greater ones (UUIDv7).
    pub id: AuditEventId,
    /// The organisation that the changed thing belongs to; none for system defaults.
    pub organization_id: Option<OrganizationId>,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done, as `<resource>.<verb>`, e.g. `model_configuration.update`.
    pub action: String,
    /// What it was done to.
    pub resource_id: String,
    /// The thing before, without secrets; none when it was made.
    pub before: Option<Value>,
    /// The thing after, without secrets; none when it was deleted.
    pub after: Option<Value>,
    /// The `X-Request-Id` of the request that did it.
    pub request_id: Option<String>,
}
