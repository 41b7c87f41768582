//! What differs between models and tools of Anthropic's, as data of the catalog row.
//!
//! The facts are those of LangChain's bundled model profiles and of the checks in its
//! `ChatAnthropic`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The part of a catalog row that the protocol reads.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnthropicMessagesRules {
    /// Bound of the output where neither the configuration nor the request nor the
    /// model's row gives one. The protocol demands a bound.
    pub default_max_tokens: i64,
    /// Models by their exact name.
    pub models: Vec<Model>,
    /// Beginnings that a model's name may have without being another model, e.g. `us.`.
    pub ignored_prefixes: Vec<String>,
    /// Groups of models by the beginning of their name.
    pub families: Vec<Family>,
    /// What the body says of the interface's version, where no header does.
    pub version_in_body: Option<String>,
    /// Whether the address names the model, and the body does not.
    pub model_in_address: bool,
    /// Whether betas are asked for in the body, by `anthropic_beta`, and not in a header.
    pub betas_in_body: bool,
    /// Whether texts are always written as blocks, and blank ones left out.
    pub texts_are_blocks: bool,
    /// Whether results of tools say that they are errors, but not that they are none.
    pub leaves_success_unsaid: bool,
    /// Whether links to images are refused.
    pub refuses_links: bool,
    /// The beta that must be asked for where a tool of this type is declared.
    pub tool_betas: BTreeMap<String, String>,
    /// The beta that must be asked for where a request uses a feature: `context_management`,
    /// `inline_tools`, `input_examples`, `mcp_servers`, `task_budget`, `thinking_updates`,
    /// `tool_changes` or `user_profile_id`.
    pub feature_betas: BTreeMap<String, String>,
    /// Whether requests are those of LangChain's `ChatBedrock`.
    pub is_chat_bedrock: bool,
}

/// What is known of one model.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its exact name.
    pub name: String,
    /// Bound of the output where nobody gives one.
    #[serde(default)]
    pub max_tokens: Option<i64>,
    /// Whether asking for an effort also switches adaptive thinking on.
    #[serde(default)]
    pub effort_implies_thinking: bool,
    /// Whether temperature and its like are left out, since the model would refuse them.
    #[serde(default)]
    pub ignores_sampling: bool,
    /// Whether a system message may stand within the conversation.
    #[serde(default)]
    pub takes_system_in_place: bool,
}

/// What is known of models whose name begins alike.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// The beginning of their names.
    pub prefix: String,
    /// Whether temperature and its like may be set.
    #[serde(default)]
    pub sampling: SamplingRule,
    /// Kinds of `thinking` that are refused.
    #[serde(default)]
    pub refused_thinking: Vec<String>,
    /// Whether a model can be made to call a tool; if it cannot, it is left to decide.
    #[serde(default)]
    pub refuses_forced_tools: bool,
    /// Efforts that are refused together with disabled thinking.
    #[serde(default)]
    pub efforts_that_need_thinking: Vec<String>,
}

/// Whether a model takes `temperature`, `top_p` and `top_k`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplingRule {
    /// Any value.
    #[default]
    Any,
    /// Only their default, which is 1.
    DefaultOnly,
    /// Only their default, and even that is not sent.
    Never,
}

impl AnthropicMessagesRules {
    /// What is known of the model of this name.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        let mut prefixes = self.ignored_prefixes.iter();
        let plain = prefixes.find_map(|prefix| name.strip_prefix(prefix.as_str()));
        let named = |name: &str| self.models.iter().find(|model| model.name == name);
        named(name)
            .or_else(|| named(plain?))
            .or_else(|| self.only_version(name))
    }

    /// A model whose name ends with a version, `name@…`, where it has no other.
    fn only_version(&self, name: &str) -> Option<&Model> {
        let is_version = |model: &&Model| {
            let version = model.name.strip_prefix(name);
            version.is_some_and(|version| version.starts_with('@'))
        };
        let mut versions = self.models.iter().filter(is_version);
        versions.next().filter(|_| versions.next().is_none())
    }

    /// The families that the model of this name belongs to.
    pub fn families(&self, name: &str) -> impl Iterator<Item = &Family> {
        self.families
            .iter()
            .filter(move |family| name.starts_with(&family.prefix))
    }

    /// Bound of the output of a model where nobody gives one.
    #[must_use]
    pub fn max_tokens(&self, model: &str) -> i64 {
        self.model(model)
            .and_then(|model| model.max_tokens)
            .unwrap_or(self.default_max_tokens)
    }
}
