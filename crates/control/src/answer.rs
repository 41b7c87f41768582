//! Answers as values: what a handler returns, and what an idempotency key remembers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::error::ApiError;

/// Status, headers and body of a success. It has no `Debug`, since it may show a new key.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A JSON document.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(body).map_err(|error| {
            tracing::error!(error = %error, "an answer cannot be written as JSON");
            ApiError::internal()
        })?;
        Ok(Self {
            status,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body: Bytes::from(body),
        })
    }

    /// 204, without a body.
    pub(crate) const fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds the entity tag of a revision.
    pub(crate) fn with_etag(self, revision: i64) -> Self {
        match HeaderValue::try_from(entity_tag(revision)) {
            Ok(value) => self.with_header(ETAG, value),
            Err(_) => self,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A strong entity tag (RFC 9110, 8.8.3): the number of the revision.
pub(crate) fn entity_tag(revision: i64) -> String {
    format!("\"{revision}\"")
}

/// A time as pydantic prints it: UTC with `Z` and six digits.
pub(crate) fn time<S: serde::Serializer>(
    time: &Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// The same for a time that may be missing.
pub(crate) fn optional_time<S: serde::Serializer>(
    value: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => time(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// Cuts a time to the microseconds that are stored, so that an answer equals what is
/// read later.
pub(crate) fn to_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// A view as a value, for the audit trail.
pub(crate) fn to_value(view: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(view).map_err(|error| {
        tracing::error!(error = %error, "a view cannot be written as JSON");
        ApiError::internal()
    })
}
