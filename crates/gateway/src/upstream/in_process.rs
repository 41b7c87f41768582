//! Origins that answer inside this process: the built-in stand-in provider needs
//! no socket, and so no exception in the egress guard.

use std::collections::HashMap;

use axum::BoxError;
use axum::body::Body;
use http::{Request, Response};
use tower::util::BoxCloneSyncService;

/// A service that answers in place of a host. Its error is a connection that broke
/// before the answer began.
pub type InProcessService = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Which origins are answered in this process.
#[derive(Clone, Default)]
pub struct InProcessOrigins(HashMap<String, InProcessService>);

impl InProcessOrigins {
    /// Answers calls to `origin` (`scheme://host[:port]`) by `service`.
    #[must_use]
    pub fn with(mut self, origin: impl Into<String>, service: InProcessService) -> Self {
        self.0.insert(origin.into(), service);
        self
    }

    pub(super) fn get(&self, origin: &str) -> Option<&InProcessService> {
        self.0.get(origin)
    }
}
