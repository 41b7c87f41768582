//! Organisations: who owns model configurations, keys and costs.

use jiff::Timestamp;
use serde::Serialize;

use crate::id::OrganizationId;

/// The tenant. Nothing that one organisation owns is visible to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Organization {
    /// Its identifier.
    pub id: OrganizationId,
    /// Its unique name, 1 to 255 characters.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The organisation that the bootstrap key belongs to.
pub const DEFAULT_ORGANIZATION: &str = "default";
