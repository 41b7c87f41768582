//! What LangChain makes of a model's name: `gpt-…` means openai. It is only ever a
//! suggestion in an error; nothing is chosen by it.
//!
//! Follows `init_chat_model` of langchain 1.4.7.

use std::borrow::Cow;

/// Every provider of LangChain's registry.
const REGISTRY: &[&str] = &[
    "anthropic",
    "anthropic_bedrock",
    "azure_ai",
    "azure_openai",
    "baseten",
    "bedrock",
    "bedrock_converse",
    "bedrock_mantle_anthropic",
    "bedrock_mantle_openai",
    "cohere",
    "deepseek",
    "fireworks",
    "google_anthropic_vertex",
    "google_genai",
    "google_vertexai",
    "groq",
    "huggingface",
    "ibm",
    "langsmith",
    "litellm",
    "meta",
    "mistralai",
    "nvidia",
    "ollama",
    "openai",
    "openrouter",
    "perplexity",
    "together",
    "upstage",
    "xai",
];

/// How names of models begin, and whose they are then; the first that fits.
const BEGINNINGS: &[(&str, &str)] = &[
    ("gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("chatgpt", "openai"),
    ("text-davinci", "openai"),
    ("claude", "anthropic"),
    ("command", "cohere"),
    ("accounts/fireworks", "fireworks"),
    ("gemini", "google_vertexai"),
    ("amazon.", "bedrock"),
    ("anthropic.", "bedrock"),
    ("meta.", "bedrock"),
    ("mistral", "mistralai"),
    ("mixtral", "mistralai"),
    ("deepseek", "deepseek"),
    ("grok", "xai"),
    ("sonar", "perplexity"),
    ("solar", "upstage"),
];

/// A provider and its name of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The provider, which LangChain's registry need not know.
    pub provider: Cow<'a, str>,
    /// The model without what named the provider.
    pub model: &'a str,
}

/// What LangChain chooses for a model and a provider that may be left out. None where it
/// cannot tell.
#[must_use]
pub fn choose<'a>(model: &'a str, provider: Option<&'a str>) -> Option<Choice<'a>> {
    let choice = |provider: Cow<'a, str>, model| Some(Choice { provider, model });
    if let Some(provider) = provider.filter(|provider| !provider.is_empty()) {
        return choice(normalized(provider).into(), model);
    }
    if let Some((named, rest)) = model.split_once(':')
        && is_registered(named)
    {
        return choice(named.into(), rest);
    }
    let lower = model.to_lowercase();
    let mut beginnings = BEGINNINGS.iter();
    let (_, provider) = beginnings.find(|(beginning, _)| lower.starts_with(beginning))?;
    choice((*provider).into(), model)
}

/// Whether LangChain's registry has a provider of just this name.
#[must_use]
pub fn is_registered(provider: &str) -> bool {
    REGISTRY.contains(&provider)
}

/// A provider's name in the registry's spelling: lower case, with `_` for `-`.
#[must_use]
pub fn normalized(provider: &str) -> String {
    provider.to_lowercase().replace('-', "_")
}
