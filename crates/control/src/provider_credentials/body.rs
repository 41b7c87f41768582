//! The body of PUT: Cyberdesk's one schema that forbids further members.

use domain::secret::Secret;
use utoipa::ToSchema;

use crate::body::Content;
use crate::body::coerce;
use crate::body::fields::{Faults, Fields};
use crate::body::json::Json;
use crate::error::Location;
use crate::extract::path::none_of;

const MEMBERS: [&str; 6] = [
    "api_key",
    "service_account_json",
    "bedrock_auth_mode",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_region",
];

/// What a slot is given. Which members are needed depends on the slot.
#[derive(Default, ToSchema)]
#[schema(as = ProviderCredentialUpsert)]
pub(crate) struct ProviderCredentialUpsert {
    /// The provider's key (for `aws_bedrock` a Bedrock API key), or what a model
    /// configuration takes for an `api_key`.
    #[schema(value_type = Option<String>, write_only)]
    pub(crate) api_key: Option<Secret>,
    /// The key file of a Google Cloud service account, as text.
    #[schema(value_type = Option<String>, write_only)]
    pub(crate) service_account_json: Option<Secret>,
    /// `api_key` or `iam`; otherwise told from what is given.
    #[schema(value_type = Option<String>, pattern = "^(api_key|iam)$")]
    pub(crate) bedrock_auth_mode: Option<BedrockAuthMode>,
    #[schema(value_type = Option<String>, write_only)]
    pub(crate) aws_access_key_id: Option<Secret>,
    #[schema(value_type = Option<String>, write_only)]
    pub(crate) aws_secret_access_key: Option<Secret>,
    /// `us-east-1`, `us-east-2` or `us-west-2`; where configurations go that name none.
    pub(crate) aws_region: Option<String>,
}

/// How Bedrock is told who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BedrockAuthMode {
    ApiKey,
    Iam,
}

impl ProviderCredentialUpsert {
    /// Reads a body. None where a fault was noted.
    pub(crate) fn read(content: &Content, faults: &mut Faults) -> Option<Self> {
        let mut fields = Fields::of(content, faults)?;
        let body = Self {
            api_key: fields.nullable("api_key", coerce::secret).value(),
            service_account_json: fields
                .nullable("service_account_json", coerce::secret)
                .value(),
            bedrock_auth_mode: bedrock_auth_mode(&mut fields),
            aws_access_key_id: fields.nullable("aws_access_key_id", coerce::secret).value(),
            aws_secret_access_key: fields
                .nullable("aws_secret_access_key", coerce::secret)
                .value(),
            aws_region: fields
                .nullable("aws_region", |it| coerce::text(it, |_| Ok(())))
                .value(),
        };
        fields.forbid_others(&MEMBERS);
        Some(body)
    }

    /// The members that were given, by name.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let is_given = [
            self.api_key.is_some(),
            self.service_account_json.is_some(),
            self.bedrock_auth_mode.is_some(),
            self.aws_access_key_id.is_some(),
            self.aws_secret_access_key.is_some(),
            self.aws_region.is_some(),
        ];
        let all = MEMBERS.into_iter().zip(is_given);
        all.filter(|(_, is_given)| *is_given)
            .map(|(name, _)| name)
            .collect()
    }
}

fn bedrock_auth_mode(fields: &mut Fields<'_>) -> Option<BedrockAuthMode> {
    let name = "bedrock_auth_mode";
    let word = match fields.find(name)? {
        Json::Null => return None,
        Json::Text(text) => text.value.as_str(),
        _ => "",
    };
    match word {
        "api_key" => Some(BedrockAuthMode::ApiKey),
        "iam" => Some(BedrockAuthMode::Iam),
        _ => {
            let loc = vec![Location::name("body"), Location::name(name)];
            fields.add(none_of(loc, &["api_key", "iam"]));
            None
        }
    }
}
