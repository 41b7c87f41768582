//! Credentials that are exchanged for access tokens, with a cloud on loopback: its token
//! server and its models, both over TLS under their real names.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use domain::clock::Clock;
use gateway::upstream::egress::EgressSettings;
use gateway::upstream::resolver::Resolver;
use http::{HeaderMap, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::gateway_under_test::{GatewayUnderTest, PROVIDER_KEY, Workshop, openai, organization};
use crate::tls::certificates;

const HOSTS: [&str; 2] = ["iam.cloud.ibm.com", "us-south.ml.cloud.ibm.com"];

/// A clock that a test turns forward.
struct TurnedClock(AtomicI64);

impl Clock for TurnedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).expect("a time")
    }
}

/// What the token server does.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Give,
    Refuse,
    Fail,
    Redirect,
    Hold,
}

/// What the cloud knows and has seen.
struct Books {
    mode: Mode,
    pause: Duration,
    /// Forms that asked for a token.
    asked: Vec<String>,
    valid: BTreeSet<String>,
    /// Whether the models take any token at all.
    takes_tokens: bool,
    /// Tokens that calls came with.
    used: Vec<String>,
}

#[derive(Clone)]
struct Cloud(Arc<Mutex<Books>>);

impl Cloud {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().expect("a lock")
    }

    fn exchanges(&self) -> usize {
        self.books().asked.len()
    }
}

async fn token(State(cloud): State<Cloud>, form: String) -> Response {
    let (mode, pause) = {
        let mut books = cloud.books();
        books.asked.push(form);
        (books.mode, books.pause)
    };
    tokio::time::sleep(pause).await;
    match mode {
        Mode::Give => {
            let mut books = cloud.books();
            let token = format!("canary-access-token-{}", books.asked.len());
            books.valid.insert(token.clone());
            Json(json!({"access_token": token, "expires_in": 3600})).into_response()
        }
        Mode::Refuse => {
            let message = format!("Provided API key could not be found: {PROVIDER_KEY}");
            let body = json!({"errorCode": "BXNIM0415E", "errorMessage": message});
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
        Mode::Fail => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mode::Redirect => {
            let location = [("location", "https://evil.example/token")];
            (StatusCode::FOUND, location).into_response()
        }
        Mode::Hold => std::future::pending().await,
    }
}

async fn chat(State(cloud): State<Cloud>, headers: HeaderMap) -> Response {
    let given = headers["authorization"].to_str().expect("a text");
    let token = given.strip_prefix("Bearer ").expect("a token").to_owned();
    let mut books = cloud.books();
    books.used.push(token.clone());
    if !books.takes_tokens || !books.valid.contains(&token) {
        let body = json!({"error": {"message": format!("bad token {token}")}});
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    let message = json!({"role": "assistant", "content": "Fine."});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    Json(
        json!({"id": "1", "object": "chat.completion", "created": 1, "model": "granite",
        "choices": [choice]}),
    )
    .into_response()
}

/// The cloud, the time and a gateway with the configurations `granite` (no retries) and
/// `others` (another organisation's).
struct Scene {
    cloud: Cloud,
    clock: Arc<TurnedClock>,
    gateway: GatewayUnderTest,
    _server: JoinSet<()>,
}

impl Scene {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Workshop)) -> Self {
        let cloud = Cloud(Arc::new(Mutex::new(Books {
            mode: Mode::Give,
            pause: Duration::ZERO,
            asked: Vec::new(),
            valid: BTreeSet::new(),
            takes_tokens: true,
            used: Vec::new(),
        })));
        let (root, configuration) = certificates(&HOSTS);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let router = Router::new()
            .route("/identity/token", post(token))
            .route("/ml/v1/text/chat", post(chat))
            .with_state(cloud.clone());
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, acceptor, router));
        let clock = Arc::new(TurnedClock(AtomicI64::new(1_700_000_000)));
        let parameters = json!({"project_id": "p"});
        let mut workshop = Workshop::new()
            .add("granite", "ibm", "ibm/granite", parameters.clone(), |row| {
                row.configuration.settings.max_retries = Some(0);
            })
            .add("others", "ibm", "ibm/granite", parameters, |row| {
                row.configuration.organization_id = Some(organization(2));
            });
        workshop.clock = clock.clone();
        workshop.limits.connect = Duration::from_secs(5);
        workshop.egress = EgressSettings {
            allow_private_networks: false,
            connect_to: HOSTS
                .map(|host| (format!("{host}:443"), address.clone()))
                .into(),
            extra_root_certificates: Some(root),
        };
        change(&mut workshop);
        Self {
            cloud,
            clock,
            gateway: workshop.start().await,
            _server: server,
        }
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    async fn call(&self) -> (StatusCode, String) {
        let answer = self.gateway.chat(&openai("granite")).await;
        (answer.status, answer.text())
    }

    async fn succeeds(&self) {
        let (status, text) = self.call().await;
        assert_eq!(status, StatusCode::OK, "{text}");
    }

    async fn fails(&self, expected: StatusCode, code: &str) -> String {
        let (status, text) = self.call().await;
        assert_eq!(status, expected, "{text}");
        assert!(text.contains(code), "{text}");
        assert!(!text.contains("canary"), "{text}");
        text
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let server = Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[tokio::test]
async fn fifty_calls_at_once_ask_for_one_token() {
    let scene = Scene::start().await;
    scene.cloud.books().pause = Duration::from_millis(100);
    let question = openai("granite");
    let calls = (0..50).map(|_| scene.gateway.chat(&question));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    let asked = scene.cloud.books().asked.clone();
    let form = format!(
        "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey={PROVIDER_KEY}"
    );
    assert_eq!(asked, [form]);
    assert_eq!(scene.cloud.books().used.len(), 50);
}

#[tokio::test]
async fn a_credential_of_another_organization_gets_a_token_of_its_own() {
    let scene = Scene::start().await;
    scene.succeeds().await;
    let other = scene.gateway.client(2);
    let answer = other.post("/v1/chat/completions", &openai("others")).await;
    assert_eq!(answer.expect("an answer").status, StatusCode::OK);
    assert_eq!(scene.cloud.exchanges(), 2);
    let used = scene.cloud.books().used.clone();
    assert_eq!(used, ["canary-access-token-1", "canary-access-token-2"]);
}

#[tokio::test]
async fn a_token_is_replaced_before_it_expires_and_used_on_where_that_fails() {
    let scene = Scene::start().await;
    scene.succeeds().await;
    scene.pass(3600 - 301);
    scene.succeeds().await;
    assert_eq!(scene.cloud.exchanges(), 1);
    scene.pass(1);
    scene.succeeds().await;
    assert_eq!(scene.cloud.exchanges(), 2, "five minutes before it expires");
    scene.pass(3600 - 300);
    for mode in [Mode::Fail, Mode::Refuse] {
        scene.cloud.books().mode = mode;
        scene.succeeds().await;
    }
    assert_eq!(scene.cloud.exchanges(), 4);
    scene.succeeds().await;
    assert_eq!(scene.cloud.exchanges(), 4, "a refusal is remembered");
    scene.pass(290);
    scene
        .fails(StatusCode::BAD_GATEWAY, "provider_authentication")
        .await;
    assert_eq!(
        scene.cloud.books().used.len(),
        6,
        "an old token is not used"
    );
}

#[tokio::test]
async fn a_refused_credential_is_its_configurations_fault_and_asked_once() {
    let scene = Scene::start().await;
    scene.cloud.books().mode = Mode::Refuse;
    scene.cloud.books().pause = Duration::from_millis(100);
    let question = openai("granite");
    let calls = (0..20).map(|_| scene.gateway.chat(&question));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!(answer.json()["error"]["code"], "provider_authentication");
        let text = answer.text();
        assert!(text.contains("could not be found: [redacted]"), "{text}");
    }
    assert_eq!(scene.cloud.exchanges(), 1);
    assert!(scene.cloud.books().used.is_empty());
}

#[tokio::test]
async fn a_token_server_that_fails_is_the_other_sides_fault() {
    let scene = Scene::start().await;
    scene.cloud.books().mode = Mode::Fail;
    let text = scene
        .fails(StatusCode::SERVICE_UNAVAILABLE, "provider_overloaded")
        .await;
    assert!(text.contains("for an access token"), "{text}");
    scene.cloud.books().mode = Mode::Redirect;
    scene
        .fails(StatusCode::BAD_GATEWAY, "provider_malformed_answer")
        .await;
    scene.cloud.books().mode = Mode::Give;
    scene.succeeds().await;
}

#[tokio::test]
async fn a_token_server_that_is_slow_holds_a_call_up_for_so_long_only() {
    let limit = Duration::from_millis(200);
    let scene = Scene::start_with(|workshop| workshop.limits.token = limit).await;
    scene.cloud.books().mode = Mode::Hold;
    let began = std::time::Instant::now();
    scene
        .fails(StatusCode::GATEWAY_TIMEOUT, "provider_timeout")
        .await;
    assert!(began.elapsed() >= limit);
    scene.cloud.books().mode = Mode::Give;
    scene.succeeds().await;
}

#[tokio::test]
async fn a_call_waits_no_longer_for_a_token_than_it_may_last() {
    let limit = Duration::from_millis(200);
    let scene = Scene::start_with(|workshop| workshop.limits.call = limit).await;
    scene.cloud.books().mode = Mode::Hold;
    scene
        .fails(StatusCode::GATEWAY_TIMEOUT, "provider_timeout")
        .await;
    assert_eq!(scene.cloud.exchanges(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_nobody_elses_wait() {
    let scene = Scene::start().await;
    scene.cloud.books().pause = Duration::from_millis(300);
    let question = openai("granite");
    let first = scene.gateway.chat(&question);
    let gone = tokio::time::timeout(Duration::from_millis(100), first).await;
    assert!(gone.is_err());
    assert_eq!(scene.cloud.exchanges(), 1);
    // Nobody waits for the first request any more, so that it has gone too.
    let (first, second) = (scene.gateway.chat(&question), scene.gateway.chat(&question));
    let first = tokio::time::timeout(Duration::from_millis(100), first);
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err());
    assert_eq!(second.status, StatusCode::OK, "{}", second.text());
    assert_eq!(scene.cloud.exchanges(), 2);
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_replaced_unseen() {
    let scene = Scene::start().await;
    scene.succeeds().await;
    scene.cloud.books().valid.clear();
    let answer = scene.gateway.chat(&openai("granite")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.headers["x-quartermaster-attempts"], "2");
    assert_eq!(scene.cloud.exchanges(), 2);
}

#[tokio::test]
async fn a_new_token_that_is_not_taken_is_not_replaced_again() {
    let scene = Scene::start().await;
    scene.succeeds().await;
    scene.cloud.books().takes_tokens = false;
    let text = scene
        .fails(StatusCode::BAD_GATEWAY, "provider_authentication")
        .await;
    assert!(text.contains("bad token [redacted]"), "{text}");
    assert_eq!(scene.cloud.exchanges(), 2);
    assert_eq!(scene.cloud.books().used.len(), 3);
}

/// Every name leads to this machine.
struct Loopback;

#[async_trait]
impl Resolver for Loopback {
    async fn resolve(&self, _host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        Ok(vec![(Ipv4Addr::LOCALHOST, port).into()])
    }
}

#[tokio::test]
async fn a_token_server_passes_the_egress_guard() {
    let scene = Scene::start_with(|workshop| {
        workshop.egress.connect_to.remove("iam.cloud.ibm.com:443");
        workshop.resolver = Arc::new(Loopback);
    })
    .await;
    let (status, text) = scene.call().await;
    assert!(!status.is_success(), "{text}");
    assert!(text.contains("for an access token"), "{text}");
    assert_eq!(scene.cloud.exchanges(), 0);
}

#[tokio::test]
async fn a_key_of_the_operator_s_that_was_changed_gets_a_token_of_its_own() {
    let scene = Scene::start_with(|workshop| {
        workshop.rows[0].key = None;
        workshop.rows[0].configuration.api_key_alias = None;
        let lent = ("ibm".to_owned(), PROVIDER_KEY.to_owned());
        workshop.platform_keys.extend([lent]);
    })
    .await;
    scene.succeeds().await;
    scene.succeeds().await;
    assert_eq!(scene.cloud.exchanges(), 1);
    scene
        .gateway
        .vault
        .lend("ibm", "canary-key-of-the-operator-2");
    scene.succeeds().await;
    scene.succeeds().await;
    let asked = scene.cloud.books().asked.clone();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].ends_with("apikey=canary-key-of-the-operator-2"));
    let used = scene.cloud.books().used.clone();
    assert_eq!(
        used[2..],
        ["canary-access-token-2", "canary-access-token-2"]
    );
}
