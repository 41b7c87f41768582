//! A gateway with everything it needs, behind a listener of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::extract::ConnectInfo;
use domain::agent_role::AgentRole;
use domain::api_key::{ApiKey, ApiKeyToken, Caller, Scope};
use domain::budget::{Budget, BudgetOwner};
use domain::clock::{Clock, Entropy};
use domain::id::{Alias, ApiKeyId, ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::price::PriceTable;
use domain::provider_credential::{
    AuthType, CredentialStatus, DisplayMetadata, ProviderCredential,
};
use domain::rate_limits::RateLimits;
use domain::secret::Secret;
use gateway::ingress::write_deadline::WriteDeadline;
use gateway::limit::Limits;
use gateway::limit::budgets::Spending;
use gateway::meter::{AttemptRecord, UsageSink};
use gateway::metrics::Metrics;
use gateway::secrets::{KeyReference, SecretError, SecretSource};
use gateway::snapshot::{InstallationRows, Snapshot};
use gateway::trace::TraceSink;
use gateway::upstream::egress::EgressSettings;
use gateway::upstream::in_process::{InProcessOrigins, InProcessService};
use gateway::upstream::resolver::{Resolver, SystemResolver};
use gateway::{CircuitBreakers, Dependencies, Gateway, Settings, StreamCommit};
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use providers::auth::Credential;
use providers::catalog;
use serde_json::{Value, json};
use testkit::client::{Answer, Client, Stream};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use uuid::Uuid;

/// The key of a configuration that says nothing else.
pub(crate) const PROVIDER_KEY: &str = "canary-provider-key-0123456789";

/// The time stands still.
pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000).expect("a time")
    }
}

/// All zeros, so that backoff is no wait at all.
pub(crate) struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub(crate) struct Records(Mutex<Vec<AttemptRecord>>);

impl Records {
    pub(crate) fn all(&self) -> Vec<AttemptRecord> {
        self.0.lock().expect("a lock").clone()
    }
}

impl UsageSink for Records {
    fn record(&self, record: AttemptRecord) {
        self.0.lock().expect("a lock").push(record);
    }
}

/// Opened credentials by what they are bound to.
#[derive(Default)]
pub(crate) struct Vault {
    credentials: RwLock<HashMap<KeyReference, Arc<Credential>>>,
    pub(crate) is_down: bool,
}

#[async_trait]
impl SecretSource for Vault {
    fn cached(&self, key: &KeyReference) -> Option<Arc<Credential>> {
        if self.is_down {
            return None;
        }
        let credentials = self.credentials.read().expect("a lock");
        credentials.get(key).cloned()
    }

    async fn open(&self, _key: &KeyReference) -> Result<Arc<Credential>, SecretError> {
        if self.is_down {
            return Err(SecretError::Unavailable("it is down".to_owned()));
        }
        Err(SecretError::Refused("it is bound elsewhere".to_owned()))
    }
}

/// A row of the tests: its key, if it has one of its own, comes beside it.
pub(crate) struct Row {
    pub(crate) configuration: ModelConfiguration,
    pub(crate) key: Option<String>,
}

/// What a gateway under test is made of.
pub(crate) struct Workshop {
    pub(crate) limits: Limits,
    pub(crate) egress: EgressSettings,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) in_process: InProcessOrigins,
    pub(crate) rows: Vec<Row>,
    pub(crate) vault_is_down: bool,
    pub(crate) write_limit: Duration,
    pub(crate) circuit_breakers: CircuitBreakers,
    pub(crate) stream_commit: StreamCommit,
    /// For a key or, without one, for the organisation.
    pub(crate) rate_limits: Vec<(OrganizationId, Option<ApiKeyId>, RateLimits)>,
    pub(crate) budgets: Vec<(OrganizationId, BudgetOwner, Budget)>,
    pub(crate) prices: PriceTable,
    pub(crate) traces: Option<Arc<dyn TraceSink>>,
    pub(crate) platform_keys: BTreeMap<String, String>,
    pub(crate) roles: Vec<(Option<OrganizationId>, AgentRole, ModelConfigurationId)>,
    pub(crate) credentials: Vec<ProviderCredential>,
    /// Keys of organisations' slots: alias, slot, key.
    pub(crate) slot_keys: Vec<(OrganizationId, Alias, &'static str, String)>,
}

pub(crate) fn organization(number: u128) -> OrganizationId {
    OrganizationId(Uuid::from_u128(0xa000 + number))
}

/// The key of an organisation's own client.
pub(crate) fn api_key(number: u128) -> String {
    format!("client-key-of-organization-{number:08}")
}

/// Who calls with that key.
pub(crate) fn caller(number: u128) -> Caller {
    Caller {
        api_key_id: ApiKeyId(Uuid::from_u128(0xb000 + number)),
        organization_id: organization(number),
        scopes: BTreeSet::from([Scope::Manage]),
    }
}

impl Workshop {
    /// Private networks allowed, short limits.
    pub(crate) fn new() -> Self {
        Self {
            limits: Limits {
                connect: Duration::from_millis(500),
                idle: Duration::from_secs(10),
                call: Duration::from_secs(20),
                ..Limits::default()
            },
            egress: EgressSettings {
                allow_private_networks: true,
                ..EgressSettings::default()
            },
            resolver: Arc::new(SystemResolver),
            clock: Arc::new(StoppedClock),
            in_process: InProcessOrigins::default(),
            rows: Vec::new(),
            vault_is_down: false,
            write_limit: Duration::from_secs(30),
            circuit_breakers: CircuitBreakers::On,
            stream_commit: StreamCommit::FirstByte,
            rate_limits: Vec::new(),
            budgets: Vec::new(),
            prices: PriceTable::default(),
            traces: None,
            platform_keys: BTreeMap::new(),
            roles: Vec::new(),
            credentials: Vec::new(),
            slot_keys: Vec::new(),
        }
    }

    /// A configuration of organisation 1 for `provider` at `base_url`, with a key of its own.
    pub(crate) fn row(self, name: &str, provider: &str, model: &str, base_url: &str) -> Self {
        let parameters = json!({"base_url": base_url});
        self.add(name, provider, model, parameters, |_| {})
    }

    /// The same with other parameters and other fields.
    pub(crate) fn add(
        mut self,
        name: &str,
        provider: &str,
        model: &str,
        parameters: Value,
        change: impl FnOnce(&mut Row),
    ) -> Self {
        let number = self.rows.len() as u128;
        let Value::Object(parameters) = parameters else {
            unreachable!("parameters are an object");
        };
        let settings = ModelSettings {
            name: name.to_owned(),
            description: None,
            provider: provider.to_owned(),
            model: model.to_owned(),
            temperature: None,
            max_tokens: None,
            timeout_seconds: None,
            max_retries: None,
            additional_params: Some(parameters),
            agent_harness_version_string: None,
            is_computer_use_model: false,
            is_archived: false,
        };
        let mut row = Row {
            configuration: ModelConfiguration {
                id: ModelConfigurationId(Uuid::from_u128(0xc000 + number)),
                organization_id: Some(organization(1)),
                revision: 7,
                settings,
                api_key_alias: Some(Alias::from_random(number.to_be_bytes())),
                created_at: Timestamp::UNIX_EPOCH,
                updated_at: Timestamp::UNIX_EPOCH,
            },
            key: Some(PROVIDER_KEY.to_owned()),
        };
        change(&mut row);
        if row.key.is_none() {
            row.configuration.api_key_alias = None;
        }
        self.rows.push(row);
        self
    }

    /// Gives an organisation a key for everything that a slot covers.
    pub(crate) fn slot(
        mut self,
        organization_id: OrganizationId,
        slot: &'static str,
        status: CredentialStatus,
        key: &str,
    ) -> Self {
        let number = 0x5107 + self.credentials.len() as u128;
        let alias = Alias::from_random(number.to_be_bytes());
        self.credentials.push(ProviderCredential {
            organization_id,
            slot: slot.to_owned(),
            revision: 1,
            status,
            auth_type: Some(AuthType::ApiKey),
            alias: (status != CredentialStatus::Missing).then(|| alias.clone()),
            display_metadata: DisplayMetadata::default(),
            last_error: None,
            activated_at: None,
            last_validated_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        });
        let key = (organization_id, alias, slot, key.to_owned());
        self.slot_keys.push(key);
        self
    }

    /// Assigns the row of that name to a role, for its owner.
    pub(crate) fn role(mut self, role: AgentRole, name: &str) -> Self {
        let mut rows = self.rows.iter().map(|row| &row.configuration);
        let row = rows.find(|row| row.settings.name == name).expect("a row");
        let assignment = (row.organization_id, role, row.id);
        self.roles.push(assignment);
        self
    }

    /// Every call tries every target, however often it has failed.
    pub(crate) fn without_circuit_breakers(mut self) -> Self {
        self.circuit_breakers = CircuitBreakers::Off;
        self
    }

    pub(crate) fn in_process(mut self, origin: &str, service: InProcessService) -> Self {
        self.in_process = self.in_process.with(origin, service);
        self
    }

    pub(crate) async fn start(self) -> GatewayUnderTest {
        let records = Arc::new(Records::default());
        let tasks = TaskTracker::new();
        let shutdown = CancellationToken::new();
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let snapshot = self.snapshot();
        let vault = Arc::new(self.vault());
        let settings = Settings {
            limits: self.limits,
            egress: self.egress,
            circuit_breakers: self.circuit_breakers,
            stream_commit: self.stream_commit,
        };
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let spending = Arc::<Spending>::default();
        let dependencies = Dependencies {
            snapshot: Arc::clone(&snapshot),
            secrets: Arc::clone(&vault) as Arc<dyn SecretSource>,
            traces: self.traces.clone(),
            usage: Arc::clone(&records) as Arc<dyn UsageSink>,
            prices: Arc::new(ArcSwap::from_pointee(self.prices)),
            spending: Arc::clone(&spending),
            clock: self.clock,
            entropy: Arc::new(NoEntropy),
            resolver: self.resolver,
            in_process: self.in_process,
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
            metrics,
        };
        let gateway = Gateway::new(settings, dependencies).expect("a gateway");
        let (router, _) = gateway::router(Arc::clone(&gateway));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut server = JoinSet::new();
        server.spawn(serve(listener, router, self.write_limit));
        GatewayUnderTest {
            gateway,
            vault,
            snapshot,
            records,
            tasks,
            shutdown,
            spending,
            registry,
            address: address.to_string(),
            rows: self.rows,
            _server: server,
        }
    }

    fn snapshot(&self) -> Snapshot {
        let scopes = BTreeSet::from(Scope::WITHIN_ORGANIZATION);
        let mut keys: Vec<_> = (1..=2).map(|number| key(number, scopes.clone())).collect();
        keys.push(key(3, BTreeSet::from([Scope::Manage])));
        let rows = self.rows.iter().map(|row| Ok(row.configuration.clone()));
        let platform = self.platform_keys.keys().cloned().collect();
        let rows = InstallationRows {
            api_keys: keys,
            configurations: rows.collect(),
            roles: self.roles.clone(),
            credentials: self.credentials.clone(),
            rate_limits: self.rate_limits.clone(),
            budgets: self.budgets.clone(),
        };
        Snapshot::build(1, platform, rows)
    }

    fn vault(&self) -> Vault {
        let vault = Vault {
            is_down: self.vault_is_down,
            ..Vault::default()
        };
        for row in &self.rows {
            let Ok(target) = providers::target::Target::new(&row.configuration.settings) else {
                continue;
            };
            let (Some(key), Some(alias)) = (&row.key, &row.configuration.api_key_alias) else {
                continue;
            };
            let reference = KeyReference::Own {
                organization_id: row.configuration.organization_id.expect("an owner"),
                alias: alias.clone(),
                provider: target.provider.name.as_str(),
                origin: target.origin,
            };
            vault.keep(&reference, &target.provider.name, key);
        }
        for (organization_id, alias, name, key) in &self.slot_keys {
            let slot = providers::slots::slot(name).expect("a slot");
            for provider in &slot.covers {
                let reference = KeyReference::Slot {
                    organization_id: *organization_id,
                    alias: alias.clone(),
                    slot: slot.name,
                    provider: provider.name.as_str(),
                };
                vault.keep(&reference, &provider.name, key);
            }
        }
        for (provider, key) in &self.platform_keys {
            let provider = catalog::provider(provider).expect("a provider");
            let name = provider.name.as_str();
            vault.lend(name, key);
        }
        vault
    }
}

impl Vault {
    /// Lends a key of the operator's, in the place of the one before.
    pub(crate) fn lend(&self, provider: &'static str, key: &str) {
        self.keep(&KeyReference::Platform { provider }, provider, key);
    }

    fn keep(&self, reference: &KeyReference, provider: &str, key: &str) {
        let provider = catalog::provider(provider).expect("a provider");
        let secret = Secret::new(key.to_owned());
        let credential = Credential::parse(provider, &secret).expect("a credential");
        let mut credentials = self.credentials.write().expect("a lock");
        credentials.insert(reference.clone(), Arc::new(credential));
    }
}

fn key(number: u128, scopes: BTreeSet<Scope>) -> (domain::api_key::Digest256, ApiKey) {
    let token = ApiKeyToken::parse(&api_key(number)).expect("a key");
    let key = ApiKey {
        id: ApiKeyId(Uuid::from_u128(0xb000 + number)),
        organization_id: organization(number),
        name: "test".to_owned(),
        scopes,
        created_at: Timestamp::UNIX_EPOCH,
        revoked_at: None,
    };
    (token.digest(), key)
}

async fn serve(listener: TcpListener, router: axum::Router, write_limit: Duration) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let router = router.clone();
        let service = router.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request
        });
        let service = TowerToHyperService::new(service);
        connections.spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new());
            let stream = WriteDeadline::new(stream, write_limit);
            let served = builder.serve_connection(TokioIo::new(stream), service);
            // A client that goes away, or is made to, is what many tests are about.
            let _ = served.await;
        });
    }
}

/// A running gateway. Dropped, it closes its port and its connections.
pub(crate) struct GatewayUnderTest {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) records: Arc<Records>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    pub(crate) spending: Arc<Spending>,
    pub(crate) registry: Registry,
    pub(crate) address: String,
    pub(crate) rows: Vec<Row>,
    _server: JoinSet<()>,
}

/// A question in OpenAI's format.
pub(crate) fn openai(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "How do you do?"}]})
}

/// The same question in Anthropic's.
pub(crate) fn anthropic(model: &str) -> Value {
    let messages = json!([{"role": "user", "content": "How do you do?"}]);
    json!({"model": model, "max_tokens": 100, "messages": messages})
}

/// The same question, to be answered as a stream.
pub(crate) fn streamed(mut question: Value) -> Value {
    question["stream"] = json!(true);
    question
}

impl GatewayUnderTest {
    /// The client of an organisation.
    pub(crate) fn client(&self, number: u128) -> Client {
        self.stranger().with_key(&api_key(number))
    }

    /// A client without a key.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(&format!("http://{}", self.address))
    }

    pub(crate) async fn chat(&self, body: &Value) -> Answer {
        let client = self.client(1);
        client
            .post("/v1/chat/completions", body)
            .await
            .expect("an answer")
    }

    pub(crate) async fn messages(&self, body: &Value) -> Answer {
        let client = self.client(1);
        client.post("/v1/messages", body).await.expect("an answer")
    }

    pub(crate) async fn chat_stream(&self, body: &Value) -> Stream {
        let client = self.client(1);
        client
            .stream("/v1/chat/completions", body)
            .await
            .expect("an answer")
    }

    /// The metrics as Prometheus reads them.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("metrics");
        text
    }

    /// Waits until `holds`, for a second at most.
    pub(crate) async fn within_a_second(&self, mut holds: impl FnMut(&Self) -> bool) -> bool {
        for _ in 0..100 {
            if holds(self) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}
