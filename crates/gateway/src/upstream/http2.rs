//! An HTTP/2 connection, shared by several calls and driven by a task of its own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::task::TaskTracker;

use super::error::UpstreamError;
use super::http1::SendError;
use super::transport::Transport;

/// How many calls share one connection. Providers allow about a hundred; fewer
/// keep one lost packet from holding up many answers.
const CALLS_PER_CONNECTION: usize = 32;

#[derive(Clone)]
pub(super) struct Http2 {
    sender: SendRequest<Full<Bytes>>,
    /// Counts the calls: the pool holds one reference, every call another.
    users: Arc<()>,
}

impl Http2 {
    pub(super) async fn handshake(
        transport: Transport,
        tasks: &TaskTracker,
    ) -> Result<Self, UpstreamError> {
        let (sender, connection) = http2::Builder::new(OnTracker(tasks.clone()))
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .handshake(TokioIo::new(transport))
            .await
            .map_err(|error| UpstreamError::connect(&error))?;
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream HTTP/2 connection ended");
            }
        });
        Ok(Self {
            sender,
            users: Arc::new(()),
        })
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        let sent = self.sender.try_send_request(request).await;
        sent.map_err(|error| SendError::of(&error))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn has_room(&self) -> bool {
        !self.is_closed() && Arc::strong_count(&self.users) <= CALLS_PER_CONNECTION
    }

    pub(super) fn is_unused(&self) -> bool {
        Arc::strong_count(&self.users) == 1
    }
}

/// Runs hyper's HTTP/2 tasks where shutdown waits for them.
#[derive(Clone)]
struct OnTracker(TaskTracker);

impl<F> hyper::rt::Executor<F> for OnTracker
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
