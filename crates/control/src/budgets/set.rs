//! `PUT /v1/budgets/{owner}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::budget::{Budget, BudgetOwner};
use domain::validation::{self, Violation};
use http::StatusCode;
use store::changes::Change;
use utoipa::ToSchema;

use crate::answer::{Answer, to_value};
use crate::body::coerce;
use crate::body::fault::Fault;
use crate::body::fields::{Faults, Fields};
use crate::budgets::view::BudgetView;
use crate::budgets::{check, owner_in};
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::openapi::{BodyRefusals, Conflict, NotFound, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// What may be spent in each calendar month; at least one of the two.
#[derive(ToSchema)]
#[schema(as = BudgetPut, example = json!({"soft_micros": 40_000_000, "hard_micros": 50_000_000}))]
#[expect(dead_code, reason = "it only describes the body to the document")]
struct PutBudgetBody {
    /// In micro-dollars. From this on, answers carry a warning.
    #[schema(minimum = 1)]
    soft_micros: Option<i64>,
    /// In micro-dollars. From this on, calls are refused.
    #[schema(minimum = 1)]
    hard_micros: Option<i64>,
}

/// Set a budget
///
/// It replaces the one that the owner had. It holds here and on other nodes within two
/// seconds, for what was spent this month too. Calls with models that have no price are
/// never counted.
#[utoipa::path(
    put,
    path = "/v1/budgets/{owner}",
    operation_id = "set_budget",
    tag = "Budgets",
    params(
        ("owner" = String, Path, description = "`organization`, or the id of one of its API keys"),
        crate::openapi::IdempotencyKey
    ),
    request_body = PutBudgetBody,
    responses(
        (status = 200, description = "The budget as it is now", body = BudgetView),
        Refusals, NotFound, Conflict, BodyRefusals, Unprocessable
    ),
    security(("api_key" = ["admin"]))
)]
pub(crate) async fn set(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Set>(state, request).await
}

struct Set {
    owner: BudgetOwner,
    budget: Budget,
}

impl Operation for Set {
    const ACTION: &'static str = "budget.set";
    const SCOPE: Scope = Scope::Admin;
    const BODY: BodyRule = BodyRule::Json;
    type Prepared = ();

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        let owner = faults.noting(owner_in(&call.path));
        call.check_headers(&mut faults);
        let budget =
            Fields::of(&call.content, &mut faults).and_then(|mut fields| budget_in(&mut fields));
        let both = owner.zip(budget);
        faults.finish(both.map(|(owner, budget)| Self { owner, budget }))
    }

    async fn prepare(&self, _: &mut Preparation<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn run(&self, (): (), context: &mut WriteContext<'_>) -> Result<Outcome, ApiError> {
        let organization_id = context.call.caller.organization_id;
        let (owner, budget) = (self.owner, self.budget);
        let transaction = &mut *context.transaction;
        check(transaction, context.call, owner).await?;
        let before = store::budgets::get_in(transaction, organization_id, owner).await?;
        let before = before.map(|before| to_value(&BudgetView::new(owner, before)));
        store::budgets::put(transaction, organization_id, owner, budget, context.now).await?;
        let view = BudgetView::new(owner, budget);
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::OK, &view)?,
            sealed_answer: None,
            audited: Audited {
                resource_id: context.call.path.text("owner").to_owned(),
                before: before.transpose()?,
                after: Some(to_value(&view)?),
            },
            change: Change::Organization(organization_id),
        }))
    }
}

fn budget_in(fields: &mut Fields<'_>) -> Option<Budget> {
    let mut bound = |name| fields.nullable(name, |json| coerce::integer(json, above_zero));
    let budget = Budget {
        soft_micros: bound("soft_micros").value(),
        hard_micros: bound("hard_micros").value(),
    };
    if budget.is_unlimited() {
        let fault = "a budget has soft_micros, hard_micros or both";
        fields.refuse("hard_micros", Fault::value_error(fault));
        return None;
    }
    if let (Some(soft), Some(hard)) = (budget.soft_micros, budget.hard_micros)
        && soft > hard
    {
        let fault = "soft_micros must not be above hard_micros";
        fields.refuse("soft_micros", Fault::value_error(fault));
        return None;
    }
    Some(budget)
}

fn above_zero(number: i64) -> Result<(), Violation> {
    validation::max_tokens(number)
}
