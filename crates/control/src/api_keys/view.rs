//! API keys as they are shown.

use std::collections::BTreeSet;

use domain::api_key::{ApiKey, Scope};
use domain::id::{ApiKeyId, OrganizationId};
use domain::rate_limits::RateLimits;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{optional_time, time};
use crate::api_keys::limits::RateLimitsView;

/// An API key, without the key.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ApiKeyResponse)]
pub(crate) struct ApiKeyView<'row> {
    /// Its identifier, which is safe to show.
    #[schema(value_type = uuid::Uuid)]
    id: ApiKeyId,
    #[schema(value_type = uuid::Uuid)]
    organization_id: OrganizationId,
    /// A label for people.
    name: &'row str,
    /// What it allows.
    #[schema(value_type = Vec<ScopeName>)]
    scopes: &'row BTreeSet<Scope>,
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "time")]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "optional_time")]
    revoked_at: Option<Timestamp>,
    #[serde(flatten)]
    limits: RateLimitsView,
}

/// What a key may allow.
#[derive(ToSchema)]
#[schema(as = Scope, rename_all = "lowercase")]
#[expect(
    dead_code,
    reason = "it only describes `domain::api_key::Scope` to the document"
)]
pub(crate) enum ScopeName {
    /// Everything that concerns the whole installation: organisations, metrics.
    Operator,
    /// API keys and the audit trail of the own organisation.
    Admin,
    /// Reading and writing model configurations and credentials.
    Manage,
    /// Calling models.
    Invoke,
}

/// A new API key: the one time that the key is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyCreated, example = json!({
    "id": "0195f2a3-7c1e-7d44-8a86-2f6a4c0d9b11",
    "organization_id": "0195f2a3-0000-7000-8000-000000000001",
    "name": "agents in production",
    "scopes": ["invoke"],
    "created_at": "2026-04-04T01:10:42.560368Z",
    "revoked_at": null,
    "requests_per_minute": 600,
    "tokens_per_minute": null,
    "concurrent_calls": null,
    "key": "qm_…",
}))]
pub(crate) struct CreatedApiKeyView<'row> {
    #[serde(flatten)]
    pub(crate) view: ApiKeyView<'row>,
    /// The key itself. Nobody can show it again.
    pub(crate) key: &'row str,
}

impl<'row> ApiKeyView<'row> {
    /// The key with what it may call.
    pub(crate) fn new(row: &'row ApiKey, limits: RateLimits) -> Self {
        Self {
            id: row.id,
            organization_id: row.organization_id,
            name: &row.name,
            scopes: &row.scopes,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
            limits: limits.into(),
        }
    }
}
