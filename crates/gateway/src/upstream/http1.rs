//! An HTTP/1.1 connection that the call which uses it drives itself.
//!
//! hyper's usual way is a task per connection. Driving it from the call saves two
//! wake-ups across tasks for every piece, and makes cancellation exact: dropping
//! the call drops the connection, which closes the socket.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::error::UpstreamError;
use super::transport::Transport;

/// A request that was not answered.
pub(super) enum SendError {
    /// Nothing of it was written, since the connection had been closed.
    NotSent,
    /// It was written, at least in part.
    Failed(UpstreamError),
}

impl SendError {
    pub(super) fn of(error: &TrySendError<Request<Full<Bytes>>>) -> Self {
        if error.message().is_some() {
            return Self::NotSent;
        }
        Self::Failed(UpstreamError::from_hyper(error.error()))
    }
}

pub(super) struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<Transport>, Full<Bytes>>,
    has_ended: bool,
}

impl Http1 {
    pub(super) async fn handshake(transport: Transport) -> Result<Box<Self>, UpstreamError> {
        let (sender, driver) = http1::Builder::new()
            .handshake(TokioIo::new(transport))
            .await
            .map_err(|error| UpstreamError::connect(&error))?;
        Ok(Box::new(Self {
            sender,
            driver,
            has_ended: false,
        }))
    }

    /// Sends a request and waits for the header of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let sent = std::future::poll_fn(|context| {
            if !self.has_ended {
                self.has_ended = Pin::new(&mut self.driver).poll(context).is_ready();
            }
            match answer.as_mut().poll(context) {
                Poll::Pending if self.has_ended => Poll::Ready(None),
                other => other.map(Some),
            }
        })
        .await;
        match sent {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => Err(SendError::of(&error)),
            None => Err(SendError::Failed(UpstreamError::closed())),
        }
    }

    /// Reads and writes what can be read and written now.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        if !self.has_ended {
            self.has_ended = Pin::new(&mut self.driver).poll(context).is_ready();
        }
    }

    /// Whether another request may be sent: the answer was read to its end, and
    /// the provider has not closed the connection in the meantime.
    pub(super) fn is_reusable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.has_ended && self.sender.is_ready()
    }
}
