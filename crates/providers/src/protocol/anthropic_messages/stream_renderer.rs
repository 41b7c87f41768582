//! Canonical events → the stream that Anthropic's clients read.
//!
//! Their format has one block open at a time, with the indexes counting up; canonical
//! events come from any provider and may interleave. So text and thinking that are
//! interrupted go on in a new block, and a client's tool calls after the first wait
//! until the first is certain to be complete.

use serde_json::{Map, Value, json};

use super::stream_blocks::{self, Kind};
use super::{response, usage};
use crate::chat::event::{ChatEvent, Delta};
use crate::chat::part::{Part, PartContent, Reasoning};
use crate::chat::reply::FinishReason;
use crate::chat::usage::Usage;
use crate::framing::sse_writer;

/// Renders one stream.
pub(crate) struct StreamRenderer {
    model: String,
    /// The `message_start` that waits for the first token counts.
    start: Option<Map<String, Value>>,
    has_started: bool,
    usage: Option<Usage>,
    /// What the first report of usage says beside the canonical counts.
    usage_extras: Map<String, Value>,
    /// How many blocks have been begun.
    blocks: u32,
    open: Option<Open>,
    /// Parts that wait for the open tool call, in order of their start.
    waiting: Vec<Waiting>,
    has_refused: bool,
    finish: Option<Finish>,
    is_over: bool,
}

/// The block that is open.
struct Open {
    /// The index of the canonical part it shows.
    part: u32,
    kind: Kind,
    /// Whether its part has ended; a call of some providers grows even after that.
    has_ended: bool,
}

/// A part that has begun while another was open that must not be split.
struct Waiting {
    part: u32,
    kind: Kind,
    block: Map<String, Value>,
    deltas: Vec<Delta>,
    has_ended: bool,
}

struct Finish {
    reason: FinishReason,
    native_reason: Option<String>,
    stop_sequence: Option<String>,
    extra: Map<String, Value>,
}

impl StreamRenderer {
    /// Begins a stream. `model` is what the client asked for.
    pub(crate) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            start: None,
            has_started: false,
            usage: None,
            usage_extras: Map::new(),
            blocks: 0,
            open: None,
            waiting: Vec::new(),
            has_refused: false,
            finish: None,
            is_over: false,
        }
    }

    /// Appends the bytes that say `event`; it may be none. Of several answers only the
    /// first can be said.
    pub(crate) fn push(&mut self, event: &ChatEvent, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        match event {
            ChatEvent::Start {
                id, model, extra, ..
            } => self.hold_start(id.as_deref(), model.as_deref(), extra),
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            ChatEvent::PartStart {
                choice: 0,
                index,
                part,
            } => self.part_start(*index, part, out),
            ChatEvent::PartDelta {
                choice: 0,
                index,
                delta,
            } => self.part_delta(*index, delta, out),
            ChatEvent::PartEnd { choice: 0, index } => self.part_end(*index, out),
            ChatEvent::Finish {
                choice: 0,
                reason,
                native_reason,
                stop_sequence,
                extra,
            } => {
                self.finish = Some(Finish {
                    reason: *reason,
                    native_reason: native_reason.clone(),
                    stop_sequence: stop_sequence.clone(),
                    extra: extra.clone(),
                });
            }
            ChatEvent::Ping => {
                self.write_start(out);
                write(out, "ping", &json!({"type": "ping"}));
            }
            ChatEvent::End => self.end(out),
            // An error's text must be scrubbed first, so that whoever ends the stream
            // writes it with `render_stream_error`.
            ChatEvent::Error(_) => self.is_over = true,
            ChatEvent::Logprobs { .. }
            | ChatEvent::PartStart { .. }
            | ChatEvent::PartDelta { .. }
            | ChatEvent::PartEnd { .. }
            | ChatEvent::Finish { .. } => {}
        }
    }

    fn hold_start(&mut self, id: Option<&str>, model: Option<&str>, extra: &Map<String, Value>) {
        if self.has_started || self.start.is_some() {
            return;
        }
        self.usage_extras = extra.get("usage").map(usage::extras).unwrap_or_default();
        let mut message = Map::new();
        message.insert("id".to_owned(), json!(id.unwrap_or("msg")));
        message.insert("model".to_owned(), json!(model.unwrap_or(&self.model)));
        for key in response::ANSWER_EXTRAS {
            if let Some(value) = extra.get(key) {
                message.insert(key.to_owned(), value.clone());
            }
        }
        self.start = Some(message);
    }

    /// Writes `message_start`, once: as late as possible, so that it holds the counts.
    fn write_start(&mut self, out: &mut Vec<u8>) {
        if self.has_started {
            return;
        }
        if self.start.is_none() {
            self.hold_start(None, None, &Map::new());
        }
        self.has_started = true;
        let mut message = json!({
            "type": "message",
            "role": "assistant",
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": self.usage_value(&self.usage_extras),
        });
        if let (Some(start), Some(message)) = (self.start.take(), message.as_object_mut()) {
            message.extend(start);
        }
        write(
            out,
            "message_start",
            &json!({"type": "message_start", "message": message}),
        );
    }

    fn usage_value(&self, further: &Map<String, Value>) -> Value {
        let mut usage = usage::value(&self.usage.unwrap_or_default());
        if let Some(usage) = usage.as_object_mut() {
            usage.extend(further.clone());
        }
        usage
    }

    fn part_start(&mut self, index: u32, part: &Part, out: &mut Vec<u8>) {
        self.write_start(out);
        self.has_refused |= matches!(part.content, PartContent::Refusal { .. });
        let Some((block, kind, deltas)) = stream_blocks::opening(part) else {
            return;
        };
        let part = Waiting {
            part: index,
            kind,
            block,
            deltas,
            has_ended: false,
        };
        if self.must_wait(kind) {
            self.waiting.push(part);
            return;
        }
        self.settle(out);
        self.say(&part, out);
    }

    /// Whether a part of this kind waits for the open one: a call is not split, and only
    /// what comes after it shows that it is complete.
    fn must_wait(&self, kind: Kind) -> bool {
        let is_growing = |open: &Open| !open.has_ended || self.waiting.iter().any(is_growing_call);
        self.open
            .as_ref()
            .is_some_and(|open| open.kind == Kind::Call && (kind == Kind::Call || is_growing(open)))
    }

    fn part_delta(&mut self, index: u32, delta: &Delta, out: &mut Vec<u8>) {
        if self.open.as_ref().is_some_and(|open| open.part == index) {
            return self.write_delta(delta, out);
        }
        if let Some(part) = self.waiting.iter_mut().find(|part| part.part == index) {
            return stream_blocks::grow(&mut part.deltas, delta);
        }
        // The part was interrupted: it goes on in a block of its own. A call cannot.
        let part = match delta {
            Delta::Text(text) => Part::text(text.clone()),
            Delta::Reasoning(text) => Part::new(PartContent::Reasoning(Reasoning {
                text: text.clone(),
                ..Reasoning::default()
            })),
            _ => return,
        };
        // Where nothing was begun, no block can show the part at all.
        if self.blocks > 0 {
            self.part_start(index, &part, out);
        }
    }

    fn part_end(&mut self, index: u32, out: &mut Vec<u8>) {
        for part in self.waiting.iter_mut().filter(|part| part.part == index) {
            part.has_ended = true;
        }
        let Some(open) = self.open.as_mut().filter(|open| open.part == index) else {
            return;
        };
        open.has_ended = true;
        if open.kind != Kind::Call {
            self.close(out);
        }
    }

    /// Closes the open block and says all parts that waited for it.
    fn settle(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        for part in std::mem::take(&mut self.waiting) {
            self.say(&part, out);
            self.close(out);
        }
    }

    fn say(&mut self, part: &Waiting, out: &mut Vec<u8>) {
        self.open(part.part, part.kind, &part.block, out);
        for delta in &part.deltas {
            self.write_delta(delta, out);
        }
    }

    fn open(&mut self, part: u32, kind: Kind, block: &Map<String, Value>, out: &mut Vec<u8>) {
        let index = self.blocks;
        self.blocks += 1;
        self.open = Some(Open {
            part,
            kind,
            has_ended: false,
        });
        write(
            out,
            "content_block_start",
            &json!({"type": "content_block_start", "index": index, "content_block": block}),
        );
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            let event = json!({"type": "content_block_stop", "index": self.blocks - 1});
            write(out, "content_block_stop", &event);
        }
    }

    fn write_delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let Some(delta) = stream_blocks::delta_value(delta) else {
            return;
        };
        let index = self.blocks.saturating_sub(1);
        write(
            out,
            "content_block_delta",
            &json!({"type": "content_block_delta", "index": index, "delta": delta}),
        );
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.write_start(out);
        self.settle(out);
        self.is_over = true;
        let finish = self.finish.take();
        let reason = match finish.as_ref().map(|finish| finish.reason) {
            Some(FinishReason::Stop) if self.has_refused => Some(FinishReason::Refusal),
            reason => reason,
        };
        let native = finish
            .as_ref()
            .and_then(|finish| finish.native_reason.as_deref());
        let sequence = finish
            .as_ref()
            .and_then(|finish| finish.stop_sequence.as_deref());
        let mut delta = json!({
            "stop_reason": response::stop_reason(reason, native, sequence.is_some()),
            "stop_sequence": sequence,
        });
        let further = finish
            .as_ref()
            .and_then(|finish| finish.extra.get("usage"))
            .map(usage::extras)
            .unwrap_or_default();
        let mut event = json!({"type": "message_delta", "usage": self.usage_value(&further)});
        for key in response::ANSWER_EXTRAS {
            let Some(value) = finish.as_ref().and_then(|finish| finish.extra.get(key)) else {
                continue;
            };
            let place = if key == "context_management" {
                &mut event
            } else {
                &mut delta
            };
            place[key] = value.clone();
        }
        event["delta"] = delta;
        write(out, "message_delta", &event);
        write(out, "message_stop", &json!({"type": "message_stop"}));
    }
}

fn is_growing_call(part: &Waiting) -> bool {
    part.kind == Kind::Call && !part.has_ended
}

fn write(out: &mut Vec<u8>, name: &str, event: &Value) {
    sse_writer::write_event(out, name, &event.to_string());
}
