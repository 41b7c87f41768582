//! The canonical call: what a client asks of a model.

use serde_json::{Map, Value};

use super::part::{CacheMarker, Content};
use super::{Extra, WireFormat};

/// One inference request, independent of any wire format.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatCall {
    /// The format it was written in, which `extra` belongs to.
    pub dialect: WireFormat,
    /// The conversation, system messages included, in the client's order.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Which tool the model must call, if any.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// How the answer must be shaped.
    pub response_format: Option<ResponseFormat>,
    /// Sampling and length.
    pub sampling: Sampling,
    /// How much the model should think.
    pub reasoning: Option<ReasoningRequest>,
    /// Whether the answer is wanted piece by piece.
    pub stream: bool,
    /// Whether a stream should end with its usage (OpenAI's `stream_options.include_usage`).
    pub stream_usage: Option<bool>,
    /// Members of the original request that nothing here names.
    pub extra: Extra,
}

/// One turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The speaker's name, where given.
    pub name: Option<String>,
    /// What is said. Tool calls and tool results are parts like any other.
    pub content: Content,
    /// Members of the original message that nothing here names.
    pub extra: Extra,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the application.
    System,
    /// OpenAI's newer word for the same.
    Developer,
    /// The person, or the program that asks.
    User,
    /// The model.
    Assistant,
    /// A tool; its message holds tool results.
    Tool,
}

/// What the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// What kind of tool.
    pub kind: ToolKind,
    /// A marker that the prompt up to this tool should be cached.
    pub cache: Option<CacheMarker>,
    /// Members of the original tool that nothing here names.
    pub extra: Extra,
}

/// Kinds of tools.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolKind {
    /// A function of the client's.
    Function {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// JSON schema of its arguments.
        parameters: Option<Value>,
        /// Whether arguments must match the schema exactly.
        strict: Option<bool>,
    },
    /// A function of the client's with free-text input (OpenAI's custom tools).
    Custom {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// The grammar of its input, in OpenAI's shape.
        format: Option<Value>,
    },
    /// A vendor's computer-use tool, kept in its vendor's shape.
    ComputerUse {
        /// The tool as the client wrote it.
        declaration: Map<String, Value>,
    },
    /// A tool that the provider runs or defines, kept whole.
    Native {
        /// The tool as the client wrote it.
        declaration: Map<String, Value>,
    },
}

/// Which tool the model must call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// At least one.
    Required,
    /// None.
    None,
    /// This one.
    Named(String),
    /// A subset, or another choice only its own format knows.
    Native(Value),
}

/// How the answer must be shaped.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseFormat {
    /// Free text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of a schema.
    JsonSchema {
        /// The schema's name.
        name: String,
        /// What it describes.
        description: Option<String>,
        /// The schema.
        schema: Value,
        /// Whether the answer must match it exactly.
        strict: Option<bool>,
    },
}

/// Sampling and length. Every member that is none was not given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Randomness.
    pub temperature: Option<f64>,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// Candidates.
    pub top_k: Option<i64>,
    /// Bound of the output, in tokens.
    pub max_tokens: Option<i64>,
    /// Whether the bound was written as `max_tokens` where a newer name could stand.
    pub max_tokens_has_older_name: bool,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Whether `stop` was written as one bare string.
    pub stop_is_bare_text: bool,
    /// For repeatable answers.
    pub seed: Option<i64>,
    /// Against repetition by count.
    pub frequency_penalty: Option<f64>,
    /// Against repetition at all.
    pub presence_penalty: Option<f64>,
    /// How many answers.
    pub candidates: Option<i64>,
    /// Whether log probabilities are wanted.
    pub logprobs: Option<bool>,
    /// How many alternatives per token.
    pub top_logprobs: Option<i64>,
}

/// How much the model should think.
#[derive(Clone, Debug, PartialEq)]
pub struct ReasoningRequest {
    /// `minimal`, `low`, `medium`, `high`, … as the client wrote it.
    pub effort: Option<String>,
    /// A budget in tokens (Anthropic's `budget_tokens`).
    pub budget_tokens: Option<i64>,
    /// The member as the client wrote it, for its own format.
    pub native: Option<Value>,
}

impl Tool {
    /// The name of a tool that Anthropic defines, such as one of the type
    /// `bash_20250124`. None for one that uses a computer, which nothing else stands for.
    #[must_use]
    pub fn anthropic_name(&self) -> Option<&str> {
        let ToolKind::Native { declaration } = &self.kind else {
            return None;
        };
        let kind = declaration.get("type").and_then(Value::as_str)?;
        let (_, date) = kind.rsplit_once('_')?;
        let is_dated = date.len() == 8 && date.bytes().all(|digit| digit.is_ascii_digit());
        self.name().filter(|_| is_dated)
    }

    /// The tool's name, where its kind has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.kind {
            ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => Some(name),
            ToolKind::ComputerUse { declaration } | ToolKind::Native { declaration } => {
                declaration.get("name").and_then(Value::as_str)
            }
        }
    }
}

impl Message {
    /// A message without a name or further members.
    #[must_use]
    pub fn new(role: Role, content: Content) -> Self {
        Self {
            role,
            name: None,
            content,
            extra: Extra::new(),
        }
    }
}
