//! Targets: a catalog row and a model configuration, resolved once into where and how to call.

use domain::model_configuration::ModelSettings;
use http::{HeaderMap, Method, Uri};

use crate::catalog::{Protocol, Provider};
use crate::error::InvalidCall;

/// Scheme, host and port, lower-case and in punycode, e.g. `https://api.openai.com`;
/// the port is left out where it is the scheme's own. A key is bound to one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(String);

impl Origin {
    /// As `scheme://host[:port]`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One concrete place to send calls to. Made when a snapshot is built, not per call.
#[derive(Clone, Debug)]
pub struct Target {
    /// The catalog row.
    pub provider: &'static Provider,
    /// The wire format spoken there.
    pub protocol: Protocol,
    /// The provider's name of the model.
    pub model: String,
    /// Where the key may be sent.
    pub origin: Origin,
    /// Whether the origin is the catalog's, so that platform keys may be used.
    pub is_catalog_origin: bool,
}

/// A request as a value. Whoever owns sockets sends it.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Its method.
    pub method: Method,
    /// Absolute address.
    pub uri: Uri,
    /// Headers without credential, `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// The body.
    pub body: bytes::Bytes,
}

impl Target {
    /// Resolves a configuration.
    ///
    /// # Errors
    /// When the provider is unknown or the endpoint is not an address we may call.
    pub fn new(settings: &ModelSettings) -> Result<Self, InvalidCall> {
        let _ = settings;
        unimplemented!()
    }
}
