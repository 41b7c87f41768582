//! `/v1/organizations`: the tenants of the installation, for its operator.

use std::collections::HashMap;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::clock::time_ordered_id;
use domain::id::OrganizationId;
use domain::organization::Organization;
use domain::rate_limits::RateLimits;
use domain::validation;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use store::StoreError;
use store::changes::Change;
use utoipa::ToSchema;

use crate::answer::{Answer, time, to_value};
use crate::api_keys::limits::{RateLimitsUpdate, RateLimitsView, SentLimits};
use crate::body::coerce;
use crate::body::fields::{Faults, Fields, Sent};
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::extract::caller::Authenticated;
use crate::openapi::{BodyRefusals, Conflict, NotFound, Refusals, Unprocessable};
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
    #[serde(flatten)]
    limits: RateLimitsView,
}

impl<'row> OrganizationView<'row> {
    /// The organisation with what all of its calls together may take.
    fn new(row: &'row Organization, limits: RateLimits) -> Self {
        Self {
            id: row.id,
            name: &row.name,
            created_at: row.created_at,
            limits: limits.into(),
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
    let set = store::rate_limits::list_everything(state.database()).await?;
    let of_organizations = set.into_iter().filter(|(_, key, _)| key.is_none());
    let limits: HashMap<_, _> = of_organizations
        .map(|(id, _, limits)| (id, limits))
        .collect();
    let views = rows.iter().map(|row| {
        let limits = limits.get(&row.id).copied().unwrap_or_default();
        OrganizationView::new(row, limits)
    });
    let views: Vec<_> = views.collect();
    Answer::json(StatusCode::OK, &views)
}

/// A new organisation.
#[derive(ToSchema)]
#[schema(as = OrganizationCreate, example = json!({"name": "Acme"}))]
pub(crate) struct CreateOrganization {
    /// A name that no other organisation has.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// Calls begun within any 60 seconds.
    #[schema(value_type = Option<u64>, minimum = 1)]
    requests_per_minute: Sent<u64>,
    /// Tokens, input and output, of calls begun within any 60 seconds.
    #[schema(value_type = Option<u64>, minimum = 1)]
    tokens_per_minute: Sent<u64>,
    /// Calls under way at the same time.
    #[schema(value_type = Option<u64>, minimum = 1)]
    concurrent_calls: Sent<u64>,
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
        let body = Fields::of(&call.content, &mut faults).and_then(|mut fields| {
            let name = fields.required("name", |it| coerce::text(it, validation::name));
            let limits = SentLimits::read(&mut fields);
            fields.forbid_others(&[&["name"], &SentLimits::MEMBERS[..]].concat());
            Some(Self {
                name: name?,
                requests_per_minute: limits.requests_per_minute,
                tokens_per_minute: limits.tokens_per_minute,
                concurrent_calls: limits.concurrent_calls,
            })
        });
        faults.finish(body)
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
        let limits = self.limits();
        if !limits.is_unlimited() {
            let now = context.now;
            store::rate_limits::put(context.transaction, row.id, None, &limits, now).await?;
        }
        let view = OrganizationView::new(&row, limits);
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

impl CreateOrganization {
    fn limits(&self) -> RateLimits {
        let sent = SentLimits {
            requests_per_minute: self.requests_per_minute.clone(),
            tokens_per_minute: self.tokens_per_minute.clone(),
            concurrent_calls: self.concurrent_calls.clone(),
        };
        sent.applied_to(RateLimits::default())
    }
}

/// Change the limits of an organisation
///
/// They bound all of its calls together, and hold here at once, on other nodes within a
/// second.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}",
    operation_id = "update_organization",
    tag = "Organizations",
    params(
        ("organization_id" = uuid::Uuid, Path, description = "Which one"),
        crate::openapi::IdempotencyKey
    ),
    request_body = RateLimitsUpdate,
    responses(
        (status = 200, description = "The organisation as it is now", body = OrganizationView),
        Refusals, NotFound, Conflict, BodyRefusals, Unprocessable
    ),
    security(("api_key" = ["operator"]))
)]
pub(crate) async fn update(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<UpdateOrganization>(state, request).await
}

struct UpdateOrganization {
    id: OrganizationId,
    limits: SentLimits,
}

impl Operation for UpdateOrganization {
    const ACTION: &'static str = "organization.update";
    const SCOPE: Scope = Scope::Operator;
    const BODY: BodyRule = BodyRule::Json;
    type Prepared = Organization;

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        let id = match call.path.uuid("organization_id") {
            Ok(id) => Some(OrganizationId(id)),
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

    async fn prepare(&self, preparation: &mut Preparation<'_>) -> Result<Organization, ApiError> {
        let database = preparation.state.database();
        store::organizations::get(database, self.id)
            .await?
            .ok_or_else(|| ApiError::not_found("Organization not found"))
    }

    async fn run(
        &self,
        row: Organization,
        context: &mut WriteContext<'_>,
    ) -> Result<Outcome, ApiError> {
        let before = store::rate_limits::of_in(context.transaction, row.id)
            .await?
            .all;
        let after = self.limits.applied_to(before);
        let now = context.now;
        store::rate_limits::put(context.transaction, row.id, None, &after, now).await?;
        let view = OrganizationView::new(&row, after);
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::OK, &view)?,
            sealed_answer: None,
            audited: Audited {
                resource_id: row.id.to_string(),
                before: Some(to_value(&OrganizationView::new(&row, before))?),
                after: Some(to_value(&view)?),
            },
            change: Change::Organization(row.id),
        }))
    }
}
