//! Bounds on what one call may take: time and bytes.

pub(crate) mod bodies;

use std::time::Duration;

/// Bounds of every call. The defaults are those of the product.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest request body (`limits.data_plane_body_bytes`), in bytes.
    pub request_body_bytes: usize,
    /// The request bodies of all calls together (`limits.data_plane_bodies_bytes`), in
    /// bytes.
    pub request_bodies_bytes: usize,
    /// How long a client may pause while it sends its body.
    pub request_body_idle: Duration,
    /// The slowest a client may send its body, in bytes per second, once
    /// [`Limits::request_body_grace`] has passed.
    pub request_body_bytes_per_second: u64,
    /// How long a client may be slower than that.
    pub request_body_grace: Duration,
    /// How long the vault may take to open a key that is not open yet.
    pub secret: Duration,
    /// How long a request for an access token may take, from name resolution to its end.
    pub token: Duration,
    /// Name resolution, TCP and TLS together.
    pub connect: Duration,
    /// The wait for a response header and between two pieces, where the
    /// configuration says no `timeout_seconds`.
    pub idle: Duration,
    /// The whole call, retries and fallbacks included (`limits.call_seconds`).
    pub call: Duration,
    /// The largest whole answer of a provider, in bytes.
    pub answer_bytes: usize,
    /// How much of a provider's error body is read, in bytes.
    pub error_body_bytes: usize,
    /// How much of a stream is held back until its first content, and the largest
    /// single event, in bytes.
    pub stream_event_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MEBIBYTE: usize = 1024 * 1024;
        Self {
            request_body_bytes: 64 * MEBIBYTE,
            request_bodies_bytes: 1024 * MEBIBYTE,
            request_body_idle: Duration::from_secs(15),
            request_body_bytes_per_second: 1024,
            request_body_grace: Duration::from_secs(15),
            secret: Duration::from_secs(2),
            token: Duration::from_secs(15),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            call: Duration::from_secs(3600),
            answer_bytes: 64 * MEBIBYTE,
            error_body_bytes: 256 * 1024,
            stream_event_bytes: 16 * MEBIBYTE,
        }
    }
}
