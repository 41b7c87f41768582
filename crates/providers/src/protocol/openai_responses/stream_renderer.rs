//! Streams as clients read them: canonical events into the named events of the
//! Responses API, each with its number.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::output::{Items, belongs, completed, is_output_item, is_same_thinking, said_json};
use super::response::{Head, response_id, status_of};
use super::types::annotation;
use crate::chat::Extra;
use crate::chat::event::{ChatEvent, Delta};
use crate::chat::part::{Part, PartContent, Reasoning, ToolCall, ToolCallKind};
use crate::chat::reply::FinishReason;
use crate::chat::usage::Usage;
use crate::framing::sse_writer;

/// Canonical events → client stream.
pub(crate) struct StreamRenderer {
    head: Head,
    items: Items,
    places: BTreeMap<u32, Place>,
    /// The message or the thinking that is open.
    open: Option<usize>,
    usage: Option<Usage>,
    reason: Option<FinishReason>,
    has_begun: bool,
    sequence: u64,
}

/// Where a part of the answer is.
#[derive(Clone, Copy)]
struct Place {
    item: usize,
    /// Which piece of a message.
    content: usize,
    kind: Kind,
    is_open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
    Call,
    Custom,
    /// A computer's actions, which are shown when they are whole.
    Computer,
    /// An item that was said when it began.
    Whole,
}

impl StreamRenderer {
    /// Begins a stream. `model` stands in where the provider names none.
    pub(crate) fn new(model: &str) -> Self {
        Self {
            head: Head {
                id: response_id(None),
                model: model.to_owned(),
                created: 0,
                extra: Extra::new(),
            },
            items: Items::of("0"),
            places: BTreeMap::new(),
            open: None,
            usage: None,
            reason: None,
            has_begun: false,
            sequence: 0,
        }
    }

    /// Appends the bytes that say `event`. Of several answers, this format can say the
    /// first only.
    pub(crate) fn push(&mut self, event: &ChatEvent, out: &mut Vec<u8>) {
        match event {
            ChatEvent::Start {
                id,
                model,
                created,
                extra,
            } => {
                self.head.id = response_id(id.as_deref());
                self.items = Items::of(&self.head.id);
                if let Some(model) = model {
                    model.clone_into(&mut self.head.model);
                }
                self.head.created = created.unwrap_or_default();
                self.head.extra = extra.clone();
                self.begin(out);
            }
            ChatEvent::PartStart {
                choice: 0,
                index,
                part,
            } => {
                self.begin(out);
                self.part_start(*index, part, out);
            }
            ChatEvent::PartDelta {
                choice: 0,
                index,
                delta,
            } => self.part_delta(*index, delta, out),
            ChatEvent::PartEnd { choice: 0, index } => self.part_end(*index, out),
            ChatEvent::Logprobs {
                choice: 0,
                logprobs,
            } => self.add_logprobs(logprobs),
            ChatEvent::Finish {
                choice: 0, reason, ..
            } => {
                self.begin(out);
                self.reason = Some(*reason);
                self.finish_items(out);
            }
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            ChatEvent::Ping => sse_writer::write_comment(out, "ping"),
            ChatEvent::End => self.end(out),
            // The error's words must be scrubbed first; `render_stream_error` says them.
            _ => {}
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            let answer = self.head.answer("in_progress", None, &[], None);
            self.write(kind, json!({ "response": answer }), out);
        }
    }

    fn write(&mut self, kind: &str, mut event: Value, out: &mut Vec<u8>) {
        event["type"] = kind.into();
        event["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        sse_writer::write_event(out, kind, &event.to_string());
    }

    fn part_start(&mut self, index: u32, part: &Part, out: &mut Vec<u8>) {
        match &part.content {
            PartContent::Text { .. } => self.said_start(index, part, Kind::Text, out),
            PartContent::Refusal { .. } => self.said_start(index, part, Kind::Refusal, out),
            PartContent::Reasoning(reasoning) => {
                let place = self
                    .open
                    .filter(|place| is_same_thinking(reasoning, &self.items.items[*place]));
                let place = match place {
                    Some(place) => {
                        let item = &mut self.items.items[place];
                        if let Some(encrypted) = &reasoning.encrypted {
                            item["encrypted_content"] = encrypted.as_str().into();
                        }
                        place
                    }
                    None => self.thinking_start(reasoning, part, out),
                };
                self.keep(index, place, 0, Kind::Reasoning);
                self.think(place, &reasoning.text, out);
            }
            PartContent::ToolCall(call) => self.call_start(index, call, part, out),
            PartContent::Native(item) if is_output_item(item) => {
                self.close_open(out);
                let place = self.add_item(item.clone(), out);
                self.keep(index, place, 0, Kind::Whole);
                self.item_done(place, out);
            }
            _ => {}
        }
    }

    fn keep(&mut self, index: u32, item: usize, content: usize, kind: Kind) {
        let place = Place {
            item,
            content,
            kind,
            is_open: true,
        };
        self.places.insert(index, place);
    }

    /// Adds an item and says so.
    fn add_item(&mut self, item: Value, out: &mut Vec<u8>) -> usize {
        let place = self.items.items.len();
        let event = json!({"output_index": place, "item": &item});
        self.items.items.push(item);
        self.write("response.output_item.added", event, out);
        place
    }

    fn item_done(&mut self, place: usize, out: &mut Vec<u8>) {
        let item = completed(self.items.items[place].take());
        self.items.items[place] = item.clone();
        let event = json!({"output_index": place, "item": item});
        self.write("response.output_item.done", event, out);
    }

    fn said_start(&mut self, index: u32, part: &Part, kind: Kind, out: &mut Vec<u8>) {
        let open = self.open.filter(|place| {
            let item = &self.items.items[*place];
            item["type"] == "message" && belongs(part, item)
        });
        let item = match open {
            Some(item) => item,
            None => {
                self.close_open(out);
                let item = self.add_item(self.items.message(part), out);
                self.open = Some(item);
                item
            }
        };
        let Some(mut said) = said_json(part) else {
            return;
        };
        let name = text_name(kind);
        let text = said[name].as_str().unwrap_or_default().to_owned();
        said[name] = "".into();
        let list = self.items.items[item]["content"].as_array_mut();
        let content = list.as_ref().map_or(0, |list| list.len());
        if let Some(list) = list {
            list.push(said.clone());
        }
        let mut event = self.at(item, content);
        event["part"] = said;
        self.write("response.content_part.added", event, out);
        self.keep(index, item, content, kind);
        self.say(item, content, kind, &text, out);
    }

    fn thinking_start(&mut self, reasoning: &Reasoning, part: &Part, out: &mut Vec<u8>) -> usize {
        self.close_open(out);
        let mut item = self.items.reasoning(reasoning, part);
        // Its text comes as events.
        item["summary"] = json!([]);
        let mut shown = item.clone();
        if let Value::Object(shown) = &mut shown {
            shown.shift_remove("encrypted_content");
        }
        let place = self.add_item(shown, out);
        self.items.items[place] = item;
        self.open = Some(place);
        place
    }

    fn call_start(&mut self, index: u32, call: &ToolCall, part: &Part, out: &mut Vec<u8>) {
        let kind = match call.kind {
            // A tool that the provider ran itself is nothing for the client to run.
            ToolCallKind::Server => return,
            ToolCallKind::Function => Kind::Call,
            ToolCallKind::Custom => Kind::Custom,
            ToolCallKind::ComputerUse => Kind::Computer,
        };
        let Some(mut item) = self.items.tool_call(call, part) else {
            return;
        };
        self.close_open(out);
        if kind == Kind::Computer {
            item["action"] = call.arguments.as_str().into();
            let place = self.items.items.len();
            self.items.items.push(item);
            self.keep(index, place, 0, kind);
            return;
        }
        item[arguments_name(kind)] = "".into();
        let place = self.add_item(item, out);
        self.keep(index, place, 0, kind);
        self.grow_call(place, kind, &call.arguments, out);
    }

    fn part_delta(&mut self, index: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(&Place {
            item,
            content,
            kind,
            ..
        }) = self.places.get(&index)
        else {
            return;
        };
        match (kind, delta) {
            (Kind::Text | Kind::Refusal, Delta::Text(text)) => {
                self.say(item, content, kind, text, out);
            }
            (Kind::Text, Delta::Citation(citation)) => self.cite(item, content, citation, out),
            (Kind::Reasoning, Delta::Reasoning(text)) => self.think(item, text, out),
            (Kind::Reasoning, Delta::Signature(signature)) => {
                let proof = &mut self.items.items[item]["encrypted_content"];
                let so_far = proof.as_str().unwrap_or_default();
                *proof = format!("{so_far}{signature}").into();
            }
            (Kind::Call | Kind::Custom, Delta::Arguments(arguments)) => {
                self.grow_call(item, kind, arguments, out);
            }
            (Kind::Computer, Delta::Arguments(arguments)) => {
                grow(&mut self.items.items[item]["action"], arguments);
            }
            _ => {}
        }
    }

    /// Where an event of a message's piece belongs.
    fn at(&self, item: usize, content: usize) -> Value {
        let id = self.items.items[item]["id"].clone();
        json!({"item_id": id, "output_index": item, "content_index": content})
    }

    fn say(&mut self, item: usize, content: usize, kind: Kind, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let name = text_name(kind);
        grow(&mut self.items.items[item]["content"][content][name], text);
        let mut event = self.at(item, content);
        event["delta"] = text.into();
        if kind == Kind::Text {
            event["logprobs"] = json!([]);
            self.write("response.output_text.delta", event, out);
        } else {
            self.write("response.refusal.delta", event, out);
        }
    }

    fn cite(&mut self, item: usize, content: usize, citation: &Value, out: &mut Vec<u8>) {
        let Some(annotation) = annotation(citation) else {
            return;
        };
        let list = self.items.items[item]["content"][content]["annotations"].as_array_mut();
        let Some(list) = list else { return };
        let number = list.len();
        list.push(annotation.clone());
        let mut event = self.at(item, content);
        event["annotation_index"] = number.into();
        event["annotation"] = annotation;
        self.write("response.output_text.annotation.added", event, out);
    }

    fn think(&mut self, item: usize, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let id = self.items.items[item]["id"].clone();
        let at = json!({"item_id": id, "output_index": item, "summary_index": 0});
        let part = json!({"type": "summary_text", "text": ""});
        if self.items.items[item]["summary"] == json!([]) {
            self.items.items[item]["summary"] = json!([part]);
            let mut event = at.clone();
            event["part"] = part;
            self.write("response.reasoning_summary_part.added", event, out);
        }
        grow(&mut self.items.items[item]["summary"][0]["text"], text);
        let mut event = at;
        event["delta"] = text.into();
        self.write("response.reasoning_summary_text.delta", event, out);
    }

    fn grow_call(&mut self, item: usize, kind: Kind, more: &str, out: &mut Vec<u8>) {
        if more.is_empty() {
            return;
        }
        grow(&mut self.items.items[item][arguments_name(kind)], more);
        let id = self.items.items[item]["id"].clone();
        let event = json!({"item_id": id, "output_index": item, "delta": more});
        self.write(&format!("{}.delta", arguments_event(kind)), event, out);
    }

    fn add_logprobs(&mut self, logprobs: &Value) {
        let Some(open) = self.open else { return };
        let Some(text) = self.items.items[open]["content"].as_array_mut() else {
            return;
        };
        let more = logprobs["content"].as_array().cloned().unwrap_or_default();
        if let Some(list) = text
            .last_mut()
            .and_then(|text| text["logprobs"].as_array_mut())
        {
            list.extend(more);
        }
    }

    /// A piece of text is over. Calls may grow after their end, thinking may go on.
    fn part_end(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(place) = self.places.get_mut(&index) else {
            return;
        };
        let is_said = matches!(place.kind, Kind::Text | Kind::Refusal);
        if !is_said || !std::mem::replace(&mut place.is_open, false) {
            return;
        }
        let place = *place;
        let said = self.items.items[place.item]["content"][place.content].clone();
        let name = text_name(place.kind);
        let mut event = self.at(place.item, place.content);
        event[name] = said[name].clone();
        if place.kind == Kind::Text {
            event["logprobs"] = said["logprobs"].clone();
            self.write("response.output_text.done", event, out);
        } else {
            self.write("response.refusal.done", event, out);
        }
        let mut event = self.at(place.item, place.content);
        event["part"] = said;
        self.write("response.content_part.done", event, out);
    }

    /// The message or the thinking that is open is done.
    fn close_open(&mut self, out: &mut Vec<u8>) {
        let Some(item) = self.open.take() else {
            return;
        };
        let in_it = self.places.iter().filter(|(_, place)| place.item == item);
        let parts: Vec<u32> = in_it.map(|(index, _)| *index).collect();
        for index in parts {
            self.part_end(index, out);
        }
        let id = self.items.items[item]["id"].clone();
        let part = self.items.items[item]["summary"][0].clone();
        if part.is_object() {
            let at = json!({"item_id": id, "output_index": item, "summary_index": 0});
            let mut event = at.clone();
            event["text"] = part["text"].clone();
            self.write("response.reasoning_summary_text.done", event, out);
            let mut event = at;
            event["part"] = part;
            self.write("response.reasoning_summary_part.done", event, out);
        }
        self.item_done(item, out);
    }

    /// All is said: what is still open is done.
    fn finish_items(&mut self, out: &mut Vec<u8>) {
        self.close_open(out);
        let calls: Vec<Place> = self
            .places
            .values_mut()
            .filter(|place| matches!(place.kind, Kind::Call | Kind::Custom | Kind::Computer))
            .filter_map(|place| std::mem::replace(&mut place.is_open, false).then_some(*place))
            .collect();
        for place in calls {
            match place.kind {
                Kind::Computer => self.computer_done(place.item, out),
                kind => self.call_done(place.item, kind, out),
            }
        }
    }

    fn call_done(&mut self, place: usize, kind: Kind, out: &mut Vec<u8>) {
        let name = arguments_name(kind);
        let item = &mut self.items.items[place];
        if kind == Kind::Call && item[name] == "" {
            item[name] = "{}".into();
        }
        let mut event = json!({"item_id": item["id"], "output_index": place});
        event[name] = item[name].clone();
        if kind == Kind::Call {
            event["name"] = item["name"].clone();
        }
        self.write(&format!("{}.done", arguments_event(kind)), event, out);
        self.item_done(place, out);
    }

    fn computer_done(&mut self, place: usize, out: &mut Vec<u8>) {
        let mut item = self.items.items[place].take();
        let actions = item["action"].as_str().unwrap_or_default();
        let actions: Value = serde_json::from_str(actions).unwrap_or_default();
        if let Value::Object(members) = &mut item {
            members.shift_remove("action");
            members.shift_remove("actions");
            let name = if actions.is_array() {
                "actions"
            } else {
                "action"
            };
            members.insert(name.to_owned(), actions);
        }
        self.items.items[place] = item.clone();
        let event = json!({"output_index": place, "item": item});
        self.write("response.output_item.added", event, out);
        self.item_done(place, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.finish_items(out);
        let status = status_of(self.reason);
        let kind = format!("response.{status}");
        let items = std::mem::take(&mut self.items.items);
        let usage = self.usage.as_ref();
        let answer = self.head.answer(status, self.reason, &items, usage);
        self.write(&kind, json!({ "response": answer }), out);
        // Nothing follows.
        self.places.clear();
    }
}

const fn text_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Refusal => "refusal",
        _ => "text",
    }
}

const fn arguments_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Custom => "input",
        _ => "arguments",
    }
}

const fn arguments_event(kind: Kind) -> &'static str {
    match kind {
        Kind::Custom => "response.custom_tool_call_input",
        _ => "response.function_call_arguments",
    }
}

/// Makes a text grow.
fn grow(text: &mut Value, more: &str) {
    if let Value::String(text) = text {
        text.push_str(more);
    }
}
