//! The control plane with everything it needs, and one client for each kind of caller.

pub(crate) mod client;
pub(crate) mod sealed_storage;
pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use control::metrics::Metrics;
use control::outbox::Outbox;
use control::quota::Quota;
use control::state::{Check, ControlParts, ControlState, LiveCheck, RolePlan, RolePlanner};
use domain::agent_role::{AgentRole, RoleSource};
use domain::api_key::{ApiKey, ApiKeyToken, Caller, Scope};
use domain::clock::{Clock as _, random, time_ordered_id};
use domain::id::{Alias, ApiKeyId, ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::organization::Organization;
use domain::provider_credential::ProviderCredential;
use domain::secret::Secret;
use prometheus_client::registry::Registry;
use providers::endpoint::EndpointPolicy;
use store::{Database, DatabaseOptions};
use vault::backend::embedded::EmbeddedVault;
use vault::operations::rotate::Rotation;
use vault::{Binding, Deposit, VaultBackend, VaultError};

pub(crate) use self::client::{Answer, Client};
use self::sealed_storage::StoreSealedStorage;
use self::world::{TestClock, TestEntropy};

/// What an organisation may store here: little, so that a test can fill it.
pub(crate) const QUOTA: Quota = Quota {
    rows: 100,
    bytes: 1_200_000,
};

/// A running control plane.
pub(crate) struct TestApp {
    pub(crate) database: Database,
    pub(crate) vault: Arc<EmbeddedVault>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) entropy: Arc<TestEntropy>,
    pub(crate) live_check: Arc<ScriptedCheck>,
    pub(crate) slow_vault: Arc<SlowVault>,
    pub(crate) registry: Registry,
    metrics: Metrics,
    router: Router,
    directory: Arc<tempfile::TempDir>,
}

/// An organisation and a client for each kind of caller in it.
pub(crate) struct Tenant {
    pub(crate) id: OrganizationId,
    /// Everything inside the organisation.
    pub(crate) admin: Client,
    /// Scope `manage`.
    pub(crate) developer: Client,
    /// Scope `invoke`.
    pub(crate) agent: Client,
}

impl TestApp {
    /// Over SQLite, as most tests want it.
    pub(crate) async fn start() -> Self {
        Self::start_with(EndpointPolicy::PublicOnly).await
    }

    /// Over a PostgreSQL database.
    pub(crate) async fn start_on(url: String) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let world = (Arc::default(), Arc::default());
        Self::assemble(directory, url, EndpointPolicy::PublicOnly, world).await
    }

    /// Another process over the same database, with the same root key.
    pub(crate) async fn second_node(&self, url: String) -> Self {
        let entropy = Arc::new(TestEntropy::seeded(1));
        let world = (Arc::clone(&self.clock), entropy);
        let directory = Arc::clone(&self.directory);
        Self::assemble(directory, url, EndpointPolicy::PublicOnly, world).await
    }

    pub(crate) async fn start_with(endpoint_policy: EndpointPolicy) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().join("control.db");
        let url = format!("sqlite://{}", path.display());
        let world = (Arc::default(), Arc::default());
        Self::assemble(directory, url, endpoint_policy, world).await
    }

    async fn assemble(
        directory: Arc<tempfile::TempDir>,
        url: String,
        endpoint_policy: EndpointPolicy,
        (clock, entropy): (Arc<TestClock>, Arc<TestEntropy>),
    ) -> Self {
        let database = Database::connect(&DatabaseOptions {
            url,
            max_connections: 4,
            timeout: Duration::from_millis(900),
        })
        .await
        .unwrap();
        let storage = Arc::new(StoreSealedStorage(database.clone()));
        let keys = directory.path().join("keys");
        std::fs::create_dir_all(&keys).unwrap();
        let keys = keys.join("root.key");
        let vault = vault::start::open(storage, &keys, &*clock, entropy.clone()).await;
        let vault = Arc::new(vault.unwrap());
        let slow_vault = Arc::new(SlowVault::over(Arc::clone(&vault)));
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let live_check = Arc::new(ScriptedCheck::default());
        let state = ControlState::new(ControlParts {
            database: database.clone(),
            vault: slow_vault.clone(),
            root_keys: Arc::clone(vault.root_keys()),
            live_check: live_check.clone(),
            role_planner: Arc::new(NoPlans),
            clock: clock.clone(),
            entropy: entropy.clone(),
            platform_credentials: tokio::sync::watch::channel(BTreeSet::from([
                "anthropic".to_owned(),
                "azure_openai".to_owned(),
                "google_anthropic_vertex".to_owned(),
            ]))
            .1,
            endpoint_policy,
            quota: QUOTA,
            replaced_secret_grace: Duration::from_secs(600),
            metrics: metrics.clone(),
        });
        let router = control::router(state, utoipa::openapi::OpenApi::default());
        Self {
            database,
            vault,
            clock,
            entropy,
            live_check,
            slow_vault,
            registry,
            metrics,
            router,
            directory,
        }
    }

    /// A caller without a key.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(self.router.clone(), None)
    }

    /// A caller with this text as its key.
    pub(crate) fn with_key(&self, key: &str) -> Client {
        Client::new(self.router.clone(), Some(key))
    }

    /// A caller who may do everything, with an organisation of its own.
    pub(crate) async fn operator(&self) -> Client {
        let id = self.add_organization("operators").await;
        self.mint(id, &Scope::ALL).await
    }

    /// A new organisation.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        let id = self.add_organization(name).await;
        Tenant {
            id,
            admin: self.mint(id, &Scope::WITHIN_ORGANIZATION).await,
            developer: self.mint(id, &[Scope::Manage]).await,
            agent: self.mint(id, &[Scope::Invoke]).await,
        }
    }

    pub(crate) async fn add_organization(&self, name: &str) -> OrganizationId {
        let id = OrganizationId(self.new_id());
        let row = Organization {
            id,
            name: name.to_owned(),
            created_at: self.clock.now(),
        };
        let mut transaction = self.database.write().await.unwrap();
        store::organizations::insert(&mut transaction, &row)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        id
    }

    pub(crate) async fn mint(&self, organization_id: OrganizationId, scopes: &[Scope]) -> Client {
        let token = ApiKeyToken::from_random(&random(&*self.entropy));
        let row = ApiKey {
            id: ApiKeyId(self.new_id()),
            organization_id,
            name: "test".to_owned(),
            scopes: scopes.iter().copied().collect(),
            created_at: self.clock.now(),
            revoked_at: None,
        };
        let mut transaction = self.database.write().await.unwrap();
        store::api_keys::insert(&mut transaction, &row, &token.digest())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        self.with_key(token.expose())
    }

    /// A configuration of the installation.
    pub(crate) async fn add_system_default(&self, name: &str) -> ModelConfigurationId {
        let row = ModelConfiguration {
            id: ModelConfigurationId(self.new_id()),
            organization_id: None,
            revision: 1,
            settings: ModelSettings {
                name: name.to_owned(),
                description: None,
                provider: "simulated".to_owned(),
                model: "simulated".to_owned(),
                temperature: None,
                max_tokens: None,
                timeout_seconds: None,
                max_retries: None,
                additional_params: None,
                agent_harness_version_string: None,
                is_computer_use_model: false,
                is_archived: false,
            },
            api_key_alias: None,
            created_at: self.clock.now(),
            updated_at: self.clock.now(),
        };
        let mut transaction = self.database.write().await.unwrap();
        store::model_configurations::insert(&mut transaction, &row)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        row.id
    }

    /// Assigns a configuration of the installation to a role, for everybody.
    pub(crate) async fn assign_system_role(&self, role: &str, id: ModelConfigurationId) {
        let assignment = store::agent_roles::Assignment {
            organization_id: None,
            role: role.parse().unwrap(),
            model_configuration_id: id,
        };
        let mut transaction = self.database.write().await.unwrap();
        store::agent_roles::assign(&mut transaction, &assignment, self.clock.now())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }

    fn new_id(&self) -> uuid::Uuid {
        time_ordered_id(&*self.clock, &*self.entropy)
    }

    /// The task that destroys abandoned secrets, to be driven by hand.
    pub(crate) fn outbox(&self) -> Outbox {
        Outbox {
            database: self.database.clone(),
            vault: self.vault.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Whether something is sealed under an alias.
    pub(crate) async fn holds_secret(&self, alias: &str) -> bool {
        let alias: Alias = alias.parse().unwrap();
        let row = store::sealed::secret(&self.database, &alias).await.unwrap();
        row.is_some()
    }

    /// Every byte of the database's files.
    pub(crate) fn database_files(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(self.directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                bytes.extend(std::fs::read(path).unwrap());
            }
        }
        bytes
    }

    /// Puts a new root key in the place of the current one.
    pub(crate) async fn rotate_root_key(&self) {
        let rotation = Rotation {
            storage: &StoreSealedStorage(self.database.clone()),
            root_key_file: &self.directory.path().join("keys/root.key"),
            clock: &*self.clock,
            entropy: &*self.entropy,
        };
        rotation.rotate().await.unwrap();
    }

    /// What `/metrics` would show.
    pub(crate) fn metrics_text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// There is no data plane here, so nothing is planned.
pub(crate) struct NoPlans;

impl RolePlanner for NoPlans {
    fn plan(&self, _: OrganizationId, role: AgentRole) -> RolePlan {
        RolePlan {
            role,
            source: RoleSource::None,
            target: None,
            fallbacks: Vec::new(),
            steps: Vec::new(),
        }
    }
}

/// Live checks that answer what a test wants.
#[derive(Default)]
pub(crate) struct ScriptedCheck {
    pub(crate) error: Mutex<Option<String>>,
    pub(crate) hangs: Mutex<bool>,
}

#[async_trait]
impl LiveCheck for ScriptedCheck {
    async fn check(&self, _: &Caller, row: &ModelConfiguration) -> Vec<Check> {
        let hangs = *self.hangs.lock().unwrap();
        if hangs {
            std::future::pending::<()>().await;
        }
        let error = self.error.lock().unwrap().clone();
        vec![Check {
            check: "call".to_owned(),
            label: format!("One minimal call to {}", row.settings.model),
            ok: error.is_none(),
            model: None,
            location: None,
            is_auth_error: error.is_some(),
            error,
            latency_ms: 12,
        }]
    }

    async fn check_credential(
        &self,
        _: &Caller,
        _: &ProviderCredential,
        settings: &ModelSettings,
    ) -> Check {
        let error = self.error.lock().unwrap().clone();
        let is_auth_error = error
            .as_ref()
            .is_some_and(|error| error.contains("refused"));
        Check {
            check: "call".to_owned(),
            label: format!("One minimal call to {}", settings.model),
            ok: error.is_none(),
            model: None,
            location: None,
            is_auth_error,
            error,
            latency_ms: 12,
        }
    }
}

/// The embedded vault, that a test can make wait or fail.
pub(crate) struct SlowVault {
    vault: Arc<EmbeddedVault>,
    gate: tokio::sync::Semaphore,
    is_down: Mutex<bool>,
    /// Secrets kept outside the database, where a test wants an external vault.
    pub(crate) external: Mutex<Option<BTreeMap<Alias, String>>>,
}

impl SlowVault {
    fn over(vault: Arc<EmbeddedVault>) -> Self {
        Self {
            vault,
            gate: tokio::sync::Semaphore::new(1_000_000),
            is_down: Mutex::new(false),
            external: Mutex::new(None),
        }
    }

    /// Makes every secret wait until the permits are given back.
    pub(crate) fn close(&self) {
        self.gate.forget_permits(1_000_000);
    }

    pub(crate) fn open(&self) {
        self.gate.add_permits(1_000_000);
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        *self.is_down.lock().unwrap() = is_down;
    }

    async fn pass(&self) -> Result<(), VaultError> {
        let _permit = self.gate.acquire().await.unwrap();
        if *self.is_down.lock().unwrap() {
            return Err(VaultError::Unavailable("a test said so".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl VaultBackend for SlowVault {
    async fn put(&self, binding: &Binding, secret: &Secret) -> Result<Deposit, VaultError> {
        self.pass().await?;
        if let Some(secrets) = self.external.lock().unwrap().as_mut() {
            secrets.insert(binding.alias.clone(), secret.expose().to_owned());
            return Ok(Deposit::External);
        }
        self.vault.put(binding, secret).await
    }

    async fn get(&self, binding: &Binding) -> Result<Secret, VaultError> {
        self.pass().await?;
        if let Some(secrets) = self.external.lock().unwrap().as_ref() {
            let secret = secrets.get(&binding.alias).ok_or(VaultError::NotFound)?;
            return Ok(Secret::new(secret.clone()));
        }
        self.vault.get(binding).await
    }

    async fn delete(&self, alias: &Alias) -> Result<(), VaultError> {
        self.pass().await?;
        if let Some(secrets) = self.external.lock().unwrap().as_mut() {
            secrets.remove(alias);
            return Ok(());
        }
        self.vault.delete(alias).await
    }

    async fn health(&self) -> Result<(), VaultError> {
        self.pass().await?;
        self.vault.health().await
    }
}
