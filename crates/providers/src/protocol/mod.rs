//! The wire formats, one folder each with the same five files: `types`, `request`,
//! `response`, `stream`, `error`. Each file holds both directions: as a dialect
//! (clients speak it to us) and as a protocol (we speak it to a provider).

pub(crate) mod openai_chat;

use bytes::Bytes;
use http::HeaderMap;

use crate::catalog::Protocol;
use crate::chat::WireFormat;
use crate::chat::call::ChatCall;
use crate::chat::event::ChatEvent;
use crate::chat::reply::ChatReply;
use crate::error::{InvalidCall, Loss, ProviderError};
use crate::target::{HttpRequest, Target};

/// A provider request and what it could not say.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// What to send.
    pub request: HttpRequest,
    /// What was left out.
    pub losses: Vec<Loss>,
}

/// Canonical call → provider request: the one LangChain sends for the same configuration.
///
/// # Errors
/// When the call cannot be said to this provider at all.
pub fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    match target.protocol {
        Protocol::OpenaiChat => openai_chat::encode::encode(call, target),
        Protocol::AnthropicMessages => unimplemented!(),
    }
}

/// Provider answer → canonical reply.
///
/// # Errors
/// When the status is not 2xx, or the body is not the format.
pub fn decode(
    target: &Target,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<ChatReply, ProviderError> {
    let _ = (target, status, headers, body);
    unimplemented!()
}

/// Provider stream → canonical events.
pub struct Decoder {
    format: WireFormat,
}

impl Decoder {
    /// Begins a stream.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        let _ = target;
        unimplemented!()
    }

    /// Takes the next bytes, cut anywhere, and appends the events they complete.
    ///
    /// # Errors
    /// When they are not the format. Nothing may be pushed after that.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        let _ = (self.format, bytes, events);
        unimplemented!()
    }

    /// Says that the provider closed the stream.
    ///
    /// # Errors
    /// When the answer was not whole.
    pub fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        let _ = events;
        unimplemented!()
    }
}

/// Client request → canonical call.
///
/// # Errors
/// When it is not the dialect. Members nobody knows are kept in `extra`.
pub fn parse(dialect: WireFormat, body: &[u8]) -> Result<ChatCall, InvalidCall> {
    match dialect {
        WireFormat::OpenAiChat => openai_chat::request::parse(body),
        WireFormat::AnthropicMessages => unimplemented!(),
    }
}

/// Canonical reply → client answer. `model` is what the client asked for.
#[must_use]
pub fn render(dialect: WireFormat, reply: &ChatReply, model: &str) -> Bytes {
    let _ = (dialect, reply, model);
    unimplemented!()
}

/// Canonical events → client stream (server-sent events of the dialect).
pub struct Renderer {
    dialect: WireFormat,
}

impl Renderer {
    /// Begins a stream. `include_usage` is OpenAI's `stream_options.include_usage`.
    #[must_use]
    pub fn new(dialect: WireFormat, model: &str, stream_usage: Option<bool>) -> Self {
        let _ = (model, stream_usage);
        Self { dialect }
    }

    /// Appends the bytes that say `event`; it may be none.
    pub fn push(&mut self, event: &ChatEvent, out: &mut Vec<u8>) {
        let _ = (self.dialect, event, out);
        unimplemented!()
    }
}

/// An error as the dialect's clients expect it.
#[derive(Clone, Debug)]
pub struct ClientError<'a> {
    /// The HTTP status it goes with.
    pub status: u16,
    /// Our stable code, e.g. `model_configuration_not_found`.
    pub code: &'a str,
    /// What is wrong and what to do; already scrubbed.
    pub message: &'a str,
    /// The member that is wrong.
    pub parameter: Option<&'a str>,
    /// The request's id, which Anthropic's envelope carries.
    pub request_id: &'a str,
}

/// The error's body in the dialect's envelope.
#[must_use]
pub fn render_error(dialect: WireFormat, error: &ClientError<'_>) -> Bytes {
    let _ = (dialect, error);
    unimplemented!()
}

/// The error as the last event of a stream that has begun.
#[must_use]
pub fn render_stream_error(dialect: WireFormat, error: &ClientError<'_>) -> Bytes {
    let _ = (dialect, error);
    unimplemented!()
}
