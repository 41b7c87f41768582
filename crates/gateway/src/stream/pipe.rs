//! What becomes of a provider's pieces: passed through, or translated.

use bytes::Bytes;
use jiff::Timestamp;
use providers::chat::event::ChatEvent;
use providers::chat::usage::Usage;
use providers::error::ProviderError;
use providers::pass_through::{Envelope, Observation, StreamObserver};
use providers::protocol::{Decoder, Renderer};
use providers::target::Target;

use crate::attempt::Call;

/// Turns the provider's pieces into the client's.
pub(crate) enum Pipe {
    /// The formats are the same.
    PassThrough(Box<StreamObserver>),
    /// Through canonical events.
    Translate(Box<Translation>),
}

/// From one wire format to another.
pub(crate) struct Translation {
    decoder: Decoder,
    renderer: Renderer,
    events: Vec<ChatEvent>,
    rendered: Vec<u8>,
    usage: Option<Usage>,
    has_content: bool,
    has_block: bool,
    is_complete: bool,
}

impl Pipe {
    pub(crate) fn pass_through(envelope: &Envelope) -> Self {
        Self::PassThrough(Box::new(StreamObserver::new(envelope)))
    }

    pub(crate) fn translate(call: &Call, target: &Target, now: Timestamp) -> Self {
        Self::through(Decoder::new(target, now), call)
    }

    /// Spreads a whole answer over a stream.
    pub(crate) fn spread(call: &Call, target: &Target, now: Timestamp) -> Self {
        Self::through(Decoder::whole(target, now), call)
    }

    fn through(decoder: Decoder, call: &Call) -> Self {
        let stream_usage = call.canonical().ok().and_then(|call| call.stream_usage);
        Self::Translate(Box::new(Translation {
            decoder,
            renderer: Renderer::new(call.dialect, call.asked_for(), stream_usage),
            events: Vec::new(),
            rendered: Vec::new(),
            usage: None,
            has_content: false,
            has_block: false,
            is_complete: false,
        }))
    }

    /// Takes a piece and appends what the client may see of it.
    pub(super) fn push(
        &mut self,
        piece: &Bytes,
        out: &mut Vec<Bytes>,
    ) -> Result<Observation, ProviderError> {
        match self {
            Self::PassThrough(observer) => observer.push(piece, out),
            Self::Translate(translation) => {
                let pushed = translation.decoder.push(piece, &mut translation.events);
                let observation = translation.render(out);
                pushed?;
                Ok(observation)
            }
        }
    }

    /// Takes the end of the provider's stream.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<Observation, ProviderError> {
        match self {
            Self::PassThrough(observer) => observer.finish(out),
            Self::Translate(translation) => {
                let finished = translation.decoder.finish(&mut translation.events);
                let observation = translation.render(out);
                finished?;
                Ok(observation)
            }
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        match self {
            Self::PassThrough(observer) => observer.usage(),
            Self::Translate(translation) => translation.usage,
        }
    }
}

impl Translation {
    fn render(&mut self, out: &mut Vec<Bytes>) -> Observation {
        let mut error = None;
        for event in self.events.drain(..) {
            self.has_content |= event.is_content();
            self.has_block |= self.has_content && event.ends_block();
            self.is_complete |= matches!(event, ChatEvent::End);
            match event {
                ChatEvent::Error(reported) => {
                    error = Some(reported);
                    break;
                }
                ChatEvent::Usage(usage) => self.usage = Some(usage),
                _ => {}
            }
            self.renderer.push(&event, &mut self.rendered);
        }
        if !self.rendered.is_empty() {
            out.push(Bytes::from(std::mem::take(&mut self.rendered)));
        }
        Observation {
            has_content: self.has_content,
            has_block: self.has_block,
            is_complete: self.is_complete,
            error,
        }
    }
}
