//! Health, for load balancers, orchestrators and people. Nobody needs a key here.

use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::error::ApiError;
use crate::state::ControlState;

/// How long a dependency may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether this process answers.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`: a process that is not does not answer.
    #[schema(example = "ok")]
    status: &'static str,
    /// The version of this program.
    version: &'static str,
}

/// Whether this process can work.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ok`, or `error` where anything below is.
    #[schema(example = "ok")]
    status: &'static str,
    #[schema(example = "ok")]
    database: &'static str,
    #[schema(example = "ok")]
    vault: &'static str,
}

/// Whether the database answers.
#[derive(Serialize, ToSchema)]
struct DatabaseHealth {
    /// The same as `database`.
    #[schema(example = "ok")]
    status: &'static str,
    #[schema(example = "ok")]
    database: &'static str,
}

/// Health
#[utoipa::path(
    get,
    path = "/v1/health",
    operation_id = "health",
    tag = "Health",
    responses((status = 200, description = "It answers", body = Health)),
    security(())
)]
pub(crate) async fn health() -> Result<Answer, ApiError> {
    live().await
}

/// Liveness
///
/// Always 200: restarting the process would not help where a dependency is down.
#[utoipa::path(
    get,
    path = "/health/live",
    operation_id = "liveness",
    tag = "Health",
    responses((status = 200, description = "It answers", body = Health)),
    security(())
)]
pub(crate) async fn live() -> Result<Answer, ApiError> {
    Answer::json(
        StatusCode::OK,
        &Health {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
        },
    )
}

/// Database health
#[utoipa::path(
    get,
    path = "/v1/health/db",
    operation_id = "database_health",
    tag = "Health",
    responses(
        (status = 200, description = "The database answers", body = DatabaseHealth),
        (status = 503, description = "It does not", body = DatabaseHealth)
    ),
    security(())
)]
pub(crate) async fn database(State(state): State<ControlState>) -> Result<Answer, ApiError> {
    let database = database_answers(&state).await;
    let status = word(database);
    Answer::json(
        code(database),
        &DatabaseHealth {
            status,
            database: status,
        },
    )
}

/// Database health (older path)
#[utoipa::path(
    get,
    path = "/health/db",
    operation_id = "database_health_legacy",
    tag = "Health",
    responses(
        (status = 200, description = "The database answers", body = DatabaseHealth),
        (status = 503, description = "It does not", body = DatabaseHealth)
    ),
    security(())
)]
pub(crate) async fn database_legacy(state: State<ControlState>) -> Result<Answer, ApiError> {
    database(state).await
}

/// Readiness
///
/// Whether changes can be made: the database and the vault answer. Calls through
/// configurations that are known already go on without either.
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "readiness",
    tag = "Health",
    responses(
        (status = 200, description = "All answer", body = Readiness),
        (status = 503, description = "Something does not", body = Readiness)
    ),
    security(())
)]
pub(crate) async fn ready(State(state): State<ControlState>) -> Result<Answer, ApiError> {
    let (database, vault) = futures::join!(database_answers(&state), vault_answers(&state));
    let all = database && vault;
    Answer::json(
        code(all),
        &Readiness {
            status: word(all),
            database: word(database),
            vault: word(vault),
        },
    )
}

/// Readiness (older path)
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "readiness_legacy",
    tag = "Health",
    responses(
        (status = 200, description = "All answer", body = Readiness),
        (status = 503, description = "Something does not", body = Readiness)
    ),
    security(())
)]
pub(crate) async fn ready_legacy(state: State<ControlState>) -> Result<Answer, ApiError> {
    ready(state).await
}

async fn database_answers(state: &ControlState) -> bool {
    let ping = tokio::time::timeout(PATIENCE, state.database().ping()).await;
    matches!(ping, Ok(Ok(())))
}

async fn vault_answers(state: &ControlState) -> bool {
    let health = tokio::time::timeout(PATIENCE, state.vault().health()).await;
    matches!(health, Ok(Ok(())))
}

const fn word(is_well: bool) -> &'static str {
    if is_well { "ok" } else { "error" }
}

const fn code(is_well: bool) -> StatusCode {
    if is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
