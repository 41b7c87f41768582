//! A provider's stream → canonical events. The way back is in `stream_renderer.rs`.
//!
//! A stream that is not what Anthropic documents (a block that grows without having
//! started, an end before the answer is whole) is an error, so that whoever consumes the
//! events may rely on their order.
//!
//! Source: <https://platform.claude.com/docs/en/build-with-claude/streaming>.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error;
use super::response;
use super::{types, usage};
use crate::chat::Extra;
use crate::chat::event::{ChatEvent, Delta};
use crate::chat::part::PartContent;
use crate::error::ProviderError;
use crate::framing::sse;

/// More open blocks than this are no answer but an attack on our memory.
const MAX_OPEN_BLOCKS: usize = 1024;

/// A provider's stream → canonical events.
pub(crate) struct StreamDecoder {
    parser: sse::Parser,
    state: Events,
}

/// Reads events, one by one; knows what those so far have said.
#[derive(Default)]
pub(crate) struct Events {
    blocks: BTreeMap<u32, Block>,
    usage: usage::UsageCounts,
    has_started: bool,
    is_over: bool,
}

/// What must be known of an open block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// A tool call whose arguments have not begun to come.
    CallWithoutArguments,
    /// A tool call.
    Call,
    /// A block that only this format knows.
    Native,
    /// Any other.
    Other,
}

impl StreamDecoder {
    pub(crate) fn new() -> Self {
        Self {
            parser: sse::Parser::new(),
            state: Events::default(),
        }
    }

    /// Takes the next bytes, cut anywhere.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let mut feed = self.parser.feed(bytes);
        while let Some(event) = feed.next()? {
            self.state.take(event.name, event.data, events)?;
        }
        Ok(())
    }

    /// Says that the provider closed the stream.
    pub(crate) fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if !self.state.is_over
            && let Some(event) = self.parser.finish()?
        {
            self.state.take(event.name, event.data, events)?;
        }
        self.state.check_end()
    }
}

impl Events {
    /// Takes the next event. `name` counts where the event does not say its type itself.
    pub(crate) fn take(
        &mut self,
        name: &str,
        data: &str,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if self.is_over {
            return Ok(());
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|cause| error::malformed(format!("an event is not JSON: {cause}")))?;
        let Value::Object(event) = event else {
            return Err(error::malformed("an event is not a JSON object"));
        };
        let kind = event.get("type").and_then(Value::as_str).unwrap_or(name);
        match kind.to_owned().as_str() {
            "message_start" => self.message_start(event, events),
            "content_block_start" => self.block_start(event, events),
            "content_block_delta" => self.block_delta(event, events),
            "content_block_stop" => self.block_stop(&event, events),
            "message_delta" => {
                self.message_delta(event, events);
                Ok(())
            }
            "message_stop" => self.message_stop(events),
            "ping" => {
                events.push(ChatEvent::Ping);
                Ok(())
            }
            "error" => {
                self.is_over = true;
                let detail = event.get("error").cloned().unwrap_or(Value::Object(event));
                events.push(ChatEvent::Error(error::from_value(&detail, None)));
                Ok(())
            }
            // Anthropic announces that new kinds of events may come at any time.
            _ => Ok(()),
        }
    }

    /// Checks that the events were a whole answer, or said why they are not.
    pub(crate) fn check_end(&self) -> Result<(), ProviderError> {
        if self.is_over {
            return Ok(());
        }
        Err(error::malformed(
            "the stream ended before its `message_stop`: the answer is cut off",
        ))
    }

    fn message_start(
        &mut self,
        mut event: Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Some(Value::Object(mut message)) = event.shift_remove("message") else {
            return Err(error::malformed("`message_start` holds no message"));
        };
        if std::mem::replace(&mut self.has_started, true) {
            return Err(error::malformed("the stream starts twice"));
        }
        let usage = message.shift_remove("usage");
        let mut extra = Extra::new();
        for key in response::ANSWER_EXTRAS {
            if let Some(value) = message.shift_remove(key).filter(|value| !value.is_null()) {
                extra.insert(key.to_owned(), value);
            }
        }
        let further = usage.as_ref().map(usage::extras);
        if let Some(further) = further.filter(|further| !further.is_empty()) {
            extra.insert("usage".to_owned(), Value::Object(further));
        }
        events.push(ChatEvent::Start {
            id: types::take_string(&mut message, "id"),
            model: types::take_string(&mut message, "model"),
            created: None,
            extra,
        });
        self.take_usage(usage.as_ref(), events);
        Ok(())
    }

    fn block_start(
        &mut self,
        mut event: Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let index = index_of(&event)?;
        if !self.has_started {
            return Err(error::malformed("a block comes before `message_start`"));
        }
        if self.blocks.contains_key(&index) || self.blocks.len() >= MAX_OPEN_BLOCKS {
            return Err(error::malformed(format!("block {index} starts twice")));
        }
        let Some(block) = event.shift_remove("content_block").filter(Value::is_object) else {
            return Err(error::malformed("`content_block_start` holds no block"));
        };
        let mut part = types::part_from_block(block);
        let kind = match &mut part.content {
            PartContent::ToolCall(call) if call.arguments == "{}" => {
                call.arguments.clear();
                Block::CallWithoutArguments
            }
            PartContent::ToolCall(_) => Block::Call,
            PartContent::Native(_) => Block::Native,
            _ => Block::Other,
        };
        self.blocks.insert(index, kind);
        events.push(ChatEvent::PartStart {
            choice: 0,
            index,
            part,
        });
        Ok(())
    }

    fn block_delta(
        &mut self,
        mut event: Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let index = index_of(&event)?;
        let Some(block) = self.blocks.get_mut(&index) else {
            return Err(error::malformed(format!(
                "block {index} grows but is not open"
            )));
        };
        let Some(Value::Object(delta)) = event.shift_remove("delta") else {
            return Err(error::malformed("`content_block_delta` holds no delta"));
        };
        let delta = match block {
            Block::Native => Some(Delta::Native(Value::Object(delta))),
            _ => delta_from(delta),
        };
        let Some(delta) = delta else { return Ok(()) };
        if matches!(delta, Delta::Arguments(_)) {
            *block = Block::Call;
        }
        events.push(ChatEvent::PartDelta {
            choice: 0,
            index,
            delta,
        });
        Ok(())
    }

    fn block_stop(
        &mut self,
        event: &Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let index = index_of(event)?;
        let Some(block) = self.blocks.remove(&index) else {
            return Err(error::malformed(format!(
                "block {index} stops but is not open"
            )));
        };
        if block == Block::CallWithoutArguments {
            // A call without arguments is one with an empty object, as in a whole answer.
            events.push(ChatEvent::PartDelta {
                choice: 0,
                index,
                delta: Delta::Arguments("{}".to_owned()),
            });
        }
        events.push(ChatEvent::PartEnd { choice: 0, index });
        Ok(())
    }

    fn message_delta(&mut self, mut event: Map<String, Value>, events: &mut Vec<ChatEvent>) {
        let usage = event.shift_remove("usage");
        self.take_usage(usage.as_ref(), events);
        let Some(Value::Object(mut delta)) = event.shift_remove("delta") else {
            return;
        };
        let Some(native_reason) = types::take_string(&mut delta, "stop_reason") else {
            return;
        };
        let stop_sequence = types::take_string(&mut delta, "stop_sequence");
        let mut extra = Extra::new();
        for key in response::ANSWER_EXTRAS {
            let value = delta.shift_remove(key).or_else(|| event.shift_remove(key));
            if let Some(value) = value.filter(|value| !value.is_null()) {
                extra.insert(key.to_owned(), value);
            }
        }
        let further = usage.as_ref().map(usage::extras);
        if let Some(further) = further.filter(|further| !further.is_empty()) {
            extra.insert("usage".to_owned(), Value::Object(further));
        }
        events.push(ChatEvent::Finish {
            choice: 0,
            reason: response::finish_reason(&native_reason),
            native_reason: Some(native_reason),
            stop_sequence,
            extra,
        });
    }

    fn message_stop(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if !self.has_started || !self.blocks.is_empty() {
            return Err(error::malformed(
                "`message_stop` comes before the answer is whole",
            ));
        }
        self.is_over = true;
        events.push(ChatEvent::End);
        Ok(())
    }

    fn take_usage(&mut self, usage: Option<&Value>, events: &mut Vec<ChatEvent>) {
        if let Some(usage) = usage.filter(|usage| usage.is_object()) {
            self.usage.update(usage);
            events.push(ChatEvent::Usage(self.usage.usage()));
        }
    }
}

fn index_of(event: &Map<String, Value>) -> Result<u32, ProviderError> {
    event
        .get("index")
        .and_then(Value::as_u64)
        .and_then(|index| u32::try_from(index).ok())
        .ok_or_else(|| error::malformed("an event of a block lacks the block's index"))
}

fn delta_from(mut delta: Map<String, Value>) -> Option<Delta> {
    let kind = delta.get("type")?.as_str()?.to_owned();
    let mut text = |key: &str| types::take_string(&mut delta, key);
    match kind.as_str() {
        "text_delta" => text("text").map(Delta::Text),
        "input_json_delta" => text("partial_json")
            .filter(|json| !json.is_empty())
            .map(Delta::Arguments),
        "thinking_delta" => text("thinking").map(Delta::Reasoning),
        "signature_delta" => text("signature").map(Delta::Signature),
        "citations_delta" => delta.shift_remove("citation").map(Delta::Citation),
        _ => Some(Delta::Native(Value::Object(delta))),
    }
}
