//! The items of a provider's stream: what each of them says, piece by piece.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::{malformed, unreadable};
use super::items::parse_output;
use super::response::{Said, without_nulls};
use crate::chat::event::{ChatEvent, Delta};
use crate::chat::part::{Part, PartContent, Reasoning, ToolCall};
use crate::error::ProviderError;

/// More items than this are no answer but an attack on our memory.
const MAX_ITEMS: usize = 4096;

/// The items so far, by their first place in the output.
#[derive(Default)]
pub(super) struct OpenItems {
    items: BTreeMap<u64, Item>,
    /// Where an item was first seen; some events name another place for it.
    places: BTreeMap<String, u64>,
    next_part: u32,
    /// What the answer holds.
    pub(super) said: Said,
}

/// One item so far.
#[derive(Default)]
struct Item {
    /// Its parts: those of a message by their place in it, any other at 0.
    parts: BTreeMap<u64, OpenPart>,
    /// What its first piece of text is to say of the item.
    head: crate::chat::Extra,
    /// A gap between two pieces of thinking.
    has_gap: bool,
    is_done: bool,
}

/// One part so far.
struct OpenPart {
    index: u32,
    has_grown: bool,
    citations: usize,
    is_open: bool,
}

impl OpenItems {
    pub(super) fn take(
        &mut self,
        kind: &str,
        mut event: Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let place = self.place(&event)?;
        let content = event["content_index"].as_u64().unwrap_or_default();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        match kind {
            "response.output_item.added" => {
                self.added(place, event["item"].take(), events)?;
            }
            "response.output_item.done" => self.done(place, event["item"].take(), events)?,
            "response.content_part.added" => {
                self.content_added(place, content, &event["part"], events);
            }
            "response.output_text.delta" => {
                self.say(place, content, false, Delta::Text(text("delta")), events);
                say_logprobs(&event["logprobs"], events);
            }
            "response.refusal.delta" => {
                self.say(place, content, true, Delta::Text(text("delta")), events);
            }
            "response.output_text.done" => {
                self.say_rest(place, content, false, text("text"), events);
            }
            "response.refusal.done" => {
                self.say_rest(place, content, true, text("refusal"), events);
            }
            "response.output_text.annotation.added" => {
                let delta = Delta::Citation(event["annotation"].take());
                self.say(place, content, false, delta, events);
            }
            "response.reasoning_summary_part.added" => self.item(place).has_gap = true,
            "response.reasoning_summary_text.delta"
            | "response.reasoning_text.delta"
            | "response.reasoning_summary.delta" => {
                let id = event["item_id"].as_str().map(str::to_owned);
                self.think(place, id, text("delta"), events);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.grow(place, 0, Delta::Arguments(text("delta")), events);
            }
            "response.function_call_arguments.done" => {
                self.grow_rest(place, text("arguments"), events);
            }
            "response.custom_tool_call_input.done" => {
                self.grow_rest(place, text("input"), events);
            }
            // Everything else is told once more when its item is done.
            _ => {}
        }
        Ok(())
    }

    /// Closes what is open. An answer that came whole in the last event is told now.
    pub(super) fn close(
        &mut self,
        output: Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if self.items.is_empty()
            && let Value::Array(items) = output
        {
            for (place, item) in items.into_iter().enumerate() {
                self.done(place as u64, item, events)?;
            }
        }
        let places: Vec<u64> = self.items.keys().copied().collect();
        for place in places {
            self.end_parts(place, events);
        }
        Ok(())
    }

    fn place(&mut self, event: &Value) -> Result<u64, ProviderError> {
        let id = event["item"]["id"].as_str().or(event["item_id"].as_str());
        let stated = event["output_index"].as_u64();
        let next = self.items.keys().next_back().copied().unwrap_or_default();
        let place = match (id.and_then(|id| self.places.get(id)), stated) {
            (Some(place), _) => *place,
            (None, Some(place)) => place,
            (None, None) => next,
        };
        if self.places.len().max(self.items.len()) >= MAX_ITEMS {
            return Err(malformed("the stream holds too many items"));
        }
        if let Some(id) = id {
            self.places.entry(id.to_owned()).or_insert(place);
        }
        Ok(place)
    }

    fn item(&mut self, place: u64) -> &mut Item {
        self.items.entry(place).or_default()
    }

    fn added(
        &mut self,
        place: u64,
        item: Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let kind = item["type"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "message" => {
                let head = &mut self.item(place).head;
                for name in ["id", "phase"] {
                    if !item[name].is_null() {
                        head.insert(name.to_owned(), item[name].clone());
                    }
                }
            }
            "function_call" | "custom_tool_call" => {
                let mut item = without_nulls(item);
                if let Value::Object(members) = &mut item {
                    members.shift_remove("status");
                }
                for part in parts_of(item)? {
                    let has_arguments = has_arguments(&part.content);
                    self.begin(place, 0, part, events);
                    if let Some(open) = self.item(place).parts.get_mut(&0) {
                        open.has_grown = has_arguments;
                    }
                }
            }
            // Thinking begins with its first words, any other item when it is done.
            _ => {
                self.item(place);
            }
        }
        Ok(())
    }

    fn done(
        &mut self,
        place: u64,
        item: Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if std::mem::replace(&mut self.item(place).is_done, true) || !item.is_object() {
            return Ok(());
        }
        let item = without_nulls(item);
        match item["type"].as_str().unwrap_or_default() {
            "message" => {
                for (content, part) in parts_of(item)?.into_iter().enumerate() {
                    self.rest_of_said(place, content as u64, part, events);
                }
            }
            "reasoning" => self.rest_of_thinking(place, item, events)?,
            "function_call" | "custom_tool_call" => {
                for part in parts_of(item)? {
                    let PartContent::ToolCall(ToolCall { arguments, .. }) = &part.content else {
                        continue;
                    };
                    let arguments = arguments.clone();
                    if self.item(place).parts.is_empty() {
                        self.begin(place, 0, part, events);
                    } else {
                        self.grow_rest(place, arguments, events);
                    }
                }
            }
            "" => {}
            _ => {
                for part in parts_of(item)? {
                    self.begin(place, 0, part, events);
                }
            }
        }
        self.end_parts(place, events);
        Ok(())
    }

    fn content_added(
        &mut self,
        place: u64,
        content: u64,
        part: &Value,
        events: &mut Vec<ChatEvent>,
    ) {
        match part["type"].as_str() {
            Some("output_text") => {
                let text = part["text"].as_str().unwrap_or_default().to_owned();
                self.say(place, content, false, Delta::Text(text), events);
            }
            Some("refusal") => {
                let text = part["refusal"].as_str().unwrap_or_default().to_owned();
                self.say(place, content, true, Delta::Text(text), events);
            }
            _ => {}
        }
    }

    /// Makes a piece of text or a refusal grow; begins it where it has not.
    fn say(
        &mut self,
        place: u64,
        content: u64,
        is_refusal: bool,
        delta: Delta,
        events: &mut Vec<ChatEvent>,
    ) {
        let item = self.item(place);
        if !item.parts.contains_key(&content) {
            let text = String::new();
            let mut part = Part::new(if is_refusal {
                PartContent::Refusal { text }
            } else {
                let citations = Vec::new();
                PartContent::Text { text, citations }
            });
            part.extra = std::mem::take(&mut item.head);
            self.begin(place, content, part, events);
        }
        self.grow(place, content, delta, events);
    }

    /// Says a whole text that has not come in pieces.
    fn say_rest(
        &mut self,
        place: u64,
        content: u64,
        is_refusal: bool,
        text: String,
        events: &mut Vec<ChatEvent>,
    ) {
        let open = self.item(place).parts.get(&content);
        if !open.is_some_and(|open| open.has_grown) {
            self.say(place, content, is_refusal, Delta::Text(text), events);
        }
    }

    /// What of a finished message has not been said.
    fn rest_of_said(&mut self, place: u64, content: u64, part: Part, events: &mut Vec<ChatEvent>) {
        if let Some(open) = self.item(place).parts.get(&content) {
            let citations_told = open.citations;
            match part.content {
                PartContent::Text { text, citations } => {
                    self.say_rest(place, content, false, text, events);
                    for citation in citations.into_iter().skip(citations_told) {
                        self.grow(place, content, Delta::Citation(citation), events);
                    }
                }
                PartContent::Refusal { text } => self.say_rest(place, content, true, text, events),
                _ => {}
            }
            return;
        }
        self.begin(place, content, part, events);
    }

    fn think(&mut self, place: u64, id: Option<String>, text: String, events: &mut Vec<ChatEvent>) {
        if self.item(place).parts.is_empty() {
            let reasoning = Reasoning {
                id,
                ..Reasoning::default()
            };
            self.begin(
                place,
                0,
                Part::new(PartContent::Reasoning(reasoning)),
                events,
            );
        }
        let item = self.item(place);
        let has_grown = item.parts.get(&0).is_some_and(|open| open.has_grown);
        let is_after_gap = std::mem::take(&mut item.has_gap) && has_grown;
        let text = if is_after_gap {
            format!("\n\n{text}")
        } else {
            text
        };
        self.grow(place, 0, Delta::Reasoning(text), events);
    }

    /// The hidden form of thinking comes last. Where the text has been streamed, it is
    /// told as a part of its own under the same id.
    fn rest_of_thinking(
        &mut self,
        place: u64,
        item: Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        for mut part in parts_of(item)? {
            let PartContent::Reasoning(reasoning) = &mut part.content else {
                continue;
            };
            if self.item(place).parts.is_empty() {
                self.begin(place, 0, part, events);
            } else if reasoning.encrypted.is_some() {
                reasoning.text.clear();
                self.end_parts(place, events);
                self.begin(place, 1, Part::new(part.content), events);
            }
        }
        Ok(())
    }

    fn begin(&mut self, place: u64, content: u64, part: Part, events: &mut Vec<ChatEvent>) {
        self.said.note(&part);
        let index = self.next_part;
        self.next_part += 1;
        let open = OpenPart {
            index,
            has_grown: false,
            citations: 0,
            is_open: true,
        };
        self.item(place).parts.insert(content, open);
        events.push(ChatEvent::PartStart {
            choice: 0,
            index,
            part,
        });
    }

    fn grow(&mut self, place: u64, content: u64, delta: Delta, events: &mut Vec<ChatEvent>) {
        let Some(open) = self.item(place).parts.get_mut(&content) else {
            return;
        };
        match &delta {
            Delta::Citation(_) => open.citations += 1,
            Delta::Text(text) | Delta::Arguments(text) | Delta::Reasoning(text) => {
                if text.is_empty() {
                    return;
                }
                open.has_grown = true;
            }
            Delta::Signature(_) | Delta::Native(_) => {}
        }
        events.push(ChatEvent::PartDelta {
            choice: 0,
            index: open.index,
            delta,
        });
    }

    /// Whole arguments that have not come in pieces.
    fn grow_rest(&mut self, place: u64, arguments: String, events: &mut Vec<ChatEvent>) {
        let open = self.item(place).parts.get(&0);
        if open.is_some_and(|open| !open.has_grown) {
            self.grow(place, 0, Delta::Arguments(arguments), events);
        }
    }

    fn end_parts(&mut self, place: u64, events: &mut Vec<ChatEvent>) {
        for open in self.item(place).parts.values_mut() {
            if std::mem::replace(&mut open.is_open, false) {
                events.push(ChatEvent::PartEnd {
                    choice: 0,
                    index: open.index,
                });
            }
        }
    }
}

fn parts_of(item: Value) -> Result<Vec<Part>, ProviderError> {
    let content = parse_output(item, "item").map_err(|problem| unreadable(&problem))?;
    Ok(content.parts)
}

fn has_arguments(content: &PartContent) -> bool {
    match content {
        PartContent::ToolCall(call) => !call.arguments.is_empty(),
        _ => false,
    }
}

fn say_logprobs(logprobs: &Value, events: &mut Vec<ChatEvent>) {
    if logprobs.as_array().is_some_and(|items| !items.is_empty()) {
        events.push(ChatEvent::Logprobs {
            choice: 0,
            logprobs: json!({ "content": logprobs }),
        });
    }
}
