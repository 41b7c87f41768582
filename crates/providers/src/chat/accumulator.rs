//! Adding up a stream into the reply it describes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::event::{ChatEvent, Delta};
use super::part::{Part, PartContent};
use super::reply::{ChatReply, Choice};
use crate::error::{ErrorKind, ProviderError};

/// How large a reply may grow, counted in bytes of text.
const MAX_BYTES: usize = 64 << 20;

/// Adds up events into the reply they describe.
#[derive(Debug, Default)]
pub struct Accumulator {
    reply: ChatReply,
    answers: BTreeMap<u32, Answer>,
    bytes: usize,
    is_whole: bool,
}

#[derive(Debug, Default)]
struct Answer {
    choice: Choice,
    parts: BTreeMap<u32, Part>,
}

impl Accumulator {
    /// Begins with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one event.
    ///
    /// # Errors
    /// When it reports a failure, or the reply grows beyond 64 MiB.
    pub fn push(&mut self, event: ChatEvent) -> Result<(), ProviderError> {
        match event {
            ChatEvent::Start {
                id,
                model,
                created,
                extra,
            } => {
                self.reply.id = id;
                self.reply.model = model;
                self.reply.created = created;
                self.reply.extra = extra;
            }
            ChatEvent::PartStart {
                choice,
                index,
                part,
            } => {
                self.answer(choice).parts.insert(index, part);
            }
            ChatEvent::PartDelta {
                choice,
                index,
                delta,
            } => {
                self.count(&delta)?;
                if let Some(part) = self.answer(choice).parts.get_mut(&index) {
                    grow(part, delta);
                }
            }
            ChatEvent::Logprobs { choice, logprobs } => {
                let own = &mut self.answer(choice).choice.logprobs;
                merge_logprobs(own.get_or_insert(Value::Null), logprobs);
            }
            ChatEvent::Finish {
                choice,
                reason,
                native_reason,
                stop_sequence,
                extra,
            } => {
                let own = &mut self.answer(choice).choice;
                own.finish_reason = Some(reason);
                own.native_finish_reason = native_reason;
                own.stop_sequence = stop_sequence;
                own.extra = extra;
            }
            ChatEvent::Usage(usage) => self.reply.usage = Some(usage),
            ChatEvent::Error(error) => return Err(error),
            ChatEvent::End => self.is_whole = true,
            ChatEvent::PartEnd { .. } | ChatEvent::Ping => {}
        }
        Ok(())
    }

    /// The whole reply.
    ///
    /// # Errors
    /// When [`ChatEvent::End`] never came.
    pub fn finish(mut self) -> Result<ChatReply, ProviderError> {
        if !self.is_whole {
            return Err(malformed("the stream ended before the answer was whole"));
        }
        self.reply.choices = self
            .answers
            .into_iter()
            .map(|(index, answer)| Choice {
                index,
                parts: answer.parts.into_values().collect(),
                ..answer.choice
            })
            .collect();
        Ok(self.reply)
    }

    fn answer(&mut self, choice: u32) -> &mut Answer {
        self.answers.entry(choice).or_default()
    }

    fn count(&mut self, delta: &Delta) -> Result<(), ProviderError> {
        self.bytes += match delta {
            Delta::Text(text)
            | Delta::Arguments(text)
            | Delta::Reasoning(text)
            | Delta::Signature(text) => text.len(),
            Delta::Citation(value) | Delta::Native(value) => value.to_string().len(),
        };
        if self.bytes > MAX_BYTES {
            return Err(malformed("the answer is larger than 64 MiB"));
        }
        Ok(())
    }
}

fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.to_owned())
}

fn grow(part: &mut Part, delta: Delta) {
    match (&mut part.content, delta) {
        (PartContent::Text { text, .. } | PartContent::Refusal { text }, Delta::Text(more)) => {
            text.push_str(&more);
        }
        (PartContent::Text { citations, .. }, Delta::Citation(citation)) => {
            citations.push(citation);
        }
        (PartContent::ToolCall(call), Delta::Arguments(more)) => call.arguments.push_str(&more),
        (PartContent::Reasoning(reasoning), Delta::Reasoning(more)) => {
            reasoning.text.push_str(&more);
        }
        (PartContent::Reasoning(reasoning), Delta::Signature(signature)) => {
            reasoning
                .signature
                .get_or_insert_default()
                .push_str(&signature);
        }
        (PartContent::Native(own), Delta::Native(more)) => merge(own, more),
        // A growth that does not fit its part says nothing that could be kept.
        _ => {}
    }
}

/// Joins objects member by member; texts grow, everything else is replaced.
fn merge(own: &mut Value, more: Value) {
    match (own, more) {
        (Value::Object(own), Value::Object(more)) => {
            for (name, value) in more {
                match own.get_mut(&name) {
                    // An identifier is repeated, not continued.
                    Some(_) if name == "id" => {}
                    Some(member) => merge(member, value),
                    None => {
                        own.insert(name, value);
                    }
                }
            }
        }
        (Value::String(own), Value::String(more)) => own.push_str(&more),
        (own, more) => *own = more,
    }
}

/// Joins log probabilities: the lists inside grow.
fn merge_logprobs(own: &mut Value, more: Value) {
    match (own, more) {
        (Value::Object(own), Value::Object(more)) => {
            for (name, value) in more {
                merge_logprobs(own.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(own), Value::Array(more)) => own.extend(more),
        (own @ Value::Null, more) => *own = more,
        _ => {}
    }
}
