//! Streams as providers send them: chunks into canonical events.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{decode_embedded, malformed};
use super::response::usage_from;
use super::stream_answer::{Answer, Writer};
use crate::chat::event::ChatEvent;
use crate::error::ProviderError;
use crate::framing::sse;

/// How many answers a stream may hold.
const MAX_CHOICES: usize = 128;
/// How many bytes a whole stream may have.
const MAX_STREAM_BYTES: usize = 256 << 20;

/// Provider stream → canonical events.
pub(crate) struct StreamDecoder {
    parser: sse::Parser,
    chunks: Chunks,
    bytes: usize,
}

impl StreamDecoder {
    /// Begins a stream.
    pub(crate) fn new() -> Self {
        Self {
            parser: sse::Parser::new(),
            chunks: Chunks::default(),
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
            self.chunks.take(event.data, events)?;
        }
        Ok(())
    }

    /// Says that the provider closed the stream.
    pub(crate) fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if let Some(event) = self.parser.finish()? {
            self.chunks.take(event.data, events)?;
        }
        self.chunks.close(events)
    }
}

/// What the chunks so far have begun.
#[derive(Default)]
struct Chunks {
    has_started: bool,
    is_over: bool,
    choices: BTreeMap<u32, Answer>,
}

impl Chunks {
    fn take(&mut self, data: &str, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        let data = data.trim();
        if self.is_over || data.is_empty() {
            return Ok(());
        }
        if data == "[DONE]" {
            return self.end(events);
        }
        let chunk: Value = serde_json::from_str(data)
            .map_err(|error| malformed(format!("a chunk of the stream is not JSON: {error}")))?;
        if !chunk["error"].is_null() {
            self.is_over = true;
            events.push(ChatEvent::Error(decode_embedded(&chunk)));
            return Ok(());
        }
        if !chunk.is_object() {
            return Err(malformed("a chunk of the stream is not an object"));
        }
        self.take_chunk(&chunk, events)
    }

    fn take_chunk(
        &mut self,
        chunk: &Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if !self.has_started {
            self.has_started = true;
            events.push(start(chunk));
        }
        for (position, choice) in chunk["choices"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let index = choice["index"].as_u64().unwrap_or(position as u64);
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            if !self.choices.contains_key(&index) && self.choices.len() == MAX_CHOICES {
                return Err(malformed("the stream holds too many answers"));
            }
            let answer = self.choices.entry(index).or_default();
            Writer {
                choice: index,
                answer,
                events,
            }
            .take(choice)?;
        }
        let usages = [&chunk["usage"], &chunk["x_groq"]["usage"]];
        if let Some(usage) = usages.into_iter().find_map(usage_from) {
            events.push(ChatEvent::Usage(usage));
        }
        Ok(())
    }

    /// The provider said that it is done. Some never say why.
    fn end(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if self.choices.is_empty() {
            return Err(malformed("the stream ended without an answer"));
        }
        self.is_over = true;
        for (&choice, answer) in &mut self.choices {
            Writer {
                choice,
                answer,
                events,
            }
            .finish(None, &Value::Null);
        }
        events.push(ChatEvent::End);
        Ok(())
    }

    /// The connection closed. Without `[DONE]` every answer must have said why it stopped.
    fn close(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if self.is_over {
            return Ok(());
        }
        if self.choices.is_empty() || self.choices.values().any(|answer| !answer.is_finished) {
            return Err(malformed("the stream ended before the answer was whole"));
        }
        self.end(events)
    }
}

fn start(chunk: &Value) -> ChatEvent {
    let mut extra = Map::new();
    for (name, value) in chunk.as_object().into_iter().flatten() {
        let is_named = matches!(
            name.as_str(),
            "id" | "object" | "created" | "model" | "choices" | "usage"
        );
        if !is_named && !value.is_null() {
            extra.insert(name.clone(), value.clone());
        }
    }
    let text = |name: &str| chunk[name].as_str().map(str::to_owned);
    ChatEvent::Start {
        id: text("id"),
        model: text("model"),
        created: chunk["created"].as_i64(),
        extra,
    }
}
