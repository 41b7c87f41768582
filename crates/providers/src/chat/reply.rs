//! The canonical reply: a whole answer.

use serde_json::Value;

use super::Extra;
use super::part::Part;
use super::usage::Usage;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatReply {
    /// The provider's identifier of the answer.
    pub id: Option<String>,
    /// The model that answered, in the provider's words.
    pub model: Option<String>,
    /// When it was made, in Unix seconds, where the provider says so.
    pub created: Option<i64>,
    /// The answers, usually one.
    pub choices: Vec<Choice>,
    /// Tokens, where the provider counted them.
    pub usage: Option<Usage>,
    /// Members of the original answer that nothing here names.
    pub extra: Extra,
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Its number, from 0.
    pub index: u32,
    /// What the model said, thought and called.
    pub parts: Vec<Part>,
    /// Why it stopped.
    pub finish_reason: Option<FinishReason>,
    /// The provider's own word for why it stopped.
    pub native_finish_reason: Option<String>,
    /// The stop text that was met.
    pub stop_sequence: Option<String>,
    /// Log probabilities, in the provider's shape.
    pub logprobs: Option<Value>,
    /// Members of the original choice that nothing here names.
    pub extra: Extra,
    /// Members of the choice's message that nothing here names, e.g. `annotations`.
    pub message_extra: Extra,
}

/// Why a model stopped, normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// It was done, or met a stop text.
    Stop,
    /// It reached the bound of the output or the context.
    Length,
    /// It waits for tools.
    ToolCalls,
    /// A filter of the provider's cut it off.
    ContentFilter,
    /// The model declined.
    Refusal,
    /// Something broke.
    Error,
}
