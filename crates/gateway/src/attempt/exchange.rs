//! One try: a request goes out, and what comes back is an answer or a failure.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use providers::chat::accumulator::Accumulator;
use providers::chat::event::ChatEvent;
use providers::chat::usage::Usage;
use providers::error::{ErrorKind, ProviderError};
use providers::pass_through;
use providers::protocol::{Decoder, decode, decode_error, render, stream_media_type, streams};
use tokio::time::{Instant, timeout};

use super::Call;
use super::authorize;
use super::prepare::{Passage, Prepared};
use crate::gateway::Gateway;
use crate::limit::room::{Taken, most_values, tree_bytes};
use crate::stream::{Bounds, Broken, OpenStream, Pipe};
use crate::upstream::{Timing, UpstreamBody, UpstreamError, UpstreamResponse};

/// How long the body of an error may take once its status is known.
const ERROR_BODY_LIMIT: Duration = Duration::from_secs(5);

/// The longest `Retry-After` that is passed on.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// A longer one is taken for none.
const ABSURD_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What a provider answered.
pub(crate) struct Received {
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// What it said.
    pub(crate) content: Content,
}

/// An answer in the client's dialect.
pub(crate) enum Content {
    /// Whole.
    Whole {
        /// The client's body.
        body: Bytes,
        /// Tokens, where the provider counted them.
        usage: Option<Usage>,
    },
    /// Begun: its first content is there.
    Stream(Box<OpenStream>),
}

/// How a try failed.
#[derive(Clone)]
pub(crate) enum Failed {
    /// Nothing was sent, for this reason.
    NotSent(String),
    /// The answers of other calls have taken all the room for answers.
    NoRoom,
    /// The provider or the way to it failed.
    Provider(ProviderError),
}

impl Failed {
    /// The provider's HTTP status, where it answered.
    pub(crate) const fn status(&self) -> Option<u16> {
        match self {
            Self::NotSent(_) | Self::NoRoom => None,
            Self::Provider(error) => error.status,
        }
    }
}

impl From<UpstreamError> for Failed {
    fn from(error: UpstreamError) -> Self {
        if error == UpstreamError::NoRoom {
            return Self::NoRoom;
        }
        error
            .into_provider_error()
            .map_or_else(Self::NotSent, Self::Provider)
    }
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Upstream(error) => error.into(),
            Broken::Provider(error) => error.into(),
        }
    }
}

impl From<ProviderError> for Failed {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

/// Puts the credential in, and sends once.
pub(crate) async fn exchange(
    gateway: &Gateway,
    call: &Call,
    prepared: &mut Prepared<'_>,
    deadline: Instant,
) -> Result<Received, Failed> {
    authorize(gateway, prepared, deadline).await?;
    let prepared = &*prepared;
    let timing = Timing {
        connect: gateway.limits.connect,
        idle: prepared.idle,
        deadline,
    };
    let mut response = gateway
        .upstream
        .send(&prepared.request, &prepared.pool_key, timing)
        .await?;
    if !response.status.is_success() {
        return Err(failure(gateway, prepared, &mut response).await);
    }
    refuse_compressed(&response.headers)?;
    let UpstreamResponse { headers, body, .. } = response;
    let provider_streams = provider_streams(call, prepared)?;
    let content = match (call.wants_stream, provider_streams) {
        (true, false) => spread(gateway, call, prepared, body).await?,
        (true, true) => stream(gateway, call, prepared, &headers, body).await?,
        (false, false) => whole(gateway, call, prepared, &headers, body).await?,
        (false, true) => gathered(gateway, call, prepared, body).await?,
    };
    Ok(Received { headers, content })
}

/// Whether the provider was asked for a stream.
fn provider_streams(call: &Call, prepared: &Prepared<'_>) -> Result<bool, Failed> {
    if prepared.passage == Passage::PassThrough {
        // Nothing is passed on that the provider answers otherwise than the client asked.
        return Ok(call.wants_stream);
    }
    // The request was made of the canonical call, so that there is one.
    let canonical = call
        .canonical()
        .map_err(|error| Failed::NotSent(error.message))?;
    Ok(streams(canonical, prepared.target))
}

/// What a provider says went wrong.
pub(super) async fn failure(
    gateway: &Gateway,
    prepared: &Prepared<'_>,
    response: &mut UpstreamResponse,
) -> Failed {
    let status = response.status.as_u16();
    let limit = gateway.limits.error_body_bytes;
    // A body that breaks off or does not come says less; the status is known all the same.
    let read = timeout(ERROR_BODY_LIMIT, response.body.collect_up_to(limit)).await;
    let body = match read {
        Ok(Ok((body, _))) => body,
        Ok(Err(_)) | Err(_) => Bytes::new(),
    };
    let now = gateway.clock.now();
    let mut error = decode_error(prepared.target, status, &response.headers, &body, now);
    error.retry_after = error.retry_after.and_then(sane_wait);
    Failed::Provider(error)
}

/// How long to wait on a provider's word. Beyond an hour nobody's call waits, and who
/// says more than a day has its clock or its units wrong.
fn sane_wait(wait: Duration) -> Option<Duration> {
    (wait <= ABSURD_WAIT).then(|| wait.min(LONGEST_WAIT))
}

async fn whole(
    gateway: &Gateway,
    call: &Call,
    prepared: &Prepared<'_>,
    headers: &HeaderMap,
    mut body: UpstreamBody,
) -> Result<Content, Failed> {
    let room = &gateway.answer_room;
    let mut taken = Taken::default();
    let limit = gateway.limits.answer_bytes;
    let received = body.collect_in(room, &mut taken, limit).await?;
    if prepared.passage == Passage::PassThrough {
        let usage = pass_through::usage(call.dialect, &received)?;
        return Ok(Content::Whole {
            body: taken.kept_by(prepared.filter().whole(received)),
            usage,
        });
    }
    if !room.extend(&mut taken, parsed_bytes(&received)) {
        return Err(Failed::NoRoom);
    }
    let now = gateway.clock.now();
    let reply = decode(prepared.target, 200, headers, &received, now)?;
    let body = render(call.dialect, &reply, call.asked_for());
    Ok(Content::Whole {
        body: taken.kept_by(prepared.filter().whole(body)),
        usage: reply.usage,
    })
}

async fn stream(
    gateway: &Gateway,
    call: &Call,
    prepared: &Prepared<'_>,
    headers: &HeaderMap,
    body: UpstreamBody,
) -> Result<Content, Failed> {
    if !is_media_type(headers, stream_media_type(prepared.target)) {
        let message = "the provider was asked for a stream and answered with something else";
        return Err(malformed(message).into());
    }
    let pipe = match (prepared.passage, call.envelope()) {
        (Passage::PassThrough, Some(envelope)) => Pipe::pass_through(envelope, prepared.filter()),
        _ => Pipe::translate(
            call,
            prepared.target,
            prepared.filter(),
            gateway.clock.now(),
        ),
    };
    let bounds = Bounds {
        bytes: gateway.limits.stream_event_bytes,
        room: gateway.answer_room.clone(),
        weigh: <[u8]>::len,
    };
    let stream = OpenStream::open(body, pipe, call.stream_commit, bounds).await?;
    Ok(Content::Stream(Box::new(stream)))
}

/// About what a whole answer takes, its parsed form included.
fn parsed_bytes(text: &[u8]) -> usize {
    text.len() + tree_bytes(most_values(text))
}

/// A whole answer, for a client that wants a stream.
async fn spread(
    gateway: &Gateway,
    call: &Call,
    prepared: &Prepared<'_>,
    body: UpstreamBody,
) -> Result<Content, Failed> {
    let pipe = Pipe::spread(
        call,
        prepared.target,
        prepared.filter(),
        gateway.clock.now(),
    );
    let bounds = Bounds {
        bytes: gateway.limits.answer_bytes,
        room: gateway.answer_room.clone(),
        weigh: parsed_bytes,
    };
    let stream = OpenStream::open(body, pipe, call.stream_commit, bounds).await?;
    Ok(Content::Stream(Box::new(stream)))
}

/// A stream that the configuration asks for, for a client that wants none.
async fn gathered(
    gateway: &Gateway,
    call: &Call,
    prepared: &Prepared<'_>,
    mut body: UpstreamBody,
) -> Result<Content, Failed> {
    let mut decoder = Decoder::new(prepared.target, gateway.clock.now());
    let mut accumulator = Accumulator::new();
    let mut events = Vec::new();
    let mut received = 0;
    let mut taken = Taken::default();
    while let Some(piece) = body.piece().await {
        let piece = piece?;
        received += piece.len();
        if received > gateway.limits.answer_bytes {
            return Err(malformed("the provider's answer is too large").into());
        }
        if !gateway.answer_room.extend(&mut taken, received) {
            return Err(Failed::NoRoom);
        }
        decoder.push(&piece, &mut events)?;
        gather(&mut accumulator, &mut events)?;
    }
    decoder.finish(&mut events)?;
    gather(&mut accumulator, &mut events)?;
    let reply = accumulator.finish()?;
    let body = render(call.dialect, &reply, call.asked_for());
    Ok(Content::Whole {
        body: taken.kept_by(prepared.filter().whole(body)),
        usage: reply.usage,
    })
}

fn gather(accumulator: &mut Accumulator, events: &mut Vec<ChatEvent>) -> Result<(), ProviderError> {
    events
        .drain(..)
        .try_for_each(|event| accumulator.push(event))
}

fn is_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(media_type))
}

/// Nothing is decompressed, so that no small answer can become a huge one. Every
/// request asks for an answer that is not compressed.
pub(super) fn refuse_compressed(headers: &HeaderMap) -> Result<(), Failed> {
    let is_plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_plain {
        return Ok(());
    }
    Err(malformed("the provider compressed its answer although it was asked not to").into())
}

fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.to_owned())
}
