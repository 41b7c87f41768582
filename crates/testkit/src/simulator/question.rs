//! What a request asks, whichever dialect it is in.

use serde_json::Value;

use super::{
    Dialect, anthropic_messages, bedrock_converse, bedrock_invoke, gemini_generate, openai_chat,
    openai_responses,
};

/// A tool that the client declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The JSON schema of its arguments.
    pub schema: Value,
}

/// Whether and which tool is to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model may choose.
    #[default]
    Auto,
    /// None.
    None,
    /// Any one.
    Any,
    /// This one.
    Named(String),
}

/// What a request asks.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The model it names.
    pub model: String,
    /// Whether the answer is to be a stream.
    pub is_stream: bool,
    /// Whether a stream is to end with its usage (OpenAI's `stream_options.include_usage`).
    pub wants_stream_usage: bool,
    /// Every text of the prompt.
    pub texts: Vec<String>,
    /// The last text of the user, or the last tool result.
    pub last_text: String,
    /// Whether the conversation ends with a tool's result.
    pub ends_with_tool_result: bool,
    /// The declared tools.
    pub tools: Vec<Tool>,
    /// Which of them to call.
    pub tool_choice: ToolChoice,
    /// Bound of the answer in tokens.
    pub max_tokens: Option<u64>,
    /// The JSON schema that the answer's text is to fit.
    pub response_schema: Option<Value>,
    /// A number that follows from the body alone, for identifiers.
    pub fingerprint: u64,
}

/// What a request's address says that elsewhere stands in its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The model.
    pub model: String,
    /// Whether the answer is to be a stream.
    pub is_stream: bool,
}

/// Reads a request.
///
/// # Errors
/// With a message for the client, when it is not the dialect.
pub fn parse(dialect: Dialect, body: &[u8], named: Option<&Named>) -> Result<Question, String> {
    let mut body: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    if let (Some(named), Value::Object(members)) = (named, &mut body) {
        members.insert("model".to_owned(), named.model.as_str().into());
        members.insert("stream".to_owned(), named.is_stream.into());
    }
    let mut question = match dialect {
        Dialect::OpenAiChat => openai_chat::parse(&body),
        Dialect::OpenAiResponses => openai_responses::parse(&body),
        Dialect::AnthropicMessages => anthropic_messages::parse(&body),
        Dialect::BedrockConverse => bedrock_converse::parse(&body),
        Dialect::BedrockInvoke => bedrock_invoke::parse(&body),
        Dialect::GeminiGenerate | Dialect::VertexGenerate => gemini_generate::parse(&body),
    }?;
    question.fingerprint = fingerprint(body.to_string().as_bytes());
    Ok(question)
}

/// The texts of a message's content: a string, or a list of parts.
#[must_use]
pub fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(parts) => parts.iter().flat_map(part_texts).collect(),
        _ => Vec::new(),
    }
}

fn part_texts(part: &Value) -> Vec<String> {
    match (&part["text"], &part["content"]) {
        (Value::String(text), _) => vec![text.clone()],
        (_, content) => texts(content),
    }
}

/// FNV-1a, so that identifiers are the same on every machine.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
