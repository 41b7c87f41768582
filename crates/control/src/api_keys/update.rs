//! `PATCH /v1/api-keys/{id}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::id::ApiKeyId;
use http::StatusCode;
use store::changes::Change;

use crate::answer::{Answer, to_value};
use crate::api_keys::limits::{RateLimitsUpdate, SentLimits};
use crate::api_keys::view::ApiKeyView;
use crate::body::fields::{Faults, Fields};
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::openapi::{BodyRefusals, Conflict, NotFound, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// Change the limits of an API key
///
/// They hold here at once, on other nodes within a second. A key that allows more than
/// the caller's own cannot be changed with it.
#[utoipa::path(
    patch,
    path = "/v1/api-keys/{api_key_id}",
    operation_id = "update_api_key",
    tag = "API keys",
    params(
        ("api_key_id" = uuid::Uuid, Path, description = "Which one"),
        crate::openapi::IdempotencyKey
    ),
    request_body = RateLimitsUpdate,
    responses(
        (status = 200, description = "The key as it is now", body = ApiKeyView),
        Refusals, NotFound, Conflict, BodyRefusals, Unprocessable
    ),
    security(("api_key" = ["admin"]))
)]
pub(crate) async fn update(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<UpdateApiKey>(state, request).await
}

struct UpdateApiKey {
    id: ApiKeyId,
    limits: SentLimits,
}

impl Operation for UpdateApiKey {
    const ACTION: &'static str = "api_key.update";
    const SCOPE: Scope = Scope::Admin;
    const BODY: BodyRule = BodyRule::Json;
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
        let limits = Fields::of(&call.content, &mut faults).map(SentLimits::read_alone);
        let both = id.zip(limits).map(|(id, limits)| Self { id, limits });
        faults.finish(both)
    }

    async fn prepare(&self, _: &mut Preparation<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn run(&self, (): (), context: &mut WriteContext<'_>) -> Result<Outcome, ApiError> {
        let caller = &context.call.caller;
        let organization_id = caller.organization_id;
        let transaction = &mut *context.transaction;
        let row = store::api_keys::get_for_update(transaction, organization_id, self.id)
            .await?
            .ok_or_else(|| ApiError::not_found("API key not found"))?;
        if !row.scopes.is_subset(&caller.scopes) {
            return Err(ApiError::forbidden(
                "This API key allows more than your own and cannot be changed with it",
            ));
        }
        let set = store::rate_limits::of_in(transaction, organization_id).await?;
        let before = set.of_key(row.id);
        let after = self.limits.applied_to(before);
        let (id, now) = (Some(row.id), context.now);
        store::rate_limits::put(transaction, organization_id, id, &after, now).await?;
        let view = ApiKeyView::new(&row, after);
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::OK, &view)?,
            sealed_answer: None,
            audited: Audited {
                resource_id: row.id.to_string(),
                before: Some(to_value(&ApiKeyView::new(&row, before))?),
                after: Some(to_value(&view)?),
            },
            change: Change::Organization(organization_id),
        }))
    }
}
