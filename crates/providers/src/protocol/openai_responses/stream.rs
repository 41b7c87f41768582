//! Streams as providers send them: named events into canonical events.
//!
//! A provider that leaves out events, or adds unknown ones, is understood as long as it
//! says which item grows; without its last event an answer is cut off.

use serde_json::{Value, json};

use super::error::{decode_embedded, malformed, unreadable};
use super::response::{Ending, answer_extra, created};
use super::stream_items::OpenItems;
use super::usage::usage_from;
use crate::chat::event::ChatEvent;
use crate::error::ProviderError;
use crate::framing::sse;
use crate::json::Members;

/// How many bytes a whole stream may have.
const MAX_STREAM_BYTES: usize = 256 << 20;

/// Provider stream → canonical events.
pub(crate) struct StreamDecoder {
    parser: sse::Parser,
    state: State,
    bytes: usize,
}

/// What the events so far have said.
#[derive(Default)]
struct State {
    items: OpenItems,
    has_started: bool,
    is_over: bool,
}

impl StreamDecoder {
    /// Begins a stream.
    pub(crate) fn new() -> Self {
        Self {
            parser: sse::Parser::new(),
            state: State::default(),
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
            self.state.take(event.name, event.data, events)?;
        }
        Ok(())
    }

    /// Says that the provider closed the stream.
    pub(crate) fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if let Some(event) = self.parser.finish()? {
            self.state.take(event.name, event.data, events)?;
        }
        if self.state.is_over {
            return Ok(());
        }
        Err(malformed(
            "the stream ended before its `response.completed`: the answer is cut off",
        ))
    }
}

impl State {
    fn take(
        &mut self,
        name: &str,
        data: &str,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let data = data.trim();
        if self.is_over || data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let mut event: Value = serde_json::from_str(data)
            .map_err(|error| malformed(format!("an event is not JSON: {error}")))?;
        if !event.is_object() {
            return Err(malformed("an event is not an object"));
        }
        let kind = event["type"].as_str().unwrap_or(name).to_owned();
        match kind.as_str() {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(event["response"].take(), events)
            }
            "response.completed" | "response.incomplete" | "response.done" => {
                self.end(&kind, event["response"].take(), events)
            }
            "response.failed" | "response.cancelled" => {
                let error = match event["response"]["error"].take() {
                    Value::Null => json!({"message": "the provider broke off the answer"}),
                    error => error,
                };
                self.fail(&error, events);
                Ok(())
            }
            "error" => {
                self.fail(&event, events);
                Ok(())
            }
            "keepalive" => {
                events.push(ChatEvent::Ping);
                Ok(())
            }
            // Some servers report a failure without naming it so.
            _ if event["error"].is_object() => {
                self.fail(&event, events);
                Ok(())
            }
            kind => {
                self.start(Value::Null, events)?;
                self.items.take(kind, event, events)
            }
        }
    }

    fn start(&mut self, response: Value, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if std::mem::replace(&mut self.has_started, true) {
            return Ok(());
        }
        let response = match response {
            Value::Null => json!({}),
            response => response,
        };
        let mut members =
            Members::of(response, "response").map_err(|problem| unreadable(&problem))?;
        for later in ["output", "status", "usage", "error", "incomplete_details"] {
            members.take(later);
        }
        events.push(ChatEvent::Start {
            id: members.take_loose_text("id"),
            model: members.take_loose_text("model"),
            created: created(&mut members),
            extra: answer_extra(members),
        });
        Ok(())
    }

    fn end(
        &mut self,
        kind: &str,
        mut response: Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if !response.is_object() {
            return Err(malformed(format!("`{kind}` holds no response")));
        }
        if response["status"].is_null() && kind == "response.incomplete" {
            response["status"] = "incomplete".into();
        }
        let output = response["output"].take();
        let usage = usage_from(&response["usage"]);
        self.start(response.clone(), events)?;
        self.items.close(output, events)?;
        let mut members =
            Members::of(response, "response").map_err(|problem| unreadable(&problem))?;
        let ending = Ending::take(&mut members, self.items.said);
        events.extend(usage.map(ChatEvent::Usage));
        events.push(ChatEvent::Finish {
            choice: 0,
            reason: ending.reason,
            native_reason: Some(ending.native),
            stop_sequence: None,
            extra: crate::chat::Extra::new(),
        });
        events.push(ChatEvent::End);
        self.is_over = true;
        Ok(())
    }

    fn fail(&mut self, error: &Value, events: &mut Vec<ChatEvent>) {
        self.is_over = true;
        events.push(ChatEvent::Error(decode_embedded(error)));
    }
}
