//! Tool results, which Gemini wants right behind the calls that they answer, and by the
//! tool's name.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::parts::PartWriter;
use super::rules::Form;
use crate::chat::WireFormat;
use crate::chat::call::Message;
use crate::chat::part::{Content, Part, PartContent, ToolCall, ToolResult};
use crate::error::{InvalidCall, Losses};

/// The results of a conversation, by the calls that they answer.
pub(super) struct Results<'a> {
    /// In the conversation's order: where each stands, and whether it has been used.
    all: Vec<Entry<'a>>,
    by_call: HashMap<&'a str, Vec<usize>>,
}

struct Entry<'a> {
    result: &'a ToolResult,
    message: usize,
    is_used: bool,
}

impl<'a> Results<'a> {
    pub(super) fn of(messages: &'a [Message]) -> Self {
        let mut results = Self {
            all: Vec::new(),
            by_call: HashMap::new(),
        };
        for (message, parts) in messages
            .iter()
            .map(|message| &message.content.parts)
            .enumerate()
        {
            for part in parts {
                if let PartContent::ToolResult(result) = &part.content {
                    let index = results.all.len();
                    results
                        .by_call
                        .entry(&result.call_id)
                        .or_default()
                        .push(index);
                    results.all.push(Entry {
                        result,
                        message,
                        is_used: false,
                    });
                }
            }
        }
        results
    }

    /// The results of these calls, in the conversation's order: of each call the first
    /// that follows and answers no earlier one.
    pub(super) fn take(&mut self, calls: &[&'a ToolCall], message: usize) -> Vec<Answer<'a>> {
        let mut answers = Vec::new();
        for call in calls {
            let candidates = self
                .by_call
                .get(call.id.as_str())
                .map_or(&[][..], Vec::as_slice);
            let found = candidates
                .iter()
                .copied()
                .find(|&index| !self.all[index].is_used && self.all[index].message > message);
            if let Some(index) = found {
                self.all[index].is_used = true;
                answers.push((
                    index,
                    Answer {
                        result: self.all[index].result,
                        name: call.name.as_str(),
                    },
                ));
            }
        }
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Notes those that answer nothing, which Gemini would refuse.
    pub(super) fn note_unused(&self, losses: &mut Losses) {
        let is_lost = |entry: &Entry<'_>| !entry.is_used && !entry.result.call_id.is_empty();
        if self.all.iter().any(is_lost) {
            losses.add("messages.tool_result");
        }
    }
}

/// A result and the name of the tool that was called.
pub(super) struct Answer<'a> {
    pub(super) result: &'a ToolResult,
    pub(super) name: &'a str,
}

impl PartWriter<'_> {
    /// The parts of a result: pictures and the like, then the answer itself.
    ///
    /// # Errors
    /// When Gemini cannot say what it holds.
    pub(super) fn answer(
        &self,
        answer: &Answer<'_>,
        path: &str,
        losses: &mut Losses,
    ) -> Result<Vec<Value>, InvalidCall> {
        let result = answer.result;
        let (media, others): (Vec<&Part>, Vec<&Part>) =
            result.content.parts.iter().partition(|part| is_media(part));
        let mut parts = Vec::with_capacity(media.len() + 1);
        for part in media {
            parts.extend(self.part(part, path, losses)?);
        }
        let name = result.name.as_deref().unwrap_or(answer.name);
        let response = self.response(result, &others);
        let mut written = Map::new();
        if !name.is_empty() {
            written.insert("name".to_owned(), name.into());
        }
        written.insert("response".to_owned(), response);
        parts.push(json!({"functionResponse": written}));
        Ok(parts)
    }

    fn response(&self, result: &ToolResult, others: &[&Part]) -> Value {
        let is_of_langchain = self.dialect == WireFormat::OpenAiChat;
        let is_bare = result.content.is_bare_text || result.content.parts.is_empty();
        if is_of_langchain && !is_bare && self.form == Form::Genai {
            // LangChain shows the model the list as it is.
            let list: Vec<Value> = others.iter().map(|part| part_as_written(part)).collect();
            return json!({"output": list});
        }
        let text = Content::of(others.iter().map(|part| (*part).clone()).collect()).joined_text();
        let read: Option<Value> = serde_json::from_str(&text).ok();
        let word = match self.form {
            _ if result.is_error && !is_of_langchain => "error",
            Form::Genai => "output",
            Form::Vertexai => "content",
        };
        match (read, self.form) {
            (Some(Value::Object(members)), _) => Value::Object(members),
            (Some(value), Form::Genai) => json!({word: value}),
            _ => json!({word: text}),
        }
    }
}

const fn is_media(part: &Part) -> bool {
    matches!(
        part.content,
        PartContent::Image { .. }
            | PartContent::Document { .. }
            | PartContent::Audio { .. }
            | PartContent::Video { .. }
    )
}

/// A part of a tool's answer as its client wrote it.
fn part_as_written(part: &Part) -> Value {
    match &part.content {
        PartContent::Text { text, .. } => {
            let mut written = json!({"type": "text", "text": text});
            if let Value::Object(members) = &mut written {
                members.extend(part.extra.clone());
            }
            written
        }
        PartContent::Native(block) => block.clone(),
        _ => Value::Null,
    }
}
