//! Whether a call goes through OpenAI's chat completions or its Responses API.
//!
//! LangChain decides it by the configuration where it can, else by each call: by its
//! tools, and by members that only the Responses API knows. A client that speaks the
//! Responses API itself is taken there wherever the provider is known to serve it.

use domain::model_configuration::ModelSettings;
use serde_json::Value;

use crate::catalog::{Protocol, Provider};
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, ToolKind};
use crate::parameters::Resolution;
use crate::pass_through::Envelope;
use crate::target::Target;

/// Members of a request in the format of chat completions that only the Responses API
/// knows, so that LangChain sends the call there.
const MEMBERS: [&str; 6] = [
    "context_management",
    "include",
    "previous_response_id",
    "reasoning",
    "text",
    "truncation",
];

/// How the calls of a configuration are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routing {
    /// All of them through one protocol.
    Always(Protocol),
    /// Some of them through the Responses API.
    PerCall(When),
}

/// Which calls go through the Responses API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When {
    /// All that have tools.
    with_tools: bool,
    /// Those of clients that speak it.
    is_native: bool,
}

/// A target through the Responses API, and which calls go there.
#[derive(Clone, Debug)]
pub(crate) struct ResponsesRoute {
    /// Where they go.
    pub(crate) target: Target,
    /// Which they are.
    pub(crate) when: When,
}

/// What of a call decides.
struct Traits {
    dialect: WireFormat,
    has_tools: bool,
    has_provider_tools: bool,
    has_members: bool,
}

impl Routing {
    /// LangChain's choice for a configuration.
    pub(crate) fn of(
        provider: &Provider,
        settings: &ModelSettings,
        resolution: &Resolution,
    ) -> Self {
        let speaks_openai = matches!(
            provider.protocol,
            Protocol::OpenaiChat | Protocol::OpenaiResponses
        );
        let routing = &provider.responses;
        let model = settings.model.as_str();
        let begins = |prefix: &String| model.starts_with(prefix.as_str());
        match resolution.uses_responses {
            _ if !speaks_openai => Self::Always(provider.protocol),
            Some(true) => Self::Always(Protocol::OpenaiResponses),
            Some(false) => Self::Always(Protocol::OpenaiChat),
            None if provider.protocol == Protocol::OpenaiResponses
                || resolution.asks_for_responses
                || !resolution.responses_parameters.is_empty()
                || routing.model_prefixes.iter().any(begins)
                || routing.model_parts.iter().any(|part| model.contains(part)) =>
            {
                Self::Always(Protocol::OpenaiResponses)
            }
            None if routing.provider_tools => {
                let model = model.to_lowercase();
                let mut prefixes = routing.model_prefixes_with_tools.iter();
                Self::PerCall(When {
                    with_tools: prefixes.any(|prefix| model.starts_with(prefix)),
                    // Another endpoint may know nothing but chat completions.
                    is_native: provider.serves_responses && resolution.endpoint.is_none(),
                })
            }
            None => Self::Always(Protocol::OpenaiChat),
        }
    }
}

impl When {
    fn takes(self, call: &Traits) -> bool {
        let of_dialect = match call.dialect {
            WireFormat::OpenAiResponses => self.is_native || call.has_provider_tools,
            WireFormat::OpenAiChat => call.has_provider_tools || call.has_members,
            WireFormat::AnthropicMessages => false,
        };
        of_dialect || (self.with_tools && call.has_tools)
    }
}

impl Target {
    /// The target as this call meets it: itself, or the same through the Responses API.
    #[must_use]
    pub fn for_call(&self, call: &ChatCall) -> &Self {
        self.by_traits(|| Traits {
            dialect: call.dialect,
            has_tools: !call.tools.is_empty(),
            has_provider_tools: call.tools.iter().any(|tool| {
                let is_native = matches!(
                    tool.kind,
                    ToolKind::ComputerUse { .. } | ToolKind::Native { .. }
                );
                is_native && tool.anthropic_name().is_none()
            }),
            has_members: call
                .reasoning
                .as_ref()
                .is_some_and(|asked| asked.native.is_some())
                || MEMBERS.iter().any(|name| call.extra.contains_key(*name)),
        })
    }

    /// The same for a call that has not been parsed. None where its tools must be judged
    /// one by one: then [`Target::for_call`] tells.
    #[must_use]
    pub fn for_envelope(&self, envelope: &Envelope) -> Option<&Self> {
        if self.responses.is_none() {
            return Some(self);
        }
        let dialect = envelope.dialect();
        let has_provider_tools = match dialect {
            // A tool in one of LangChain's other shapes may be a function too.
            WireFormat::OpenAiChat => {
                if envelope.tool_types().any(|kind| kind != "function") {
                    return None;
                }
                false
            }
            WireFormat::OpenAiResponses => envelope
                .tool_types()
                .any(|kind| !matches!(kind, "function" | "custom")),
            WireFormat::AnthropicMessages => false,
        };
        let is_given = |name: &str| envelope.member(name).is_some_and(|value| value != b"null");
        Some(self.by_traits(|| Traits {
            dialect,
            has_tools: envelope.tool_types().next().is_some(),
            has_provider_tools,
            has_members: MEMBERS.iter().any(|name| is_given(name)),
        }))
    }

    fn by_traits(&self, traits: impl FnOnce() -> Traits) -> &Self {
        match &self.responses {
            Some(route) if route.when.takes(&traits()) => &route.target,
            _ => self,
        }
    }

    /// What a member of the body is set to by the configuration.
    pub(crate) fn configured_value(&self, name: &str) -> Option<Value> {
        let mut members = self.members.iter();
        let (_, json) = members.find(|(known, _)| known == name)?;
        serde_json::from_str(json).ok()
    }
}
