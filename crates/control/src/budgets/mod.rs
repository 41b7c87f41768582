//! `/v1/budgets`: what an organisation and its keys may spend in a month.

pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod set;
pub(crate) mod view;

use domain::budget::BudgetOwner;
use domain::id::ApiKeyId;
use store::WriteTransaction;

use crate::error::{ApiError, FieldError};
use crate::extract::call::Call;
use crate::extract::path::PathParameters;

/// How a path names the budget of the whole organisation.
const ORGANIZATION: &str = "organization";

/// Whose budget a path names: the organisation's, or that of a key by its id.
fn owner_in(path: &PathParameters) -> Result<BudgetOwner, FieldError> {
    if path.text("owner") == ORGANIZATION {
        return Ok(BudgetOwner::Organization);
    }
    let id = path.uuid("owner")?;
    Ok(BudgetOwner::ApiKey(ApiKeyId(id)))
}

/// Makes sure that a key whose budget is changed is one of the caller's organisation, and
/// that it allows no more than the caller's own.
async fn check(
    transaction: &mut WriteTransaction,
    call: &Call,
    owner: BudgetOwner,
) -> Result<(), ApiError> {
    let BudgetOwner::ApiKey(id) = owner else {
        return Ok(());
    };
    let caller = &call.caller;
    let row = store::api_keys::get_for_update(transaction, caller.organization_id, id)
        .await?
        .ok_or_else(|| ApiError::not_found("API key not found"))?;
    if row.scopes.is_subset(&caller.scopes) {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "This API key allows more than your own; its budget cannot be changed with it",
        ))
    }
}
