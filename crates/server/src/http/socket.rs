//! A client's connection with a limit that hyper does not have: on the first bytes, by
//! which HTTP/1 and HTTP/2 are told apart.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) struct Socket {
    stream: TcpStream,
    /// While it cannot be told which protocol is spoken: how long that may last, and
    /// how much of the preface was there. Afterwards hyper's own limit holds.
    beginning: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream,
            beginning: Some((Box::pin(sleep(patience)), 0)),
        }
    }

    /// Learns from what was read whether the protocol is known by now.
    fn learn(&mut self, bytes: &[u8]) {
        let Some((_, matched)) = &mut self.beginning else {
            return;
        };
        let rest = &PREFACE[*matched..];
        let count = rest.len().min(bytes.len());
        *matched += count;
        if bytes[..count] != rest[..count] || *matched == PREFACE.len() {
            self.beginning = None;
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some((limit, _)) = &mut self.beginning {
            let is_late =
                limit.as_mut().poll(context).is_ready() || limit.deadline() <= Instant::now();
            if is_late {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if read.is_ready() {
                let bytes = buffer.filled().get(before..).unwrap_or_default();
                self.learn(bytes);
            }
        }
        read
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

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
