//! Rows as a snapshot keeps them: a node holds every row of the installation, and calls
//! few of them.

use std::borrow::Cow;

use domain::id::{Alias, ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a row holds beside its id, its owner and its name, as JSON without what is not
/// set: in one piece, and as exact as its column in the database.
#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    #[serde(rename = "v")]
    revision: i64,
    /// Microseconds, as the database has them.
    #[serde(rename = "c")]
    created_at: i64,
    #[serde(rename = "u")]
    updated_at: i64,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    api_key_alias: Option<Cow<'a, str>>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    #[serde(rename = "p")]
    provider: Cow<'a, str>,
    #[serde(rename = "m")]
    model: Cow<'a, str>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    max_tokens: Option<i64>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<f64>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    max_retries: Option<i64>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    additional_params: Option<Cow<'a, Map<String, Value>>>,
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    agent_harness_version_string: Option<Cow<'a, str>>,
    #[serde(rename = "o", default, skip_serializing_if = "is_false")]
    is_computer_use_model: bool,
    #[serde(rename = "z", default, skip_serializing_if = "is_false")]
    is_archived: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Appends a row, without its id, owner and name, to `text`.
pub(super) fn pack(row: &ModelConfiguration, text: &mut String) -> serde_json::Result<()> {
    let ModelSettings {
        name: _,
        description,
        provider,
        model,
        temperature,
        max_tokens,
        timeout_seconds,
        max_retries,
        additional_params,
        agent_harness_version_string,
        is_computer_use_model,
        is_archived,
    } = &row.settings;
    let packed = Packed {
        revision: row.revision,
        created_at: row.created_at.as_microsecond(),
        updated_at: row.updated_at.as_microsecond(),
        api_key_alias: row.api_key_alias.as_ref().map(|it| it.as_str().into()),
        description: description.as_deref().map(Cow::from),
        provider: provider.into(),
        model: model.into(),
        temperature: *temperature,
        max_tokens: *max_tokens,
        timeout_seconds: *timeout_seconds,
        max_retries: *max_retries,
        additional_params: additional_params.as_ref().map(Cow::Borrowed),
        agent_harness_version_string: agent_harness_version_string.as_deref().map(Cow::from),
        is_computer_use_model: *is_computer_use_model,
        is_archived: *is_archived,
    };
    text.push_str(&serde_json::to_string(&packed)?);
    Ok(())
}

/// The row that [`pack`] was given; nothing for any other text.
pub(super) fn unpack(
    id: ModelConfigurationId,
    organization_id: Option<OrganizationId>,
    name: &str,
    text: &str,
) -> Option<ModelConfiguration> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Whoever let the row in has bounded its depth.
    deserializer.disable_recursion_limit();
    let packed = Packed::deserialize(&mut deserializer).ok()?;
    let alias = packed.api_key_alias.map(|alias| alias.parse::<Alias>());
    Some(ModelConfiguration {
        id,
        organization_id,
        revision: packed.revision,
        settings: ModelSettings {
            name: name.to_owned(),
            description: packed.description.map(Cow::into_owned),
            provider: packed.provider.into_owned(),
            model: packed.model.into_owned(),
            temperature: packed.temperature,
            max_tokens: packed.max_tokens,
            timeout_seconds: packed.timeout_seconds,
            max_retries: packed.max_retries,
            additional_params: packed.additional_params.map(Cow::into_owned),
            agent_harness_version_string: packed.agent_harness_version_string.map(Cow::into_owned),
            is_computer_use_model: packed.is_computer_use_model,
            is_archived: packed.is_archived,
        },
        api_key_alias: alias.transpose().ok()?,
        created_at: Timestamp::from_microsecond(packed.created_at).ok()?,
        updated_at: Timestamp::from_microsecond(packed.updated_at).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn row(settings: &str, alias: Option<Alias>) -> ModelConfiguration {
        ModelConfiguration {
            id: ModelConfigurationId(Uuid::from_u128(1)),
            organization_id: None,
            revision: 3,
            settings: serde_json::from_str(settings).unwrap(),
            api_key_alias: alias,
            created_at: Timestamp::from_microsecond(1_700_000_000_000_001).unwrap(),
            updated_at: Timestamp::from_microsecond(1_700_000_000_000_002).unwrap(),
        }
    }

    #[test]
    fn what_is_packed_comes_back_exactly() {
        let full = r#"{"name":"é \"quoted\"","description":"two\nlines","provider":"openai",
            "model":"gpt-4o","temperature":0.30000000000000004,"max_tokens":9223372036854775807,
            "timeout_seconds":1e-9,"max_retries":0,"additional_params":{"z":1,"a":{"y":1.0,
            "uint":18446744073709551615,"null":null,"":{}}},"agent_harness_version_string":"v1",
            "is_computer_use_model":true,"is_archived":true}"#;
        let bare = r#"{"name":"b","provider":"openai","model":"m",
            "is_computer_use_model":false,"is_archived":false}"#;
        let nested = format!(
            r#"{{"name":"n","provider":"p","model":"m","is_computer_use_model":false,
            "is_archived":false,"additional_params":{{"deep":{}{}}}}}"#,
            "[".repeat(120),
            "]".repeat(120)
        );
        let alias = Alias::from_random([7; 16]);
        for row in [row(full, Some(alias)), row(bare, None), row(&nested, None)] {
            let mut text = String::new();
            pack(&row, &mut text).unwrap();
            let name = &row.settings.name;
            assert_eq!(
                unpack(row.id, None, name, &text),
                Some(row.clone()),
                "{text}"
            );
        }
    }
}
