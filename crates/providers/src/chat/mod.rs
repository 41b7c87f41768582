//! The canonical chat types: what any client can ask and any model can answer.
//!
//! They carry everything that the richest protocol can say. What a type does not
//! name travels in its `extra` map, tagged by nothing but the [`WireFormat`] of the
//! call that holds it, so that a round trip through the same format loses nothing.

pub mod accumulator;
pub mod call;
pub(crate) mod computer_use;
pub mod event;
pub mod part;
pub mod reply;
pub mod usage;

use serde_json::{Map, Value};

/// Members that the canonical types do not name, kept for the format they came from.
pub type Extra = Map<String, Value>;

/// A wire format that clients speak to us, or that we speak to a provider.
///
/// The two roles share one type because three formats play both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireFormat {
    /// OpenAI's chat completions.
    OpenAiChat,
    /// OpenAI's Responses API.
    OpenAiResponses,
    /// Anthropic's messages.
    AnthropicMessages,
}

impl WireFormat {
    /// Every format that clients speak.
    pub const ALL: [Self; 3] = [
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::AnthropicMessages,
    ];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::OpenAiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
        }
    }
}
