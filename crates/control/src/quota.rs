//! How much one organisation may store, so that none fills the disk and every node's
//! memory for all.

use store::model_configurations::Footprint;

use crate::error::ApiError;
use crate::write::context::WriteContext;

/// Bounds of one organisation's own model configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many it may have (`limits.model_configurations_per_organization`).
    pub rows: u64,
    /// How long their settings may be together, in bytes
    /// (`limits.configuration_bytes_per_organization`).
    pub bytes: u64,
}

impl Quota {
    fn check(self, footprint: Footprint) -> Result<(), ApiError> {
        let Self { rows, bytes } = self;
        if footprint.rows > rows {
            return Err(ApiError::forbidden(format!(
                "Your organization has {rows} model configurations, archived ones included, and \
                 may have no more; delete some, or have the operator raise \
                 limits.model_configurations_per_organization"
            )));
        }
        if footprint.bytes > bytes {
            return Err(ApiError::forbidden(format!(
                "The model configurations of your organization may take {bytes} bytes together \
                 and would take {}; shorten or delete some, or have the operator raise \
                 limits.configuration_bytes_per_organization",
                footprint.bytes
            )));
        }
        Ok(())
    }
}

/// Refuses a change that leaves the caller's organisation with more than its quota.
pub(crate) async fn check(context: &mut WriteContext<'_>) -> Result<(), ApiError> {
    let organization_id = context.call.caller.organization_id;
    let footprint =
        store::model_configurations::footprint(context.transaction, organization_id).await?;
    context.state.quota().check(footprint)
}
