//! `GET /v1/usage/llm-costs` and `GET /v1/runs/{run_id}/llm-costs`, as Cyberdesk has them.

use axum::extract::State;
use domain::api_key::Scope;
use http::{StatusCode, Uri};
use jiff::Timestamp;
use serde::Serialize;
use store::usage::calls::CallFilter;
use store::usage::costs::{self, Dimension, RunCost, Sum};
use utoipa::ToSchema;
use uuid::Uuid;

use super::query::Query;
use super::{dollars, priced_dollars};
use crate::answer::{Answer, time};
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::extract::path::PathParameters;
use crate::openapi::{Refusals, Unprocessable};
use crate::state::ControlState;

const DEFAULT_LIMIT: i64 = 100;
const MAXIMUM_LIMIT: i64 = 1000;

/// What one run cost.
#[derive(Serialize, ToSchema)]
struct RunLlmCostTotalResponse {
    run_id: String,
    /// Always the nil UUID: there are no workflows here, and Cyberdesk's clients want one.
    workflow_id: Uuid,
    /// When the run's first call began.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "time")]
    created_at: Timestamp,
    /// Whether it used models that have no price; what they cost is not in the total.
    has_unpriced: bool,
    total_cost_usd: Option<f64>,
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
struct RunLlmCostPage {
    items: Vec<RunLlmCostTotalResponse>,
    total: u64,
    skip: i64,
    limit: i64,
}

/// What one run cost, by role and model.
#[derive(Serialize, ToSchema)]
struct RunLlmCostsResponse {
    #[schema(value_type = Uuid)]
    run_id: Uuid,
    has_unpriced: bool,
    rows: Vec<RunLlmCostRow>,
    total_cost_usd: Option<f64>,
}

/// What one model cost in one role.
#[derive(Serialize, ToSchema)]
struct RunLlmCostRow {
    /// The agent role; `none` where the calls belonged to none.
    role: String,
    /// The provider.
    billing_platform: String,
    model: String,
    /// The wire format that the provider spoke.
    endpoint_type: String,
    call_count: u64,
    /// All of the four kinds of input together.
    input_tokens: u64,
    uncached_input_tokens: u64,
    cache_read_tokens: u64,
    cache_write_5m_tokens: u64,
    cache_write_1h_tokens: u64,
    /// Reasoning included.
    output_tokens: u64,
    reasoning_tokens: u64,
    /// Whose key paid: `organization`, `cyberdesk` (the operator's) or `none`.
    source: &'static str,
    /// Null where the model has no price.
    cost_usd: Option<f64>,
}

/// List what runs cost
///
/// Runs whose first call began in the period and whose `X-Run-Id` is a UUID, newest first.
#[utoipa::path(
    get,
    path = "/v1/usage/llm-costs",
    operation_id = "list_llm_costs",
    tag = "Usage",
    params(
        ("from_date" = Option<String>, Query, description = "From this time on (ISO 8601)"),
        ("to_date" = Option<String>, Query, description = "Before this time"),
        ("skip" = Option<i64>, Query, description = "How many to leave out", minimum = 0),
        ("limit" = Option<i64>, Query, description = "Items at most", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "A page of them", body = RunLlmCostPage),
        Refusals, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
    uri: Uri,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Manage)?.organization_id;
    let mut query = Query::of(&uri);
    let period = query.period();
    let skip = query.whole("skip", 0, 0, i64::from(i32::MAX));
    let limit = query.whole("limit", DEFAULT_LIMIT, 1, MAXIMUM_LIMIT);
    query.finish()?;
    let database = state.database();
    let (runs, total) = costs::runs(database, organization_id, period, skip, limit).await?;
    Answer::json(
        StatusCode::OK,
        &RunLlmCostPage {
            items: runs.into_iter().map(run_total).collect(),
            total,
            skip,
            limit,
        },
    )
}

/// Show what a run cost
///
/// By agent role and model. A run that nobody has booked calls on has no rows.
#[utoipa::path(
    get,
    path = "/v1/runs/{run_id}/llm-costs",
    operation_id = "get_run_llm_costs",
    tag = "Usage",
    params(("run_id" = Uuid, Path, description = "What calls sent as `X-Run-Id`")),
    responses(
        (status = 200, description = "Its costs", body = RunLlmCostsResponse),
        Refusals, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn of_run(
    State(state): State<ControlState>,
    caller: Authenticated,
    path: PathParameters,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Manage)?.organization_id;
    let run_id = path.uuid("run_id");
    let run_id = run_id.map_err(|fault| ApiError::invalid(vec![fault]))?;
    let filter = CallFilter {
        run_id: Some(run_id.to_string()),
        ..CallFilter::default()
    };
    let dimensions = [
        Dimension::Role,
        Dimension::Provider,
        Dimension::Model,
        Dimension::Protocol,
        Dimension::KeyOwner,
    ];
    let sums = costs::sums(state.database(), organization_id, &filter, &dimensions).await?;
    let priced = sums.iter().any(|sum| sum.priced > 0);
    let total: i64 = sums.iter().map(|sum| sum.cost_micros).sum();
    Answer::json(
        StatusCode::OK,
        &RunLlmCostsResponse {
            run_id,
            has_unpriced: sums.iter().any(|sum| sum.unpriced > 0),
            rows: sums.into_iter().map(row).collect(),
            total_cost_usd: priced.then(|| dollars(total)),
        },
    )
}

fn run_total(run: RunCost) -> RunLlmCostTotalResponse {
    RunLlmCostTotalResponse {
        run_id: run.run_id,
        workflow_id: Uuid::nil(),
        created_at: run.first_called_at,
        has_unpriced: run.sum.unpriced > 0,
        total_cost_usd: priced_dollars(&run.sum),
    }
}

fn row(sum: Sum) -> RunLlmCostRow {
    let cost_usd = priced_dollars(&sum);
    let mut group = sum.group.into_iter();
    let mut next = || group.next().flatten();
    let (role, provider, model, protocol) = (next(), next(), next(), next());
    let source = match next().as_deref() {
        Some("own" | "slot") => "organization",
        Some("platform") => "cyberdesk",
        _ => "none",
    };
    RunLlmCostRow {
        role: role.unwrap_or_else(|| "none".to_owned()),
        billing_platform: provider.unwrap_or_default(),
        model: model.unwrap_or_default(),
        endpoint_type: protocol.unwrap_or_default(),
        call_count: sum.calls,
        input_tokens: sum.tokens.input(),
        uncached_input_tokens: sum.tokens.uncached_input,
        cache_read_tokens: sum.tokens.cache_read,
        cache_write_5m_tokens: sum.tokens.cache_write_5m,
        cache_write_1h_tokens: sum.tokens.cache_write_1h,
        output_tokens: sum.tokens.output,
        reasoning_tokens: sum.tokens.reasoning,
        source,
        cost_usd,
    }
}
