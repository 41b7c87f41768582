//! What the operations share in the OpenAPI document, and where it is served.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{IntoParams, IntoResponses, Modify, ToSchema};

/// The document before the operations are added.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Quartermaster",
        description = "Issues models to agents. One named model configuration says which model \
                       of which provider does a job, with which parameters and whose key; any \
                       agent calls it by name through the OpenAI or Anthropic API.\n\n\
                       Every write takes an `Idempotency-Key`: repeated with the same key, a \
                       request is done at most once and gets the same answer again, for at \
                       least 24 hours. Errors are `{\"detail\": …}`; a 422 lists all that is \
                       wrong.",
    ),
    // Schemas that only responses name are not found by themselves.
    components(schemas(HttpError, HttpValidationError, ValidationError, LocationItem)),
    modifiers(&ApiKeyScheme),
    components(schemas(HttpError, HttpValidationError, ValidationError, LocationItem)),
    tags(
        (name = "Model configurations", description = "Which model does which job."),
        (name = "Agent roles", description = "Which model configuration does which job of an agent."),
        (name = "Usage", description = "What calls took and cost."),
        (name = "Provider credentials", description = "Keys that an organisation brings for all its configurations."),
        (name = "Budgets", description = "What may be spent in a month."),
        (name = "Providers", description = "Whom a model configuration can name."),
        (name = "API keys", description = "What clients present."),
        (name = "Audit", description = "Who changed what, when."),
        (name = "Organizations", description = "The tenants of the installation."),
        (name = "Health", description = "For load balancers and orchestrators."),
    )
)]
pub(crate) struct Document;

struct ApiKeyScheme;

impl Modify for ApiKeyScheme {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "`Authorization: Bearer qm_…`. A key has scopes: `operator`, `admin`, `manage`, \
                 `invoke`.",
            ))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("api_key", SecurityScheme::Http(scheme));
    }
}

/// Serves a document at `/openapi.json`.
pub(crate) fn route(document: &OpenApi) -> Router {
    // It is made of derived types only, so that this cannot fail; were it to, an empty
    // answer is not worth refusing to start.
    let text: Bytes = document.to_pretty_json().unwrap_or_default().into();
    let handler = move || async move { ([(CONTENT_TYPE, "application/json")], text.clone()) };
    Router::new().route("/openapi.json", get(handler))
}

/// `Idempotency-Key`, on every write.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it only describes a header to the document")]
pub(crate) struct IdempotencyKey {
    /// Unique key for idempotent requests: the request is done at most once, and
    /// repetitions get the original answer, marked `Idempotent-Replayed: true`. 1 to 255
    /// visible ASCII characters.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        pattern = r#"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#,
        example = "550e8400-e29b-41d4-a716-446655440000"
    )]
    idempotency_key: Option<String>,
}

/// `If-Match`, where a row can have changed.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it only describes a header to the document")]
pub(crate) struct IfMatchHeader {
    /// The `ETag` of the row as it was read. Left out, any revision will do.
    #[param(rename = "If-Match", required = false, example = "\"3\"")]
    if_match: Option<String>,
}

/// `force`, where a change takes a configuration away from agent roles.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it only describes a query to the document")]
pub(crate) struct ForceParameter {
    /// Whether agent roles that name the row, and that it could no longer do, are unassigned.
    /// Otherwise they are listed in a 409, and nothing is changed.
    #[param(required = false, default = false)]
    force: Option<bool>,
}

/// Pages of revisions.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it only describes a query to the document")]
pub(crate) struct RevisionPaging {
    /// `next_cursor` of the page before.
    #[param(required = false, pattern = "^[1-9][0-9]{0,17}$")]
    cursor: Option<String>,
    /// Items at most.
    #[param(required = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// Pages of audit events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it only describes a query to the document")]
pub(crate) struct AuditEventPaging {
    /// `next_cursor` of the page before.
    #[param(required = false, format = Uuid)]
    cursor: Option<String>,
    /// Items at most.
    #[param(required = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// An error in one sentence.
#[derive(Serialize, ToSchema)]
#[schema(as = HTTPError)]
pub(crate) struct HttpError {
    #[schema(example = "Model configuration not found")]
    detail: String,
}

/// Everything that is wrong with a request.
#[derive(Serialize, ToSchema)]
#[schema(as = HTTPValidationError)]
pub(crate) struct HttpValidationError {
    detail: Vec<ValidationError>,
}

/// One thing that is wrong.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValidationError {
    /// The way to it: `body`, `path`, `query` or `header`, then names and indexes.
    #[schema(value_type = Vec<LocationItem>, example = json!(["body", "max_tokens"]))]
    loc: Vec<Value>,
    #[schema(example = "Input should be a valid integer")]
    msg: String,
    r#type: String,
    /// What was sent; left out wherever it could hold a secret.
    #[schema(required = false)]
    input: Option<Value>,
    /// The numbers in `msg`.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>, required = false)]
    ctx: Option<Value>,
}

/// A name or an index.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes a location to the document")]
pub(crate) enum LocationItem {
    Name(String),
    Index(i64),
}

/// Every operation that needs a key.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the document")]
pub(crate) enum Refusals {
    /// Two `Authorization` headers, or a body that is no text.
    #[response(status = 400)]
    BadRequest(HttpError),
    /// No API key, or not a good one.
    #[response(status = 401)]
    Unauthenticated(HttpError),
    /// The key lacks the scope, or the row belongs to the installation.
    #[response(status = 403)]
    Forbidden(HttpError),
    /// Too many wrong keys from this address; see `Retry-After`.
    #[response(status = 429)]
    TooMany(HttpError),
    /// A dependency is down; see `Retry-After`.
    #[response(status = 503)]
    Unavailable(HttpError),
}

/// Operations on one thing.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the document")]
pub(crate) enum NotFound {
    /// It does not exist, or belongs to another organisation.
    #[response(status = 404)]
    NotFound(HttpError),
}

/// Operations on one row of the own organisation.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the document")]
pub(crate) enum NotOwn {
    /// It does not exist, or belongs to another organisation.
    #[response(status = 404)]
    NotFound(HttpError),
}

/// Every write.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the document")]
pub(crate) enum Conflict {
    /// The name is taken; an agent role needs the row; or the `Idempotency-Key` still runs (`Idempotency-Status:
    /// in_progress`, try again) or was used for another request (`mismatch`, final).
    #[response(status = 409)]
    Conflict(HttpError),
}

/// Every write with a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the document")]
pub(crate) enum BodyRefusals {
    /// The body did not arrive in time.
    #[response(status = 408)]
    TooSlow(HttpError),
    /// The body is larger than 1 MiB.
    #[response(status = 413)]
    TooLarge(HttpError),
    /// The body has a `Content-Encoding`.
    #[response(status = 415)]
    Encoded(HttpError),
}

/// Writes with `If-Match`.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the document")]
pub(crate) enum Changed {
    /// The row is no longer the revision in `If-Match`.
    #[response(status = 412)]
    Changed(HttpError),
}

/// Operations that validate.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the document")]
pub(crate) enum Unprocessable {
    /// Something is wrong with the request.
    #[response(status = 422)]
    Unprocessable(HttpValidationError),
}
