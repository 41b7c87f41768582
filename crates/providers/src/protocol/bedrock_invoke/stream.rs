//! A provider's stream → canonical events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::chat::event::ChatEvent;
use crate::error::{ErrorKind, ProviderError};
use crate::framing::event_stream::{FrameKind, Parser};
use crate::protocol::anthropic_messages::stream::Events;
use crate::protocol::bedrock_converse::error;

/// A provider's stream → canonical events.
pub(crate) struct StreamDecoder {
    parser: Parser,
    inner: Events,
    has_failed: bool,
}

/// What a frame of the type `chunk` holds.
#[derive(Deserialize)]
struct Chunk {
    /// One of Anthropic's events, in base64.
    bytes: String,
}

impl StreamDecoder {
    pub(crate) fn new() -> Self {
        Self {
            parser: Parser::new(),
            inner: Events::default(),
            has_failed: false,
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
            if self.has_failed {
                continue;
            }
            let failure = match frame.kind {
                FrameKind::Event("chunk") => {
                    let event = event(frame.payload)?;
                    self.inner.take("", &event, events)?;
                    continue;
                }
                // Kinds of events that are newer than this code.
                FrameKind::Event(_) => continue,
                FrameKind::Exception(kind) => error::in_stream(kind, frame.payload),
                FrameKind::Error { code, message } => error::in_stream(code, message.as_bytes()),
            };
            self.has_failed = true;
            events.push(ChatEvent::Error(failure));
        }
        Ok(())
    }

    /// Says that the provider closed the stream.
    pub(crate) fn finish(&self, _: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        self.parser.finish()?;
        if self.has_failed {
            return Ok(());
        }
        self.inner.check_end()
    }
}

fn event(payload: &[u8]) -> Result<String, ProviderError> {
    let malformed = |cause: &str| {
        let message = format!("a piece of the stream is unreadable: {cause}");
        ProviderError::new(ErrorKind::Malformed, message)
    };
    let chunk: Chunk =
        serde_json::from_slice(payload).map_err(|error| malformed(&error.to_string()))?;
    let bytes = STANDARD
        .decode(chunk.bytes)
        .map_err(|error| malformed(&error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| malformed(&error.to_string()))
}
