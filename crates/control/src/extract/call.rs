//! A request to write, taken apart.

use axum::RequestExt;
use axum::extract::{MatchedPath, Request};
use domain::api_key::{Caller, Scope};
use domain::id::ModelConfigurationId;
use http::{HeaderMap, Method};

use crate::body::fields::Faults;
use crate::body::{self, Content};
use crate::error::{ApiError, FieldError};
use crate::extract::caller::{authenticate, require};
use crate::extract::if_match::IfMatch;
use crate::extract::path::{PathParameters, pairs};
use crate::idempotency::key;
use crate::layers::request_id::RequestId;
use crate::state::ControlState;

/// Whether an operation takes a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyRule {
    /// A JSON object.
    Json,
    /// None; what is sent is not read.
    Ignored,
}

/// A request whose caller is known and whose body is parsed, but not validated. It has
/// no `Debug`, since the body may hold a key.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) method: Method,
    /// The path with its parameters as names, e.g. `/v1/api-keys/{api_key_id}`.
    pub(crate) route: String,
    pub(crate) path: PathParameters,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) content: Content,
    pub(crate) if_match: IfMatch,
    pub(crate) request_id: Option<String>,
    idempotency_key: Result<Option<String>, FieldError>,
}

impl Call {
    /// Takes a request apart in FastAPI's order: what cannot be parsed is said before
    /// who the caller is, and the caller is known before anything is validated. How much
    /// is parsed does depend on the caller.
    pub(crate) async fn read(
        state: &ControlState,
        mut request: Request,
        body_rule: BodyRule,
        scope: Scope,
    ) -> Result<Self, ApiError> {
        let route = match request.extract_parts::<MatchedPath>().await {
            Ok(path) => path.as_str().to_owned(),
            Err(_) => request.uri().path().to_owned(),
        };
        let path = request.extract_parts::<PathParameters>().await;
        let (parts, body) = request.into_parts();
        let caller = authenticate(state, &parts).await;
        let content = match (&caller, body_rule) {
            (_, BodyRule::Ignored) => Content::Absent,
            (Ok(_), BodyRule::Json) => body::read(&parts.headers, body).await?,
            (Err(_), BodyRule::Json) => {
                if let Some(fault) = body::stranger_fault(&parts.headers, body).await {
                    return Err(fault);
                }
                Content::Absent
            }
        };
        let caller = caller?;
        require(&caller, scope)?;
        Ok(Self {
            caller,
            route,
            path: path?,
            query: pairs(&parts.uri),
            content,
            if_match: IfMatch::read(&parts.headers),
            request_id: request_id(&parts.extensions),
            idempotency_key: idempotency_key(&parts.headers),
            method: parts.method,
        })
    }

    /// The client's idempotency key, without quotes.
    pub(crate) fn idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_ref().ok()?.as_deref()
    }

    /// Begins the list of faults with those of path and headers, and gives the id of the
    /// model configuration in the path.
    pub(crate) fn model_configuration_id(
        &self,
        faults: &mut Faults,
    ) -> Option<ModelConfigurationId> {
        match self.path.uuid("model_configuration_id") {
            Ok(id) => Some(ModelConfigurationId(id)),
            Err(fault) => {
                faults.add(fault);
                None
            }
        }
    }

    /// Notes an idempotency key that is malformed.
    pub(crate) fn check_headers(&self, faults: &mut Faults) {
        if let Err(fault) = &self.idempotency_key {
            faults.add(fault.clone());
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, FieldError> {
    key::read(headers)
}

fn request_id(extensions: &http::Extensions) -> Option<String> {
    extensions.get::<RequestId>().map(|id| id.0.clone())
}
