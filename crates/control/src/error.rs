//! Errors as FastAPI says them: `{"detail": "text"}`, and for a 422 always
//! `{"detail": [{"type", "loc", "msg", …}]}`, which is all that Cyberdesk's SDK can parse.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::StoreError;
use vault::VaultError;

/// A request that is refused, or that failed.
///
/// Its text never holds anything of a request body: bodies can hold keys.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: Detail,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
enum Detail {
    Text(Cow<'static, str>),
    Fields(Vec<FieldError>),
}

/// One member of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FieldError {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Vec<Location>,
    msg: Cow<'static, str>,
    /// What was sent, where it can hold no secret: in paths and queries only. Nothing is
    /// shown as null where it is said that nothing was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Box<Map<String, Value>>>,
}

/// One step on the way to a member.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Location {
    Name(Cow<'static, str>),
    Index(usize),
}

impl Location {
    pub(crate) fn name(name: impl Into<Cow<'static, str>>) -> Self {
        Self::Name(name.into())
    }
}

impl FieldError {
    pub(crate) fn new(
        kind: &'static str,
        loc: Vec<Location>,
        msg: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            loc,
            msg: msg.into(),
            input: None,
            ctx: None,
        }
    }

    /// An error about a member of the body.
    pub(crate) fn in_body(
        kind: &'static str,
        member: &'static str,
        msg: impl Into<Cow<'static, str>>,
    ) -> Self {
        let loc = vec![Location::name("body"), Location::name(member)];
        Self::new(kind, loc, msg)
    }

    pub(crate) fn with_input(mut self, input: &str) -> Self {
        self.input = Some(Some(input.to_owned()));
        self
    }

    /// Says more behind what is said.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.msg = format!("{}; {hint}", self.msg).into();
        self
    }

    /// As FastAPI says of a parameter that was not sent.
    pub(crate) fn with_null_input(mut self) -> Self {
        self.input = Some(None);
        self
    }

    pub(crate) fn with_context(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.ctx
            .get_or_insert_default()
            .insert(name.to_owned(), value.into());
        self
    }
}

impl ApiError {
    pub(crate) fn text(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            detail: Detail::Text(detail.into()),
            headers: Vec::new(),
        }
    }

    /// A 422: everything that is wrong, in the order of the schema.
    pub(crate) fn invalid(fields: Vec<FieldError>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            detail: Detail::Fields(fields),
            headers: Vec::new(),
        }
    }

    pub(crate) fn unauthenticated(detail: &'static str) -> Self {
        Self::text(StatusCode::UNAUTHORIZED, detail)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn not_found(detail: &'static str) -> Self {
        Self::text(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::text(StatusCode::CONFLICT, detail)
    }

    pub(crate) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::text(StatusCode::FORBIDDEN, detail)
    }

    /// A 503 that is over soon; a client with an idempotency key just tries again.
    pub(crate) fn unavailable(detail: &'static str) -> Self {
        Self::text(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    pub(crate) fn internal() -> Self {
        Self::text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Whether the request is at fault, rather than something that it needs.
    pub(crate) fn is_about_the_request(&self) -> bool {
        self.status.is_client_error()
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = match &self.detail {
            Detail::Text(text) => json!({ "detail": text }),
            Detail::Fields(fields) => json!({ "detail": fields }),
        };
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(error = %error, "the database is unavailable");
                Self::unavailable("The database is unavailable; try again")
            }
            StoreError::Busy => Self::unavailable("Another change is under way; try again"),
            StoreError::Conflict(what) => Self::conflict(format!("The {what} is taken")),
            StoreError::Corrupt(_) | StoreError::Database(_) => {
                tracing::error!(error = %error, "the database failed");
                Self::internal()
            }
        }
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        tracing::error!(error = %error, "the vault failed");
        match error {
            VaultError::Unavailable(_) => Self::unavailable("The vault is unavailable; try again"),
            VaultError::NotFound
            | VaultError::DoesNotOpen
            | VaultError::RootKey(_)
            | VaultError::Cryptography(_) => Self::internal(),
        }
    }
}
