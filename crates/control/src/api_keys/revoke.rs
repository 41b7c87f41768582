//! `DELETE /v1/api-keys/{id}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::{ApiKey, Scope};
use domain::id::ApiKeyId;
use store::changes::Change;

use crate::answer::{Answer, to_value};
use crate::api_keys::view::ApiKeyView;
use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::openapi::{Conflict, NotFound, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// Revoke an API key
///
/// From then on it is refused: here at once, on other nodes within a second. It stays in
/// the list. A key that allows more than the caller's own cannot be revoked with it.
#[utoipa::path(
    delete,
    path = "/v1/api-keys/{api_key_id}",
    operation_id = "revoke_api_key",
    tag = "API keys",
    params(
        ("api_key_id" = uuid::Uuid, Path, description = "Which one"),
        crate::openapi::IdempotencyKey
    ),
    responses(
        (status = 204, description = "It is revoked"),
        Refusals, NotFound, Conflict, Unprocessable
    ),
    security(("api_key" = ["admin"]))
)]
pub(crate) async fn revoke(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Revoke>(state, request).await
}

struct Revoke(ApiKeyId);

impl Operation for Revoke {
    const ACTION: &'static str = "api_key.revoke";
    const SCOPE: Scope = Scope::Admin;
    const BODY: BodyRule = BodyRule::Ignored;
    type Prepared = ();

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        let id = match call.path.uuid("api_key_id") {
            Ok(id) => Some(ApiKeyId(id)),
            Err(fault) => {
                faults.add(fault);
                None
            }
        };
        call.check_headers(&mut faults);
        faults.finish(id).map(Self)
    }

    async fn prepare(&self, _: &mut Preparation<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn run(&self, (): (), context: &mut WriteContext<'_>) -> Result<Outcome, ApiError> {
        let caller = &context.call.caller;
        let transaction = &mut *context.transaction;
        let row = store::api_keys::get_for_update(transaction, caller.organization_id, self.0)
            .await?
            .ok_or_else(|| ApiError::not_found("API key not found"))?;
        if !row.scopes.is_subset(&caller.scopes) {
            return Err(ApiError::forbidden(
                "This API key allows more than your own and cannot be revoked with it",
            ));
        }
        let set = store::rate_limits::of_in(transaction, caller.organization_id).await?;
        let limits = set.of_key(row.id);
        store::api_keys::revoke(transaction, caller.organization_id, row.id, context.now).await?;
        let after = ApiKey {
            revoked_at: row.revoked_at.or(Some(context.now)),
            ..row.clone()
        };
        Ok(Outcome::from(Done {
            answer: Answer::no_content(),
            sealed_answer: None,
            audited: Audited {
                resource_id: row.id.to_string(),
                before: Some(to_value(&ApiKeyView::new(&row, limits))?),
                after: Some(to_value(&ApiKeyView::new(&after, limits))?),
            },
            change: Change::Organization(caller.organization_id),
        }))
    }
}
