//! The wire formats, one folder each with the same five files: `types`, `request`,
//! `response`, `stream`, `error`. Each file holds both directions: as a dialect
//! (clients speak it to us) and as a protocol (we speak it to a provider).

pub(crate) mod anthropic_messages;
pub(crate) mod bedrock_converse;
pub(crate) mod bedrock_invoke;
pub(crate) mod cohere_chat;
pub mod count_tokens;
pub(crate) mod gemini_generate;
pub(crate) mod ollama_chat;
pub(crate) mod openai_chat;
pub(crate) mod openai_responses;
mod part_writer;
mod unsaid;
mod whole;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;

use crate::catalog::Protocol;
use crate::chat::WireFormat;
use crate::chat::call::ChatCall;
use crate::chat::event::ChatEvent;
use crate::chat::reply::ChatReply;
use crate::error::{self, InvalidCall, Loss, ProviderError};
use crate::framing::event_stream;
use crate::streaming::Streaming;
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
/// The answer is decoded by what [`Target::for_call`] gives for the call.
///
/// # Errors
/// When the call cannot be said to this provider at all.
pub fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    let target = target.for_call(call);
    if is_whole_for_its_tools(call, target) {
        let mut whole = target.clone();
        whole.streaming = Streaming::NEVER;
        return encode_for(call, &whole);
    }
    encode_for(call, target)
}

fn encode_for(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    let mut encoded = match target.protocol {
        Protocol::OpenaiChat => openai_chat::encode::encode(call, target),
        Protocol::OpenaiResponses => openai_responses::encode::encode(call, target),
        Protocol::AnthropicMessages => anthropic_messages::encode::encode(call, target),
        Protocol::OllamaChat => ollama_chat::encode::encode(call, target),
        Protocol::CohereChat => cohere_chat::encode::encode(call, target),
        Protocol::BedrockConverse => bedrock_converse::encode::encode(call, target),
        Protocol::BedrockInvoke => bedrock_invoke::encode::encode(call, target),
        Protocol::GeminiGenerate => gemini_generate::encode::encode(call, target),
    }?;
    unsaid::note(call, target.protocol, &mut encoded.losses);
    Ok(encoded)
}

/// Whether the configuration asks for a whole answer because of the call's tools.
fn is_whole_for_its_tools(call: &ChatCall, target: &Target) -> bool {
    target.streaming.is_whole_with_tools() && !call.tools.is_empty()
}

/// Whether the answer to a call is fetched piece by piece, once it is encoded: some
/// models do not stream everything, and some configurations do not want it.
#[must_use]
pub fn streams(call: &ChatCall, target: &Target) -> bool {
    match target.protocol {
        Protocol::BedrockConverse => bedrock_converse::encode::streams(call, target),
        Protocol::OllamaChat => true,
        _ if is_whole_for_its_tools(call, target) => false,
        _ => target.wants_stream(call.stream),
    }
}

/// The media type of a target's streams.
#[must_use]
pub const fn stream_media_type(target: &Target) -> &'static str {
    match target.protocol {
        Protocol::OpenaiChat
        | Protocol::OpenaiResponses
        | Protocol::AnthropicMessages
        | Protocol::CohereChat => "text/event-stream",
        Protocol::OllamaChat => "application/x-ndjson",
        Protocol::GeminiGenerate => {
            gemini_generate::stream::media_type(target.provider.gemini_generate.form)
        }
        Protocol::BedrockConverse | Protocol::BedrockInvoke => event_stream::MEDIA_TYPE,
    }
}

/// Provider answer → canonical reply. `now` is what a `Retry-After` date is read
/// against, and when the answer was made where the provider does not say.
///
/// # Errors
/// When the status is not 2xx, or the body is not the format.
pub fn decode(
    target: &Target,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<ChatReply, ProviderError> {
    if !(200..300).contains(&status) {
        return Err(decode_error(target, status, headers, body, now));
    }
    let mut reply = match target.protocol {
        Protocol::OpenaiChat => openai_chat::response::decode(body),
        Protocol::OpenaiResponses => openai_responses::response::decode(body),
        Protocol::OllamaChat => ollama_chat::response::decode(body),
        Protocol::CohereChat => cohere_chat::response::decode(body),
        Protocol::AnthropicMessages | Protocol::BedrockInvoke => {
            anthropic_messages::response::decode(body)
        }
        Protocol::BedrockConverse => bedrock_converse::response::decode(target, body),
        Protocol::GeminiGenerate => gemini_generate::response::decode(body),
    }?;
    reply.created.get_or_insert(now.as_second());
    Ok(reply)
}

/// The failure that an answer with a status other than 2xx reports.
#[must_use]
pub fn decode_error(
    target: &Target,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> ProviderError {
    let mut error = match target.protocol {
        Protocol::OpenaiChat | Protocol::OpenaiResponses => {
            openai_chat::error::decode(status, body)
        }
        Protocol::AnthropicMessages => anthropic_messages::error::decode(status, body),
        Protocol::OllamaChat => ollama_chat::error::decode(status, body),
        Protocol::CohereChat => cohere_chat::error::decode(status, body),
        Protocol::BedrockConverse | Protocol::BedrockInvoke => {
            bedrock_converse::error::decode(status, headers, body)
        }
        Protocol::GeminiGenerate => gemini_generate::error::decode(status, body),
    };
    error.retry_after = error::retry_after(headers, now).or(error.retry_after);
    error
}

/// Provider stream → canonical events.
pub struct Decoder {
    format: StreamDecoder,
    now: Timestamp,
}

enum StreamDecoder {
    OpenAiChat(openai_chat::stream::StreamDecoder),
    OpenAiResponses(openai_responses::stream::StreamDecoder),
    AnthropicMessages(anthropic_messages::stream::StreamDecoder),
    OllamaChat(ollama_chat::stream::StreamDecoder),
    CohereChat(cohere_chat::stream::StreamDecoder),
    BedrockConverse(bedrock_converse::stream::StreamDecoder),
    BedrockInvoke(bedrock_invoke::stream::StreamDecoder),
    /// An answer that comes whole, for a client that wants it piece by piece.
    Whole(Box<whole::WholeDecoder>),
    GeminiGenerate(gemini_generate::stream::StreamDecoder),
}

impl Decoder {
    /// Begins a stream. `now` is when the answer was made where the provider does not say.
    #[must_use]
    pub fn new(target: &Target, now: Timestamp) -> Self {
        let format = match target.protocol {
            Protocol::OpenaiChat => {
                StreamDecoder::OpenAiChat(openai_chat::stream::StreamDecoder::new())
            }
            Protocol::OpenaiResponses => {
                StreamDecoder::OpenAiResponses(openai_responses::stream::StreamDecoder::new())
            }
            Protocol::AnthropicMessages => {
                StreamDecoder::AnthropicMessages(anthropic_messages::stream::StreamDecoder::new())
            }
            Protocol::OllamaChat => {
                StreamDecoder::OllamaChat(ollama_chat::stream::StreamDecoder::new())
            }
            Protocol::CohereChat => {
                StreamDecoder::CohereChat(cohere_chat::stream::StreamDecoder::new())
            }
            Protocol::BedrockConverse => {
                StreamDecoder::BedrockConverse(bedrock_converse::stream::StreamDecoder::new())
            }
            Protocol::BedrockInvoke => {
                StreamDecoder::BedrockInvoke(bedrock_invoke::stream::StreamDecoder::new())
            }
            Protocol::GeminiGenerate => {
                StreamDecoder::GeminiGenerate(gemini_generate::stream::StreamDecoder::new())
            }
        };
        Self { format, now }
    }

    /// Begins an answer that comes whole although the client wants a stream; see [`streams`].
    #[must_use]
    pub fn whole(target: &Target, now: Timestamp) -> Self {
        Self {
            format: StreamDecoder::Whole(Box::new(whole::WholeDecoder::new(target, now))),
            now,
        }
    }

    /// Takes the next bytes, cut anywhere, and appends the events they complete.
    ///
    /// # Errors
    /// When they are not the format. Nothing may be pushed after that.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        let first_new = events.len();
        let result = match &mut self.format {
            StreamDecoder::OpenAiChat(decoder) => decoder.push(bytes, events),
            StreamDecoder::OpenAiResponses(decoder) => decoder.push(bytes, events),
            StreamDecoder::AnthropicMessages(decoder) => decoder.push(bytes, events),
            StreamDecoder::OllamaChat(decoder) => decoder.push(bytes, events),
            StreamDecoder::CohereChat(decoder) => decoder.push(bytes, events),
            StreamDecoder::BedrockConverse(decoder) => decoder.push(bytes, events),
            StreamDecoder::BedrockInvoke(decoder) => decoder.push(bytes, events),
            StreamDecoder::Whole(decoder) => decoder.push(bytes),
            StreamDecoder::GeminiGenerate(decoder) => decoder.push(bytes, events),
        };
        self.date(&mut events[first_new..]);
        result
    }

    /// Says that the provider closed the stream.
    ///
    /// # Errors
    /// When the answer was not whole.
    pub fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
        let first_new = events.len();
        let result = match &mut self.format {
            StreamDecoder::OpenAiChat(decoder) => decoder.finish(events),
            StreamDecoder::OpenAiResponses(decoder) => decoder.finish(events),
            StreamDecoder::AnthropicMessages(decoder) => decoder.finish(events),
            StreamDecoder::OllamaChat(decoder) => decoder.finish(events),
            StreamDecoder::CohereChat(decoder) => decoder.finish(events),
            StreamDecoder::BedrockConverse(decoder) => decoder.finish(events),
            StreamDecoder::BedrockInvoke(decoder) => decoder.finish(events),
            StreamDecoder::Whole(decoder) => decoder.finish(events),
            StreamDecoder::GeminiGenerate(decoder) => decoder.finish(events),
        };
        self.date(&mut events[first_new..]);
        result
    }

    fn date(&self, events: &mut [ChatEvent]) {
        for event in events {
            if let ChatEvent::Start { created, .. } = event {
                created.get_or_insert(self.now.as_second());
            }
        }
    }
}

/// Adds the betas of a client's own `anthropic-beta` header to a request for a provider
/// that speaks Anthropic's messages; any other has no use for them.
pub fn add_betas(target: &Target, request: &mut HttpRequest, asked: &str) {
    match target.protocol {
        // Betas in a body are the configuration's.
        Protocol::AnthropicMessages if target.provider.anthropic_messages.betas_in_body => {}
        Protocol::AnthropicMessages => anthropic_messages::betas::add_betas(request, asked),
        Protocol::BedrockInvoke => bedrock_invoke::encode::add_betas(request, asked),
        _ => {}
    }
}

/// Client request → canonical call.
///
/// # Errors
/// When it is not the dialect. Members nobody knows are kept in `extra`.
pub fn parse(dialect: WireFormat, body: &[u8]) -> Result<ChatCall, InvalidCall> {
    match dialect {
        WireFormat::OpenAiChat => openai_chat::request::parse(body),
        WireFormat::OpenAiResponses => openai_responses::request::parse(body),
        WireFormat::AnthropicMessages => anthropic_messages::request::parse(body),
    }
}

/// Canonical reply → client answer. `model` stands in where the provider named none:
/// answers keep the provider's own name of the model, as OpenAI-compatible gateways do.
#[must_use]
pub fn render(dialect: WireFormat, reply: &ChatReply, model: &str) -> Bytes {
    match dialect {
        WireFormat::OpenAiChat => openai_chat::response::render(reply, model),
        WireFormat::OpenAiResponses => openai_responses::response::render(reply, model),
        WireFormat::AnthropicMessages => anthropic_messages::response::render(reply, model),
    }
}

/// Canonical events → client stream (server-sent events of the dialect).
pub struct Renderer {
    dialect: StreamRenderer,
}

enum StreamRenderer {
    OpenAiChat(openai_chat::stream_renderer::StreamRenderer),
    OpenAiResponses(Box<openai_responses::stream_renderer::StreamRenderer>),
    AnthropicMessages(anthropic_messages::stream_renderer::StreamRenderer),
}

impl Renderer {
    /// Begins a stream. `model` stands in where the provider names none; `stream_usage`
    /// is what the client said in OpenAI's `stream_options.include_usage`.
    #[must_use]
    pub fn new(dialect: WireFormat, model: &str, stream_usage: Option<bool>) -> Self {
        let dialect = match dialect {
            WireFormat::OpenAiChat => StreamRenderer::OpenAiChat(
                openai_chat::stream_renderer::StreamRenderer::new(model, stream_usage),
            ),
            WireFormat::OpenAiResponses => StreamRenderer::OpenAiResponses(Box::new(
                openai_responses::stream_renderer::StreamRenderer::new(model),
            )),
            WireFormat::AnthropicMessages => StreamRenderer::AnthropicMessages(
                anthropic_messages::stream_renderer::StreamRenderer::new(model),
            ),
        };
        Self { dialect }
    }

    /// Appends the bytes that say `event`; it may be none. An error says nothing here:
    /// its words are scrubbed first, then said by [`render_stream_error`].
    pub fn push(&mut self, event: &ChatEvent, out: &mut Vec<u8>) {
        match &mut self.dialect {
            StreamRenderer::OpenAiChat(renderer) => renderer.push(event, out),
            StreamRenderer::OpenAiResponses(renderer) => renderer.push(event, out),
            StreamRenderer::AnthropicMessages(renderer) => renderer.push(event, out),
        }
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
    match dialect {
        WireFormat::OpenAiChat | WireFormat::OpenAiResponses => openai_chat::error::render(error),
        WireFormat::AnthropicMessages => anthropic_messages::error::render(error),
    }
}

/// The error as the last event of a stream that has begun.
#[must_use]
pub fn render_stream_error(dialect: WireFormat, error: &ClientError<'_>) -> Bytes {
    match dialect {
        WireFormat::OpenAiChat => openai_chat::error::render_event(error),
        WireFormat::OpenAiResponses => openai_responses::error::render_event(error),
        WireFormat::AnthropicMessages => anthropic_messages::error::render_event(error),
    }
}
