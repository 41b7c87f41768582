//! Streams as Ollama sends them: lines of JSON into canonical events.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::error::{decode_line, malformed};
use crate::chat::Extra;
use crate::chat::event::ChatEvent;
use crate::chat::part::{PartContent, ToolCall, ToolCallKind};
use crate::chat::reply::FinishReason;
use crate::chat::usage::Usage;
use crate::error::ProviderError;
use crate::framing::ndjson;
use crate::protocol::part_writer::{Growing, PartWriter};

/// How many tool calls an answer may hold.
const MAX_TOOL_CALLS: u32 = 1024;
/// How many bytes a whole stream may have.
const MAX_STREAM_BYTES: usize = 256 << 20;

/// Provider stream → canonical events.
pub(crate) struct StreamDecoder {
    parser: ndjson::Parser,
    lines: Lines,
    bytes: usize,
}

impl StreamDecoder {
    /// Begins a stream.
    pub(crate) fn new() -> Self {
        Self {
            parser: ndjson::Parser::new(),
            lines: Lines::default(),
            bytes: 0,
        }
    }

    /// Takes the next bytes, cut anywhere, and appends the events they complete.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > MAX_STREAM_BYTES {
            return Err(malformed(format!(
                "the stream is longer than {MAX_STREAM_BYTES} bytes"
            )));
        }
        let mut feed = self.parser.feed(bytes);
        while let Some(line) = feed.next()? {
            self.lines.take_text(line, events)?;
        }
        Ok(())
    }

    /// Says that the provider closed the stream.
    pub(crate) fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if let Some(line) = self.parser.finish()? {
            self.lines.take_text(line, events)?;
        }
        self.lines.close()
    }
}

/// What the lines so far have begun.
#[derive(Default)]
pub(super) struct Lines {
    has_started: bool,
    is_over: bool,
    parts: PartWriter,
    calls: u32,
}

impl Lines {
    fn take_text(&mut self, line: &str, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if self.is_over {
            return Ok(());
        }
        let line: Value = serde_json::from_str(line)
            .map_err(|error| malformed(format!("a line of the stream is not JSON: {error}")))?;
        self.take(&line, events)
    }

    pub(super) fn take(
        &mut self,
        line: &Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if !line["error"].is_null() {
            self.is_over = true;
            events.push(ChatEvent::Error(decode_line(line)));
            return Ok(());
        }
        if !line.is_object() {
            return Err(malformed("a line of the stream is not an object"));
        }
        if !self.has_started {
            self.has_started = true;
            events.push(start(line));
        }
        self.take_message(line, events)?;
        if line["done"] == true {
            self.end(line, events)?;
        }
        Ok(())
    }

    /// The connection closed. The last line must have said that the answer is whole.
    pub(super) fn close(&self) -> Result<(), ProviderError> {
        if self.is_over {
            return Ok(());
        }
        Err(malformed("the stream ended before the answer was whole"))
    }

    fn take_message(
        &mut self,
        line: &Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let message = &line["message"];
        let text = |name: &str| message[name].as_str().unwrap_or_default();
        self.parts
            .grow(Growing::Reasoning, text("thinking"), events);
        self.parts.grow(Growing::Text, text("content"), events);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            if self.calls == MAX_TOOL_CALLS {
                return Err(malformed("the stream holds too many tool calls"));
            }
            self.take_call(call, &line["created_at"], events);
        }
        if let Some(tokens) = line["logprobs"].as_array().filter(|list| !list.is_empty()) {
            events.push(ChatEvent::Logprobs {
                choice: 0,
                logprobs: json!({ "content": tokens }),
            });
        }
        Ok(())
    }

    fn take_call(&mut self, call: &Value, created_at: &Value, events: &mut Vec<ChatEvent>) {
        let function = &call["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let arguments = arguments_text(&function["arguments"], name);
        let id = match call["id"].as_str().filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => call_id(&[created_at, call, &self.calls.into()]),
        };
        self.calls += 1;
        self.parts.begin(
            Growing::ToolCall,
            PartContent::ToolCall(ToolCall {
                id,
                name: name.to_owned(),
                arguments: String::new(),
                kind: ToolCallKind::Function,
            }),
            events,
        );
        self.parts.grow(Growing::ToolCall, &arguments, events);
        self.parts.close(events);
    }

    fn end(&mut self, line: &Value, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        let native = line["done_reason"].as_str();
        if native == Some("load") && self.parts.is_empty() {
            return Err(malformed("the model was loaded but gave no answer"));
        }
        self.is_over = true;
        self.parts.close(events);
        events.extend(usage_from(line).map(ChatEvent::Usage));
        events.push(ChatEvent::Finish {
            choice: 0,
            reason: match native {
                Some("length") => FinishReason::Length,
                _ if self.calls > 0 => FinishReason::ToolCalls,
                _ => FinishReason::Stop,
            },
            native_reason: native.map(str::to_owned),
            stop_sequence: None,
            extra: Extra::new(),
        });
        events.push(ChatEvent::End);
        Ok(())
    }
}

fn start(line: &Value) -> ChatEvent {
    let created = line["created_at"].as_str();
    let created = created.and_then(|text| text.parse::<Timestamp>().ok());
    ChatEvent::Start {
        id: None,
        model: line["model"].as_str().map(str::to_owned),
        created: created.map(Timestamp::as_second),
        extra: Extra::new(),
    }
}

/// Ollama names no calls. A name is made from what makes a call itself and no other.
fn call_id(parts: &[&Value]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.to_string());
        hash.update([0]);
    }
    let digest = hash.finalize();
    format!(
        "call_{}",
        URL_SAFE_NO_PAD.encode(digest.get(..18).unwrap_or_default())
    )
}

/// Arguments as JSON text. As LangChain does, an object or a list that stands inside as
/// text is taken out of it, and a repetition of the tool's name is left out.
fn arguments_text(arguments: &Value, name: &str) -> String {
    let members = match arguments {
        Value::Object(members) => members,
        Value::String(text) => return text.clone(),
        Value::Null => return "{}".to_owned(),
        other => return other.to_string(),
    };
    let mut plain = Map::with_capacity(members.len());
    for (member, value) in members {
        if member == "functionName" && value == name {
            continue;
        }
        let inside = value.as_str().and_then(structure);
        plain.insert(member.clone(), inside.unwrap_or_else(|| value.clone()));
    }
    Value::Object(plain).to_string()
}

fn structure(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// The tokens that the last line counts. A prompt that a cache served goes uncounted.
fn usage_from(line: &Value) -> Option<Usage> {
    let input = line["prompt_eval_count"].as_u64();
    let output = line["eval_count"].as_u64();
    if input.is_none() && output.is_none() {
        return None;
    }
    Some(Usage {
        uncached_input_tokens: input.unwrap_or_default(),
        output_tokens: output.unwrap_or_default(),
        ..Usage::default()
    })
}
