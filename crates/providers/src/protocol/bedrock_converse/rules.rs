//! What is known of single models, as data of the catalog row.
//!
//! The facts are those of LangChain's bundled model profiles.

use serde::{Deserialize, Serialize};

/// The part of a catalog row that the protocol reads.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BedrockConverseRules {
    /// Models by their name without the prefix of an inference profile (`us.`, `eu.`, …).
    pub models: Vec<ModelRules>,
}

/// What is known of one model.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRules {
    /// Its name, e.g. `anthropic.claude-opus-4-7`.
    pub name: String,
    /// Whether temperature and its like are left out, since the model would refuse them.
    #[serde(default)]
    pub ignores_sampling: bool,
    /// The efforts of reasoning that may be asked for; none where none may.
    #[serde(default)]
    pub reasoning_efforts: Vec<String>,
}
