//! A provider's stream → canonical events.
//!
//! A stream that is not what AWS documents (a block that grows before the message has
//! begun, an end before the answer is whole) is an error, so that whoever consumes the
//! events may rely on their order.
//!
//! Source: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::response::{self, malformed};
use super::types::take_text;
use super::{citations, error};
use crate::chat::Extra;
use crate::chat::event::{ChatEvent, Delta};
use crate::chat::part::{Part, PartContent, Reasoning, ToolCall, ToolCallKind};
use crate::error::ProviderError;
use crate::framing::event_stream::{FrameKind, Parser};

/// More open blocks than this are no answer but an attack on our memory.
const MAX_OPEN_BLOCKS: usize = 1024;

/// A provider's stream → canonical events.
pub(crate) struct StreamDecoder {
    parser: Parser,
    state: State,
}

/// What the events so far have said.
#[derive(Default)]
struct State {
    /// Open blocks by Bedrock's number, which is a part's.
    blocks: BTreeMap<u32, Block>,
    has_started: bool,
    has_stopped: bool,
    is_over: bool,
    thinking_tokens: Option<u64>,
}

/// What must be known of an open block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// A tool call whose arguments have not begun to come.
    CallWithoutArguments,
    Call,
    Text,
    Reasoning,
    Native,
}

impl StreamDecoder {
    pub(crate) fn new() -> Self {
        Self {
            parser: Parser::new(),
            state: State::default(),
        }
    }

    /// Takes the next bytes, cut anywhere.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let mut feed = self.parser.feed(bytes);
        while let Some(frame) = feed.next()? {
            if self.state.is_over {
                continue;
            }
            match frame.kind {
                FrameKind::Event(kind) => self.state.take(kind, frame.payload, events)?,
                FrameKind::Exception(kind) => {
                    self.state.is_over = true;
                    let error = error::in_stream(kind, frame.payload);
                    events.push(ChatEvent::Error(error));
                }
                FrameKind::Error { code, message } => {
                    self.state.is_over = true;
                    let error = error::in_stream(code, message.as_bytes());
                    events.push(ChatEvent::Error(error));
                }
            }
        }
        Ok(())
    }

    /// Says that the provider closed the stream.
    pub(crate) fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        self.parser.finish()?;
        if self.state.is_over {
            return Ok(());
        }
        if !self.state.has_stopped {
            return Err(malformed(
                "the stream ended before its `messageStop`: the answer is cut off",
            ));
        }
        // Only the usage is missing.
        self.state.is_over = true;
        events.push(ChatEvent::End);
        Ok(())
    }
}

impl State {
    fn take(
        &mut self,
        kind: &str,
        payload: &[u8],
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let event: Value = serde_json::from_slice(payload)
            .map_err(|cause| malformed(format!("an event is not JSON: {cause}")))?;
        let Value::Object(event) = event else {
            return Err(malformed("an event is not a JSON object"));
        };
        match kind {
            "messageStart" => self.message_start(events),
            "contentBlockStart" => self.block_start(event, events),
            "contentBlockDelta" => self.block_delta(event, events),
            "contentBlockStop" => self.block_stop(&event, events),
            "messageStop" => self.message_stop(event, events),
            "metadata" => self.metadata(&event, events),
            // Kinds of events that are newer than this code.
            _ => Ok(()),
        }
    }

    fn message_start(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        if std::mem::replace(&mut self.has_started, true) {
            return Err(malformed("the stream starts twice"));
        }
        events.push(ChatEvent::Start {
            id: None,
            model: None,
            created: None,
            extra: Extra::new(),
        });
        Ok(())
    }

    fn block_start(
        &mut self,
        mut event: Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let index = self.index_of(&event)?;
        let start = event.shift_remove("start");
        let Some(Value::Object(mut start)) = start else {
            return Err(malformed("`contentBlockStart` holds no block"));
        };
        let is_server = start.contains_key("serverToolUse");
        let call = start
            .shift_remove("toolUse")
            .or_else(|| start.shift_remove("serverToolUse"));
        let Some(Value::Object(mut call)) = call else {
            let part = Part::new(PartContent::Native(Value::Object(start)));
            return self.open(index, Block::Native, part, events);
        };
        let kind = take_text(&mut call, "type");
        let is_server = is_server || kind.as_deref() == Some("server_tool_use");
        let call = ToolCall {
            id: take_text(&mut call, "toolUseId").unwrap_or_default(),
            name: take_text(&mut call, "name").unwrap_or_default(),
            arguments: String::new(),
            kind: if is_server {
                ToolCallKind::Server
            } else {
                ToolCallKind::Function
            },
        };
        let part = Part::new(PartContent::ToolCall(call));
        self.open(index, Block::CallWithoutArguments, part, events)
    }

    fn open(
        &mut self,
        index: u32,
        block: Block,
        part: Part,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if self.blocks.contains_key(&index) || self.blocks.len() >= MAX_OPEN_BLOCKS {
            return Err(malformed(format!("block {index} starts twice")));
        }
        self.blocks.insert(index, block);
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
        let index = self.index_of(&event)?;
        let Some(Value::Object(delta)) = event.shift_remove("delta") else {
            return Err(malformed("`contentBlockDelta` holds no delta"));
        };
        let Some((name, value)) = delta.into_iter().next() else {
            return Ok(());
        };
        match (name.as_str(), value) {
            ("text", Value::String(text)) => self.grow(
                index,
                Block::Text,
                Part::text(""),
                Delta::Text(text),
                events,
            ),
            ("citation", citation) => {
                let delta = Delta::Citation(citations::from_bedrock(citation));
                self.grow(index, Block::Text, Part::text(""), delta, events)
            }
            ("toolUse", Value::Object(mut call)) => self.call_delta(index, &mut call, events),
            ("reasoningContent", Value::Object(more)) => self.reasoning_delta(index, more, events),
            (name, value) => {
                let piece = Value::Object(Map::from_iter([(name.to_owned(), value)]));
                if self.blocks.contains_key(&index) {
                    events.push(delta_of(index, Delta::Native(piece)));
                    return Ok(());
                }
                let part = Part::new(PartContent::Native(piece));
                self.open(index, Block::Native, part, events)
            }
        }
    }

    /// Lets a block grow. One of text or thinking is not begun by an event of its own.
    fn grow(
        &mut self,
        index: u32,
        block: Block,
        empty: Part,
        delta: Delta,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match self.blocks.get(&index) {
            None => self.open(index, block, empty, events)?,
            Some(open) if *open == block => {}
            Some(_) => return Err(malformed(format!("block {index} grows into another kind"))),
        }
        let is_empty =
            matches!(&delta, Delta::Text(text) | Delta::Reasoning(text) if text.is_empty());
        if !is_empty {
            events.push(delta_of(index, delta));
        }
        Ok(())
    }

    fn call_delta(
        &mut self,
        index: u32,
        call: &mut Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match self.blocks.get_mut(&index) {
            Some(block @ (Block::CallWithoutArguments | Block::Call)) => {
                let input = take_text(call, "input").unwrap_or_default();
                if !input.is_empty() {
                    *block = Block::Call;
                    events.push(delta_of(index, Delta::Arguments(input)));
                }
                Ok(())
            }
            _ => Err(malformed(format!(
                "block {index} grows but is no tool call"
            ))),
        }
    }

    fn reasoning_delta(
        &mut self,
        index: u32,
        mut more: Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let thinking = |reasoning| Part::new(PartContent::Reasoning(reasoning));
        if let Some(data) = take_text(&mut more, "redactedContent") {
            if self.blocks.contains_key(&index) {
                return Err(malformed(format!("block {index} is hidden in pieces")));
            }
            let part = thinking(Reasoning {
                encrypted: Some(data),
                ..Reasoning::default()
            });
            return self.open(index, Block::Reasoning, part, events);
        }
        let empty = || thinking(Reasoning::default());
        if let Some(text) = take_text(&mut more, "text") {
            let delta = Delta::Reasoning(text);
            self.grow(index, Block::Reasoning, empty(), delta, events)?;
        }
        if let Some(signature) = take_text(&mut more, "signature") {
            let delta = Delta::Signature(signature);
            self.grow(index, Block::Reasoning, empty(), delta, events)?;
        }
        Ok(())
    }

    fn block_stop(
        &mut self,
        event: &Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let index = self.index_of(event)?;
        // A block without any text was never begun.
        let Some(block) = self.blocks.remove(&index) else {
            return Ok(());
        };
        if block == Block::CallWithoutArguments {
            // A call without arguments is one with an empty object, as in a whole answer.
            events.push(delta_of(index, Delta::Arguments("{}".to_owned())));
        }
        events.push(ChatEvent::PartEnd { choice: 0, index });
        Ok(())
    }

    fn message_stop(
        &mut self,
        mut event: Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if !self.has_started || std::mem::replace(&mut self.has_stopped, true) {
            return Err(malformed("`messageStop` comes before the answer or twice"));
        }
        if !self.blocks.is_empty() {
            return Err(malformed("`messageStop` comes while a block is open"));
        }
        let native = take_text(&mut event, "stopReason").unwrap_or_default();
        let fields = event.get("additionalModelResponseFields");
        self.thinking_tokens = response::thinking_tokens(fields);
        events.push(ChatEvent::Finish {
            choice: 0,
            reason: response::finish_reason(&native),
            stop_sequence: response::stop_sequence(fields),
            native_reason: Some(native),
            extra: response::further(event),
        });
        Ok(())
    }

    /// The last event: what the answer has cost.
    fn metadata(
        &mut self,
        event: &Map<String, Value>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if let Some(usage) = event.get("usage").filter(|usage| usage.is_object()) {
            let usage = response::usage_from(usage, self.thinking_tokens);
            events.push(ChatEvent::Usage(usage));
        }
        if !self.has_stopped {
            return Err(malformed("`metadata` comes before `messageStop`"));
        }
        self.is_over = true;
        events.push(ChatEvent::End);
        Ok(())
    }

    fn index_of(&self, event: &Map<String, Value>) -> Result<u32, ProviderError> {
        if !self.has_started || self.has_stopped {
            return Err(malformed(
                "a block comes before the message or after its end",
            ));
        }
        event
            .get("contentBlockIndex")
            .and_then(Value::as_u64)
            .and_then(|index| u32::try_from(index).ok())
            .ok_or_else(|| malformed("an event of a block lacks the block's index"))
    }
}

const fn delta_of(index: u32, delta: Delta) -> ChatEvent {
    ChatEvent::PartDelta {
        choice: 0,
        index,
        delta,
    }
}
