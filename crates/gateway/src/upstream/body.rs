//! The body of a provider's answer, with its limits in time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::Incoming;
use providers::error::ErrorKind;
use tokio::time::{Instant, Sleep};

use super::error::UpstreamError;
use super::http1::Http1;
use super::http2::Http2;
use super::pool::{Pool, PoolKey};
use crate::limit::room::{Room, Taken};

/// Dropping it before its end closes the HTTP/1.1 connection, or resets the
/// HTTP/2 stream: the provider is told to stop.
pub(crate) struct UpstreamBody {
    source: Source,
    idle: Duration,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    has_ended: bool,
}

pub(super) enum Source {
    Http1(Box<Http1Source>),
    Http2 { incoming: Incoming, _user: Http2 },
    InProcess(Body),
}

pub(super) struct Http1Source {
    pub(super) incoming: Incoming,
    pub(super) connection: Option<Box<Http1>>,
    pub(super) pool: Arc<Pool>,
    pub(super) key: Arc<PoolKey>,
}

impl UpstreamBody {
    pub(super) const fn new(source: Source, idle: Duration, deadline: Instant) -> Self {
        Self {
            source,
            idle,
            deadline,
            timer: None,
            is_waiting: false,
            has_ended: false,
        }
    }

    /// The next piece; none at the end. Fails when nothing comes for the idle
    /// limit, or the call as a whole takes too long.
    pub(crate) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        match self.source.poll_piece(context) {
            Poll::Ready(piece) => {
                self.is_waiting = false;
                self.has_ended = !matches!(piece, Some(Ok(_)));
                Poll::Ready(piece)
            }
            Poll::Pending => {
                let error = ready!(self.poll_timer(context));
                self.has_ended = true;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// The next piece, as [`UpstreamBody::poll_piece`].
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        std::future::poll_fn(|context| self.poll_piece(context)).await
    }

    /// The whole body.
    ///
    /// # Errors
    /// When it is cut off, too slow, or larger than `limit` bytes.
    pub(crate) async fn collect(&mut self, limit: usize) -> Result<Bytes, UpstreamError> {
        let (whole, is_whole) = self.collect_up_to(limit).await?;
        if is_whole {
            return Ok(whole);
        }
        Err(too_large(limit))
    }

    /// The whole body, as [`UpstreamBody::collect`], within the room of all answers.
    ///
    /// # Errors
    /// The same, and when there is no room for it.
    pub(crate) async fn collect_in(
        &mut self,
        room: &Room,
        taken: &mut Taken,
        limit: usize,
    ) -> Result<Bytes, UpstreamError> {
        let (whole, is_whole) = self
            .collect_while(limit, |bytes| room.extend(taken, bytes))
            .await?;
        is_whole.then_some(whole).ok_or_else(|| too_large(limit))
    }

    /// The body or its first `limit` bytes, and whether it is whole.
    pub(crate) async fn collect_up_to(
        &mut self,
        limit: usize,
    ) -> Result<(Bytes, bool), UpstreamError> {
        self.collect_while(limit, |_| true).await
    }

    /// The same, as long as there is room for so many bytes.
    async fn collect_while(
        &mut self,
        limit: usize,
        mut has_room: impl FnMut(usize) -> bool,
    ) -> Result<(Bytes, bool), UpstreamError> {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(piece) = self.piece().await {
            let mut piece = piece?;
            let room = limit - first.len() - rest.len();
            let is_too_large = piece.len() > room;
            piece.truncate(room);
            if !has_room(first.len() + rest.len() + piece.len()) {
                return Err(UpstreamError::NoRoom);
            }
            if first.is_empty() {
                first = piece;
            } else {
                if rest.is_empty() {
                    rest.reserve(first.len() + piece.len());
                    rest.extend_from_slice(&first);
                    first.clear();
                }
                rest.extend_from_slice(&piece);
            }
            if is_too_large {
                return Ok((joined(first, rest), false));
            }
        }
        Ok((joined(first, rest), true))
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<UpstreamError> {
        if !self.is_waiting {
            self.is_waiting = true;
            let until = self.deadline.min(Instant::now() + self.idle);
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(until),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(until))),
            }
        }
        let Some(timer) = &mut self.timer else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(context));
        let message = if Instant::now() >= self.deadline {
            "the call took longer than a call may".to_owned()
        } else {
            format!("the provider sent nothing for {:?}", self.idle)
        };
        Poll::Ready(UpstreamError::failed(ErrorKind::Timeout, message))
    }
}

fn too_large(limit: usize) -> UpstreamError {
    UpstreamError::failed(
        ErrorKind::Malformed,
        format!("the provider's answer is larger than {limit} bytes"),
    )
}

/// A body of one piece is not copied.
fn joined(first: Bytes, rest: BytesMut) -> Bytes {
    if rest.is_empty() {
        first
    } else {
        rest.freeze()
    }
}

impl Source {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        loop {
            let frame = match self {
                Self::Http1(source) => ready!(source.poll_frame(context)),
                Self::Http2 { incoming, .. } => ready!(Pin::new(incoming).poll_frame(context))
                    .map(|frame| frame.map_err(|error| UpstreamError::from_hyper(&error))),
                Self::InProcess(body) => ready!(Pin::new(body).poll_frame(context)).map(|frame| {
                    frame.map_err(|error| {
                        UpstreamError::failed(ErrorKind::Connection, error.to_string())
                    })
                }),
            };
            match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(Ok(data))) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                // Trailers and empty pieces say nothing.
                Some(Ok(_)) => {}
            }
        }
    }
}

impl Http1Source {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, UpstreamError>>> {
        let mut polled = Pin::new(&mut self.incoming).poll_frame(context);
        if polled.is_pending()
            && let Some(connection) = &mut self.connection
        {
            connection.drive(context);
            polled = Pin::new(&mut self.incoming).poll_frame(context);
        }
        let frame = ready!(polled);
        if frame.is_none() || self.incoming.is_end_stream() {
            self.release();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| UpstreamError::from_hyper(&error))))
    }

    /// Gives the connection back to the pool if it can be used again.
    fn release(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if connection.is_reusable() {
            self.pool.keep(Arc::clone(&self.key), connection);
        }
    }
}
