//! The canonical stream: an answer, piece by piece.

use serde_json::Value;

use super::Extra;
use super::part::{Part, PartContent};
use super::reply::FinishReason;
use super::usage::Usage;
use crate::error::ProviderError;

/// One step of a streamed answer.
///
/// A part is begun, grows and ends; its `index` is unique within its choice. Parts
/// follow one another, but a provider that interleaves the arguments of several tool
/// calls makes a part grow after its end: whoever consumes events goes by the index. A
/// decoder emits [`ChatEvent::End`] once, as the last event of a whole answer, and
/// never for one that was cut off.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatEvent {
    /// The provider has begun; nothing is said yet.
    Start {
        /// The provider's identifier of the answer.
        id: Option<String>,
        /// The model that answers.
        model: Option<String>,
        /// When, in Unix seconds.
        created: Option<i64>,
        /// Further members.
        extra: Extra,
    },
    /// A part begins. What it holds so far is in `part`; deltas are added to it.
    PartStart {
        /// Which answer, from 0.
        choice: u32,
        /// Which part of it, from 0.
        index: u32,
        /// The part as far as it is known (a tool call's id and name, empty text).
        part: Part,
    },
    /// A part grows.
    PartDelta {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        index: u32,
        /// By what.
        delta: Delta,
    },
    /// A part is complete.
    PartEnd {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        index: u32,
    },
    /// Log probabilities for what was just said, in the provider's shape.
    Logprobs {
        /// Which answer.
        choice: u32,
        /// The value.
        logprobs: Value,
    },
    /// One answer is complete.
    Finish {
        /// Which answer.
        choice: u32,
        /// Why.
        reason: FinishReason,
        /// The provider's own word for why.
        native_reason: Option<String>,
        /// The stop text that was met.
        stop_sequence: Option<String>,
        /// Further members.
        extra: Extra,
    },
    /// Tokens so far; the last one counts.
    Usage(Usage),
    /// The provider is still there.
    Ping,
    /// The provider reports a failure inside its stream. Nothing follows.
    Error(ProviderError),
    /// The answer is whole. Nothing follows.
    End,
}

/// By what a part grows.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// More text (text, refusal).
    Text(String),
    /// More of a tool call's arguments.
    Arguments(String),
    /// More readable thinking.
    Reasoning(String),
    /// The signature of the thinking so far.
    Signature(String),
    /// A citation of the text so far.
    Citation(Value),
    /// More audio data or another growth that only its own format knows.
    Native(Value),
}

impl ChatEvent {
    /// Whether the event shows something of the answer, so that releasing it to the
    /// client rules out an invisible failover.
    #[must_use]
    pub fn is_content(&self) -> bool {
        match self {
            Self::PartDelta { .. } => true,
            Self::PartStart { part, .. } => match &part.content {
                PartContent::Text { text, .. } | PartContent::Refusal { text } => !text.is_empty(),
                PartContent::Reasoning(reasoning) => {
                    !reasoning.text.is_empty() || reasoning.encrypted.is_some()
                }
                _ => true,
            },
            Self::Finish { .. } | Self::End => true,
            _ => false,
        }
    }

    /// Whether with this event a block of the answer is whole, or the answer itself.
    #[must_use]
    pub const fn ends_block(&self) -> bool {
        matches!(self, Self::PartEnd { .. } | Self::Finish { .. } | Self::End)
    }
}
