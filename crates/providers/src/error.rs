//! What can go wrong between us and a provider, as a closed set that policy can read.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

use crate::catalog::Protocol;

/// What kind of failure it was. Policy reads this and never the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong, and would be at the next provider (400, 413, 422).
    InvalidRequest,
    /// The provider refused our credential (401, 403).
    Authentication,
    /// The account is out of money or quota.
    Quota,
    /// Too many requests (429).
    RateLimit,
    /// The provider does not know the model (404).
    ModelNotFound,
    /// The provider is overloaded (503, 529).
    Overloaded,
    /// The provider failed (other 5xx).
    Server,
    /// The connection could not be made: name, address, TLS, refusal.
    Connect,
    /// The connection broke.
    Connection,
    /// Something took too long.
    Timeout,
    /// The provider asks to try again (408, 409).
    Conflict,
    /// The provider's answer makes no sense: not the format, cut off, too large.
    Malformed,
}

impl ErrorKind {
    /// Whether the same request may succeed at the same target.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimit
                | Self::Overloaded
                | Self::Server
                | Self::Connect
                | Self::Connection
                | Self::Timeout
                | Self::Conflict
                | Self::Malformed
        )
    }

    /// A stable name for logs, metrics and error codes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Authentication => "provider_authentication",
            Self::Quota => "provider_quota",
            Self::RateLimit => "provider_rate_limit",
            Self::ModelNotFound => "provider_model_not_found",
            Self::Overloaded => "provider_overloaded",
            Self::Server => "provider_server_error",
            Self::Connect => "provider_connect",
            Self::Connection => "provider_connection",
            Self::Timeout => "provider_timeout",
            Self::Conflict => "provider_conflict",
            Self::Malformed => "provider_malformed_answer",
        }
    }
}

/// A failure reported by a provider, or found in what it sent.
///
/// `message` is the provider's text and may echo a key: whoever shows or logs it
/// scrubs it first.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}: {message}", .kind.as_str())]
pub struct ProviderError {
    /// What kind of failure it was.
    pub kind: ErrorKind,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The provider's words.
    pub message: String,
    /// The provider's own error code or type.
    pub code: Option<String>,
    /// The request member the provider complains of (OpenAI's `param`).
    pub parameter: Option<String>,
    /// How long the provider asks us to wait.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// A failure of which no more is known than its kind and words.
    #[must_use]
    pub const fn new(kind: ErrorKind, message: String) -> Self {
        Self {
            kind,
            status: None,
            message,
            code: None,
            parameter: None,
            retry_after: None,
        }
    }
}

/// How long a provider asks us to wait: `retry-after-ms`, or `retry-after` in seconds
/// or as a date (RFC 9110, section 10.2.3). A date that has passed means no wait.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |text: &str| {
        let seconds: f64 = text.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    if let Some(milliseconds) = text("retry-after-ms").and_then(seconds) {
        return Some(milliseconds / 1000);
    }
    let text = text("retry-after")?;
    seconds(text).or_else(|| {
        let date = jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(text)
            .ok()?;
        Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
    })
}

/// A client's request that we cannot accept, found before anything was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidCall {
    /// What is wrong and what to do.
    pub message: String,
    /// The member that is wrong, as a dotted path.
    pub parameter: Option<String>,
}

/// Something of a call that the target's protocol cannot say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loss {
    /// What was left out, as a stable dotted name, e.g. `messages.reasoning`.
    pub what: String,
    /// The format that could not say it.
    pub format: Protocol,
}

/// What a protocol could not say of a call, each thing once.
#[derive(Debug)]
pub(crate) struct Losses {
    format: Protocol,
    found: Vec<Loss>,
}

impl Losses {
    /// Nothing lost yet.
    pub(crate) const fn of(format: Protocol) -> Self {
        Self {
            format,
            found: Vec::new(),
        }
    }

    /// Notes that this was left out.
    pub(crate) fn add(&mut self, what: impl Into<String>) {
        let loss = Loss {
            what: what.into(),
            format: self.format,
        };
        if !self.found.contains(&loss) {
            self.found.push(loss);
        }
    }

    /// All that was left out.
    pub(crate) fn into_vec(self) -> Vec<Loss> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_seconds_milliseconds_and_as_a_date() {
        let now: Timestamp = "2015-10-21T07:27:30Z".parse().unwrap();
        let read = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(
            read("retry-after-ms", "1500"),
            Some(Duration::from_millis(1500))
        );
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(read("retry-after", date), Some(Duration::from_secs(30)));
        let past = "Wed, 21 Oct 2015 07:00:00 GMT";
        assert_eq!(read("retry-after", past), Some(Duration::ZERO));
        for nonsense in ["", "soon", "-1", "inf", "1e400"] {
            assert_eq!(read("retry-after", nonsense), None, "{nonsense}");
        }
    }
}
