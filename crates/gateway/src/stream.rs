//! A provider's stream on its way to the client.
//!
//! Until the first content has come, or the first block of it is whole, nothing is
//! released, so that a failure can still become a retry, a fallback or an ordinary error.
//! From then on every piece goes on as it comes; a failure ends the stream with an error
//! event of the client's dialect.
//!
//! The client's connection drives all of it: a client that reads slowly slows the
//! provider down, and one that goes away drops [`AnswerStream`] and with it the
//! provider's connection.

mod commit;
mod pipe;
mod unfinished;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use providers::auth::Credential;
use providers::chat::WireFormat;
use providers::error::{ErrorKind, ProviderError};
use providers::pass_through::Observation;
use tokio::time::Sleep;

pub use commit::StreamCommit;
pub(crate) use pipe::Pipe;
pub(crate) use unfinished::Bounds;
use unfinished::Unfinished;

use crate::attempt::{Permit, scrubber};
use crate::error::CallError;
use crate::limit::room::Taken;
use crate::meter::{CallMeter, Outcome};
use crate::upstream::{UpstreamBody, UpstreamError};

/// How long the provider may take to close a stream after its last event. It is
/// only waited for so that its connection can be used again.
const CLOSING_GRACE: Duration = Duration::from_millis(250);

/// A stream whose first content has come and is still held.
pub(crate) struct OpenStream {
    body: UpstreamBody,
    pipe: Pipe,
    held: Vec<Bytes>,
    is_complete: bool,
    permit: Option<Permit>,
    unfinished: Unfinished,
}

impl OpenStream {
    /// Reads up to the first content, or as far as `commit` says, holding little more
    /// than the bounds allow: what has content is released then.
    ///
    /// # Errors
    /// When the stream fails before it has said anything. Nothing was released.
    pub(crate) async fn open(
        mut body: UpstreamBody,
        mut pipe: Pipe,
        commit: StreamCommit,
        bounds: Bounds,
    ) -> Result<Self, Broken> {
        let mut held = Vec::new();
        let (mut received, mut weight) = (0, 0);
        let mut taken = Taken::default();
        loop {
            let observation = match body.piece().await {
                Some(piece) => {
                    let piece = piece?;
                    received += piece.len();
                    weight += (bounds.weigh)(&piece);
                    if !bounds.room.extend(&mut taken, weight) {
                        return Err(UpstreamError::NoRoom.into());
                    }
                    pipe.push(&piece, &mut held)?
                }
                None => {
                    let mut observation = pipe.finish(&mut held)?;
                    observation.is_complete = true;
                    observation
                }
            };
            if let Some(error) = observation.error {
                return Err(error.into());
            }
            let is_enough = commit.is_reached(&observation)
                || observation.is_complete
                || received > bounds.bytes && observation.has_content;
            if is_enough {
                taken.shrink_to(received);
                return Ok(Self {
                    body,
                    pipe,
                    held,
                    is_complete: observation.is_complete,
                    permit: None,
                    unfinished: Unfinished::new(bounds, taken),
                });
            }
            if received > bounds.bytes {
                return Err(too_much_without_content().into());
            }
        }
    }

    /// Tells the circuit that let the attempt through how the stream ends.
    pub(crate) fn holds(&mut self, mut permit: Permit) {
        permit.content_comes();
        self.permit = Some(permit);
    }

    /// The body of the client's answer.
    pub(crate) fn into_body(
        self,
        dialect: WireFormat,
        credential: Option<Arc<Credential>>,
        meter: CallMeter,
    ) -> AnswerStream {
        AnswerStream {
            upstream: Some(self.body),
            pipe: self.pipe,
            ready: self.held.into(),
            scratch: Vec::new(),
            is_complete: self.is_complete,
            closing: None,
            permit: self.permit,
            unfinished: self.unfinished,
            dialect,
            credential,
            meter,
        }
    }
}

/// Why a stream broke off: the way to the provider, or what the provider sent.
pub(crate) enum Broken {
    /// The way.
    Upstream(UpstreamError),
    /// The content.
    Provider(ProviderError),
}

impl From<UpstreamError> for Broken {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<ProviderError> for Broken {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

fn too_much_without_content() -> ProviderError {
    let message = "the provider's stream goes on without any content";
    ProviderError::new(ErrorKind::Malformed, message.to_owned())
}

/// The body of a streamed answer.
pub(crate) struct AnswerStream {
    upstream: Option<UpstreamBody>,
    pipe: Pipe,
    ready: VecDeque<Bytes>,
    scratch: Vec<Bytes>,
    is_complete: bool,
    closing: Option<Pin<Box<Sleep>>>,
    permit: Option<Permit>,
    unfinished: Unfinished,
    dialect: WireFormat,
    credential: Option<Arc<Credential>>,
    meter: CallMeter,
}

impl AnswerStream {
    /// Moves on as far as it can without waiting: until there is something to
    /// release, or the end.
    fn advance(&mut self, context: &mut Context<'_>) {
        // After the last event the end of the body is looked for at once, so that
        // both leave in one write.
        while self.ready.is_empty() || self.is_complete {
            let Some(upstream) = &mut self.upstream else {
                return;
            };
            match upstream.poll_piece(context) {
                Poll::Pending if self.is_complete => {
                    if self.poll_closing(context).is_pending() {
                        return;
                    }
                    self.end(Outcome::Success);
                }
                Poll::Pending => return,
                Poll::Ready(_) if self.is_complete => self.end(Outcome::Success),
                Poll::Ready(Some(Ok(piece))) => {
                    if !self.unfinished.grows(piece.len()) {
                        self.fail(Broken::Upstream(UpstreamError::NoRoom));
                        continue;
                    }
                    let pushed = self.pipe.push(&piece, &mut self.scratch);
                    let has_released = !self.scratch.is_empty();
                    self.unfinished.is_now(self.pipe.unfinished(has_released));
                    self.take(pushed);
                }
                Poll::Ready(Some(Err(error))) => self.fail(Broken::Upstream(error)),
                Poll::Ready(None) => {
                    let finished = self.pipe.finish(&mut self.scratch);
                    let is_whole = self.take(finished);
                    if is_whole {
                        self.end(Outcome::Success);
                    }
                }
            }
        }
    }

    /// Releases what a step made; says whether it went well.
    fn take(&mut self, step: Result<Observation, ProviderError>) -> bool {
        self.ready.extend(self.scratch.drain(..));
        let error = match step {
            Ok(observation) => {
                self.is_complete |= observation.is_complete;
                observation.error
            }
            Err(error) => Some(error),
        };
        let Some(error) = error else { return true };
        self.fail(Broken::Provider(error));
        false
    }

    fn fail(&mut self, broken: Broken) {
        let error = self.judge(broken);
        tracing::warn!(
            request.id = self.meter.request_id(),
            error.kind = error.outcome.as_str(),
            error.message = %error.message,
            "stream failed after it had begun"
        );
        let event = error.as_stream_event(self.dialect, self.meter.request_id());
        self.ready.push_back(event);
        self.end(error.outcome);
    }

    fn judge(&mut self, broken: Broken) -> CallError {
        let error = match broken {
            Broken::Provider(error) => Ok(error),
            Broken::Upstream(UpstreamError::NoRoom) => return CallError::no_room_for_answer(),
            Broken::Upstream(error) => error.into_provider_error(),
        };
        match error {
            Ok(error) => {
                if let Some(permit) = self.permit.take() {
                    permit.fails(&error);
                }
                CallError::provider(&error, &scrubber(self.credential.as_deref()))
            }
            Err(reason) => CallError::egress(reason),
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.upstream = None;
        if let Some(permit) = self.permit.take()
            && outcome == Outcome::Success
        {
            permit.succeeds();
        }
        self.meter
            .attempt_ends(outcome, self.pipe.usage(), Some(200));
        self.meter.call_ends(200, outcome);
    }

    fn poll_closing(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.closing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSING_GRACE)))
            .as_mut()
            .poll(context)
    }
}

impl Body for AnswerStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.advance(context);
        match self.ready.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.upstream.is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.is_none() && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for AnswerStream {
    /// A client that went away before the end has still used tokens.
    fn drop(&mut self) {
        if self.upstream.is_some() {
            self.meter
                .attempt_ends(Outcome::ClientClosed, self.pipe.usage(), Some(200));
        }
    }
}
