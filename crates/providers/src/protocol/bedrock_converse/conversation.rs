//! Canonical messages → `system` and `messages`.
//!
//! Follows LangChain: neighbouring messages of one speaker become one, tool results join
//! the user's turn, system messages go to the top, and nothing is empty.

use serde_json::{Value, json};

use super::blocks::{BlockWriter, Place, or_empty, without_empty};
use super::types::{EMPTY, is_blank};
use crate::chat::call::{ChatCall, Message, Role};
use crate::chat::part::{Part, PartContent};
use crate::error::InvalidCall;

/// Neighbouring messages of one speaker.
struct Run<'c> {
    role: Role,
    /// The messages' bare texts, as long as there is nothing else.
    text: Option<String>,
    parts: Vec<Said<'c>>,
    /// Calls at the end of the messages, which stand after everything else.
    calls: Vec<&'c Part>,
    index: usize,
}

/// A piece of a run that is no bare text any more.
enum Said<'c> {
    Text(String),
    Part(&'c Part),
}

/// Writes the conversation: the system prompt, and the turns.
pub(super) fn encode(
    call: &ChatCall,
    writer: &mut BlockWriter<'_>,
) -> Result<(Vec<Value>, Vec<Value>), InvalidCall> {
    let mut system = Vec::new();
    let mut turns: Vec<Value> = Vec::new();
    let mut runs = runs(&call.messages, writer);
    trim_last(&mut runs);
    for run in &runs {
        let content = content(run, writer)?;
        match run.role {
            Role::System | Role::Developer => system.extend(content),
            Role::Assistant => turns.push(json!({"role": "assistant", "content": content})),
            Role::User | Role::Tool => match turns.last_mut() {
                Some(last) if last["role"] == "user" => {
                    if let Some(there) = last["content"].as_array_mut() {
                        there.extend(content);
                    }
                }
                _ => turns.push(json!({"role": "user", "content": content})),
            },
        }
    }
    if turns.is_empty() {
        turns.push(json!({"role": "user", "content": [{"text": EMPTY}]}));
    }
    Ok((system, turns))
}

fn runs<'c>(messages: &'c [Message], writer: &mut BlockWriter<'_>) -> Vec<Run<'c>> {
    let mut runs: Vec<Run<'c>> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message.name.is_some() {
            writer.losses.add("messages.name");
        }
        for (name, value) in &message.extra {
            if !value.is_null() && !matches!(value, Value::Array(items) if items.is_empty()) {
                writer.losses.add(format!("messages.{name}"));
            }
        }
        let run = run_of(message, index);
        match runs.last_mut() {
            Some(last) if last.role == run.role && run.role != Role::Tool => last.join(run),
            _ => runs.push(run),
        }
    }
    runs
}

fn run_of(message: &Message, index: usize) -> Run<'_> {
    let parts = &message.content.parts;
    let is_call = |part: &&Part| matches!(part.content, PartContent::ToolCall(_));
    let trailing = match message.role {
        Role::Assistant => parts.iter().rev().take_while(is_call).count(),
        _ => 0,
    };
    let (said, calls) = parts.split_at(parts.len() - trailing);
    let text = match said {
        [] => Some(String::new()),
        [only] if message.content.is_bare_text => match &only.content {
            PartContent::Text { text, .. } => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    let role = match message.role {
        Role::Developer => Role::System,
        role => role,
    };
    Run {
        role,
        parts: match text {
            Some(_) => Vec::new(),
            None => said.iter().map(Said::Part).collect(),
        },
        text,
        calls: calls.iter().collect(),
        index,
    }
}

impl<'c> Run<'c> {
    /// Appends a run, as LangChain merges contents.
    fn join(&mut self, next: Run<'c>) {
        self.calls.extend(next.calls);
        match (&mut self.text, next.text) {
            (Some(text), Some(more)) => {
                if !text.is_empty() && !more.is_empty() {
                    text.push('\n');
                }
                text.push_str(&more);
            }
            (text @ Some(_), None) => {
                self.parts.extend(text.take().map(Said::Text));
                self.parts.extend(next.parts);
            }
            (None, Some(more)) => {
                if !more.is_empty() {
                    self.parts.push(Said::Text(more));
                }
            }
            (None, None) => self.parts.extend(next.parts),
        }
    }
}

/// A final turn of the assistant, which the model continues, must not end in white space.
fn trim_last(runs: &mut [Run<'_>]) {
    let Some(last) = runs.last_mut().filter(|run| run.role == Role::Assistant) else {
        return;
    };
    let trimmed = |text: &str| text.trim_end().to_owned();
    if let Some(text) = &mut last.text {
        *text = trimmed(text);
    }
    for said in &mut last.parts {
        if let Said::Part(part) = said
            && let PartContent::Text { text, citations } = &part.content
            && text.trim_end() != text
            && citations.is_empty()
            && part.extra.is_empty()
        {
            *said = Said::Text(trimmed(text));
        }
    }
}

fn content(run: &Run<'_>, writer: &mut BlockWriter<'_>) -> Result<Vec<Value>, InvalidCall> {
    let path = format!("messages[{}].content", run.index);
    let place = Place {
        role: run.role,
        path: &path,
    };
    let mut written = match &run.text {
        Some(text) if is_blank(text) => vec![json!({"text": EMPTY})],
        Some(text) => vec![json!({ "text": text })],
        None => said(&run.parts, writer, place)?,
    };
    written = without_empty(written);
    if run.role != Role::Assistant {
        return Ok(written);
    }
    if !run.calls.is_empty() && written == [json!({"text": EMPTY})] {
        written.clear();
    }
    if !run.calls.is_empty() {
        written.extend(writer.list(&run.calls, place)?);
    }
    Ok(or_empty(written))
}

fn said(
    parts: &[Said<'_>],
    writer: &mut BlockWriter<'_>,
    place: Place<'_>,
) -> Result<Vec<Value>, InvalidCall> {
    let mut written = Vec::with_capacity(parts.len());
    for said in parts {
        match said {
            Said::Text(text) => written.push(json!({ "text": text })),
            Said::Part(part) => written.extend(writer.list(&[part], place)?),
        }
    }
    Ok(written)
}
