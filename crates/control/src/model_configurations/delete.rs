//! `DELETE /v1/model-configurations/{id}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::id::ModelConfigurationId;
use store::changes::Change;

use crate::answer::{Answer, to_value};
use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::model_configurations::assigned::{self, AssignedRoles};
use crate::model_configurations::view::ModelConfigurationView;
use crate::model_configurations::{not_found, require_own};
use crate::openapi::{Changed, Conflict, NotOwn, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// Delete a model configuration
///
/// Its revisions go with it, and its key is destroyed. System defaults cannot be deleted.
#[utoipa::path(
    delete,
    path = "/v1/model-configurations/{model_configuration_id}",
    operation_id = "delete_model_configuration",
    tag = "Model configurations",
    params(
        ("model_configuration_id" = uuid::Uuid, Path, description = "Which one"),
        crate::openapi::ForceParameter, crate::openapi::IdempotencyKey, crate::openapi::IfMatchHeader
    ),
    responses(
        (status = 204, description = "It is gone"),
        Refusals, NotOwn, Conflict, Changed, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn delete(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Delete>(state, request).await
}

struct Delete {
    id: ModelConfigurationId,
    roles: AssignedRoles,
}

impl Operation for Delete {
    const ACTION: &'static str = "model_configuration.delete";
    const SCOPE: Scope = Scope::Manage;
    const BODY: BodyRule = BodyRule::Ignored;
    type Prepared = ();

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        let id = call.model_configuration_id(&mut faults);
        call.check_headers(&mut faults);
        let roles = AssignedRoles::read(call, &mut faults);
        faults.finish(id.map(|id| Self { id, roles }))
    }

    async fn prepare(&self, _: &mut Preparation<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn run(&self, (): (), context: &mut WriteContext<'_>) -> Result<Outcome, ApiError> {
        let organization_id = context.call.caller.organization_id;
        let transaction = &mut *context.transaction;
        let row =
            store::model_configurations::get_for_update(transaction, organization_id, self.id)
                .await?
                .ok_or_else(not_found)?;
        require_own(&row)?;
        context.call.if_match.check(row.revision)?;
        assigned::before_delete(context, &row, self.roles).await?;
        let transaction = &mut *context.transaction;
        store::model_configurations::delete(transaction, Some(organization_id), row.id).await?;
        if let Some(alias) = &row.api_key_alias {
            // At once: nothing can call a row that is gone, and calls under way hold
            // the opened key.
            context.destroy(alias, context.now).await?;
        }
        Ok(Outcome::from(Done {
            answer: Answer::no_content(),
            sealed_answer: None,
            audited: Audited {
                resource_id: row.id.to_string(),
                before: Some(to_value(&ModelConfigurationView::from(&row))?),
                after: None,
            },
            change: Change::Organization(organization_id),
        }))
    }
}
