//! Access tokens for credentials that cannot go into a request themselves.

use super::{Credential, InvalidCredential};
use crate::catalog::Provider;

/// Whether a credential can be exchanged where it must be.
///
/// # Errors
/// When it cannot.
pub(super) fn check(_: &Provider, _: &Credential) -> Result<(), InvalidCredential> {
    Ok(())
}
