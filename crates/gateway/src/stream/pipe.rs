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
use crate::scrub::Filter;

/// Turns the provider's pieces into the client's, without the key that the provider got.
pub(crate) struct Pipe {
    passage: Passage,
    filter: Filter,
}

/// How the pieces are turned.
enum Passage {
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
    pub(crate) fn pass_through(envelope: &Envelope, filter: Filter) -> Self {
        let observer = StreamObserver::new(envelope);
        Self {
            passage: Passage::PassThrough(Box::new(observer)),
            filter,
        }
    }

    pub(crate) fn translate(call: &Call, target: &Target, filter: Filter, now: Timestamp) -> Self {
        Self::through(Decoder::new(target, now), call, filter)
    }

    /// Spreads a whole answer over a stream.
    pub(crate) fn spread(call: &Call, target: &Target, filter: Filter, now: Timestamp) -> Self {
        Self::through(Decoder::whole(target, now), call, filter)
    }

    fn through(decoder: Decoder, call: &Call, filter: Filter) -> Self {
        let stream_usage = call.canonical().ok().and_then(|call| call.stream_usage);
        let translation = Translation {
            decoder,
            renderer: Renderer::new(call.dialect, call.asked_for(), stream_usage),
            events: Vec::new(),
            rendered: Vec::new(),
            usage: None,
            has_content: false,
            has_block: false,
            is_complete: false,
        };
        Self {
            passage: Passage::Translate(Box::new(translation)),
            filter,
        }
    }

    /// Takes a piece and appends what the client may see of it.
    pub(super) fn push(
        &mut self,
        piece: &Bytes,
        out: &mut Vec<Bytes>,
    ) -> Result<Observation, ProviderError> {
        let mut pieces = Vec::new();
        let pushed = self.passage.push(piece, &mut pieces);
        self.filter.pieces(&mut pieces);
        out.append(&mut pieces);
        pushed
    }

    /// Takes the end of the provider's stream.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<Observation, ProviderError> {
        let mut pieces = Vec::new();
        let finished = self.passage.finish(&mut pieces);
        self.filter.pieces(&mut pieces);
        if finished.is_ok() {
            self.filter.finish(&mut pieces);
        }
        out.append(&mut pieces);
        finished
    }

    /// How much is held of an event that is not whole, in bytes, once a piece was taken;
    /// none where nobody knows: a translation has no more than the last piece left where
    /// it released something.
    pub(super) fn unfinished(&self, has_released: bool) -> Option<usize> {
        match &self.passage {
            Passage::PassThrough(observer) => Some(observer.unfinished()),
            Passage::Translate(_) => has_released.then_some(0),
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        match &self.passage {
            Passage::PassThrough(observer) => observer.usage(),
            Passage::Translate(translation) => translation.usage,
        }
    }
}

impl Passage {
    fn push(&mut self, piece: &Bytes, out: &mut Vec<Bytes>) -> Result<Observation, ProviderError> {
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

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<Observation, ProviderError> {
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
