//! `If-Match` (RFC 9110, 13.1.1): change a row only if it still is what the client saw.

use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::answer::entity_tag;
use crate::error::ApiError;

/// A condition on the revision of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// None was given.
    #[default]
    Absent,
    /// `*`: any revision will do.
    Any,
    /// One of these entity tags.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// Reads the header, which may stand several times. What is no strong entity tag
    /// matches nothing.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let tags: Vec<String> = headers
            .get_all(IF_MATCH)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(|tag| String::from_utf8_lossy(tag).trim().to_owned())
            .collect();
        if tags.is_empty() {
            return Self::Absent;
        }
        if tags.iter().any(|tag| tag == "*") {
            return Self::Any;
        }
        Self::OneOf(tags)
    }

    /// Refuses with a 412, which names the present tag, where the condition fails.
    pub(crate) fn check(&self, revision: i64) -> Result<(), ApiError> {
        let present = entity_tag(revision);
        match self {
            Self::OneOf(tags) if !tags.contains(&present) => {
                let error = ApiError::text(
                    StatusCode::PRECONDITION_FAILED,
                    "The model configuration has changed since; read it again",
                );
                Err(match HeaderValue::try_from(present) {
                    Ok(tag) => error.with_header(ETAG, tag),
                    Err(_) => error,
                })
            }
            Self::Absent | Self::Any | Self::OneOf(_) => Ok(()),
        }
    }

    /// Refuses any condition with a 400, where clients see no revision that it could name.
    pub(crate) fn refuse(&self) -> Result<(), ApiError> {
        match self {
            Self::Absent => Ok(()),
            Self::Any | Self::OneOf(_) => Err(ApiError::text(
                StatusCode::BAD_REQUEST,
                "If-Match is not supported here: this resource has no ETag",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(values: &[&'static str]) -> IfMatch {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, HeaderValue::from_static(value));
        }
        IfMatch::read(&headers)
    }

    #[test]
    fn what_has_no_revision_takes_no_condition() {
        assert!(condition(&[]).refuse().is_ok());
        for given in ["*", "\"3\"", ""] {
            let error = condition(&[given]).refuse().unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{given:?}");
        }
    }

    #[test]
    fn only_the_present_strong_tag_matches() {
        for good in [
            &[][..],
            &["*"],
            &["\"3\""],
            &["\"1\", \"3\""],
            &["\"1\"", "\"3\""],
        ] {
            assert!(condition(good).check(3).is_ok(), "{good:?}");
        }
        for stale in [&["\"2\""][..], &["W/\"3\""], &["3"], &[""]] {
            let error = condition(stale).check(3).unwrap_err();
            assert_eq!(error.status(), StatusCode::PRECONDITION_FAILED, "{stale:?}");
        }
    }
}
