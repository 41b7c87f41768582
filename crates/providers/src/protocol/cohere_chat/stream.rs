//! Streams as Cohere sends them: typed events into canonical ones.

use serde_json::Value;

use super::error::{decode_embedded, failed, malformed};
use super::response::{call_from, finish_reason, usage_from};
use crate::chat::Extra;
use crate::chat::event::ChatEvent;
use crate::chat::part::{PartContent, Reasoning};
use crate::chat::reply::FinishReason;
use crate::error::ProviderError;
use crate::framing::sse;
use crate::protocol::part_writer::{Growing, PartWriter};

/// How many tool calls an answer may hold.
const MAX_TOOL_CALLS: usize = 1024;
/// How many bytes a whole stream may have.
const MAX_STREAM_BYTES: usize = 256 << 20;

/// Provider stream → canonical events.
pub(crate) struct StreamDecoder {
    parser: sse::Parser,
    answer: Answer,
    bytes: usize,
}

impl StreamDecoder {
    /// Begins a stream.
    pub(crate) fn new() -> Self {
        Self {
            parser: sse::Parser::new(),
            answer: Answer::default(),
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
        while let Some(event) = feed.next()? {
            self.answer.take_text(event.data, events)?;
        }
        Ok(())
    }

    /// Says that the provider closed the stream.
    pub(crate) fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if let Some(event) = self.parser.finish()? {
            self.answer.take_text(event.data, events)?;
        }
        if self.answer.is_over {
            return Ok(());
        }
        Err(malformed("the stream ended before the answer was whole"))
    }
}

/// What the events so far have begun.
#[derive(Default)]
struct Answer {
    has_started: bool,
    is_over: bool,
    parts: PartWriter,
    calls: usize,
}

impl Answer {
    fn take_text(&mut self, data: &str, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        let data = data.trim();
        // Some proxies end every stream as OpenAI does.
        if self.is_over || data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|error| malformed(format!("an event of the stream is not JSON: {error}")))?;
        match event["type"].as_str() {
            Some(kind) => self.take(kind, &event, events),
            None if event["message"].is_null() && event["error"].is_null() => {
                Err(malformed("an event of the stream has no type"))
            }
            None => {
                self.is_over = true;
                events.push(ChatEvent::Error(decode_embedded(&event)));
                Ok(())
            }
        }
    }

    fn take(
        &mut self,
        kind: &str,
        event: &Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if !self.has_started {
            self.has_started = true;
            events.push(start(event));
        }
        let message = &event["delta"]["message"];
        match kind {
            "content-start" => self.begin_content(&message["content"], events),
            "content-delta" => self.take_content(&message["content"], events),
            "tool-plan-delta" => {
                let plan = message["tool_plan"].as_str().unwrap_or_default();
                self.parts.grow(Growing::Text, plan, events);
            }
            "tool-call-start" => self.begin_call(&message["tool_calls"], events)?,
            "tool-call-delta" => self.grow_call(&message["tool_calls"], events)?,
            "citation-start" => self.cite(&message["citations"], events),
            "content-end" | "tool-call-end" => self.parts.close(events),
            "message-end" => self.end(&event["delta"], events),
            // Debugging, and kinds that are newer than this code.
            _ => {}
        }
        if !event["logprobs"].is_null() && !self.is_over {
            events.push(ChatEvent::Logprobs {
                choice: 0,
                logprobs: event["logprobs"].clone(),
            });
        }
        Ok(())
    }

    fn begin_content(&mut self, content: &Value, events: &mut Vec<ChatEvent>) {
        if content["type"] == "thinking" {
            let empty = PartContent::Reasoning(Reasoning::default());
            self.parts.begin(Growing::Reasoning, empty, events);
        }
        self.take_content(content, events);
    }

    fn take_content(&mut self, content: &Value, events: &mut Vec<ChatEvent>) {
        let text = |name: &str| content[name].as_str().unwrap_or_default();
        self.parts
            .grow(Growing::Reasoning, text("thinking"), events);
        self.parts.grow(Growing::Text, text("text"), events);
    }

    fn begin_call(
        &mut self,
        call: &Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if self.calls == MAX_TOOL_CALLS {
            return Err(malformed("the stream holds too many tool calls"));
        }
        self.calls += 1;
        let mut call = call_from(call);
        let arguments = std::mem::take(&mut call.arguments);
        self.parts
            .begin(Growing::ToolCall, PartContent::ToolCall(call), events);
        self.parts.grow(Growing::ToolCall, &arguments, events);
        Ok(())
    }

    fn grow_call(
        &mut self,
        call: &Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if !self.parts.is_open(Growing::ToolCall) {
            return Err(malformed(
                "the stream continues a tool call that never began",
            ));
        }
        let more = call_from(call).arguments;
        self.parts.grow(Growing::ToolCall, &more, events);
        Ok(())
    }

    fn cite(&mut self, citations: &Value, events: &mut Vec<ChatEvent>) {
        match citations {
            Value::Array(all) => {
                for citation in all {
                    self.parts.cite(citation.clone(), events);
                }
            }
            Value::Null => {}
            one => self.parts.cite(one.clone(), events),
        }
    }

    fn end(&mut self, delta: &Value, events: &mut Vec<ChatEvent>) {
        self.is_over = true;
        self.parts.close(events);
        let native = delta["finish_reason"].as_str();
        let reason = native.map_or(FinishReason::Stop, finish_reason);
        if reason == FinishReason::Error {
            let error = failed(delta["error"].as_str());
            events.push(ChatEvent::Error(error));
            return;
        }
        events.extend(usage_from(&delta["usage"]).map(ChatEvent::Usage));
        events.push(ChatEvent::Finish {
            choice: 0,
            reason,
            native_reason: native.map(str::to_owned),
            stop_sequence: None,
            extra: Extra::new(),
        });
        events.push(ChatEvent::End);
    }
}

fn start(event: &Value) -> ChatEvent {
    ChatEvent::Start {
        id: event["id"].as_str().map(str::to_owned),
        model: None,
        created: None,
        extra: Extra::new(),
    }
}
