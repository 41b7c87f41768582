//! `additional_params`: which members are refused, and where the others go.
//!
//! Members that are secrets, endpoints, headers, files, proxies or code are
//! policed here; all others are forwarded where LangChain forwards them.

use domain::model_configuration::ModelSettings;

use crate::catalog::Provider;

/// A member of `additional_params` (or a plain field) that this provider must not be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParameterError {
    /// Where, below `additional_params`; e.g. `["default_headers", "authorization"]`.
    pub path: Vec<String>,
    /// What is wrong and where it belongs.
    pub message: String,
}

/// Everything that is wrong with the parameters of `settings`, so that it can be said at once.
#[must_use]
pub fn check(provider: &Provider, settings: &ModelSettings) -> Vec<ParameterError> {
    let _ = (provider, settings);
    unimplemented!()
}
