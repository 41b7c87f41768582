//! Slots: what one credential of an organisation opens.
//!
//! Four of them are Cyberdesk's, and two of these cover several providers. Every other
//! provider of the catalog that wants a key has a slot of its own name. What a slot covers
//! is data; a credential of a slot only ever goes to the hosts of providers it covers, and of
//! these only to such as take its kind of credential.

use std::sync::LazyLock;

use domain::model_configuration::ModelSettings;
use domain::provider_credential::AuthType;
use domain::secret::Secret;
use serde_json::{Map, Value};

use crate::auth::{Credential, InvalidCredential, invalid};
use crate::catalog::endpoints::Names;
use crate::catalog::{self, AuthScheme, Provider};
use crate::parameters::landing::Landing;

/// What one credential opens.
#[derive(Debug)]
pub struct Slot {
    /// Its name in paths and rows.
    pub name: &'static str,
    /// Its name for people.
    pub display_name: &'static str,
    /// What its credential consists of.
    pub kind: SlotKind,
    /// The providers that the credential is for, as far as the catalog has them.
    pub covers: Vec<&'static Provider>,
}

/// What the credential of a slot consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// What its provider takes for an `api_key`.
    ApiKey,
    /// The key file of a Google service account.
    GoogleServiceAccount,
    /// A key of Amazon Bedrock's, or an access key of AWS and its secret.
    AwsBedrock,
}

/// Cyberdesk's slots: name, name for people, kind, providers.
const NAMED: [(&str, &str, SlotKind, &[&str]); 4] = [
    ("anthropic", "Anthropic", SlotKind::ApiKey, &["anthropic"]),
    ("openai", "OpenAI", SlotKind::ApiKey, &["openai"]),
    (
        "google",
        "Google Cloud",
        SlotKind::GoogleServiceAccount,
        &["google_anthropic_vertex", "google_vertexai"],
    ),
    (
        "aws_bedrock",
        "AWS Bedrock",
        SlotKind::AwsBedrock,
        &[
            "anthropic_bedrock",
            "bedrock",
            "bedrock_converse",
            "bedrock_mantle",
            "bedrock_mantle_anthropic",
            "bedrock_mantle_openai",
        ],
    ),
];

/// Providers that have a slot of their own, though people look for them in one of the above:
/// Google's slot holds service accounts, and AI Studio takes keys only.
const BESIDE: [(&str, &str); 1] = [("google_genai", "google")];

/// What the secret of a slot is sealed for in place of one origin: the hosts of all
/// providers that the slot covers, wherever their rows put them. That a call goes to one of
/// these is checked when its target is resolved.
pub const SLOT_ORIGIN: &str = "catalog";

/// Regions of AWS that Cyberdesk's slot takes.
pub const AWS_REGIONS: [&str; 3] = ["us-east-1", "us-east-2", "us-west-2"];

/// A small model of a provider, to try a credential with that no configuration uses yet.
const SMALL_MODELS: [(&str, &str); 17] = [
    ("anthropic", "claude-haiku-4-5"),
    (
        "anthropic_bedrock",
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    ),
    (
        "bedrock_converse",
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    ),
    ("bedrock_mantle_anthropic", "anthropic.claude-haiku-5-5"),
    ("deepseek", "deepseek-chat"),
    ("fireworks", "accounts/fireworks/models/gpt-oss-20b"),
    ("google_anthropic_vertex", "claude-haiku-4-5@20251001"),
    ("google_genai", "gemini-2.5-flash-lite"),
    ("google_vertexai", "gemini-2.5-flash-lite"),
    ("groq", "openai/gpt-oss-20b"),
    ("mistralai", "mistral-small-latest"),
    ("nvidia", "meta/llama-3.1-8b-instruct"),
    ("openai", "gpt-5-mini"),
    ("openrouter", "openai/gpt-oss-20b"),
    ("perplexity", "sonar"),
    ("together", "openai/gpt-oss-20b"),
    ("xai", "grok-3-mini"),
];

static SLOTS: LazyLock<Vec<Slot>> = LazyLock::new(|| {
    let mut slots: Vec<Slot> = NAMED.iter().map(|row| named(*row)).collect();
    let covered = |provider: &Provider| {
        NAMED
            .iter()
            .any(|(_, _, _, names)| names.contains(&provider.name.as_str()))
    };
    let others = catalog::providers()
        .iter()
        .filter(|provider| !covered(provider) && takes_shared_key(provider));
    slots.extend(others.map(|provider| Slot {
        name: &provider.name,
        display_name: &provider.display_name,
        kind: SlotKind::ApiKey,
        covers: vec![provider],
    }));
    slots
});

fn named(row: (&'static str, &'static str, SlotKind, &[&str])) -> Slot {
    let (name, display_name, kind, providers) = row;
    let covers = providers.iter().filter_map(|name| catalog::provider(name));
    Slot {
        name,
        display_name,
        kind,
        covers: covers.collect(),
    }
}

/// Whether a key can be for all configurations of a provider: not where there is none to
/// take, and not where each customer has a host of its own, to which only the key of a
/// configuration may go.
fn takes_shared_key(provider: &Provider) -> bool {
    let mut variables = provider.endpoint_variables.iter();
    provider.auth != AuthScheme::None
        && !variables.any(|variable| variable.names == Names::Customer)
}

/// Cyberdesk's four slots first, in its order, then one for every other provider, by name.
#[must_use]
pub fn slots() -> &'static [Slot] {
    &SLOTS
}

/// The slot of this name.
#[must_use]
pub fn slot(name: &str) -> Option<&'static Slot> {
    slots().iter().find(|slot| slot.name == name)
}

/// The slot that covers a provider.
#[must_use]
pub fn covering(provider: &str) -> Option<&'static Slot> {
    slots()
        .iter()
        .find(|slot| slot.covers.iter().any(|covered| covered.name == provider))
}

/// The slot in which people look for a provider's key: the one that covers it, or that of
/// its cloud.
#[must_use]
pub fn expected_of(provider: &str) -> Option<&'static Slot> {
    let beside = BESIDE.iter().find(|(name, _)| *name == provider);
    beside.map_or_else(|| covering(provider), |(_, cloud)| slot(cloud))
}

/// Whether a provider takes a kind of credential, by the members that its credentials have.
#[must_use]
pub fn takes(provider: &Provider, kind: AuthType) -> bool {
    let mut fields = provider.credential_fields.iter();
    match kind {
        AuthType::ApiKey => true,
        AuthType::AwsBedrockApiKey => fields.any(|field| is_bedrock_key(&field.name)),
        AuthType::AwsIam => fields.any(|field| field.name == "aws_access_key_id"),
        AuthType::ServiceAccountJson => fields.any(|field| field.name == "private_key"),
    }
}

/// A small model of a provider, if one is known.
#[must_use]
pub fn small_model(provider: &str) -> Option<&'static str> {
    let found = SMALL_MODELS.iter().find(|(name, _)| *name == provider);
    found.map(|(_, model)| *model)
}

impl Slot {
    /// Whether it is one of Cyberdesk's four.
    #[must_use]
    pub fn is_cyberdesks(&self) -> bool {
        NAMED.iter().any(|(name, ..)| *name == self.name)
    }

    /// The providers whose calls a credential of this kind pays for; without one, all that
    /// the slot is for.
    pub fn payable(&self, kind: Option<AuthType>) -> impl Iterator<Item = &'static Provider> {
        let covers = self.covers.iter().copied();
        covers.filter(move |provider| kind.is_none_or(|kind| takes(provider, kind)))
    }

    /// What was stored for this slot, as a credential of one of the providers it covers.
    ///
    /// # Errors
    /// When the slot does not cover the provider, or its credential is of a kind that the
    /// provider does not take. The message holds nothing of the secret.
    pub fn credential(
        &self,
        provider: &Provider,
        stored: &Secret,
    ) -> Result<Credential, InvalidCredential> {
        if !self
            .covers
            .iter()
            .any(|covered| covered.name == provider.name)
        {
            return Err(self.unfit(provider));
        }
        match self.kind {
            SlotKind::ApiKey => Credential::parse(provider, stored),
            SlotKind::GoogleServiceAccount | SlotKind::AwsBedrock => {
                self.chosen(provider, stored.expose())
            }
        }
    }

    /// The stored members that the provider knows: a key file holds more than it needs.
    fn chosen(&self, provider: &Provider, stored: &str) -> Result<Credential, InvalidCredential> {
        let Ok(Value::Object(members)) = serde_json::from_str::<Value>(stored) else {
            return Err(self.unfit(provider));
        };
        let mut chosen = Map::new();
        for (name, value) in members {
            let known = provider.credential_fields.iter().find(|field| {
                // A provider that takes several kinds of credentials names them apart.
                field.name == name || (name == "api_key" && is_bedrock_key(&field.name))
            });
            match known {
                Some(field) => drop(chosen.insert(field.name.clone(), value)),
                None if self.kind == SlotKind::AwsBedrock => return Err(self.unfit(provider)),
                None => {}
            }
        }
        let is_signed = self.kind == SlotKind::GoogleServiceAccount;
        if is_signed && !chosen.contains_key("private_key") {
            return Err(self.unfit(provider));
        }
        let text = Secret::new(Value::Object(chosen).to_string());
        Credential::parse(provider, &text)
    }

    fn unfit(&self, provider: &Provider) -> InvalidCredential {
        invalid(format!(
            "the credential of the slot {} is of a kind that {} does not take",
            self.name, provider.name
        ))
    }
}

fn is_bedrock_key(field: &str) -> bool {
    field.contains("api_key") || field.contains("bearer_token")
}

/// The settings with a slot's region, where they name neither a region nor an endpoint.
#[must_use]
pub fn with_region(settings: &ModelSettings, region: &str) -> Option<ModelSettings> {
    let provider = catalog::provider(&settings.provider)?;
    let nothing = Map::new();
    let given = settings.additional_params.as_ref().unwrap_or(&nothing);
    let mut endpoints = provider.endpoint_parameters.iter();
    if endpoints.any(|name| given.contains_key(name)) {
        return None;
    }
    let places = place_parameters(provider);
    if places.iter().any(|name| given.contains_key(*name)) {
        return None;
    }
    let mut placed = settings.clone();
    let parameters = placed.additional_params.get_or_insert_default();
    parameters.insert((*places.first()?).to_owned(), Value::from(region));
    Some(placed)
}

/// Where the provider is asked to work, such as a region, if it has several places.
#[must_use]
pub fn location(settings: &ModelSettings) -> Option<String> {
    let provider = catalog::provider(&settings.provider)?;
    let given = settings.additional_params.as_ref();
    let said = place_parameters(provider)
        .into_iter()
        .find_map(|name| given?.get(name)?.as_str());
    let mut variables = provider.endpoint_variables.iter();
    let default = variables.find(|variable| is_place(&variable.name));
    said.map(str::to_owned)
        .or_else(|| default.and_then(|variable| variable.default.clone()))
}

fn place_parameters(provider: &Provider) -> Vec<&str> {
    let lands_there =
        |landing: &Landing| matches!(landing, Landing::Endpoint(name) if is_place(name));
    provider
        .parameters
        .iter()
        .filter(|parameter| lands_there(&parameter.lands))
        .map(|parameter| parameter.name.as_str())
        .collect()
}

fn is_place(variable: &str) -> bool {
    matches!(variable, "region" | "location")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::tests::settings;
    use serde_json::json;

    #[test]
    fn cyberdesks_slots_come_first_and_every_provider_has_one_slot_at_most() {
        let names: Vec<_> = slots().iter().map(|slot| slot.name).collect();
        assert_eq!(names[..4], ["anthropic", "openai", "google", "aws_bedrock"]);
        for provider in catalog::providers() {
            let covering = slots()
                .iter()
                .filter(|slot| slot.covers.iter().any(|it| it.name == provider.name));
            let expected = usize::from(
                takes_shared_key(provider)
                    || NAMED.iter().any(|row| row.3.contains(&&*provider.name)),
            );
            assert_eq!(covering.count(), expected, "{}", provider.name);
            // Whoever adds a row of these clouds puts it into its slot above.
            let is_google = provider.name.starts_with("google_") && provider.name != "google_genai";
            let is_bedrock = provider.name.contains("bedrock");
            let slot = covering_name(&provider.name);
            assert_eq!(is_google, slot == Some("google"), "{}", provider.name);
            assert_eq!(is_bedrock, slot == Some("aws_bedrock"), "{}", provider.name);
        }
        assert!(slot("simulated").is_none(), "it wants no key");
    }

    fn covering_name(provider: &str) -> Option<&'static str> {
        covering(provider).map(|slot| slot.name)
    }

    #[test]
    fn a_credential_fits_the_providers_that_its_slot_covers_and_no_other() {
        let key = Secret::new("sk-123".to_owned());
        let openai = slot("openai").unwrap();
        let provider = catalog::provider("openai").unwrap();
        assert_eq!(
            openai.credential(provider, &key).unwrap().secrets(),
            ["sk-123"]
        );
        let other = catalog::provider("anthropic").unwrap();
        assert!(openai.credential(other, &key).is_err());

        let bedrock = slot("aws_bedrock").unwrap();
        let mantle = catalog::provider("bedrock_mantle_anthropic").unwrap();
        let stored = Secret::new(json!({"api_key": "canary-1"}).to_string());
        let credential = bedrock.credential(mantle, &stored).unwrap();
        assert_eq!(credential.secrets(), ["canary-1"]);
        let google = slot("google").unwrap();
        let vertex = catalog::provider("google_anthropic_vertex").unwrap();
        for text in ["canary", "{}", r#"{"type":"service_account","canary":"1"}"#] {
            let stored = Secret::new(text.to_owned());
            let error = google.credential(vertex, &stored).err().unwrap();
            assert!(!error.message.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_credential_pays_only_where_its_kind_is_taken() {
        let payable = |name: &str, kind| -> Vec<&str> {
            let providers = slot(name).unwrap().payable(kind);
            providers.map(|it| it.name.as_str()).collect()
        };
        let account = Some(AuthType::ServiceAccountJson);
        let google = ["google_anthropic_vertex", "google_vertexai"];
        assert_eq!(payable("google", account), google);
        assert_eq!(
            payable("google_genai", Some(AuthType::ApiKey)),
            ["google_genai"]
        );
        let iam = payable("aws_bedrock", Some(AuthType::AwsIam));
        assert_eq!(iam, ["anthropic_bedrock", "bedrock", "bedrock_converse"]);
        let all = payable("aws_bedrock", None);
        assert_eq!(
            payable("aws_bedrock", Some(AuthType::AwsBedrockApiKey)),
            all
        );
        assert!(all.contains(&"bedrock_mantle_anthropic"), "{all:?}");
        // What is said to pay can be opened for it.
        let stored = json!({"aws_access_key_id": "AKIA1", "aws_secret_access_key": "k"});
        let stored = Secret::new(stored.to_string());
        let bedrock = slot("aws_bedrock").unwrap();
        for provider in &bedrock.covers {
            let opens = bedrock.credential(provider, &stored).is_ok();
            assert_eq!(
                opens,
                takes(provider, AuthType::AwsIam),
                "{}",
                provider.name
            );
        }
        assert_eq!(expected_of("google_genai").unwrap().name, "google");
        assert_eq!(expected_of("openai").unwrap().name, "openai");
    }

    #[test]
    fn a_slot_s_region_stands_back_behind_a_configuration_s_own() {
        let config = |params: Value| {
            settings(&json!({
                "provider": "bedrock_mantle_anthropic",
                "model": "anthropic.claude-haiku-5-5",
                "additional_params": params,
            }))
        };
        let placed = with_region(&config(json!({})), "us-west-2").unwrap();
        assert_eq!(location(&placed).as_deref(), Some("us-west-2"));
        assert_eq!(location(&config(json!({}))).as_deref(), Some("us-east-1"));
        let own = config(json!({"region_name": "us-east-2"}));
        assert_eq!(with_region(&own, "us-west-2"), None);
        let elsewhere = config(json!({"base_url": "https://example.com"}));
        assert_eq!(with_region(&elsewhere, "us-west-2"), None);
        let placeless = settings(&json!({"provider": "openai", "model": "gpt-5-mini"}));
        assert_eq!(
            (with_region(&placeless, "x"), location(&placeless)),
            (None, None)
        );
    }
}
