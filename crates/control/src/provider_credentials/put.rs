//! `PUT /v1/provider-credentials/{slot}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::provider_credential::{CredentialStatus, ProviderCredential};
use http::StatusCode;
use jiff::SignedDuration;
use providers::slots::{SLOT_ORIGIN, Slot};
use store::changes::Change;
use vault::{Binding, Purpose};

use crate::answer::{Answer, to_value};
use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::openapi::{BodyRefusals, Conflict, Refusals, Unprocessable};
use crate::provider_credentials::body::ProviderCredentialUpsert;
use crate::provider_credentials::given::Given;
use crate::provider_credentials::slot_in;
use crate::provider_credentials::view::ProviderCredentialView;
use crate::state::ControlState;
use crate::write::context::{Deposited, Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// Set a provider credential
///
/// Adds or replaces the organisation's own credential. From now on all configurations that
/// the slot covers, and that have no key of their own, are called with it and never with
/// the operator's key again. Its form is checked and no provider is asked: `validate` does
/// that.
#[utoipa::path(
    put,
    path = "/v1/provider-credentials/{slot}",
    operation_id = "put_provider_credential",
    tag = "Provider credentials",
    params(
        ("slot" = String, Path, description = "`anthropic`, `openai`, `google`, `aws_bedrock`, or another provider"),
        crate::openapi::IdempotencyKey
    ),
    request_body = ProviderCredentialUpsert,
    responses(
        (status = 200, description = "The slot as it is now", body = ProviderCredentialView),
        Refusals, Conflict, BodyRefusals, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn put(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Put>(state, request).await
}

struct Put {
    slot: &'static Slot,
    given: Given,
}

struct Prepared {
    before: Option<ProviderCredential>,
    after: ProviderCredential,
    deposited: Deposited,
}

impl Operation for Put {
    const ACTION: &'static str = "provider_credential.put";
    const SCOPE: Scope = Scope::Manage;
    const BODY: BodyRule = BodyRule::Json;
    type Prepared = Prepared;

    fn read(call: &Call) -> Result<Self, ApiError> {
        call.if_match.refuse()?;
        let mut faults = Faults::default();
        let slot = faults.noting(slot_in(&call.path));
        call.check_headers(&mut faults);
        let body = ProviderCredentialUpsert::read(&call.content, &mut faults);
        let (slot, body) = faults.finish(slot.zip(body))?;
        let given = Given::read(slot, &body)?;
        Ok(Self { slot, given })
    }

    async fn prepare(&self, preparation: &mut Preparation<'_>) -> Result<Prepared, ApiError> {
        let organization_id = preparation.call.caller.organization_id;
        let database = preparation.state.database();
        let slot = self.slot.name;
        let before = store::provider_credentials::get(database, organization_id, slot).await?;
        let binding = Binding {
            organization_id: Some(organization_id),
            alias: preparation.new_alias(),
            version: 1,
            purpose: Purpose::ProviderCredential,
            provider: slot.to_owned(),
            allowed_origin: SLOT_ORIGIN.to_owned(),
        };
        let deposited = preparation.deposit(&binding, &self.given.secret).await?;
        let now = preparation.now;
        let after = ProviderCredential {
            organization_id,
            slot: slot.to_owned(),
            revision: before.as_ref().map_or(1, |row| row.revision + 1),
            status: CredentialStatus::Active,
            auth_type: Some(self.given.auth_type),
            alias: Some(deposited.alias.clone()),
            display_metadata: self.given.display_metadata.clone(),
            last_error: None,
            activated_at: Some(now),
            last_validated_at: None,
            created_at: before.as_ref().map_or(now, |row| row.created_at),
            updated_at: now,
        };
        Ok(Prepared {
            before,
            after,
            deposited,
        })
    }

    async fn run(
        &self,
        prepared: Prepared,
        context: &mut WriteContext<'_>,
    ) -> Result<Outcome, ApiError> {
        let Prepared {
            before,
            after,
            deposited,
        } = prepared;
        let organization_id = context.call.caller.organization_id;
        let transaction = &mut *context.transaction;
        let present = store::provider_credentials::get_for_update(
            transaction,
            organization_id,
            self.slot.name,
        );
        if present.await? != before {
            return Ok(Outcome::Stale);
        }
        context.keep(&deposited).await?;
        store::provider_credentials::put(context.transaction, &after).await?;
        if let Some(old) = before.as_ref().and_then(|row| row.alias.as_ref()) {
            // Calls that are under way on other nodes may still need it.
            let grace = SignedDuration::try_from(context.state.replaced_secret_grace());
            let due = context.now + grace.unwrap_or_default();
            context.destroy(old, due).await?;
        }
        let view = ProviderCredentialView::new(self.slot, Some(&after));
        let before = ProviderCredentialView::new(self.slot, before.as_ref());
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::OK, &view)?,
            sealed_answer: None,
            audited: Audited {
                resource_id: self.slot.name.to_owned(),
                before: Some(to_value(&before)?),
                after: Some(to_value(&view)?),
            },
            change: Change::Organization(organization_id),
        }))
    }
}
