//! Provider credentials: the keys that an organisation brings for all its configurations.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Alias, OrganizationId};

/// An organisation's own credential for one slot, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderCredential {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// What it opens: one of Cyberdesk's four slots, or a provider of the catalog.
    pub slot: String,
    /// Counts its changes, from 1.
    pub revision: i64,
    /// Whether calls may be made with it.
    pub status: CredentialStatus,
    /// What it consists of; none where it is missing.
    pub auth_type: Option<AuthType>,
    /// Where the secret lies in the vault; none where it is missing.
    pub alias: Option<Alias>,
    /// What may be shown of it.
    pub display_metadata: DisplayMetadata,
    /// What the last validation found wrong, scrubbed of secrets.
    pub last_error: Option<String>,
    /// When the present secret was given.
    pub activated_at: Option<Timestamp>,
    /// When it was last tried.
    pub last_validated_at: Option<Timestamp>,
    /// When the slot first got a credential.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Whether calls may be made with a credential. Any of them keeps the slot the
/// organisation's: the operator's key is not used instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialStatus {
    /// They may.
    Active,
    /// A provider refused it when it was validated.
    Invalid,
    /// It was deleted, and no other was given.
    Missing,
}

/// What a credential consists of, in Cyberdesk's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthType {
    /// One key.
    ApiKey,
    /// A key of Amazon Bedrock's.
    AwsBedrockApiKey,
    /// An access key of AWS and its secret.
    AwsIam,
    /// The key file of a Google service account.
    ServiceAccountJson,
}

/// What may be shown of a credential. Nobody gets far with any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisplayMetadata {
    /// The last four characters of a key that has many more.
    pub key_last4: Option<String>,
    /// The service account's project.
    pub project_id: Option<String>,
    /// The service account's name.
    pub client_email: Option<String>,
    /// The region that calls go to where a configuration names none.
    pub aws_region: Option<String>,
    /// The last four characters of the access key's id.
    pub access_key_id_last4: Option<String>,
}

/// A text that is none of the words it should be one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an unknown word")]
pub struct UnknownWord;

impl CredentialStatus {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Invalid => "invalid",
            Self::Missing => "missing",
        }
    }
}

impl AuthType {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::AwsBedrockApiKey => "aws_bedrock_api_key",
            Self::AwsIam => "aws_iam",
            Self::ServiceAccountJson => "service_account_json",
        }
    }

    /// As people call it, with its article.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::ApiKey => "an API key",
            Self::AwsBedrockApiKey => "an API key of Bedrock's",
            Self::AwsIam => "an access key of AWS",
            Self::ServiceAccountJson => "a service account",
        }
    }
}

impl fmt::Display for CredentialStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for AuthType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for CredentialStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Active, Self::Invalid, Self::Missing];
        let mut all = all.into_iter();
        all.find(|it| it.as_str() == text).ok_or(UnknownWord)
    }
}

impl FromStr for AuthType {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [
            Self::ApiKey,
            Self::AwsBedrockApiKey,
            Self::AwsIam,
            Self::ServiceAccountJson,
        ];
        let mut all = all.into_iter();
        all.find(|it| it.as_str() == text).ok_or(UnknownWord)
    }
}

/// The last four characters of a text, where so few give nothing away of it.
#[must_use]
pub fn last4(text: &str) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let start = characters.len().checked_sub(4)?;
    let few = characters.get(start..)?;
    (characters.len() >= 12).then(|| few.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_their_text() {
        use AuthType::{ApiKey, AwsBedrockApiKey, AwsIam, ServiceAccountJson};
        use CredentialStatus::{Active, Invalid, Missing};
        for word in [Active, Invalid, Missing] {
            assert_eq!(word.as_str().parse(), Ok(word));
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        }
        for word in [ApiKey, AwsBedrockApiKey, AwsIam, ServiceAccountJson] {
            assert_eq!(word.as_str().parse(), Ok(word));
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        }
    }

    #[test]
    fn of_a_short_key_nothing_is_shown() {
        assert_eq!(last4(""), None);
        assert_eq!(last4("abcd"), None);
        assert_eq!(last4("abcdefghijk"), None);
        assert_eq!(last4("abcdefghijkl").as_deref(), Some("ijkl"));
    }
}
