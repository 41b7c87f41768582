//! `GET /v1/budgets`.

use axum::extract::State;
use domain::api_key::Scope;
use domain::budget::{BudgetOwner, Month};
use http::StatusCode;
use store::usage::months;

use crate::answer::Answer;
use crate::budgets::view::{BudgetStatusView, BudgetView};
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::openapi::Refusals;
use crate::state::ControlState;

/// List budgets
///
/// The organisation's own first, then those of its keys, each with what was spent of it
/// this month. What calls of the last seconds cost may be missing.
#[utoipa::path(
    get,
    path = "/v1/budgets",
    operation_id = "list_budgets",
    tag = "Budgets",
    responses(
        (status = 200, description = "All of them", body = Vec<BudgetStatusView>),
        Refusals
    ),
    security(("api_key" = ["admin"]))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Admin)?.organization_id;
    let database = state.database();
    let now = state.clock().now();
    let budgets = store::budgets::list(database, organization_id).await?;
    let spent = months::spent_by(database, organization_id, Month::of(now)).await?;
    let views = budgets.into_iter().map(|(owner, budget)| {
        let of_owner = spent.iter().filter(|spent| match owner {
            BudgetOwner::Organization => true,
            BudgetOwner::ApiKey(id) => spent.api_key_id == id,
        });
        let micros = of_owner.map(|spent| spent.cost_micros).sum();
        BudgetView::new(owner, budget).with_spent(micros, now)
    });
    let views: Vec<BudgetStatusView> = views.collect();
    Answer::json(StatusCode::OK, &views)
}
