//! `POST /v1/model-configurations/{id}/revisions/{number}/restore`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::id::ModelConfigurationId;

use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::model_configurations::assigned::AssignedRoles;
use crate::model_configurations::change::{self, CheckedChange};
use crate::model_configurations::revisions::revision_not_found;
use crate::model_configurations::rules::Key;
use crate::model_configurations::view::ModelConfigurationView;
use crate::openapi::{Changed, Conflict, NotOwn, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Operation, Outcome};

/// Restore a revision
///
/// Makes a new revision with the settings of an old one. The key stays the present one:
/// the secret of an old alias may be gone. Where the old settings go to another host
/// than the stored key may, update with a new key instead.
#[utoipa::path(
    post,
    path = "/v1/model-configurations/{model_configuration_id}/revisions/{number}/restore",
    operation_id = "restore_model_configuration_revision",
    tag = "Model configurations",
    params(
        ("model_configuration_id" = uuid::Uuid, Path, description = "Which one"),
        ("number" = i64, Path, description = "Which revision", minimum = 1),
        crate::openapi::ForceParameter, crate::openapi::IdempotencyKey, crate::openapi::IfMatchHeader
    ),
    responses(
        (status = 200, description = "As it is now", body = ModelConfigurationView,
         headers(("ETag" = String, description = "Its revision"))),
        Refusals, NotOwn, Conflict, Changed, Unprocessable,
        (status = 400, description = "Nobody has a key for the provider; two `Authorization` headers; a body that is no text",
         body = crate::openapi::HttpError)
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn restore(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Restore>(state, request).await
}

struct Restore {
    id: ModelConfigurationId,
    roles: AssignedRoles,
    number: i64,
}

impl Operation for Restore {
    const ACTION: &'static str = "model_configuration.restore";
    const SCOPE: Scope = Scope::Manage;
    const BODY: BodyRule = BodyRule::Ignored;
    type Prepared = CheckedChange;

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        let id = call.model_configuration_id(&mut faults);
        let number = match call.path.ordinal("number") {
            Ok(number) => Some(number),
            Err(fault) => {
                faults.add(fault);
                None
            }
        };
        call.check_headers(&mut faults);
        let roles = AssignedRoles::read(call, &mut faults);
        let operation = id
            .zip(number)
            .map(|(id, number)| Self { id, roles, number });
        faults.finish(operation)
    }

    async fn prepare(&self, preparation: &mut Preparation<'_>) -> Result<CheckedChange, ApiError> {
        let row = change::own_row(preparation, self.id).await?;
        let organization_id = preparation.call.caller.organization_id;
        let database = preparation.state.database();
        let revision =
            store::model_configurations::revision(database, organization_id, self.id, self.number)
                .await?
                .ok_or_else(revision_not_found)?;
        change::check(preparation, row, revision.settings, Key::Stored).await
    }

    async fn run(
        &self,
        prepared: CheckedChange,
        context: &mut WriteContext<'_>,
    ) -> Result<Outcome, ApiError> {
        change::write(prepared, self.roles, context).await
    }
}
