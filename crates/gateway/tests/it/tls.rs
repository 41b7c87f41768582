//! Providers over TLS: certificates, names, and the protocol that ALPN chooses.

use std::sync::Arc;
use std::time::Duration;

use gateway::upstream::egress::EgressSettings;
use http::{Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use testkit::simulator::Simulator;
use testkit::simulator::ledger::Ending;
use testkit::simulator::serve::RunningSimulator;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::gateway_under_test::{Workshop, openai, streamed};

/// A simulator behind TLS for `api.openai.com`, and the certificate of who signed it.
pub(crate) struct TlsUpstream {
    port: u16,
    root: Vec<u8>,
    simulator: Simulator,
    versions: Arc<std::sync::Mutex<Vec<Version>>>,
    _tasks: JoinSet<()>,
}

/// The certificate of a new authority, and a server that it vouches for.
pub(crate) fn certificates(names: &[&str]) -> (Vec<u8>, ServerConfig) {
    let root_key = KeyPair::generate().expect("a key");
    let mut root = CertificateParams::new(Vec::new()).expect("parameters");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).expect("a root");
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let leaf = CertificateParams::new(names).expect("parameters");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a configuration");
    (root_certificate.pem().into_bytes(), server)
}

impl TlsUpstream {
    pub(crate) async fn start(name: &str, protocols: &[&str]) -> Self {
        let (root, mut configuration) = certificates(&[name]);
        configuration.alpn_protocols = protocols
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect();
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let simulator = Simulator::new();
        let versions = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(
            listener,
            acceptor,
            simulator.clone(),
            Arc::clone(&versions),
        ));
        Self {
            port,
            root,
            simulator,
            versions,
            _tasks: tasks,
        }
    }

    /// A gateway for which `api.openai.com` is this server.
    pub(crate) fn workshop(&self) -> Workshop {
        let mut workshop = Workshop::new()
            .add(
                "tls",
                "openai",
                "simulated-chat",
                serde_json::json!({}),
                |_| {},
            )
            .add(
                "slow",
                "openai",
                "simulated-chat:words=500:pace=0.05",
                serde_json::json!({}),
                |_| {},
            );
        workshop.egress = self.egress();
        workshop.limits.connect = Duration::from_secs(5);
        workshop
    }

    fn egress(&self) -> EgressSettings {
        let address = format!("127.0.0.1:{}", self.port);
        EgressSettings {
            allow_private_networks: false,
            connect_to: [("api.openai.com:443".to_owned(), address)].into(),
            extra_root_certificates: Some(self.root.clone()),
        }
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    simulator: Simulator,
    versions: Arc<std::sync::Mutex<Vec<Version>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (acceptor, simulator, versions) =
            (acceptor.clone(), simulator.clone(), versions.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request: Request<Incoming>| {
                versions.lock().expect("a lock").push(request.version());
                let host = request.uri().host().map(str::to_owned);
                let header = request
                    .headers()
                    .get("host")
                    .map(|host| host.as_bytes().to_vec());
                let is_named = host.as_deref() == Some("api.openai.com")
                    || header.as_deref() == Some(b"api.openai.com");
                assert!(is_named, "{host:?} {header:?}");
                let simulator = simulator.clone();
                async move {
                    let request = request.map(axum::body::Body::new);
                    simulator.call(request).await
                }
            });
            let server = Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[tokio::test]
async fn a_call_goes_over_either_protocol_under_the_original_name() {
    for (protocols, version) in [
        (&["http/1.1"][..], Version::HTTP_11),
        (&["h2", "http/1.1"], Version::HTTP_2),
        (&[], Version::HTTP_11),
    ] {
        let upstream = TlsUpstream::start("api.openai.com", protocols).await;
        let gateway = upstream.workshop().start().await;
        for _ in 0..2 {
            let answer = gateway.chat(&openai("tls")).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            let mut stream = gateway.chat_stream(&streamed(openai("tls"))).await;
            let text = stream.rest().await.expect("a stream");
            assert!(text.ends_with(b"data: [DONE]\n\n"));
        }
        let versions = upstream.versions.lock().expect("a lock").clone();
        assert_eq!(versions, [version; 4], "{protocols:?}");
    }
}

#[tokio::test]
async fn a_cancelled_call_is_reset_on_a_shared_connection() {
    let upstream = TlsUpstream::start("api.openai.com", &["h2"]).await;
    let gateway = upstream.workshop().start().await;
    let client = gateway.client(1);
    let question = streamed(openai("slow"));
    let mut stream = client
        .stream("/v1/chat/completions", &question)
        .await
        .expect("an answer");
    stream.next().await.expect("a piece");
    drop((stream, client));
    let cancelled = upstream
        .simulator
        .ledger()
        .wait_until(Duration::from_secs(1), |requests| {
            requests
                .iter()
                .all(|request| request.ending == Ending::Cancelled)
        });
    assert!(cancelled.await);
    assert_eq!(gateway.chat(&openai("tls")).await.status, StatusCode::OK);
    // Sweeper and one connection; at shutdown the connection ends as well.
    gateway.shutdown.cancel();
    gateway.tasks.close();
    let ended = tokio::time::timeout(Duration::from_secs(1), gateway.tasks.wait()).await;
    assert!(ended.is_ok(), "{} tasks left", gateway.tasks.len());
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_for_the_name() {
    let stranger = TlsUpstream::start("api.openai.com", &["http/1.1"]).await;
    let mut untrusting = stranger.workshop();
    untrusting.egress.extra_root_certificates = None;
    let elsewhere = TlsUpstream::start("api.openai.com.evil.example", &["http/1.1"]).await;
    for workshop in [untrusting, elsewhere.workshop()] {
        let answer = workshop.start().await.chat(&openai("tls")).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "provider_connect");
        assert!(answer.text().contains("certificate"), "{}", answer.text());
    }
    let simulators = [&stranger.simulator, &elsewhere.simulator];
    assert!(
        simulators
            .iter()
            .all(|simulator| simulator.ledger().count() == 0)
    );
}

#[tokio::test]
async fn https_does_not_fall_back_to_plain_text() {
    let plain = RunningSimulator::start().await.expect("a simulator");
    let mut workshop = Workshop::new().add("tls", "openai", "m", serde_json::json!({}), |_| {});
    let address = plain.address().to_string();
    workshop
        .egress
        .connect_to
        .insert("api.openai.com:443".to_owned(), address);
    let answer = workshop.start().await.chat(&openai("tls")).await;
    assert_eq!(answer.json()["error"]["code"], "provider_connect");
    assert_eq!(plain.ledger().count(), 0);
}
