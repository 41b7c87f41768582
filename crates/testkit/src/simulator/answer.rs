//! What the stand-in answers. It follows from the request alone.
//!
//! A token is a word: a run of characters without white space. Without directives
//! the answer's text is [`PREFIX`] and the user's last text. Where tools are
//! declared and the conversation does not end with a tool's result, the first of
//! them is called with arguments that fit its schema.

use std::ops::AddAssign;

use serde_json::Value;

use super::behaviour::Content;
use super::question::{Question, Tool, ToolChoice};
use super::schema;

/// What an ordinary answer begins with; the user's last text follows.
pub const PREFIX: &str = "Simulated answer to: ";

/// What an answer begins with when the conversation ends with a tool's result.
pub const AFTER_TOOL_PREFIX: &str = "Simulated answer after the tool said: ";

/// Tokens by kind. `input` counts what no cache read or stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Words of the prompt.
    pub input: u64,
    /// As the directive says.
    pub cache_read: u64,
    /// As the directive says.
    pub cache_write: u64,
    /// Words of the answer and its tool calls, and the reasoning.
    pub output: u64,
    /// As the directive says.
    pub reasoning: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.output += other.output;
        self.reasoning += other.reasoning;
    }
}

/// One tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// Which tool.
    pub name: String,
    /// Arguments that fit its schema.
    pub arguments: Value,
}

/// Why the answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// All is said.
    Stop,
    /// The client's bound was reached.
    Length,
    /// Tools are to be called.
    ToolCalls,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its text; empty where tools are called.
    pub text: String,
    /// The tools it calls.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ends.
    pub finish: Finish,
    /// Its tokens.
    pub usage: Usage,
    /// An identifier that follows from the request.
    pub id: String,
    /// The identifier of the exchange.
    pub request_id: String,
}

impl Answer {
    /// Answers a question.
    #[must_use]
    pub fn to(question: &Question, content: &Content) -> Self {
        let tool_calls = tool_calls(question, content);
        let (text, finish) = if tool_calls.is_empty() {
            text(question, content)
        } else {
            (String::new(), Finish::ToolCalls)
        };
        let said: u64 = tool_calls
            .iter()
            .map(|call| words(&call.name) + words(&call.arguments.to_string()))
            .sum();
        let usage = Usage {
            input: question.texts.iter().map(|text| words(text)).sum(),
            cache_read: content.cache_read,
            cache_write: content.cache_write,
            output: words(&text) + said + content.reasoning,
            reasoning: content.reasoning,
        };
        Self {
            text,
            tool_calls,
            finish,
            usage,
            id: format!("{:016x}", question.fingerprint),
            request_id: format!("req_{:016x}", question.fingerprint.rotate_left(17)),
        }
    }

    /// The text in the pieces it is streamed in: word by word.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        self.text.split_inclusive(' ')
    }
}

/// How many tokens a text counts as.
#[must_use]
pub fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

fn text(question: &Question, content: &Content) -> (String, Finish) {
    let whole = match (content.words, &question.response_schema) {
        (Some(count), _) => {
            let words: Vec<String> = (1..=count).map(|number| format!("word-{number}")).collect();
            words.join(" ")
        }
        (None, Some(schema)) => schema::fitting(schema).to_string(),
        (None, None) if question.ends_with_tool_result => {
            format!("{AFTER_TOOL_PREFIX}{}", question.last_text)
        }
        (None, None) => format!("{PREFIX}{}", question.last_text),
    };
    match question.max_tokens {
        Some(bound) if words(&whole) > bound => {
            let bound = usize::try_from(bound).unwrap_or(usize::MAX);
            let kept: Vec<&str> = whole.split_whitespace().take(bound).collect();
            (kept.join(" "), Finish::Length)
        }
        _ => (whole, Finish::Stop),
    }
}

fn tool_calls(question: &Question, content: &Content) -> Vec<ToolCall> {
    let chosen: Vec<&Tool> = match &question.tool_choice {
        ToolChoice::None => Vec::new(),
        ToolChoice::Auto if question.ends_with_tool_result && content.tools.is_none() => Vec::new(),
        ToolChoice::Auto | ToolChoice::Any => question.tools.iter().collect(),
        ToolChoice::Named(name) => question
            .tools
            .iter()
            .filter(|tool| tool.name == *name)
            .collect(),
    };
    let count = content.tools.unwrap_or(1);
    chosen
        .iter()
        .cycle()
        .take(if chosen.is_empty() { 0 } else { count })
        .map(|tool| ToolCall {
            name: tool.name.clone(),
            arguments: schema::fitting(&tool.schema),
        })
        .collect()
}
