//! A provider's own host, as far as the program can tell: TLS for its name, by an authority
//! that the program is told to trust, in front of the stand-in.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use testkit::simulator::serve::RunningSimulator;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// `host` on port 443, and what it received.
pub(crate) struct CatalogHost {
    host: &'static str,
    port: u16,
    pub(crate) simulator: RunningSimulator,
    directory: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

impl CatalogHost {
    pub(crate) async fn start(host: &'static str) -> Self {
        let (root, configuration) = certificates(host);
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("root.pem"), root).unwrap();
        let simulator = RunningSimulator::remembering(50).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        let behind = simulator.address();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let mut outer = acceptor.accept(stream).await.unwrap();
                    let mut inner = TcpStream::connect(behind).await.unwrap();
                    // Either side may close first, and neither is a fault of the test.
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        Self {
            host,
            port,
            simulator,
            directory,
            _tasks: tasks,
        }
    }

    /// The section of a configuration file that leads the program here.
    pub(crate) fn egress(&self) -> String {
        format!(
            "[egress]\nextra_root_certificates = {:?}\n[egress.connect_to]\n\"{}:443\" = \"127.0.0.1:{}\"\n",
            self.root_certificate(),
            self.host,
            self.port
        )
    }

    fn root_certificate(&self) -> PathBuf {
        self.directory.path().join("root.pem")
    }

    /// The `Authorization` of the last request.
    pub(crate) fn last_authorization(&self) -> String {
        let requests = self.simulator.ledger().requests();
        let request = requests.last().unwrap();
        let value = request.headers.get("authorization").unwrap();
        value.to_str().unwrap().to_owned()
    }
}

fn certificates(name: &str) -> (String, ServerConfig) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (root_certificate.pem(), server)
}
