//! `POST /v1/model-configurations`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::clock::time_ordered_id;
use domain::id::ModelConfigurationId;
use domain::model_configuration::ModelConfiguration;
use http::StatusCode;
use store::changes::Change;

use crate::answer::{Answer, to_value};
use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::model_configurations::body::CreateModelConfiguration;
use crate::model_configurations::change::{deposit, key_of};
use crate::model_configurations::view::ModelConfigurationView;
use crate::model_configurations::{name_taken, rules};
use crate::openapi::{BodyRefusals, Conflict, Refusals, Unprocessable};
use crate::quota;
use crate::state::ControlState;
use crate::write::context::{Deposited, Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// Create a model configuration
///
/// The key goes to the vault; only its alias is stored and shown. An own row may carry
/// the name of a system default, and then wins where it is selected by name.
#[utoipa::path(
    post,
    path = "/v1/model-configurations",
    operation_id = "create_model_configuration",
    tag = "Model configurations",
    params(crate::openapi::IdempotencyKey),
    request_body = CreateModelConfiguration,
    responses(
        (status = 201, description = "The new model configuration", body = ModelConfigurationView,
         headers(("ETag" = String, description = "Its revision"))),
        Refusals, Conflict, BodyRefusals, Unprocessable,
        (status = 400, description = "Nobody has a key for the provider; two `Authorization` headers; a body that is no text",
         body = crate::openapi::HttpError)
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn create(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Create>(state, request).await
}

struct Create(CreateModelConfiguration);

struct Prepared {
    row: ModelConfiguration,
    deposited: Option<Deposited>,
}

impl Operation for Create {
    const ACTION: &'static str = "model_configuration.create";
    const SCOPE: Scope = Scope::Manage;
    const BODY: BodyRule = BodyRule::Json;
    type Prepared = Prepared;

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        call.check_headers(&mut faults);
        let body = CreateModelConfiguration::read(&call.content, &mut faults);
        faults.finish(body).map(Self)
    }

    async fn prepare(&self, preparation: &mut Preparation<'_>) -> Result<Prepared, ApiError> {
        let state = preparation.state;
        let organization_id = preparation.call.caller.organization_id;
        let settings = self.0.settings();
        let key = self.0.api_key.as_ref();
        let destination = rules::check(state, organization_id, &settings, key_of(key)).await?;
        let deposited = match key {
            Some(key) => Some(deposit(preparation, &destination, key).await?),
            None => None,
        };
        let row = ModelConfiguration {
            id: ModelConfigurationId(time_ordered_id(state.clock(), state.entropy())),
            organization_id: Some(organization_id),
            revision: 1,
            settings,
            api_key_alias: deposited.as_ref().map(|it| it.alias.clone()),
            created_at: preparation.now,
            updated_at: preparation.now,
        };
        Ok(Prepared { row, deposited })
    }

    async fn run(
        &self,
        prepared: Prepared,
        context: &mut WriteContext<'_>,
    ) -> Result<Outcome, ApiError> {
        let Prepared { row, deposited } = prepared;
        if let Some(deposited) = &deposited {
            context.keep(deposited).await?;
        }
        let inserted = store::model_configurations::insert(context.transaction, &row).await;
        inserted.map_err(name_taken)?;
        quota::check(context).await?;
        let view = ModelConfigurationView::from(&row);
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::CREATED, &view)?.with_etag(row.revision),
            sealed_answer: None,
            audited: Audited {
                resource_id: row.id.to_string(),
                before: None,
                after: Some(to_value(&view)?),
            },
            change: Change::Organization(context.call.caller.organization_id),
        }))
    }
}
