//! Provider stream → canonical events.
//!
//! Google sends the same answers as in whole ones, piece by piece: as server-sent events
//! (`alt=sse`), or, where a request asks for neither, as the items of one JSON array. No
//! mark ends a stream; it is whole once every candidate has said why it stopped.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answer_parts::{Ids, Piece, begun, pieces};
use super::citations::annotations;
use super::error::{embedded, malformed};
use super::response::{
    MAX_CHOICES, MAX_PARTS, answer_extra, blocked, candidate_extra, finish_reason, index_of,
    logprobs, text,
};
use super::rules::Form;
use super::types::{FINISH_REASONS, member, name_of};
use super::usage::usage_from;
use crate::chat::Extra;
use crate::chat::event::{ChatEvent, Delta};
use crate::chat::part::{PartContent, ToolCallKind};
use crate::error::ProviderError;
use crate::framing::{json_array, sse};

/// How many bytes a whole stream may have.
const MAX_STREAM_BYTES: usize = 256 << 20;
/// How much text is kept to say what its sources are.
const MAX_CITED_TEXT: usize = 4 << 20;

/// The media type of streams of this form.
pub(crate) const fn media_type(form: Form) -> &'static str {
    match form {
        Form::Genai => "text/event-stream",
        Form::Vertexai => "application/json",
    }
}

/// Provider stream → canonical events.
pub(crate) struct StreamDecoder {
    framing: Framing,
    chunks: Chunks,
    bytes: usize,
}

enum Framing {
    /// Nothing but white space has come.
    Unknown,
    Events(sse::Parser),
    Array(json_array::Parser),
}

impl StreamDecoder {
    /// Begins a stream.
    pub(crate) const fn new() -> Self {
        Self {
            framing: Framing::Unknown,
            chunks: Chunks::new(),
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
            let problem = format!("the stream is longer than {MAX_STREAM_BYTES} bytes");
            return Err(malformed(problem));
        }
        if matches!(self.framing, Framing::Unknown) {
            let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
            match first {
                None => return Ok(()),
                // A failure may come as one object without any framing.
                Some(b'[' | b'{') => self.framing = Framing::Array(json_array::Parser::new()),
                Some(_) => self.framing = Framing::Events(sse::Parser::new()),
            }
        }
        match &mut self.framing {
            Framing::Unknown => {}
            Framing::Events(parser) => {
                let mut feed = parser.feed(bytes);
                while let Some(event) = feed.next()? {
                    self.chunks.take(event.data.as_bytes(), events)?;
                }
            }
            Framing::Array(parser) => {
                let chunks = &mut self.chunks;
                parser.feed(bytes, &mut |item| chunks.take(item, events))?;
            }
        }
        Ok(())
    }

    /// Says that the provider closed the stream.
    pub(crate) fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        match &mut self.framing {
            Framing::Events(parser) => {
                if let Some(event) = parser.finish()? {
                    self.chunks.take(event.data.as_bytes(), events)?;
                }
            }
            Framing::Array(parser) => parser.finish()?,
            Framing::Unknown => {}
        }
        self.chunks.close(events)
    }
}

/// What the chunks so far have begun.
struct Chunks {
    ids: Option<Ids>,
    is_over: bool,
    answers: BTreeMap<u32, Answer>,
}

/// One answer so far.
#[derive(Default)]
struct Answer {
    next_part: u32,
    open: Option<(Kind, u32)>,
    last_text: Option<u32>,
    text: String,
    calls_tools: bool,
    native_reason: Option<String>,
    extra: Extra,
}

/// What kind of part is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thought,
}

impl Chunks {
    const fn new() -> Self {
        Self {
            ids: None,
            is_over: false,
            answers: BTreeMap::new(),
        }
    }

    fn take(&mut self, data: &[u8], events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        let is_blank = data.iter().all(u8::is_ascii_whitespace);
        if self.is_over || is_blank || data == b"[DONE]" {
            return Ok(());
        }
        let chunk: Value = serde_json::from_slice(data)
            .map_err(|error| malformed(format!("a chunk of the stream is not JSON: {error}")))?;
        if !chunk.is_object() {
            return Err(malformed("a chunk of the stream is not an object"));
        }
        if !chunk["error"].is_null() {
            self.is_over = true;
            events.push(ChatEvent::Error(embedded(&chunk)));
            return Ok(());
        }
        if self.ids.is_none() {
            self.ids = Some(Ids::of(data));
            events.push(ChatEvent::Start {
                id: text(&chunk, "responseId"),
                model: text(&chunk, "modelVersion"),
                created: None,
                extra: answer_extra(&chunk),
            });
        }
        let candidates = chunk["candidates"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        for (position, candidate) in candidates.iter().enumerate() {
            self.candidate(candidate, position, events)?;
        }
        if candidates.is_empty()
            && self.answers.is_empty()
            && let Some(choice) = blocked(&chunk)
        {
            let answer = self.answers.entry(0).or_default();
            answer.native_reason = choice.native_finish_reason;
            answer.extra = choice.extra;
        }
        if let Some(usage) = usage_from(member(&chunk, "usageMetadata")) {
            events.push(ChatEvent::Usage(usage));
        }
        Ok(())
    }

    fn candidate(
        &mut self,
        candidate: &Value,
        position: usize,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let index = index_of(candidate, position);
        if !self.answers.contains_key(&index) && self.answers.len() == MAX_CHOICES {
            return Err(malformed("the stream holds too many answers"));
        }
        let Some(ids) = &mut self.ids else {
            return Ok(());
        };
        let answer = self.answers.entry(index).or_default();
        let mut writer = Writer {
            choice: index,
            answer,
            events,
        };
        let parts = candidate["content"]["parts"].as_array();
        for part in parts.into_iter().flatten() {
            for piece in pieces(part, ids) {
                writer.take(piece)?;
            }
        }
        writer.cite(candidate);
        if let Some(logprobs) = logprobs(member(candidate, "logprobsResult")) {
            writer.events.push(ChatEvent::Logprobs {
                choice: index,
                logprobs,
            });
        }
        answer.extra.extend(candidate_extra(candidate));
        if let Some(reason) = name_of(&FINISH_REASONS, member(candidate, "finishReason"))
            && reason != "FINISH_REASON_UNSPECIFIED"
        {
            answer.native_reason = Some(reason);
        }
        Ok(())
    }

    /// The connection closed. Every answer must have said why it stopped.
    fn close(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if self.is_over {
            return Ok(());
        }
        let is_cut = |answer: &Answer| answer.native_reason.is_none();
        if self.answers.is_empty() || self.answers.values().any(is_cut) {
            return Err(malformed("the stream ended before the answer was whole"));
        }
        self.is_over = true;
        for (&choice, answer) in &mut self.answers {
            Writer {
                choice,
                answer,
                events,
            }
            .close_open();
            let native = answer.native_reason.take().unwrap_or_default();
            let is_prompt_blocked = answer.extra.contains_key("prompt_feedback");
            let reason = if is_prompt_blocked {
                crate::chat::reply::FinishReason::ContentFilter
            } else {
                finish_reason(&native, answer.calls_tools)
            };
            events.push(ChatEvent::Finish {
                choice,
                reason,
                native_reason: Some(native),
                stop_sequence: None,
                extra: std::mem::take(&mut answer.extra),
            });
        }
        events.push(ChatEvent::End);
        Ok(())
    }
}

/// Writes the events of one answer.
struct Writer<'a> {
    choice: u32,
    answer: &'a mut Answer,
    events: &'a mut Vec<ChatEvent>,
}

impl Writer<'_> {
    fn take(&mut self, piece: Piece<'_>) -> Result<(), ProviderError> {
        if self.answer.next_part as usize > MAX_PARTS {
            return Err(malformed("the stream holds too many parts"));
        }
        match piece {
            Piece::Text(text) => {
                if self.answer.text.len() < MAX_CITED_TEXT {
                    self.answer.text.push_str(text);
                }
                self.grow(Kind::Text, Piece::Text(""), Delta::Text(text.to_owned()));
                self.answer.last_text = self.answer.open.map(|(_, index)| index);
            }
            Piece::Thought(text) => {
                let delta = Delta::Reasoning(text.to_owned());
                self.grow(Kind::Thought, Piece::Thought(""), delta);
            }
            Piece::SignatureOfThought(signature) => {
                let delta = Delta::Signature(signature);
                self.grow(Kind::Thought, Piece::Thought(""), delta);
                self.close_open();
            }
            whole => {
                let part = begun(whole);
                if let PartContent::ToolCall(call) = &part.content {
                    self.answer.calls_tools |= call.kind != ToolCallKind::Server;
                }
                self.close_open();
                let index = self.begin(part);
                self.events.push(ChatEvent::PartEnd {
                    choice: self.choice,
                    index,
                });
            }
        }
        Ok(())
    }

    fn begin(&mut self, part: crate::chat::part::Part) -> u32 {
        let index = self.answer.next_part;
        self.answer.next_part += 1;
        self.events.push(ChatEvent::PartStart {
            choice: self.choice,
            index,
            part,
        });
        index
    }

    fn grow(&mut self, kind: Kind, empty: Piece<'_>, delta: Delta) {
        let index = match self.answer.open {
            Some((open, index)) if open == kind => index,
            _ => {
                self.close_open();
                let index = self.begin(begun(empty));
                self.answer.open = Some((kind, index));
                index
            }
        };
        self.events.push(ChatEvent::PartDelta {
            choice: self.choice,
            index,
            delta,
        });
    }

    fn close_open(&mut self) {
        if let Some((_, index)) = self.answer.open.take() {
            self.events.push(ChatEvent::PartEnd {
                choice: self.choice,
                index,
            });
        }
    }

    /// Says what the text so far rests on.
    fn cite(&mut self, candidate: &Value) {
        let Some(index) = self.answer.last_text else {
            return;
        };
        for citation in annotations(candidate, &self.answer.text) {
            self.events.push(ChatEvent::PartDelta {
                choice: self.choice,
                index,
                delta: Delta::Citation(citation),
            });
        }
    }
}
