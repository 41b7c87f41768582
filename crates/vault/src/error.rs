//! What can go wrong in the vault. No message holds anything of a secret.

/// A failure of the vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Nothing is stored under the alias.
    #[error("no secret is stored under this alias")]
    NotFound,
    /// The blob, its binding or its key do not fit together.
    #[error(
        "the secret does not open: it was sealed for another owner, place or key, or was changed"
    )]
    DoesNotOpen,
    /// The storage or the external vault cannot be reached now.
    #[error("the vault cannot be reached: {0}")]
    Unavailable(String),
    /// The root key file or its like is not acceptable. The message says what to do.
    #[error("{0}")]
    RootKey(String),
    /// The cryptographic library refused what it should never refuse.
    #[error("the cryptographic library failed: {0}")]
    Cryptography(&'static str),
}
