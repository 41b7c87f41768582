//! `GET /v1/provider-credentials`.

use axum::extract::State;
use domain::api_key::Scope;
use http::{StatusCode, Uri};
use providers::slots::slots;

use crate::answer::Answer;
use crate::error::{ApiError, Location};
use crate::extract::caller::Authenticated;
use crate::extract::path::{none_of, pairs};
use crate::openapi::{Refusals, Unprocessable};
use crate::provider_credentials::view::ProviderCredentialView;
use crate::state::ControlState;

/// List provider credentials
///
/// Cyberdesk's four slots, always all of them; with `include=all` the slots of all other
/// providers too, each under the provider's name. Secrets are never returned.
#[utoipa::path(
    get,
    path = "/v1/provider-credentials",
    operation_id = "list_provider_credentials",
    tag = "Provider credentials",
    params(("include" = Option<String>, Query, description = "`all` for every provider's slot",
            pattern = "^all$")),
    responses(
        (status = 200, description = "The slots", body = Vec<ProviderCredentialView>),
        Refusals, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
    uri: Uri,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Manage)?.organization_id;
    let wants_all = wants_all(&uri)?;
    let rows = store::provider_credentials::list(state.database(), organization_id).await?;
    let views: Vec<_> = slots()
        .iter()
        .filter(|slot| wants_all || slot.is_cyberdesks())
        .map(|slot| {
            let row = rows.iter().find(|row| row.slot == slot.name);
            ProviderCredentialView::new(slot, row)
        })
        .collect();
    Answer::json(StatusCode::OK, &views)
}

fn wants_all(uri: &Uri) -> Result<bool, ApiError> {
    let pairs = pairs(uri);
    let found = pairs.iter().rev().find(|(name, _)| name == "include");
    match found.map(|(_, value)| value.as_str()) {
        None => Ok(false),
        Some("all") => Ok(true),
        Some(other) => {
            let loc = vec![Location::name("query"), Location::name("include")];
            let fault = none_of(loc, &["all"]).with_input(other);
            Err(ApiError::invalid(vec![fault]))
        }
    }
}
