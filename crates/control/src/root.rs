//! `GET /`: what this is and where to go, where no console is built.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::error::ApiError;

/// What this is.
#[derive(Serialize, ToSchema)]
struct Root {
    #[schema(example = "Quartermaster")]
    name: &'static str,
    version: &'static str,
    links: Links,
}

/// Where to go.
#[derive(Serialize, ToSchema)]
struct Links {
    /// The OpenAPI document.
    #[schema(example = "/openapi.json")]
    openapi: &'static str,
    #[schema(example = "/v1/health")]
    health: &'static str,
    #[schema(example = "/v1/model-configurations")]
    model_configurations: &'static str,
    #[schema(example = "/v1/models")]
    models: &'static str,
}

/// What this is
#[utoipa::path(
    get,
    path = "/",
    operation_id = "root",
    tag = "Health",
    responses((status = 200, description = "Name, version and links", body = Root)),
    security(())
)]
pub(crate) async fn root() -> Result<Answer, ApiError> {
    Answer::json(
        StatusCode::OK,
        &Root {
            name: "Quartermaster",
            version: env!("CARGO_PKG_VERSION"),
            links: Links {
                openapi: "/openapi.json",
                health: "/v1/health",
                model_configurations: "/v1/model-configurations",
                models: "/v1/models",
            },
        },
    )
}
