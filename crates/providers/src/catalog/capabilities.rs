//! What a provider can do through the protocol that its row names. Whether a model of it
//! can is the provider's to say.

use serde::{Deserialize, Serialize};

use super::Protocol;

/// One declared ability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// The model may call functions of the client's.
    Tools,
    /// Which tool is called can be forced.
    ToolChoice,
    /// Answers in a JSON schema.
    StructuredOutput,
    /// Pictures in base64.
    Images,
    /// Pictures by their address.
    ImageLinks,
    /// Documents such as PDFs.
    Documents,
    /// Sound.
    Audio,
    /// Thinking that can be asked for and is shown.
    Reasoning,
    /// Log probabilities.
    Logprobs,
    /// Sources of what is said.
    Citations,
    /// Markers of where the prompt should be cached.
    CacheMarkers,
    /// Tools that operate a computer.
    ComputerUse,
}

impl Capability {
    /// Its name in rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::ToolChoice => "tool_choice",
            Self::StructuredOutput => "structured_output",
            Self::Images => "images",
            Self::ImageLinks => "image_links",
            Self::Documents => "documents",
            Self::Audio => "audio",
            Self::Reasoning => "reasoning",
            Self::Logprobs => "logprobs",
            Self::Citations => "citations",
            Self::CacheMarkers => "cache_markers",
            Self::ComputerUse => "computer_use",
        }
    }

    /// What a row of this protocol can do where it says nothing itself.
    #[must_use]
    pub const fn of_protocol(protocol: Protocol) -> &'static [Self] {
        match protocol {
            Protocol::AnthropicMessages | Protocol::BedrockInvoke => &[
                Self::Tools,
                Self::ToolChoice,
                Self::StructuredOutput,
                Self::Images,
                Self::ImageLinks,
                Self::Documents,
                Self::Reasoning,
                Self::Citations,
                Self::CacheMarkers,
                Self::ComputerUse,
            ],
            Protocol::OllamaChat => &[
                Self::Tools,
                Self::StructuredOutput,
                Self::Images,
                Self::Reasoning,
                Self::Logprobs,
            ],
            Protocol::CohereChat => &[
                Self::Tools,
                Self::ToolChoice,
                Self::StructuredOutput,
                Self::Images,
                Self::ImageLinks,
                Self::Reasoning,
                Self::Logprobs,
                Self::Citations,
            ],
            Protocol::BedrockConverse => &[
                Self::Tools,
                Self::ToolChoice,
                Self::StructuredOutput,
                Self::Images,
                Self::Documents,
                Self::Reasoning,
                Self::Citations,
                Self::CacheMarkers,
            ],
            Protocol::GeminiGenerate => &[
                Self::Tools,
                Self::ToolChoice,
                Self::StructuredOutput,
                Self::Images,
                Self::Documents,
                Self::Audio,
                Self::Reasoning,
                Self::Logprobs,
                Self::Citations,
            ],
            // The least that is called compatible with OpenAI.
            _ => &[
                Self::Tools,
                Self::ToolChoice,
                Self::StructuredOutput,
                Self::Images,
                Self::ImageLinks,
            ],
        }
    }
}
