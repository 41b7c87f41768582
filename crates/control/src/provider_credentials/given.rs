//! From what a slot is given to what is sealed for it and shown of it.

use domain::provider_credential::{AuthType, DisplayMetadata, last4};
use domain::secret::Secret;
use domain::validation::is_api_key_object;
use http::StatusCode;
use providers::slots::{AWS_REGIONS, Slot, SlotKind};
use serde_json::{Value, json};

use crate::body::fault::Fault;
use crate::error::ApiError;
use crate::provider_credentials::body::{BedrockAuthMode, ProviderCredentialUpsert};

/// A credential that has the form of one.
pub(crate) struct Given {
    /// What is sealed.
    pub(crate) secret: Secret,
    pub(crate) auth_type: AuthType,
    pub(crate) display_metadata: DisplayMetadata,
}

impl Given {
    /// Checks what a slot is given. No provider is asked.
    pub(crate) fn read(slot: &Slot, body: &ProviderCredentialUpsert) -> Result<Self, ApiError> {
        let given = match slot.kind {
            SlotKind::ApiKey => api_key(slot, body),
            SlotKind::GoogleServiceAccount => service_account(slot, body),
            SlotKind::AwsBedrock => bedrock(body),
        }?;
        let wanted = members(slot.kind);
        let mut others = body.given().into_iter();
        match others.find(|name| !wanted.contains(name)) {
            Some(name) => Err(refused(format!(
                "{name} does not belong to the slot {}",
                slot.name
            ))),
            None => Ok(given),
        }
    }
}

const fn members(kind: SlotKind) -> &'static [&'static str] {
    match kind {
        SlotKind::ApiKey => &["api_key"],
        SlotKind::GoogleServiceAccount => &["service_account_json"],
        SlotKind::AwsBedrock => &[
            "api_key",
            "bedrock_auth_mode",
            "aws_access_key_id",
            "aws_secret_access_key",
            "aws_region",
        ],
    }
}

fn api_key(slot: &Slot, body: &ProviderCredentialUpsert) -> Result<Given, ApiError> {
    let secret = required("api_key", body.api_key.as_ref())?;
    for provider in &slot.covers {
        slot.credential(provider, secret)
            .map_err(|error| unfit("api_key", &error.message))?;
    }
    let text = secret.expose();
    let key_last4 = (!is_api_key_object(text)).then(|| last4(text)).flatten();
    Ok(Given {
        secret: secret.clone(),
        auth_type: AuthType::ApiKey,
        display_metadata: DisplayMetadata {
            key_last4,
            ..DisplayMetadata::default()
        },
    })
}

/// A key file that no covered provider can make anything of is none.
fn service_account(slot: &Slot, body: &ProviderCredentialUpsert) -> Result<Given, ApiError> {
    let name = "service_account_json";
    let secret = required(name, body.service_account_json.as_ref())?;
    let Ok(Value::Object(members)) = serde_json::from_str(secret.expose()) else {
        return Err(unfit(name, "not the key file of a service account"));
    };
    let has_text = |name: &str| {
        let text = members.get(name).and_then(Value::as_str);
        text.is_some_and(|text| !text.is_empty())
    };
    let needed = ["client_email", "private_key"];
    let missing: Vec<_> = needed.into_iter().filter(|name| !has_text(name)).collect();
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        let why = format!("not the key file of a service account: it lacks {missing}");
        return Err(unfit(name, &why));
    }
    let mut refusals = Vec::new();
    for provider in &slot.covers {
        match slot.credential(provider, secret) {
            Ok(_) => {}
            Err(error) => refusals.push(error.message),
        }
    }
    if refusals.len() == slot.covers.len() {
        let why = refusals.first().map_or("nothing takes it", String::as_str);
        return Err(unfit(name, why));
    }
    let text = |name: &str| Some(members.get(name)?.as_str()?.chars().take(255).collect());
    Ok(Given {
        secret: secret.clone(),
        auth_type: AuthType::ServiceAccountJson,
        display_metadata: DisplayMetadata {
            project_id: text("project_id"),
            client_email: text("client_email"),
            ..DisplayMetadata::default()
        },
    })
}

fn bedrock(body: &ProviderCredentialUpsert) -> Result<Given, ApiError> {
    let has_access_key = body.aws_access_key_id.is_some() || body.aws_secret_access_key.is_some();
    let mode = match body.bedrock_auth_mode {
        Some(mode) => mode,
        None if has_access_key && body.api_key.is_none() => BedrockAuthMode::Iam,
        None => BedrockAuthMode::ApiKey,
    };
    let mut display_metadata = DisplayMetadata {
        aws_region: body.aws_region.clone(),
        ..DisplayMetadata::default()
    };
    let (secret, auth_type) = match mode {
        BedrockAuthMode::ApiKey => {
            let key = required("api_key", body.api_key.as_ref())?.expose();
            display_metadata.key_last4 = last4(key);
            (json!({"api_key": key}), AuthType::AwsBedrockApiKey)
        }
        BedrockAuthMode::Iam => {
            let id = required("aws_access_key_id", body.aws_access_key_id.as_ref())?.expose();
            let key = required("aws_secret_access_key", body.aws_secret_access_key.as_ref())?;
            display_metadata.access_key_id_last4 = last4(id);
            let secret = json!({
                "aws_access_key_id": id,
                "aws_secret_access_key": key.expose(),
            });
            (secret, AuthType::AwsIam)
        }
    };
    if let Some(region) = &body.aws_region
        && !AWS_REGIONS.contains(&region.as_str())
    {
        let known = AWS_REGIONS.join(", ");
        return Err(refused(format!("aws_region must be one of: {known}")));
    }
    Ok(Given {
        secret: Secret::new(secret.to_string()),
        auth_type,
        display_metadata,
    })
}

fn required<'body>(
    name: &'static str,
    secret: Option<&'body Secret>,
) -> Result<&'body Secret, ApiError> {
    secret.ok_or_else(|| refused(format!("{name} is required")))
}

fn refused(detail: String) -> ApiError {
    ApiError::text(StatusCode::BAD_REQUEST, detail)
}

fn unfit(name: &'static str, why: &str) -> ApiError {
    ApiError::invalid(vec![Fault::value_error(why).about(name)])
}
