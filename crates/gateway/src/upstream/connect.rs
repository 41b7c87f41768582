//! Making a connection: guard, TCP, TLS, protocol.

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use super::UpstreamSetupError;
use super::egress::{Destination, Egress, EgressError};
use super::error::UpstreamError;
use super::http1::Http1;
use super::http2::Http2;
use super::transport::Transport;
use providers::error::ErrorKind;

/// A connection over which requests can be sent.
pub(super) enum Connection {
    Http1(Box<Http1>),
    Http2(Http2),
}

pub(super) struct Connector {
    egress: Egress,
    tls: TlsConnector,
    tasks: TaskTracker,
}

impl Connector {
    pub(super) fn new(
        egress: Egress,
        extra_roots: Option<&[u8]>,
        tasks: TaskTracker,
    ) -> Result<Self, UpstreamSetupError> {
        let configuration = tls_configuration(extra_roots)?;
        Ok(Self {
            egress,
            tls: TlsConnector::from(Arc::new(configuration)),
            tasks,
        })
    }

    /// Connects within `limit`, which covers name resolution, TCP and TLS.
    pub(super) async fn connect(
        &self,
        uri: &Uri,
        limit: Duration,
    ) -> Result<Connection, UpstreamError> {
        let deadline = Instant::now() + limit;
        timeout_at(deadline, self.connect_before(uri, deadline))
            .await
            .unwrap_or_else(|_| {
                let message = format!("it did not come about within {limit:?}");
                Err(UpstreamError::failed(ErrorKind::Timeout, message))
            })
            .map_err(|error| error.towards(uri))
    }

    async fn connect_before(
        &self,
        uri: &Uri,
        deadline: Instant,
    ) -> Result<Connection, UpstreamError> {
        let destination = Destination::of(uri).map_err(refused)?;
        let addresses = self.egress.addresses(&destination).await.map_err(refused)?;
        let stream = connect_tcp(&addresses, deadline).await?;
        if !destination.is_tls {
            return Http1::handshake(Transport::Plain(stream))
                .await
                .map(Connection::Http1);
        }
        let name = ServerName::try_from(destination.host)
            .map_err(|error| UpstreamError::connect(&error))?;
        let stream = self
            .tls
            .connect(name, stream)
            .await
            .map_err(|error| UpstreamError::connect(&error))?;
        let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let transport = Transport::Tls(Box::new(stream));
        if speaks_http2 {
            let http2 = Http2::handshake(transport, &self.tasks).await?;
            Ok(Connection::Http2(http2))
        } else {
            Http1::handshake(transport).await.map(Connection::Http1)
        }
    }
}

fn refused(error: EgressError) -> UpstreamError {
    match error {
        EgressError::Refused(message) => UpstreamError::Refused(message),
        EgressError::Unresolved(_) => UpstreamError::connect(&error),
    }
}

/// Tries the addresses in order; each gets an equal share of the time that is left.
async fn connect_tcp(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TcpStream, UpstreamError> {
    let mut failure = UpstreamError::closed();
    for (position, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let shares = u32::try_from(addresses.len() - position).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(now) / shares;
        match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it a small request waits for the acknowledgement of the last.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY cannot be set");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => failure = UpstreamError::connect(&error),
            Err(_) => {
                failure = UpstreamError::failed(ErrorKind::Timeout, "its address does not answer");
            }
        }
    }
    Err(failure)
}

fn tls_configuration(extra_roots: Option<&[u8]>) -> Result<ClientConfig, UpstreamSetupError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(pem) = extra_roots {
        for certificate in CertificateDer::pem_reader_iter(Cursor::new(pem)) {
            let certificate = certificate
                .map_err(|error| UpstreamSetupError::RootCertificates(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| UpstreamSetupError::RootCertificates(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamSetupError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(configuration)
}
