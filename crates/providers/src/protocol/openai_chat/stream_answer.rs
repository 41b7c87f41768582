//! One answer of a stream: the deltas of its choices into canonical events.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::malformed;
use super::response::finish_reason;
use crate::chat::event::{ChatEvent, Delta};
use crate::chat::part::{Part, PartContent, Reasoning, ToolCall, ToolCallKind};
use crate::chat::reply::FinishReason;
use crate::error::ProviderError;

/// How many tool calls an answer may hold.
const MAX_TOOL_CALLS: usize = 1024;

/// One answer so far.
#[derive(Default)]
pub(super) struct Answer {
    next_part: u32,
    open: Option<(Kind, u32)>,
    calls: BTreeMap<u64, Call>,
    last_call: u64,
    pub(super) is_finished: bool,
}

/// A tool call so far, under the provider's number.
#[derive(Default)]
struct Call {
    id: String,
    /// Its part, once its name is known.
    part: Option<u32>,
    /// Arguments that came before the name.
    held_back: String,
}

/// What kind of part is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Refusal,
    Audio,
    ToolCall,
}

/// Writes the events of one answer.
pub(super) struct Writer<'a> {
    pub(super) choice: u32,
    pub(super) answer: &'a mut Answer,
    pub(super) events: &'a mut Vec<ChatEvent>,
}

impl Writer<'_> {
    pub(super) fn take(&mut self, choice: &Value) -> Result<(), ProviderError> {
        let delta = &choice["delta"];
        self.take_reasoning(delta);
        self.take_content(&delta["content"]);
        if let Some(text) = delta["refusal"].as_str() {
            self.grow(Kind::Refusal, text, Delta::Text);
        }
        for annotation in delta["annotations"].as_array().into_iter().flatten() {
            let index = self.open(Kind::Text);
            self.delta(index, Delta::Citation(annotation.clone()));
        }
        if delta["audio"].is_object() {
            let index = self.open(Kind::Audio);
            self.delta(index, Delta::Native(json!({"audio": delta["audio"]})));
        }
        for (position, call) in delta["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            self.take_call(call, position)?;
        }
        if delta["function_call"].is_object() {
            self.take_call(&json!({"index": 0, "function": delta["function_call"]}), 0)?;
        }
        if !choice["logprobs"].is_null() {
            self.events.push(ChatEvent::Logprobs {
                choice: self.choice,
                logprobs: choice["logprobs"].clone(),
            });
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish(Some(reason), choice);
        }
        Ok(())
    }

    /// Thinking under any of the names in use. Where blocks with signatures come beside
    /// bare text, the text counts, and of the blocks what the text cannot say.
    fn take_reasoning(&mut self, delta: &Value) {
        let bare = delta["reasoning_content"]
            .as_str()
            .filter(|text| !text.is_empty());
        let bare = bare
            .or(delta["reasoning"].as_str())
            .filter(|text| !text.is_empty());
        if let Some(text) = bare {
            self.grow(Kind::Reasoning, text, Delta::Reasoning);
        }
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            let text = detail["text"].as_str().or(detail["summary"].as_str());
            if let (None, Some(text)) = (bare, text) {
                self.grow(Kind::Reasoning, text, Delta::Reasoning);
            }
            if let Some(signature) = detail["signature"].as_str() {
                self.grow(Kind::Reasoning, signature, Delta::Signature);
            }
            if let Some(data) = detail["data"].as_str() {
                self.close_open();
                self.begin(
                    Kind::Reasoning,
                    PartContent::Reasoning(Reasoning {
                        encrypted: Some(data.to_owned()),
                        ..Reasoning::default()
                    }),
                );
                self.close_open();
            }
        }
    }

    /// Content is a text, or (Mistral, some others) a list of parts.
    fn take_content(&mut self, content: &Value) {
        match content {
            Value::String(text) => self.grow(Kind::Text, text, Delta::Text),
            Value::Array(parts) => {
                for part in parts {
                    if let Some(text) = part["text"].as_str() {
                        self.grow(Kind::Text, text, Delta::Text);
                    }
                    if part["type"] == "reference" {
                        let index = self.open(Kind::Text);
                        let ids = &part["reference_ids"];
                        let citation = json!({"type": "reference", "reference_ids": ids});
                        self.delta(index, Delta::Citation(citation));
                    }
                    for thought in part["thinking"].as_array().into_iter().flatten() {
                        let text = thought["text"].as_str().unwrap_or_default();
                        self.grow(Kind::Reasoning, text, Delta::Reasoning);
                    }
                }
            }
            _ => {}
        }
    }

    fn grow(&mut self, kind: Kind, text: &str, delta: fn(String) -> Delta) {
        if !text.is_empty() {
            let index = self.open(kind);
            self.delta(index, delta(text.to_owned()));
        }
    }

    fn delta(&mut self, index: u32, delta: Delta) {
        self.events.push(ChatEvent::PartDelta {
            choice: self.choice,
            index,
            delta,
        });
    }

    /// The part of this kind that is open, or a new one.
    fn open(&mut self, kind: Kind) -> u32 {
        if let Some((open, index)) = self.answer.open
            && open == kind
        {
            return index;
        }
        let content = match kind {
            Kind::Text => PartContent::Text {
                text: String::new(),
                citations: Vec::new(),
            },
            Kind::Reasoning => PartContent::Reasoning(Reasoning::default()),
            Kind::Refusal => PartContent::Refusal {
                text: String::new(),
            },
            Kind::Audio | Kind::ToolCall => PartContent::Native(json!({})),
        };
        self.begin(kind, content)
    }

    fn begin(&mut self, kind: Kind, content: PartContent) -> u32 {
        self.close_open();
        let index = self.answer.next_part;
        self.answer.next_part += 1;
        self.answer.open = Some((kind, index));
        self.events.push(ChatEvent::PartStart {
            choice: self.choice,
            index,
            part: Part::new(content),
        });
        index
    }

    fn close_open(&mut self) {
        if let Some((_, index)) = self.answer.open.take() {
            self.events.push(ChatEvent::PartEnd {
                choice: self.choice,
                index,
            });
        }
    }

    fn take_call(&mut self, delta: &Value, position: usize) -> Result<(), ProviderError> {
        let id = delta["id"].as_str().unwrap_or_default();
        let is_custom = delta["type"] == "custom" || delta["custom"].is_object();
        let body = &delta[if is_custom { "custom" } else { "function" }];
        let name = body["name"].as_str().unwrap_or_default();
        let number = self.call_number(delta, id, position);
        if self.answer.calls.len() == MAX_TOOL_CALLS && !self.answer.calls.contains_key(&number) {
            return Err(malformed("the stream holds too many tool calls"));
        }
        self.answer.last_call = number;
        let call = self.answer.calls.entry(number).or_default();
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        let arguments = match &body[if is_custom { "input" } else { "arguments" }] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if call.part.is_none() && !name.is_empty() {
            let kind = if is_custom {
                ToolCallKind::Custom
            } else {
                ToolCallKind::Function
            };
            self.begin_call(number, name, kind);
        }
        self.grow_call(number, &arguments);
        Ok(())
    }

    /// Which call a delta belongs to. Providers that give no number, or the same for
    /// all, begin a new call with a new id and a name.
    fn call_number(&self, delta: &Value, id: &str, position: usize) -> u64 {
        let is_other = |number: u64| {
            self.answer
                .calls
                .get(&number)
                .is_some_and(|call| !id.is_empty() && !call.id.is_empty() && call.id != id)
        };
        let next = self
            .answer
            .calls
            .keys()
            .next_back()
            .map_or(0, |last| last + 1);
        match delta["index"].as_u64() {
            Some(number) if is_other(number) => self.number_of_id(id).unwrap_or(next),
            Some(number) => number,
            None if !id.is_empty() => self.number_of_id(id).unwrap_or(next),
            None if self.answer.calls.is_empty() => position as u64,
            None => self.answer.last_call,
        }
    }

    fn number_of_id(&self, id: &str) -> Option<u64> {
        let mut calls = self.answer.calls.iter();
        calls
            .find(|(_, call)| call.id == id)
            .map(|(&number, _)| number)
    }

    fn begin_call(&mut self, number: u64, name: &str, kind: ToolCallKind) {
        let id = self.answer.calls.get(&number).map(|call| call.id.clone());
        let index = self.begin(
            Kind::ToolCall,
            PartContent::ToolCall(ToolCall {
                id: id.unwrap_or_default(),
                name: name.to_owned(),
                arguments: String::new(),
                kind,
            }),
        );
        if let Some(call) = self.answer.calls.get_mut(&number) {
            call.part = Some(index);
        }
    }

    fn grow_call(&mut self, number: u64, arguments: &str) {
        let Some(call) = self.answer.calls.get_mut(&number) else {
            return;
        };
        call.held_back.push_str(arguments);
        let Some(part) = call.part else { return };
        let arguments = std::mem::take(&mut call.held_back);
        if !arguments.is_empty() {
            self.delta(part, Delta::Arguments(arguments));
        }
    }

    pub(super) fn finish(&mut self, native: Option<&str>, choice: &Value) {
        if self.answer.is_finished {
            return;
        }
        self.answer.is_finished = true;
        self.close_open();
        let mut extra = Map::new();
        for (name, value) in choice.as_object().into_iter().flatten() {
            let is_named = matches!(
                name.as_str(),
                "index" | "delta" | "finish_reason" | "logprobs" | "message"
            );
            if !is_named && !value.is_null() {
                extra.insert(name.clone(), value.clone());
            }
        }
        self.events.push(ChatEvent::Finish {
            choice: self.choice,
            reason: native.map_or(FinishReason::Stop, finish_reason),
            native_reason: native.map(str::to_owned),
            stop_sequence: None,
            extra,
        });
    }
}
