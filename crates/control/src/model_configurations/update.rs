//! `PATCH /v1/model-configurations/{id}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::id::ModelConfigurationId;

use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::model_configurations::assigned::AssignedRoles;
use crate::model_configurations::body::UpdateModelConfiguration;
use crate::model_configurations::change::{self, CheckedChange};
use crate::model_configurations::rules::Key;
use crate::model_configurations::view::ModelConfigurationView;
use crate::openapi::{BodyRefusals, Changed, Conflict, NotOwn, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Operation, Outcome};

/// Update a model configuration
///
/// What is left out stays as it is; null clears. Every update makes a revision. A stored
/// key is bound to its host: whoever moves it to another sends the key again in the same
/// request. Only rows of the own organisation can be changed.
#[utoipa::path(
    patch,
    path = "/v1/model-configurations/{model_configuration_id}",
    operation_id = "update_model_configuration",
    tag = "Model configurations",
    params(
        ("model_configuration_id" = uuid::Uuid, Path, description = "Which one"),
        crate::openapi::ForceParameter, crate::openapi::IdempotencyKey, crate::openapi::IfMatchHeader
    ),
    request_body = UpdateModelConfiguration,
    responses(
        (status = 200, description = "As it is now", body = ModelConfigurationView,
         headers(("ETag" = String, description = "Its revision"))),
        Refusals, NotOwn, Conflict, Changed, BodyRefusals, Unprocessable,
        (status = 400, description = "Nobody has a key for the provider; two `Authorization` headers; a body that is no text",
         body = crate::openapi::HttpError)
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn update(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Update>(state, request).await
}

struct Update {
    id: ModelConfigurationId,
    roles: AssignedRoles,
    body: UpdateModelConfiguration,
}

impl Operation for Update {
    const ACTION: &'static str = "model_configuration.update";
    const SCOPE: Scope = Scope::Manage;
    const BODY: BodyRule = BodyRule::Json;
    type Prepared = CheckedChange;

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        let id = call.model_configuration_id(&mut faults);
        call.check_headers(&mut faults);
        let body = UpdateModelConfiguration::read(&call.content, &mut faults);
        let roles = AssignedRoles::read(call, &mut faults);
        let operation = id.zip(body).map(|(id, body)| Self { id, roles, body });
        faults.finish(operation)
    }

    async fn prepare(&self, preparation: &mut Preparation<'_>) -> Result<CheckedChange, ApiError> {
        let row = change::own_row(preparation, self.id).await?;
        let mut settings = row.settings.clone();
        self.body.apply_to(&mut settings);
        let key = match &self.body.api_key {
            Some(key) => Key::New(key),
            None if self.body.clear_api_key => Key::None,
            None => Key::Stored,
        };
        change::check(preparation, row, settings, key).await
    }

    async fn run(
        &self,
        prepared: CheckedChange,
        context: &mut WriteContext<'_>,
    ) -> Result<Outcome, ApiError> {
        change::write(prepared, self.roles, context).await
    }
}
