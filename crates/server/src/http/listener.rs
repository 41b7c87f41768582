//! Accepting connections and serving a router on them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::middleware::from_fn;
use gateway::ingress::write_deadline::WriteDeadline;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::host;
use super::socket::Socket;

/// What a client is told when there are too many of it.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\n\
    content-length: 43\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\r\n\
    {\"detail\": \"too many connections; try again\"}";

/// A client that takes nothing for this long, while we have something for it, is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How many at once, on each port.
    pub connections: usize,
    /// How long a request's header may take.
    pub header_read: Duration,
    /// The largest request header, in bytes.
    pub header_bytes: usize,
    /// How long calls may go on after the end was asked for.
    pub shutdown: Duration,
}

/// Takes a port.
///
/// # Errors
/// When it cannot be had.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: is another server running there?"))
}

/// Makes connections out of sockets. One for all listeners of the process.
#[derive(Clone)]
pub struct Listener {
    limits: ConnectionLimits,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    open: Gauge,
}

impl Listener {
    /// `shutdown` ends accepting; connections run on `tasks` and are counted in `open`.
    #[must_use]
    pub fn new(
        limits: ConnectionLimits,
        shutdown: CancellationToken,
        tasks: TaskTracker,
        open: Gauge,
    ) -> Self {
        Self {
            limits,
            shutdown,
            tasks,
            open,
        }
    }

    /// Serves `router` on a port until shutdown, then lets requests under way finish,
    /// for as long as the limit says.
    pub async fn serve(self, listener: TcpListener, router: Router) {
        let builder = Arc::new(self.builder());
        let router = router.layer(from_fn(host::checked));
        // Each port has its own, so that a crowd on one does not shut out the others.
        let permits = self.limits.connections.min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(permits));
        let graceful = GracefulShutdown::new();
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        wait_out(&error).await;
                        continue;
                    }
                },
                () = self.shutdown.cancelled() => break,
            };
            let Ok(permit) = permits.clone().try_acquire_owned() else {
                self.tasks.spawn(refuse(stream));
                continue;
            };
            self.tasks.spawn(serve_connection(
                Arc::clone(&builder),
                graceful.watcher(),
                stream,
                router.clone(),
                self.limits.header_read,
                Counted::new(permit, self.open.clone()),
            ));
        }
        drop(listener);
        let under_way = graceful.count();
        if tokio::time::timeout(self.limits.shutdown, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = under_way,
                "connections were cut off at shutdown"
            );
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let limits = &self.limits;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read)
            // Hyper answers 431 to a header that does not fit its buffer.
            .max_buf_size(limits.header_bytes.max(8192))
            .max_headers(100);
        let header_list = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            .max_header_list_size(header_list)
            .max_pending_accept_reset_streams(32)
            .max_local_error_reset_streams(256)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_send_buf_size(1 << 20)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        builder
    }
}

/// A connection among those that may be open.
struct Counted {
    _permit: OwnedSemaphorePermit,
    open: Gauge,
}

impl Counted {
    fn new(permit: OwnedSemaphorePermit, open: Gauge) -> Self {
        open.inc();
        Self {
            _permit: permit,
            open,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.dec();
    }
}

async fn serve_connection(
    builder: Arc<Builder<TokioExecutor>>,
    watcher: hyper_util::server::graceful::Watcher,
    stream: TcpStream,
    router: Router,
    patience: Duration,
    counted: Counted,
) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Without this a small piece of a stream waits 40 ms for the client's acknowledgement.
    let Ok(()) = stream.set_nodelay(true) else {
        return;
    };
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let socket = WriteDeadline::new(Socket::new(stream, patience), WRITE_PATIENCE);
    let connection = builder
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service))
        .into_owned();
    if let Err(error) = watcher.watch(connection).await {
        // The client's doing, as a rule: it went away or spoke nonsense.
        tracing::debug!(%error, "a connection ended early");
    }
    drop(counted);
}

async fn refuse(mut stream: TcpStream) {
    let written = tokio::time::timeout(Duration::from_secs(1), stream.write_all(BUSY)).await;
    if let Ok(Ok(())) = written {
        let _ = stream.shutdown().await;
    }
}

/// Some failures are the connection's own, and the next one is fine; others (no file
/// descriptors left) last, and trying again at once would only burn time.
async fn wait_out(error: &io::Error) {
    let is_of_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !is_of_connection {
        tracing::warn!(%error, "cannot accept connections");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
