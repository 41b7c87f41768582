//! Model configurations: which model, of which provider, with which parameters and whose key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{Alias, ModelConfigurationId, OrganizationId};

/// The members of a model configuration that its owner writes, and that a revision keeps.
///
/// The key is not among them: only its [`Alias`] is ever stored, see [`ModelConfiguration`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// What clients select it by; 1 to 255 code points.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// A provider of the catalog, by LangChain's name; 1 to 50 code points.
    pub provider: String,
    /// The provider's own name of the model; 1 to 255 code points.
    pub model: String,
    /// Sampling temperature, finite and not negative.
    pub temperature: Option<f64>,
    /// Bound of the output in tokens, at least 1.
    pub max_tokens: Option<i64>,
    /// How long to wait for the response header and between two bytes; above 0.
    pub timeout_seconds: Option<f64>,
    /// Tries after the first; 0 to 100.
    pub max_retries: Option<i64>,
    /// Keyword arguments of the provider's LangChain integration.
    pub additional_params: Option<Map<String, Value>>,
    /// A label that workers choose prompts and tools by; not interpreted here.
    pub agent_harness_version_string: Option<String>,
    /// Whether the model speaks its vendor's computer-use protocol.
    pub is_computer_use_model: bool,
    /// Whether it is hidden from selection by name.
    pub is_archived: bool,
}

/// A model configuration as it stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfiguration {
    /// Its identifier.
    pub id: ModelConfigurationId,
    /// Its owner; none for a system default, which everybody sees and nobody edits.
    pub organization_id: Option<OrganizationId>,
    /// Number of the revision that `settings` and `api_key_alias` are; starts at 1.
    pub revision: i64,
    /// What its owner wrote.
    pub settings: ModelSettings,
    /// Where its own key lies in the vault, if it has one.
    pub api_key_alias: Option<Alias>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl ModelConfiguration {
    /// Whether it comes from the installation's settings rather than from an organisation.
    #[must_use]
    pub const fn is_system_default(&self) -> bool {
        self.organization_id.is_none()
    }
}

/// What is still known of a stored row that cannot be read: it is damaged, or a newer
/// version of the program wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableConfiguration {
    /// Its identifier.
    pub id: ModelConfigurationId,
    /// Its owner; none for a system default.
    pub organization_id: Option<OrganizationId>,
    /// What clients select it by.
    pub name: String,
    /// Whether it is hidden from selection by name.
    pub is_archived: bool,
}

/// A row as it is read in bulk, where one that cannot be read must not hide the others.
pub type ReadConfiguration = Result<ModelConfiguration, UnreadableConfiguration>;

/// What a model configuration was after one change. Never changed itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfigurationRevision {
    /// Which configuration.
    pub model_configuration_id: ModelConfigurationId,
    /// Counts from 1.
    pub number: i64,
    /// What its owner had written then.
    pub settings: ModelSettings,
    /// The alias of its key then. The secret behind an old alias may be gone.
    pub api_key_alias: Option<Alias>,
    /// When the change was made.
    pub created_at: Timestamp,
}
