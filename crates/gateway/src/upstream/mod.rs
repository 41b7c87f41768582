//! The one owner of outbound sockets.
//!
//! No redirect is followed, no proxy variable is read, nothing is decompressed.
//! Every destination passes the egress guard when a connection is made.

mod body;
mod connect;
pub mod egress;
mod error;
mod http1;
mod http2;
pub mod in_process;
mod pool;
pub mod resolver;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use providers::error::ErrorKind;
use providers::target::HttpRequest;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

pub(crate) use body::UpstreamBody;
pub use error::UpstreamError;
pub(crate) use pool::{Partition, PoolKey};

use body::{Http1Source, Source};
use connect::{Connection, Connector};
use egress::{Egress, EgressSettings};
use http1::SendError;
use in_process::{InProcessOrigins, InProcessService};
use pool::Pool;
use resolver::Resolver;

/// Why outbound calls cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// `egress.extra_root_certificates` holds something else.
    #[error("egress.extra_root_certificates: {0}")]
    RootCertificates(String),
    /// The TLS library refuses its settings.
    #[error("TLS: {0}")]
    Tls(String),
}

/// How long one request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Name resolution, TCP and TLS.
    pub(crate) connect: Duration,
    /// The response header, and every gap after it.
    pub(crate) idle: Duration,
    /// When the call as a whole must be over.
    pub(crate) deadline: Instant,
}

/// The header of a provider's answer, and its body to come.
pub(crate) struct UpstreamResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: UpstreamBody,
}

/// Sends requests.
pub(crate) struct Upstream {
    connector: Connector,
    pool: Arc<Pool>,
    in_process: InProcessOrigins,
}

impl Upstream {
    pub(crate) fn new(
        settings: &EgressSettings,
        resolver: Arc<dyn Resolver>,
        in_process: InProcessOrigins,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Self, UpstreamSetupError> {
        let egress = Egress::new(settings, resolver);
        let extra_roots = settings.extra_root_certificates.as_deref();
        let connector = Connector::new(egress, extra_roots, tasks.clone())?;
        let pool = Arc::new(Pool::default());
        tasks.spawn(pool::sweep_until(Arc::clone(&pool), shutdown));
        Ok(Self {
            connector,
            pool,
            in_process,
        })
    }

    /// Sends one request and waits for the header of its answer.
    pub(crate) async fn send(
        &self,
        request: &HttpRequest,
        key: &Arc<PoolKey>,
        timing: Timing,
    ) -> Result<UpstreamResponse, UpstreamError> {
        if let Some(service) = self.in_process.get(key.origin.as_str()) {
            return send_in_process(service.clone(), request, timing).await;
        }
        loop {
            let pooled = self.pool.take(key);
            let is_fresh = pooled.is_none();
            let connection = match pooled {
                Some(connection) => connection,
                None => self.connect(&request.uri, key, timing).await?,
            };
            match self.exchange(connection, request, key, timing).await {
                Ok(response) => return Ok(response),
                // The provider closed an idle connection just now: nothing was
                // sent, so another connection is no further attempt.
                Err(SendError::NotSent) if !is_fresh => {}
                Err(SendError::NotSent) => return Err(UpstreamError::closed()),
                Err(SendError::Failed(error)) => return Err(error),
            }
        }
    }

    async fn connect(
        &self,
        uri: &Uri,
        key: &Arc<PoolKey>,
        timing: Timing,
    ) -> Result<Connection, UpstreamError> {
        let left = timing.deadline.saturating_duration_since(Instant::now());
        let limit = timing.connect.min(left);
        let connection = self.connector.connect(uri, limit).await?;
        if let Connection::Http2(http2) = &connection {
            self.pool.share(key, http2);
        }
        Ok(connection)
    }

    async fn exchange(
        &self,
        connection: Connection,
        request: &HttpRequest,
        key: &Arc<PoolKey>,
        timing: Timing,
    ) -> Result<UpstreamResponse, SendError> {
        let header_deadline = timing.deadline.min(Instant::now() + timing.idle);
        let (response, source) = match connection {
            Connection::Http1(mut http1) => {
                let answer = timeout_at(header_deadline, http1.send(for_http1(request)?)).await;
                let (parts, incoming) = answer.unwrap_or_else(|_| Err(late(timing)))?.into_parts();
                let source = Source::Http1(Box::new(Http1Source {
                    incoming,
                    connection: Some(http1),
                    pool: Arc::clone(&self.pool),
                    key: Arc::clone(key),
                }));
                (parts, source)
            }
            Connection::Http2(mut http2) => {
                let answer = timeout_at(header_deadline, http2.send(for_http2(request))).await;
                let (parts, incoming) = answer.unwrap_or_else(|_| Err(late(timing)))?.into_parts();
                let source = Source::Http2 {
                    incoming,
                    _user: http2,
                };
                (parts, source)
            }
        };
        Ok(UpstreamResponse {
            status: response.status,
            headers: response.headers,
            body: UpstreamBody::new(source, timing.idle, timing.deadline),
        })
    }
}

fn late(timing: Timing) -> SendError {
    SendError::Failed(UpstreamError::failed(
        ErrorKind::Timeout,
        format!(
            "the provider did not begin to answer within {:?}",
            timing.idle
        ),
    ))
}

/// HTTP/1.1 says the host in a header.
fn for_http1(request: &HttpRequest) -> Result<Request<Full<Bytes>>, SendError> {
    let host = request
        .uri
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
        .ok_or_else(|| {
            let message = "the address has no host".to_owned();
            SendError::Failed(UpstreamError::Refused(message))
        })?;
    let path = request.uri.path_and_query().cloned();
    let uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    let mut sent = sendable(request, uri);
    sent.headers_mut().insert(HOST, host);
    Ok(sent)
}

/// HTTP/2 says the host in the address.
fn for_http2(request: &HttpRequest) -> Request<Full<Bytes>> {
    sendable(request, request.uri.clone())
}

fn sendable(request: &HttpRequest, uri: Uri) -> Request<Full<Bytes>> {
    let mut sent = Request::new(Full::new(request.body.clone()));
    *sent.method_mut() = request.method.clone();
    *sent.uri_mut() = uri;
    let headers = sent.headers_mut();
    headers.clone_from(&request.headers);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if !headers.contains_key(USER_AGENT) {
        let agent = concat!("quartermaster/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    }
    sent
}

async fn send_in_process(
    service: InProcessService,
    request: &HttpRequest,
    timing: Timing,
) -> Result<UpstreamResponse, UpstreamError> {
    let mut sent = Request::new(Body::from(request.body.clone()));
    *sent.method_mut() = request.method.clone();
    *sent.uri_mut() = request.uri.clone();
    sent.headers_mut().clone_from(&request.headers);
    let header_deadline = timing.deadline.min(Instant::now() + timing.idle);
    let answer: Response<Body> = match timeout_at(header_deadline, service.oneshot(sent)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            return Err(UpstreamError::failed(
                ErrorKind::Connection,
                error.to_string(),
            ));
        }
        Err(_) => {
            let message = "the built-in provider did not begin to answer in time";
            return Err(UpstreamError::failed(ErrorKind::Timeout, message));
        }
    };
    let (parts, body) = answer.into_parts();
    Ok(UpstreamResponse {
        status: parts.status,
        headers: parts.headers,
        body: UpstreamBody::new(Source::InProcess(body), timing.idle, timing.deadline),
    })
}
