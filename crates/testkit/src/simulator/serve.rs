//! The stand-in behind a listener, with connections that can be reset.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Simulator;
use super::ledger::Ledger;

/// A stand-in on a port of its own. Dropped, it closes port and connections.
pub struct RunningSimulator {
    simulator: Simulator,
    address: SocketAddr,
    tasks: JoinSet<io::Result<()>>,
}

impl RunningSimulator {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> io::Result<Self> {
        Self::serving(Simulator::new()).await
    }

    /// The same, which remembers the last `requests` requests.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn remembering(requests: usize) -> io::Result<Self> {
        Self::serving(Simulator::remembering(requests)).await
    }

    async fn serving(simulator: Simulator) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(simulator.clone().serve(listener));
        Ok(Self {
            simulator,
            address,
            tasks,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as OpenAI's SDK wants it: `http://127.0.0.1:<port>/v1`.
    #[must_use]
    pub fn openai_base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Its address as Anthropic's SDK wants it: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn anthropic_base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it received.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        self.simulator.ledger()
    }

    /// Closes port and connections.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Simulator {
    /// Answers every connection of `listener` until the future is dropped.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(self.clone().connection(stream));
                    }
                    // Out of file descriptors, most likely: some will come free.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn connection(self, stream: TcpStream) {
        let _open = OpenConnection::new(self.ledger().clone());
        let Ok(()) = stream.set_nodelay(true) else {
            return;
        };
        let socket = Socket {
            stream,
            is_reset: Arc::default(),
        };
        let is_reset = socket.is_reset.clone();
        let service = service_fn(|request: Request<Incoming>| {
            let simulator = self.clone();
            async move { simulator.call(request.map(Body::new)).await }
        });
        let mut server = Builder::new(TokioExecutor::new());
        server.http1().timer(TokioTimer::new());
        server.http2().timer(TokioTimer::new());
        let served = server.serve_connection(TokioIo::new(socket), service);
        tokio::pin!(served);
        // The socket looks at the flag when it is dropped, with the connection inside it.
        if served
            .as_mut()
            .await
            .is_err_and(|error| is_our_reset(error.as_ref()))
        {
            is_reset.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether the error is, or was caused by, a [`super::play::Reset`].
fn is_our_reset(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<super::play::Reset>() {
            return true;
        }
        cause = error.source();
    }
    false
}

struct OpenConnection(Ledger);

impl OpenConnection {
    fn new(ledger: Ledger) -> Self {
        ledger.connection_opened();
        Self(ledger)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// A TCP connection that ends with a reset rather than a close, where told so.
struct Socket {
    stream: TcpStream,
    is_reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_reset.load(Ordering::Relaxed) {
            // A close with a linger of zero makes the kernel send a reset.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
