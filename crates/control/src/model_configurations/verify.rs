//! `POST /v1/model-configurations/{id}/verify`.

use std::time::Duration;

use axum::extract::State;
use domain::api_key::Scope;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::extract::path::PathParameters;
use crate::model_configurations::read::{id_in, visible};
use crate::openapi::{NotFound, Refusals, Unprocessable};
use crate::state::{Check, ControlState};

/// How long the call may take; less than a handler may.
const PATIENCE: Duration = Duration::from_secs(9);

/// How a live call went.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "ok": false,
    "checks": [{
        "check": "call",
        "label": "One minimal call to gpt-5-mini at https://api.openai.com",
        "ok": false,
        "error": "The provider refused the key of this model configuration: Incorrect API key provided: [redacted].",
        "is_auth_error": true,
        "latency_ms": 214,
    }],
}))]
struct VerifyResult {
    /// Whether every check went well.
    ok: bool,
    checks: Vec<Check>,
}

/// Verify a model configuration
///
/// Makes one minimal live call with the configuration as it is stored. It changes
/// nothing, so it takes no `Idempotency-Key`. It is a call like any other: the provider
/// bills a few tokens, which limits and budgets count and `/v1/calls` lists.
#[utoipa::path(
    post,
    path = "/v1/model-configurations/{model_configuration_id}/verify",
    operation_id = "verify_model_configuration",
    tag = "Model configurations",
    params(("model_configuration_id" = uuid::Uuid, Path, description = "Which one")),
    responses(
        (status = 200, description = "How it went, whether well or not", body = VerifyResult),
        Refusals, NotFound, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn verify(
    State(state): State<ControlState>,
    caller: Authenticated,
    path: PathParameters,
) -> Result<Answer, ApiError> {
    let caller = caller.with(Scope::Manage)?;
    let id = id_in(&path)?;
    let row = visible(&state, caller.organization_id, id).await?;
    let live = state.live_check().check(&caller, &row);
    let checks = tokio::time::timeout(PATIENCE, live)
        .await
        .unwrap_or_else(|_| vec![too_slow()]);
    let ok = checks.iter().all(|check| check.ok);
    Answer::json(StatusCode::OK, &VerifyResult { ok, checks })
}

fn too_slow() -> Check {
    Check {
        check: "call".to_owned(),
        label: "One minimal call".to_owned(),
        ok: false,
        model: None,
        location: None,
        error: Some(format!("no answer within {} seconds", PATIENCE.as_secs())),
        is_auth_error: false,
        latency_ms: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
    }
}
