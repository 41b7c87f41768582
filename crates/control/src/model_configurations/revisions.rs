//! `GET /v1/model-configurations/{id}/revisions`.

use std::str::FromStr;

use axum::extract::State;
use domain::api_key::Scope;
use http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::extract::path::{Page, PathParameters};
use crate::model_configurations::read::{id_in, visible};
use crate::model_configurations::view::RevisionView;
use crate::openapi::{NotFound, Refusals, RevisionPaging, Unprocessable};
use crate::state::ControlState;

/// The number of a revision, as a cursor.
struct Number(i64);

impl FromStr for Number {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number: i64 = text.parse().map_err(drop)?;
        // One spelling only, so that nobody takes a cursor for a number to count with.
        let is_ours = number > 0 && number.to_string() == text;
        is_ours.then_some(Self(number)).ok_or(())
    }
}

/// A page of revisions, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelConfigurationRevisionPage)]
struct RevisionPage<'row> {
    items: Vec<RevisionView<'row>>,
    /// What to send as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// List revisions
///
/// Every create, update and restore makes one. They never change.
#[utoipa::path(
    get,
    path = "/v1/model-configurations/{model_configuration_id}/revisions",
    operation_id = "list_model_configuration_revisions",
    tag = "Model configurations",
    params(("model_configuration_id" = uuid::Uuid, Path, description = "Which one"), RevisionPaging),
    responses(
        (status = 200, description = "A page of them", body = RevisionPage),
        Refusals, NotFound, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn revisions(
    State(state): State<ControlState>,
    caller: Authenticated,
    path: PathParameters,
    uri: Uri,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Manage)?.organization_id;
    let id = id_in(&path)?;
    let page = Page::<Number>::read(&uri)?;
    visible(&state, organization_id, id).await?;
    // One more than asked for tells whether there is another page.
    let rows = store::model_configurations::revisions(
        state.database(),
        organization_id,
        id,
        page.after.as_ref().map(|after| after.0),
        page.limit + 1,
    )
    .await?;
    let (rows, next) = page.cut(&rows, |revision| revision.number);
    Answer::json(
        StatusCode::OK,
        &RevisionPage {
            items: rows.iter().map(RevisionView::from).collect(),
            next_cursor: next,
        },
    )
}

/// There is no revision of that number.
pub(crate) fn revision_not_found() -> ApiError {
    ApiError::not_found("Revision not found")
}
