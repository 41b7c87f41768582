//! Credentials, and putting one into a request.

use domain::secret::Secret;

use crate::catalog::Provider;
use crate::target::HttpRequest;

/// An opened credential, parsed for its provider. No `Debug`, no `Serialize`.
pub struct Credential {
    key: Secret,
}

/// A stored secret that is not a credential of its provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidCredential {
    /// What is wrong; holds nothing of the secret.
    pub message: String,
}

impl Credential {
    /// Reads a bare key or a JSON object of the provider's secret fields.
    ///
    /// # Errors
    /// When it is neither, or holds members the provider does not have.
    pub fn parse(provider: &Provider, secret: &Secret) -> Result<Self, InvalidCredential> {
        let _ = (provider, secret);
        unimplemented!()
    }

    /// Every secret text inside, for scrubbing.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        vec![self.key.expose()]
    }
}

/// Puts the credential where the provider looks for it, marked sensitive.
pub fn apply(provider: &Provider, credential: &Credential, request: &mut HttpRequest) {
    let _ = (provider, credential, request);
    unimplemented!()
}
