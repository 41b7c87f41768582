//! `/v1/model-configurations`: Cyberdesk's operations, revisions, and a live check.

pub(crate) mod assigned;
pub(crate) mod body;
pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod read;
pub(crate) mod restore;
pub(crate) mod revisions;
pub(crate) mod rules;
pub(crate) mod update;
pub(crate) mod verify;
pub(crate) mod view;

use domain::model_configuration::ModelConfiguration;
use store::StoreError;

use crate::error::ApiError;

/// The one answer for ids that do not exist and for those of other organisations.
pub(crate) fn not_found() -> ApiError {
    ApiError::not_found("Model configuration not found")
}

/// Refuses to change what belongs to the installation.
pub(crate) fn require_own(row: &ModelConfiguration) -> Result<(), ApiError> {
    if row.is_system_default() {
        return Err(ApiError::forbidden(
            "System default model configurations cannot be changed",
        ));
    }
    Ok(())
}

/// Says which name is taken.
pub(crate) fn name_taken(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict(_) => ApiError::conflict(
            "Another model configuration of your organization that is not archived has this name",
        ),
        other => other.into(),
    }
}
