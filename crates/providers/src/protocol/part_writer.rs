//! The events of one streamed answer's parts, for protocols whose streams do not number
//! their parts as we do.

use serde_json::Value;

use crate::chat::event::{ChatEvent, Delta};
use crate::chat::part::{Part, PartContent, Reasoning};

/// What kind of part can be open and grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growing {
    /// Text.
    Text,
    /// Thinking.
    Reasoning,
    /// A tool call, whose arguments grow.
    ToolCall,
}

/// Begins, grows and ends the parts of the only answer.
#[derive(Debug, Default)]
pub(super) struct PartWriter {
    next: u32,
    open: Option<(Growing, u32)>,
}

impl PartWriter {
    /// Whether no part has begun.
    pub(super) const fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// Whether the open part is of this kind.
    pub(super) fn is_open(&self, kind: Growing) -> bool {
        self.open.is_some_and(|(open, _)| open == kind)
    }

    /// More text or thinking: of the open part if it is of that kind, else of a new one.
    pub(super) fn grow(&mut self, kind: Growing, more: &str, events: &mut Vec<ChatEvent>) {
        if more.is_empty() {
            return;
        }
        let index = self.open(kind, events);
        let delta = match kind {
            Growing::Text => Delta::Text(more.to_owned()),
            Growing::Reasoning => Delta::Reasoning(more.to_owned()),
            Growing::ToolCall => Delta::Arguments(more.to_owned()),
        };
        events.push(delta_of(index, delta));
    }

    /// A citation of the text so far.
    pub(super) fn cite(&mut self, citation: Value, events: &mut Vec<ChatEvent>) {
        let index = self.open(Growing::Text, events);
        events.push(delta_of(index, Delta::Citation(citation)));
    }

    /// Begins a part, and ends the one before.
    pub(super) fn begin(
        &mut self,
        kind: Growing,
        content: PartContent,
        events: &mut Vec<ChatEvent>,
    ) {
        self.close(events);
        let index = self.next;
        self.next += 1;
        self.open = Some((kind, index));
        events.push(ChatEvent::PartStart {
            choice: 0,
            index,
            part: Part::new(content),
        });
    }

    /// Ends the part that is open.
    pub(super) fn close(&mut self, events: &mut Vec<ChatEvent>) {
        if let Some((_, index)) = self.open.take() {
            events.push(ChatEvent::PartEnd { choice: 0, index });
        }
    }

    fn open(&mut self, kind: Growing, events: &mut Vec<ChatEvent>) -> u32 {
        if let Some((open, index)) = self.open
            && open == kind
        {
            return index;
        }
        let index = self.next;
        let content = match kind {
            Growing::Reasoning => PartContent::Reasoning(Reasoning::default()),
            // Arguments without a call are the text that they are.
            Growing::Text | Growing::ToolCall => PartContent::Text {
                text: String::new(),
                citations: Vec::new(),
            },
        };
        self.begin(kind, content, events);
        index
    }
}

const fn delta_of(index: u32, delta: Delta) -> ChatEvent {
    ChatEvent::PartDelta {
        choice: 0,
        index,
        delta,
    }
}
