//! Streams as clients read them: canonical events into chunks.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::response::{annotation, finish_word, shown, usage_json};
use super::tools::tool_call_json;
use super::types::reasoning_detail;
use crate::chat::event::{ChatEvent, Delta};
use crate::chat::part::{Part, PartContent, Reasoning, ToolCallKind};
use crate::chat::usage::Usage;
use crate::framing::sse_writer;

/// Canonical events → client stream.
pub(crate) struct StreamRenderer {
    id: String,
    model: String,
    created: i64,
    extra: Map<String, Value>,
    /// Whether the client asked for its usage at the end.
    shows_usage: bool,
    usage: Option<Usage>,
    answers: BTreeMap<u32, Answer>,
}

/// What of one answer has been said.
#[derive(Default)]
struct Answer {
    /// The number of each tool call, by its part.
    calls: BTreeMap<u32, (usize, ToolCallKind)>,
    /// The parts that decline.
    refusals: BTreeSet<u32>,
}

impl StreamRenderer {
    /// Begins a stream. `model` stands in where the provider names none.
    pub(crate) fn new(model: &str, stream_usage: Option<bool>) -> Self {
        Self {
            id: "chatcmpl-0".to_owned(),
            model: model.to_owned(),
            created: 0,
            extra: Map::new(),
            shows_usage: stream_usage == Some(true),
            usage: None,
            answers: BTreeMap::new(),
        }
    }

    /// Appends the bytes that say `event`.
    pub(crate) fn push(&mut self, event: &ChatEvent, out: &mut Vec<u8>) {
        match event {
            ChatEvent::Start {
                id,
                model,
                created,
                extra,
            } => {
                self.start(id.as_deref(), model.as_deref(), *created);
                self.extra = shown(extra).collect();
                self.begin(0, out);
            }
            ChatEvent::PartStart {
                choice,
                index,
                part,
            } => {
                self.begin(*choice, out);
                if let Some(delta) = self.part_start(*choice, *index, part) {
                    self.chunk(*choice, &delta, out);
                }
            }
            ChatEvent::PartDelta {
                choice,
                index,
                delta,
            } => {
                if let Some(delta) = self.part_delta(*choice, *index, delta) {
                    self.chunk(*choice, &delta, out);
                }
            }
            ChatEvent::Logprobs { choice, logprobs } => {
                let mut entry = answer(*choice, &json!({}));
                entry["logprobs"] = logprobs.clone();
                self.write(json!([entry]), None, out);
            }
            ChatEvent::Finish { choice, reason, .. } => {
                self.begin(*choice, out);
                let mut entry = answer(*choice, &json!({}));
                entry["finish_reason"] = finish_word(*reason).into();
                self.write(json!([entry]), None, out);
            }
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            ChatEvent::Ping => sse_writer::write_comment(out, "ping"),
            ChatEvent::End => self.end(out),
            // The error's words must be scrubbed first; `render_stream_error` says them.
            ChatEvent::PartEnd { .. } | ChatEvent::Error(_) => {}
        }
    }

    fn start(&mut self, id: Option<&str>, model: Option<&str>, created: Option<i64>) {
        if let Some(id) = id {
            id.clone_into(&mut self.id);
        }
        if let Some(model) = model {
            model.clone_into(&mut self.model);
        }
        self.created = created.unwrap_or(self.created);
    }

    /// Says who speaks, once for each answer.
    fn begin(&mut self, choice: u32, out: &mut Vec<u8>) {
        if let Entry::Vacant(entry) = self.answers.entry(choice) {
            entry.insert(Answer::default());
            self.chunk(choice, &json!({"role": "assistant", "content": ""}), out);
        }
    }

    fn part_start(&mut self, choice: u32, index: u32, part: &Part) -> Option<Value> {
        match &part.content {
            PartContent::Text { text, .. } if !text.is_empty() => Some(json!({"content": text})),
            PartContent::Refusal { text } => {
                self.answers
                    .entry(choice)
                    .or_default()
                    .refusals
                    .insert(index);
                (!text.is_empty()).then(|| json!({"refusal": text}))
            }
            PartContent::Reasoning(reasoning) => reasoning_start(reasoning),
            // A tool that the provider ran itself is nothing for the client to run.
            PartContent::ToolCall(call) if call.kind == ToolCallKind::Server => None,
            PartContent::ToolCall(call) => {
                let calls = &mut self.answers.entry(choice).or_default().calls;
                let number = calls.len();
                calls.insert(index, (number, call.kind));
                let mut json = tool_call_json(call);
                json["index"] = number.into();
                Some(json!({"tool_calls": [json]}))
            }
            _ => None,
        }
    }

    fn part_delta(&self, choice: u32, index: u32, delta: &Delta) -> Option<Value> {
        match delta {
            Delta::Text(text) if self.answers.get(&choice)?.refusals.contains(&index) => {
                Some(json!({"refusal": text}))
            }
            Delta::Text(text) => Some(json!({"content": text})),
            Delta::Reasoning(text) => Some(json!({"reasoning_content": text})),
            Delta::Signature(signature) => Some(json!({"reasoning_details": [
                {"type": "reasoning.text", "signature": signature}
            ]})),
            Delta::Arguments(arguments) => {
                let (number, kind) = self.answers.get(&choice)?.calls.get(&index)?;
                let body = match kind {
                    ToolCallKind::Custom => {
                        json!({"index": number, "custom": {"input": arguments}})
                    }
                    _ => json!({"index": number, "function": {"arguments": arguments}}),
                };
                Some(json!({"tool_calls": [body]}))
            }
            Delta::Citation(citation) => {
                annotation(citation).map(|annotation| json!({"annotations": [annotation]}))
            }
            Delta::Native(native) if native["audio"].is_object() => Some(native.clone()),
            Delta::Native(_) => None,
        }
    }

    fn chunk(&self, choice: u32, delta: &Value, out: &mut Vec<u8>) {
        self.write(json!([answer(choice, delta)]), None, out);
    }

    fn write(&self, choices: Value, usage: Option<&Usage>, out: &mut Vec<u8>) {
        let mut chunk = Map::new();
        chunk.insert("id".to_owned(), self.id.as_str().into());
        chunk.insert("object".to_owned(), "chat.completion.chunk".into());
        chunk.insert("created".to_owned(), self.created.into());
        chunk.insert("model".to_owned(), self.model.as_str().into());
        chunk.insert("choices".to_owned(), choices);
        if self.shows_usage {
            chunk.insert("usage".to_owned(), usage.map_or(Value::Null, usage_json));
        }
        for (name, value) in &self.extra {
            chunk.insert(name.clone(), value.clone());
        }
        sse_writer::write_event(out, "", &Value::Object(chunk).to_string());
    }

    fn end(&self, out: &mut Vec<u8>) {
        if let (true, Some(usage)) = (self.shows_usage, &self.usage) {
            self.write(json!([]), Some(usage), out);
        }
        sse_writer::write_event(out, "", "[DONE]");
    }
}

fn answer(choice: u32, delta: &Value) -> Value {
    json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": null})
}

/// What is known of a piece of thinking when it begins.
fn reasoning_start(reasoning: &Reasoning) -> Option<Value> {
    let has_proof = reasoning.signature.is_some() || reasoning.encrypted.is_some();
    let mut delta = Map::new();
    if !reasoning.text.is_empty() {
        delta.insert(
            "reasoning_content".to_owned(),
            reasoning.text.as_str().into(),
        );
    }
    if has_proof {
        delta.insert(
            "reasoning_details".to_owned(),
            json!([reasoning_detail(reasoning)]),
        );
    }
    (!delta.is_empty()).then(|| Value::Object(delta))
}
