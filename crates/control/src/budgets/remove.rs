//! `DELETE /v1/budgets/{owner}`.

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::Scope;
use domain::budget::BudgetOwner;
use store::changes::Change;

use crate::answer::{Answer, to_value};
use crate::body::fields::Faults;
use crate::budgets::view::BudgetView;
use crate::budgets::{check, owner_in};
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::openapi::{Conflict, NotFound, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// Remove a budget
///
/// From then on the owner's spending is not bounded.
#[utoipa::path(
    delete,
    path = "/v1/budgets/{owner}",
    operation_id = "remove_budget",
    tag = "Budgets",
    params(
        ("owner" = String, Path, description = "`organization`, or the id of one of its API keys"),
        crate::openapi::IdempotencyKey
    ),
    responses(
        (status = 204, description = "It is removed"),
        Refusals, NotFound, Conflict, Unprocessable
    ),
    security(("api_key" = ["admin"]))
)]
pub(crate) async fn remove(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Remove>(state, request).await
}

struct Remove(BudgetOwner);

impl Operation for Remove {
    const ACTION: &'static str = "budget.remove";
    const SCOPE: Scope = Scope::Admin;
    const BODY: BodyRule = BodyRule::Ignored;
    type Prepared = ();

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        let owner = faults.noting(owner_in(&call.path));
        call.check_headers(&mut faults);
        faults.finish(owner).map(Self)
    }

    async fn prepare(&self, _: &mut Preparation<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn run(&self, (): (), context: &mut WriteContext<'_>) -> Result<Outcome, ApiError> {
        let organization_id = context.call.caller.organization_id;
        let transaction = &mut *context.transaction;
        check(transaction, context.call, self.0).await?;
        let before = store::budgets::get_in(transaction, organization_id, self.0)
            .await?
            .ok_or_else(|| ApiError::not_found("Budget not found"))?;
        store::budgets::delete(transaction, organization_id, self.0).await?;
        Ok(Outcome::from(Done {
            answer: Answer::no_content(),
            sealed_answer: None,
            audited: Audited {
                resource_id: context.call.path.text("owner").to_owned(),
                before: Some(to_value(&BudgetView::new(self.0, before))?),
                after: None,
            },
            change: Change::Organization(organization_id),
        }))
    }
}
