//! What every handler has at hand, and the traits through which `server` lends the rest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::agent_role::{AgentRole, RoleSource};
use domain::api_key::Caller;
use domain::clock::{Clock, Entropy};
use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::provider_credential::ProviderCredential;
use domain::wrong_keys::Throttle;
use jiff::Timestamp;
use providers::endpoint::EndpointPolicy;
use serde::Serialize;
use serde_json::{Map, Value};
use store::Database;
use tokio::sync::watch;
use utoipa::ToSchema;
use vault::VaultBackend;
use vault::keyring::RootKeyring;

use crate::answer::to_microseconds;
use crate::idempotency::turns::Turns;
use crate::metrics::Metrics;
use crate::quota::Quota;
use crate::write::lines::Lines;

/// What the control plane is built from.
pub struct ControlParts {
    /// Rows.
    pub database: Database,
    /// Secrets.
    pub vault: Arc<dyn VaultBackend>,
    /// Root keys, for hashes that nobody can make who has only the database.
    pub root_keys: Arc<RootKeyring>,
    /// Live calls.
    pub live_check: Arc<dyn LiveCheck>,
    /// Dry runs.
    pub role_planner: Arc<dyn RolePlanner>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Providers whose key the operator lends to all organisations.
    pub platform_credentials: watch::Receiver<BTreeSet<String>>,
    /// Which endpoints a configuration may name.
    pub endpoint_policy: EndpointPolicy,
    /// How much an organisation may store.
    pub quota: Quota,
    /// How long a secret that was replaced outlives its replacement, for calls under way.
    pub replaced_secret_grace: Duration,
    /// Counters, already registered.
    pub metrics: Metrics,
}

/// The state of the control plane. Cheap to clone.
#[derive(Clone)]
pub struct ControlState(Arc<Inner>);

struct Inner {
    parts: ControlParts,
    throttle: Throttle,
    turns: Turns,
    lines: Lines,
}

impl ControlState {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: ControlParts) -> Self {
        Self(Arc::new(Inner {
            parts,
            throttle: Throttle::default(),
            turns: Turns::default(),
            lines: Lines::default(),
        }))
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.parts.database
    }

    pub(crate) fn vault(&self) -> &dyn VaultBackend {
        self.0.parts.vault.as_ref()
    }

    pub(crate) fn root_keys(&self) -> &RootKeyring {
        &self.0.parts.root_keys
    }

    pub(crate) fn live_check(&self) -> &dyn LiveCheck {
        self.0.parts.live_check.as_ref()
    }

    pub(crate) fn role_planner(&self) -> &dyn RolePlanner {
        self.0.parts.role_planner.as_ref()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.0.parts.clock.as_ref()
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        self.0.parts.entropy.as_ref()
    }

    pub(crate) fn platform_has_key_for(&self, provider: &str) -> bool {
        self.0
            .parts
            .platform_credentials
            .borrow()
            .contains(provider)
    }

    pub(crate) fn endpoint_policy(&self) -> EndpointPolicy {
        self.0.parts.endpoint_policy
    }

    pub(crate) fn quota(&self) -> Quota {
        self.0.parts.quota
    }

    pub(crate) fn replaced_secret_grace(&self) -> Duration {
        self.0.parts.replaced_secret_grace
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.parts.metrics
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.0.lines
    }

    /// The time as it is stored.
    pub(crate) fn now(&self) -> Timestamp {
        to_microseconds(self.clock().now())
    }
}

/// Calls a model, to see whether a configuration works. `server` implements it with
/// the gateway.
#[async_trait]
pub trait LiveCheck: Send + Sync {
    /// Makes one minimal call, and says how it went. It is a call of `caller`: limits and
    /// budgets hold for it, and its cost is booked. Errors are scrubbed of every secret.
    async fn check(&self, caller: &Caller, configuration: &ModelConfiguration) -> Vec<Check>;

    /// Makes one minimal call with these settings, paid for with `credential`, whatever
    /// its status is. Errors are scrubbed of every secret.
    async fn check_credential(
        &self,
        caller: &Caller,
        credential: &ProviderCredential,
        settings: &ModelSettings,
    ) -> Check;
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// Its stable name, e.g. `call`.
    #[schema(example = "call")]
    pub check: String,
    /// Its name for people.
    #[schema(example = "One minimal call to gpt-5-mini at https://api.openai.com")]
    pub label: String,
    /// Whether it went well.
    pub ok: bool,
    /// The model that was called, where several are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The region or the like that was called, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What went wrong, scrubbed of secrets; left out where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the provider refused the credential.
    pub is_auth_error: bool,
    /// How long it took.
    pub latency_ms: u64,
}

/// Says what a call of a role would do, without doing it. `server` implements it with what
/// the gateway reads.
pub trait RolePlanner: Send + Sync {
    /// The plan of a call of `role` by `organization_id` that says nothing else.
    fn plan(&self, organization_id: OrganizationId, role: AgentRole) -> RolePlan;
}

/// What a call of a role would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RolePlan {
    /// Which role.
    #[schema(value_type = String)]
    pub role: AgentRole,
    /// Whose assignment is followed: `organization`, `system`, `inherited` or `none`.
    #[schema(value_type = String)]
    pub source: RoleSource,
    /// Where the call goes first; null where nothing is assigned.
    pub target: Option<PlannedTarget>,
    /// What it falls back to, in order.
    pub fallbacks: Vec<PlannedTarget>,
    /// How the plan was made, step by step.
    pub steps: Vec<PlanStep>,
}

/// One place that a call would go to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlannedTarget {
    /// The configuration.
    #[schema(value_type = uuid::Uuid)]
    pub model_configuration_id: ModelConfigurationId,
    /// Its name.
    pub model_configuration_name: String,
    /// Its present revision.
    pub revision: i64,
    /// The provider, by LangChain's name.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// Where the request is sent; null where the configuration cannot be called.
    pub origin: Option<String>,
    /// The wire format that is spoken there.
    pub protocol: Option<String>,
    /// Whose key is used.
    pub key: PlannedKey,
    /// What the configuration and the provider's defaults put into a request that does not
    /// say otherwise, under the provider's own names. Keys and headers are not among them.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    pub parameters: Map<String, Value>,
    /// The wait for a response header and between two bytes; null for the installation's.
    pub timeout_seconds: Option<f64>,
    /// Tries after the first.
    pub max_retries: u32,
    /// Why it cannot be called; null where it can.
    pub problem: Option<String>,
}

/// Whose key a call would be made with.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlannedKey {
    /// `model_configuration`, `provider_credential`, `platform`, `not_needed` or `missing`.
    pub source: String,
    /// Why.
    pub reason: String,
}

/// One step in making a plan.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlanStep {
    /// The role that was looked at.
    #[schema(value_type = String)]
    pub role: AgentRole,
    /// The configuration that was found, if any.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub model_configuration_id: Option<ModelConfigurationId>,
    /// Whether it became a target.
    pub is_taken: bool,
    /// Why, or why not.
    pub reason: String,
}
