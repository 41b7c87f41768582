//! API keys: what a client presents, and what it may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{ApiKeyId, OrganizationId};
use crate::secret::Secret;

/// What a key allows. A key never mints another with more than it has itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything that concerns the whole installation: organisations, metrics.
    Operator,
    /// API keys and the audit trail of the own organisation.
    Admin,
    /// Reading and writing model configurations and credentials.
    Manage,
    /// Calling models.
    Invoke,
}

impl Scope {
    /// Every scope, the most powerful first.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Admin, Self::Manage, Self::Invoke];

    /// What a key gets when nobody says otherwise: everything inside its organisation.
    pub const WITHIN_ORGANIZATION: [Self; 3] = [Self::Admin, Self::Manage, Self::Invoke];

    /// The scope's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Manage => "manage",
            Self::Invoke => "invoke",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A text that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope `{0}`; known scopes: operator, admin, manage, invoke")]
pub struct UnknownScope(pub String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

/// A key as it is stored: everything but the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKey {
    /// Its identifier, which is safe to show.
    pub id: ApiKeyId,
    /// Whose key it is.
    pub organization_id: OrganizationId,
    /// A label for people.
    pub name: String,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// The SHA-256 by which a key is stored and looked up. It is computed over a
/// prefix of our own and the token, so that it equals no digest made elsewhere.
pub type Digest256 = [u8; 32];

/// The secret text of an API key.
///
/// A minted one is `qm_`, 52 base32 characters (256 random bits) and 7 more that
/// are a checksum, so that a mistyped key is told from a revoked one without a
/// look-up. A key that the operator chose may be any visible ASCII text of 32 to
/// 512 characters that does not begin with `qm_`.
#[derive(Clone)]
pub struct ApiKeyToken(Secret);

/// A text that cannot be an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed API key")]
pub struct InvalidToken;

impl ApiKeyToken {
    const PREFIX: &'static str = "qm_";
    const CHECKSUM_LENGTH: usize = 7;

    /// Makes a key of 256 random bits.
    #[must_use]
    pub fn from_random(bits: &[u8; 32]) -> Self {
        let body = BASE32_NOPAD.encode(bits).to_ascii_lowercase();
        let checksum = Self::checksum(&body);
        Self(Secret::new(format!("{}{body}{checksum}", Self::PREFIX)))
    }

    /// Recognises what a client presents.
    ///
    /// # Errors
    /// When the length, the characters or the checksum are not those of a key; no
    /// stored key can match such a text.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let plausible =
            (32..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !plausible {
            return Err(InvalidToken);
        }
        if let Some(rest) = text.strip_prefix(Self::PREFIX) {
            let split = rest.len().saturating_sub(Self::CHECKSUM_LENGTH);
            let (body, checksum) = rest.split_at(split);
            if checksum != Self::checksum(body) {
                return Err(InvalidToken);
            }
        }
        Ok(Self(Secret::new(text.to_owned())))
    }

    /// The text itself, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is stored instead of the key.
    #[must_use]
    pub fn digest(&self) -> Digest256 {
        let mut hasher = Sha256::new();
        hasher.update(b"quartermaster/api-key/v1\0");
        hasher.update(self.0.expose());
        hasher.finalize().into()
    }

    fn checksum(body: &str) -> String {
        let hash = Sha256::digest(body);
        let mut checksum = BASE32_NOPAD.encode(&hash[..5]).to_ascii_lowercase();
        checksum.truncate(Self::CHECKSUM_LENGTH);
        checksum
    }
}

/// Who a request comes from, once its key has been recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key that was presented.
    pub api_key_id: ApiKeyId,
    /// The organisation it acts for.
    pub organization_id: OrganizationId,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
}

impl Caller {
    /// Whether the key carries `scope`.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_parses_and_one_wrong_character_does_not() {
        let token = ApiKeyToken::from_random(&[9; 32]);
        assert!(ApiKeyToken::parse(token.expose()).is_ok());
        for position in 3..token.expose().len() {
            let mut wrong = token.expose().to_owned();
            let other = if &wrong[position..=position] == "a" {
                "b"
            } else {
                "a"
            };
            wrong.replace_range(position..=position, other);
            assert!(ApiKeyToken::parse(&wrong).is_err(), "position {position}");
        }
    }

    #[test]
    fn an_operators_own_key_needs_32_visible_characters() {
        assert!(ApiKeyToken::parse(&"k".repeat(32)).is_ok());
        assert!(ApiKeyToken::parse(&"k".repeat(31)).is_err());
        assert!(ApiKeyToken::parse(&"k".repeat(513)).is_err());
        assert!(ApiKeyToken::parse(&format!("{} ", "k".repeat(40))).is_err());
    }

    #[test]
    fn a_digest_is_not_the_plain_hash_of_the_key() {
        let token = ApiKeyToken::from_random(&[1; 32]);
        let plain: Digest256 = Sha256::digest(token.expose()).into();
        assert_ne!(token.digest(), plain);
    }
}
