//! `/v1/organizations`: the tenants of the installation, for its operator.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::clock::time_ordered_id;
use domain::id::OrganizationId;
use domain::organization::Organization;
use domain::validation;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use store::StoreError;
use store::changes::Change;
use utoipa::ToSchema;

use crate::answer::{Answer, time, to_value};
use crate::body::coerce;
use crate::body::fields::{Faults, Fields};
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::extract::caller::Authenticated;
use crate::openapi::{BodyRefusals, Conflict, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// An organisation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrganizationResponse)]
struct OrganizationView<'row> {
    #[schema(value_type = uuid::Uuid)]
    id: OrganizationId,
    /// Its name, which no other organisation has.
    #[schema(example = "Acme")]
    name: &'row str,
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "time")]
    created_at: Timestamp,
}

impl<'row> From<&'row Organization> for OrganizationView<'row> {
    fn from(row: &'row Organization) -> Self {
        Self {
            id: row.id,
            name: &row.name,
            created_at: row.created_at,
        }
    }
}

/// List organisations
///
/// All of the installation, oldest first.
#[utoipa::path(
    get,
    path = "/v1/organizations",
    operation_id = "list_organizations",
    tag = "Organizations",
    responses((status = 200, description = "All of them", body = Vec<OrganizationView>), Refusals),
    security(("api_key" = ["operator"]))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
) -> Result<Answer, ApiError> {
    caller.with(Scope::Operator)?;
    let rows = store::organizations::list(state.database()).await?;
    let views: Vec<_> = rows.iter().map(OrganizationView::from).collect();
    Answer::json(StatusCode::OK, &views)
}

/// A new organisation.
#[derive(ToSchema)]
#[schema(as = OrganizationCreate, example = json!({"name": "Acme"}))]
pub(crate) struct CreateOrganization {
    /// A name that no other organisation has.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
}

/// Create an organisation
///
/// `POST /v1/api-keys` with its `organization_id` makes its first key.
#[utoipa::path(
    post,
    path = "/v1/organizations",
    operation_id = "create_organization",
    tag = "Organizations",
    params(crate::openapi::IdempotencyKey),
    request_body = CreateOrganization,
    responses(
        (status = 201, description = "The new organisation", body = OrganizationView),
        Refusals, Conflict, BodyRefusals, Unprocessable
    ),
    security(("api_key" = ["operator"]))
)]
pub(crate) async fn create(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<CreateOrganization>(state, request).await
}

impl Operation for CreateOrganization {
    const ACTION: &'static str = "organization.create";
    const SCOPE: Scope = Scope::Operator;
    const BODY: BodyRule = BodyRule::Json;
    type Prepared = ();

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        call.check_headers(&mut faults);
        let name = Fields::of(&call.content, &mut faults).and_then(|mut fields| {
            fields.required("name", |it| coerce::text(it, validation::name))
        });
        faults.finish(name).map(|name| Self { name })
    }

    async fn prepare(&self, _: &mut Preparation<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn run(&self, (): (), context: &mut WriteContext<'_>) -> Result<Outcome, ApiError> {
        let state = context.state;
        let row = Organization {
            id: OrganizationId(time_ordered_id(state.clock(), state.entropy())),
            name: self.name.clone(),
            created_at: context.now,
        };
        let inserted = store::organizations::insert(context.transaction, &row).await;
        inserted.map_err(|error| match error {
            StoreError::Conflict(_) => ApiError::conflict("Another organization has this name"),
            other => other.into(),
        })?;
        let view = OrganizationView::from(&row);
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::CREATED, &view)?,
            sealed_answer: None,
            // In the trail of the operator who made it: its own has no reader yet.
            audited: Audited {
                resource_id: row.id.to_string(),
                before: None,
                after: Some(to_value(&view)?),
            },
            change: Change::Organization(row.id),
        }))
    }
}
