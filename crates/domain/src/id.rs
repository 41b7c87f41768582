//! Identifiers: UUIDs that cannot be mistaken for one another, and vault aliases.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// Names an [`Organization`](crate::organization::Organization).
    OrganizationId
);
uuid_id!(
    /// Names a [`ModelConfiguration`](crate::model_configuration::ModelConfiguration).
    ModelConfigurationId
);
uuid_id!(
    /// Names an [`ApiKey`](crate::api_key::ApiKey); safe to show, unlike the key itself.
    ApiKeyId
);
uuid_id!(
    /// Names an [`AuditEvent`](crate::audit::AuditEvent).
    AuditEventId
);
uuid_id!(
    /// Names one inference call. It sorts by when the call began (UUIDv7).
    CallId
);

/// The opaque pointer to a secret in the vault. It says nothing about the secret
/// and may be shown, logged and stored.
///
/// Its shape is `mca_` and 26 lower-case base32 characters (128 random bits).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Alias(String);

/// A text that is not an [`Alias`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an alias is `mca_` and 26 characters of a-z and 2-7")]
pub struct InvalidAlias;

impl Alias {
    const PREFIX: &'static str = "mca_";

    /// Makes an alias of 128 random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 16]) -> Self {
        let encoded = BASE32_NOPAD.encode(&bits).to_ascii_lowercase();
        Self(format!("{}{encoded}", Self::PREFIX))
    }

    /// The alias as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alias {
    type Err = InvalidAlias;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(InvalidAlias)?;
        let well_formed = encoded.len() == 26
            && encoded
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAlias)
        }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_survives_its_text_and_refuses_other_text() {
        let alias = Alias::from_random([7; 16]);
        assert_eq!(alias.as_str().len(), 30);
        assert_eq!(alias.as_str().parse::<Alias>(), Ok(alias));
        for other in [
            "",
            "mca_",
            "mca_../../applications/key",
            "mca_{{}}",
            "MCA_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(other.parse::<Alias>(), Err(InvalidAlias), "{other}");
        }
    }
}
