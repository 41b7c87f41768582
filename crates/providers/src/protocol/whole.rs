//! An answer that comes whole, as the events of a stream.

use http::HeaderMap;
use jiff::Timestamp;

use super::decode;
use crate::chat::event::ChatEvent;
use crate::chat::reply::{Choice, FinishReason};
use crate::error::{ErrorKind, ProviderError};
use crate::target::Target;

/// How large an answer may be.
const MAX_BYTES: usize = 64 << 20;

/// Gathers an answer and says it as events at its end.
pub(super) struct WholeDecoder {
    target: Target,
    now: Timestamp,
    body: Vec<u8>,
}

impl WholeDecoder {
    pub(super) fn new(target: &Target, now: Timestamp) -> Self {
        Self {
            target: target.clone(),
            now,
            body: Vec::new(),
        }
    }

    /// Takes the next bytes, cut anywhere.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        if self.body.len() + bytes.len() > MAX_BYTES {
            let message = "the answer is larger than 64 MiB".to_owned();
            return Err(ProviderError::new(ErrorKind::Malformed, message));
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    /// Says that the provider closed the connection.
    pub(super) fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        let body = std::mem::take(&mut self.body);
        let reply = decode(&self.target, 200, &HeaderMap::new(), &body, self.now)?;
        events.push(ChatEvent::Start {
            id: reply.id,
            model: reply.model,
            created: reply.created,
            extra: reply.extra,
        });
        for choice in reply.choices {
            say(choice, events);
        }
        events.extend(reply.usage.map(ChatEvent::Usage));
        events.push(ChatEvent::End);
        Ok(())
    }
}

fn say(said: Choice, events: &mut Vec<ChatEvent>) {
    let choice = said.index;
    for (index, part) in (0..).zip(said.parts) {
        events.push(ChatEvent::PartStart {
            choice,
            index,
            part,
        });
        events.push(ChatEvent::PartEnd { choice, index });
    }
    if let Some(logprobs) = said.logprobs {
        events.push(ChatEvent::Logprobs { choice, logprobs });
    }
    events.push(ChatEvent::Finish {
        choice,
        reason: said.finish_reason.unwrap_or(FinishReason::Stop),
        native_reason: said.native_finish_reason,
        stop_sequence: said.stop_sequence,
        extra: said.extra,
    });
}
