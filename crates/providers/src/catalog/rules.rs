//! Where we mean something else than LangChain, by name: the page of providers shows
//! them, and the lists beside the wire vectors cite them.

use super::capabilities::Capability;
use super::{Protocol, Provider, UnknownParameters};

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub text: &'static str,
    applies: fn(&Provider) -> bool,
}

impl Rule {
    /// Whether it concerns this provider.
    #[must_use]
    pub fn applies_to(&self, provider: &Provider) -> bool {
        (self.applies)(provider)
    }
}

/// The rules that hold for every provider.
pub const GENERAL: &[Rule] = &[
    Rule {
        name: "own fields hold",
        text: "`max_tokens` bounds the output, `timeout_seconds` is seconds, `max_retries` counts \
               the attempts after the first, and `api_key` is the key, whatever the integration \
               makes of them.",
        applies: |_| true,
    },
    Rule {
        name: "none means none",
        text: "`tool_choice: \"none\"` means that no tool is called.",
        applies: |_| true,
    },
    Rule {
        name: "tracing stays at home",
        text: "`metadata`, `tags` and the like, which LangChain keeps for its own tracing, are \
               not sent.",
        applies: |_| true,
    },
    Rule {
        name: "secrets have one place",
        text: "Members that are secrets, code, files or proxies are refused: a key belongs in \
               `api_key`.",
        applies: |_| true,
    },
    Rule {
        name: "no checks of Python's",
        text: "What LangChain refuses on its own side although the provider takes it is sent.",
        applies: |_| true,
    },
];

/// The rules that concern some providers.
pub const PARTICULAR: &[Rule] = &[
    Rule {
        name: "unknown parameters are sent",
        text: "A parameter that is not listed goes into the body, so that a new one works the \
               day it appears.",
        applies: |provider| provider.unknown_parameters == UnknownParameters::Body,
    },
    Rule {
        name: "unknown parameters are dropped",
        text: "A parameter that is not listed is left out, as LangChain leaves it out; \
               `x-quartermaster-translation-loss` of every answer names it.",
        applies: |provider| provider.unknown_parameters == UnknownParameters::Drop,
    },
    Rule {
        name: "links are not fetched",
        text: "A picture must come in base64: a request that only links to one is refused.",
        applies: |provider| {
            let can = provider.capabilities();
            can.contains(&Capability::Images) && !can.contains(&Capability::ImageLinks)
        },
    },
    Rule {
        name: "certain refusals are repaired",
        text: "`tool_choice` is said in Cohere's own words, a chosen tool is the only one that is \
               offered, and a schema stands beside the type `json_object`.",
        applies: |provider| provider.protocol == Protocol::CohereChat,
    },
    Rule {
        name: "keys stay where they were given",
        text: "A model of another provider is called as that provider's own integration calls it, \
               with a key of the configuration's own.",
        applies: |provider| !provider.model_routes.is_empty(),
    },
];
