//! Slots as they are shown. No type here has a place for a secret.

use domain::provider_credential::{
    AuthType, CredentialStatus, DisplayMetadata, ProviderCredential,
};
use jiff::Timestamp;
use providers::slots::Slot;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::optional_time;

/// A slot, and whether the organisation has a credential of its own in it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ProviderCredentialResponse, example = json!({
    "slot": "openai",
    "display_name": "OpenAI",
    "source": "organization",
    "covered_providers": ["openai"],
    "status": "active",
    "auth_type": "api_key",
    "display_metadata": {
        "key_last4": "x7Qa",
        "project_id": null,
        "client_email": null,
        "aws_region": null,
        "access_key_id_last4": null,
    },
    "last_error": null,
    "activated_at": "2026-04-04T01:10:42.560368Z",
    "last_validated_at": null,
    "created_at": "2026-04-04T01:10:42.560368Z",
    "updated_at": "2026-04-04T01:10:42.560368Z",
}))]
pub(crate) struct ProviderCredentialView {
    slot: &'static str,
    display_name: &'static str,
    /// `organization` from the first credential on, `cyberdesk` before it: then the
    /// operator's key is used, where there is one.
    source: &'static str,
    /// Names that a model configuration's `provider` may have to be paid for with it: of
    /// those that the slot is for, the ones that take this kind of credential.
    covered_providers: Vec<&'static str>,
    /// `active`; `invalid`, since a provider refused it; `missing`, since it was deleted.
    /// Null where the organisation never gave one.
    #[schema(value_type = Option<String>)]
    status: Option<CredentialStatus>,
    /// `api_key`, `aws_bedrock_api_key`, `aws_iam` or `service_account_json`.
    #[schema(value_type = Option<String>)]
    auth_type: Option<AuthType>,
    display_metadata: DisplayMetadataView,
    /// What the last validation found wrong.
    last_error: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "optional_time")]
    activated_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "optional_time")]
    last_validated_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "optional_time")]
    created_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "optional_time")]
    updated_at: Option<Timestamp>,
}

/// What may be seen of a credential.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = ProviderCredentialDisplayMetadata)]
struct DisplayMetadataView {
    /// Left out for short keys.
    key_last4: Option<String>,
    project_id: Option<String>,
    client_email: Option<String>,
    /// Where calls go that name no region of their own.
    aws_region: Option<String>,
    access_key_id_last4: Option<String>,
}

impl ProviderCredentialView {
    /// A slot with what the organisation has in it.
    pub(crate) fn new(slot: &'static Slot, row: Option<&ProviderCredential>) -> Self {
        let metadata = row.map(|row| row.display_metadata.clone());
        Self {
            slot: slot.name,
            display_name: slot.display_name,
            source: if row.is_some() {
                "organization"
            } else {
                "cyberdesk"
            },
            covered_providers: slot
                .payable(row.and_then(|row| row.auth_type))
                .map(|it| it.name.as_str())
                .collect(),
            status: row.map(|row| row.status),
            auth_type: row.and_then(|row| row.auth_type),
            display_metadata: metadata.map(DisplayMetadataView::from).unwrap_or_default(),
            last_error: row.and_then(|row| row.last_error.clone()),
            activated_at: row.and_then(|row| row.activated_at),
            last_validated_at: row.and_then(|row| row.last_validated_at),
            created_at: row.map(|row| row.created_at),
            updated_at: row.map(|row| row.updated_at),
        }
    }
}

impl From<DisplayMetadata> for DisplayMetadataView {
    fn from(metadata: DisplayMetadata) -> Self {
        Self {
            key_last4: metadata.key_last4,
            project_id: metadata.project_id,
            client_email: metadata.client_email,
            aws_region: metadata.aws_region,
            access_key_id_last4: metadata.access_key_id_last4,
        }
    }
}
