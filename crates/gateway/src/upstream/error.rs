//! What can go wrong on the way to a provider.

use std::error::Error;
use std::fmt::Write;

use http::Uri;
use http::uri::Authority;
use providers::error::{ErrorKind, ProviderError};

/// A failure between us and a provider, without an answer. Messages hold hosts and
/// causes, never a path, a query or a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The egress guard or the configuration forbids the call; nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// The call was begun and failed.
    #[error("{message}")]
    Failed {
        /// What kind of failure.
        kind: ErrorKind,
        /// What happened.
        message: String,
    },
    /// Other answers have taken all the room that there is for answers.
    #[error("the answers of other calls have taken all the room")]
    NoRoom,
}

impl UpstreamError {
    pub(crate) fn failed(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Failed {
            kind,
            message: message.into(),
        }
    }

    /// Why there is no connection; to whom is added by [`UpstreamError::towards`].
    pub(super) fn connect(error: &dyn Error) -> Self {
        Self::failed(ErrorKind::Connect, causes(error))
    }

    /// Names the host that no connection could be made to: the one that was asked for,
    /// never the address that it led to.
    pub(super) fn towards(self, uri: &Uri) -> Self {
        let host = uri.authority().map_or("the provider", Authority::as_str);
        match self {
            Self::Failed { kind, message } => {
                Self::failed(kind, format!("no connection to {host}: {message}"))
            }
            other @ (Self::Refused(_) | Self::NoRoom) => other,
        }
    }

    pub(super) fn closed() -> Self {
        Self::failed(
            ErrorKind::Connection,
            "the provider closed the connection before its answer was whole",
        )
    }

    pub(super) fn from_hyper(error: &hyper::Error) -> Self {
        if error.is_parse() {
            return Self::failed(
                ErrorKind::Malformed,
                format!("the provider's answer is not HTTP: {}", causes(error)),
            );
        }
        if error.is_incomplete_message() || error.is_canceled() {
            return Self::closed();
        }
        Self::failed(
            ErrorKind::Connection,
            format!("the connection to the provider broke: {}", causes(error)),
        )
    }

    /// The same in the words of policy; our own reason where the provider is not to blame.
    pub(crate) fn into_provider_error(self) -> Result<ProviderError, String> {
        match self {
            Self::Refused(message) => Err(message),
            Self::NoRoom => Err(self.to_string()),
            Self::Failed { kind, message } => Ok(ProviderError::new(kind, message)),
        }
    }
}

/// An error and what caused it, in one line. Some errors repeat their cause in their own
/// text; it is said once.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            let _ = write!(text, ": {said}");
        }
        source = cause.source();
    }
    text
}
