//! `DELETE /v1/provider-credentials/{slot}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::provider_credential::{CredentialStatus, DisplayMetadata, ProviderCredential};
use http::StatusCode;
use providers::slots::Slot;
use store::changes::Change;

use crate::answer::{Answer, to_value};
use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::openapi::{Conflict, NotFound, Refusals, Unprocessable};
use crate::provider_credentials::view::ProviderCredentialView;
use crate::provider_credentials::{no_credential, slot_in};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// Delete a provider credential
///
/// Its secret is destroyed. The slot stays the organisation's, with the status `missing`:
/// calls that need it fail until it is given another credential.
#[utoipa::path(
    delete,
    path = "/v1/provider-credentials/{slot}",
    operation_id = "delete_provider_credential",
    tag = "Provider credentials",
    params(
        ("slot" = String, Path, description = "Which slot"),
        crate::openapi::IdempotencyKey
    ),
    responses(
        (status = 200, description = "The slot as it is now", body = ProviderCredentialView),
        Refusals, NotFound, Conflict, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn delete(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Delete>(state, request).await
}

struct Delete(&'static Slot);

impl Operation for Delete {
    const ACTION: &'static str = "provider_credential.delete";
    const SCOPE: Scope = Scope::Manage;
    const BODY: BodyRule = BodyRule::Ignored;
    type Prepared = ();

    fn read(call: &Call) -> Result<Self, ApiError> {
        call.if_match.refuse()?;
        let mut faults = Faults::default();
        let slot = faults.noting(slot_in(&call.path));
        call.check_headers(&mut faults);
        faults.finish(slot).map(Self)
    }

    async fn prepare(&self, _: &mut Preparation<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn run(&self, (): (), context: &mut WriteContext<'_>) -> Result<Outcome, ApiError> {
        let organization_id = context.call.caller.organization_id;
        let transaction = &mut *context.transaction;
        let name = self.0.name;
        let before =
            store::provider_credentials::get_for_update(transaction, organization_id, name)
                .await?
                .ok_or_else(no_credential)?;
        let mut after = before.clone();
        if let Some(alias) = &before.alias {
            after = ProviderCredential {
                revision: before.revision + 1,
                status: CredentialStatus::Missing,
                auth_type: None,
                alias: None,
                display_metadata: DisplayMetadata::default(),
                last_error: None,
                activated_at: None,
                updated_at: context.now,
                ..after
            };
            store::provider_credentials::put(context.transaction, &after).await?;
            // At once: nothing can be called with it any more.
            context.destroy(alias, context.now).await?;
        }
        let view = ProviderCredentialView::new(self.0, Some(&after));
        let before = ProviderCredentialView::new(self.0, Some(&before));
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::OK, &view)?,
            sealed_answer: None,
            audited: Audited {
                resource_id: name.to_owned(),
                before: Some(to_value(&before)?),
                after: Some(to_value(&view)?),
            },
            change: Change::Organization(organization_id),
        }))
    }
}
