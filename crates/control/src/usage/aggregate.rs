//! `GET /v1/usage/aggregate`, as Cyberdesk has it.

use axum::extract::State;
use domain::api_key::Scope;
use http::{StatusCode, Uri};
use jiff::Timestamp;
use serde::Serialize;
use store::usage::{Period, costs};
use utoipa::ToSchema;

use super::query::Query;
use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::openapi::{Refusals, Unprocessable};
use crate::state::ControlState;

/// How many steps agents made.
#[derive(Serialize, ToSchema)]
struct UsageAggregateResponse {
    /// Calls that carried an `X-Run-Id`.
    total_agentic_steps: u64,
    /// Always 0: nothing is replayed here.
    total_cached_steps: u64,
    #[schema(example = "2026-01-01T00:00:00+00:00")]
    period_start: String,
    #[schema(example = "2026-01-02T00:00:00+00:00")]
    period_end: String,
    /// As it was asked for; both count the same here.
    mode: &'static str,
    /// Runs that made a step.
    runs_counted: u64,
}

/// Count agentic steps
///
/// A call that carries an `X-Run-Id` is one step.
#[utoipa::path(
    get,
    path = "/v1/usage/aggregate",
    operation_id = "get_usage_aggregate",
    tag = "Usage",
    params(
        ("from_date" = String, Query, description = "From this time on (ISO 8601)"),
        ("to_date" = String, Query, description = "Before this time"),
        ("mode" = Option<String>, Query, description = "`simulated` or `billed`"),
    ),
    responses(
        (status = 200, description = "The counts", body = UsageAggregateResponse),
        Refusals, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn aggregate(
    State(state): State<ControlState>,
    caller: Authenticated,
    uri: Uri,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Manage)?.organization_id;
    let mut query = Query::of(&uri);
    let from = query.required_time("from_date");
    let to = query.required_time("to_date");
    let mode = query.one_of("mode", &[("simulated", "simulated"), ("billed", "billed")]);
    query.finish()?;
    let period = Period { from, to };
    let (steps, runs) = costs::steps(state.database(), organization_id, period).await?;
    Answer::json(
        StatusCode::OK,
        &UsageAggregateResponse {
            total_agentic_steps: steps,
            total_cached_steps: 0,
            period_start: from.map(isoformat).unwrap_or_default(),
            period_end: to.map(isoformat).unwrap_or_default(),
            mode: mode.unwrap_or("simulated"),
            runs_counted: runs,
        },
    )
}

/// As Python's `isoformat` prints UTC: with an offset, and six digits or none.
fn isoformat(time: Timestamp) -> String {
    let text = if time.subsec_nanosecond() == 0 {
        format!("{time:.0}")
    } else {
        format!("{time:.6}")
    };
    text.replace('Z', "+00:00")
}
