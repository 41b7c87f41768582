//! What can be set. What each key means stands in `config.default.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use domain::rate_limits::RateLimits;
use providers::endpoint::EndpointPolicy;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// All settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `[server]`
    pub server: ServerSettings,
    /// `[database]`
    pub database: DatabaseSettings,
    /// `[vault]`
    pub vault: VaultSettings,
    /// `[egress]`
    pub egress: EgressSettings,
    /// `[limits]`
    pub limits: LimitSettings,
    /// `[stream]`
    pub stream: StreamSettings,
    /// `[usage]`
    pub usage: UsageSettings,
    /// `[log]`
    pub log: LogSettings,
    /// `[telemetry]`
    pub telemetry: TelemetrySettings,
    /// `[platform_credentials]`: provider → `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub platform_credentials: BTreeMap<String, String>,
    /// `[[system_model_configurations]]`
    pub system_model_configurations: Vec<SystemModelConfiguration>,
    /// `[roles]`: agent role → name of a system model configuration.
    #[serde(default)]
    pub roles: BTreeMap<String, String>,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Where HTTP is answered.
    pub listen: SocketAddr,
    /// Where the control plane answers, if not there.
    pub control_listen: Option<SocketAddr>,
    /// Where `/metrics` answers without a key.
    pub metrics_listen: Option<SocketAddr>,
    /// Where the SQLite file and the root key lie.
    pub data_dir: PathBuf,
    /// How long calls may go on after a signal to end, in seconds.
    pub shutdown_seconds: f64,
    /// Connections beyond this are refused.
    pub max_connections: usize,
    /// How long a request's header may take, in seconds.
    pub header_read_seconds: f64,
    /// The largest request header, in bytes.
    pub header_bytes: usize,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// Where it is; otherwise a SQLite file in the data directory.
    pub url: Option<String>,
    /// Connections at most.
    pub max_connections: u32,
    /// How long a request waits for it, in seconds.
    pub timeout_seconds: f64,
}

/// `[vault]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSettings {
    /// Where the root key is; otherwise `root.key` in the data directory.
    pub root_key_file: Option<PathBuf>,
}

/// `[egress]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EgressSettings {
    /// Whether providers may lie on private addresses.
    pub allow_private_networks: bool,
    /// `host:port` → `host:port` to connect to instead.
    #[serde(default)]
    pub connect_to: BTreeMap<String, String>,
    /// A PEM file.
    pub extra_root_certificates: Option<PathBuf>,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// The largest data-plane request body.
    pub data_plane_body_bytes: usize,
    /// All data-plane request bodies that are held at once.
    pub data_plane_bodies_bytes: usize,
    /// All answers that are held at once.
    pub answers_bytes: usize,
    /// Own model configurations of one organisation.
    pub model_configurations_per_organization: u64,
    /// The length of their settings together, in bytes.
    pub configuration_bytes_per_organization: u64,
    /// Connecting to a provider, in seconds.
    pub connect_seconds: f64,
    /// Waiting for a provider's header and between two pieces, in seconds.
    pub idle_seconds: f64,
    /// A whole call, in seconds.
    pub call_seconds: f64,
    /// Whether targets that fail again and again are skipped for a while.
    pub circuit_breakers: bool,
    /// `[limits.api_key]`: what a key may call that has no limits of its own.
    #[serde(default)]
    pub api_key: RateLimitSettings,
    /// `[limits.organization]`: the same for an organisation.
    #[serde(default)]
    pub organization: RateLimitSettings,
}

/// `[stream]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSettings {
    /// How much of a stream is held back, where a call does not say.
    pub commit: StreamCommitSetting,
}

/// `stream.commit`
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamCommitSetting {
    /// Until its first content.
    FirstByte,
    /// Until its first text, thought or tool call is whole.
    FirstBlock,
}

/// `[limits.api_key]` and `[limits.organization]`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSettings {
    /// Calls begun within 60 seconds.
    pub requests_per_minute: Option<NonZeroU64>,
    /// Tokens of calls begun within 60 seconds.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Calls under way at the same time.
    pub concurrent_calls: Option<NonZeroU64>,
}

impl From<RateLimitSettings> for RateLimits {
    fn from(settings: RateLimitSettings) -> Self {
        Self {
            requests_per_minute: settings.requests_per_minute.map(NonZeroU64::get),
            tokens_per_minute: settings.tokens_per_minute.map(NonZeroU64::get),
            concurrent_calls: settings.concurrent_calls.map(NonZeroU64::get),
        }
    }
}

/// `[telemetry]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// The base address of an OpenTelemetry collector.
    pub otlp_endpoint: Option<String>,
    /// Headers of every request to it: name → `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub otlp_headers: BTreeMap<String, String>,
    /// The part of the calls that is traced where the client decides nothing, from 0 to 1.
    pub sample_ratio: f64,
    /// The name that this installation has in traces.
    pub service_name: String,
}

/// `[usage]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UsageSettings {
    /// How long calls are kept, in days; 0 keeps them for ever.
    pub retention_days: u32,
    /// How many attempts wait for the database at most.
    pub queued_attempts: usize,
    /// How long an attempt waits to be stored together with others, in seconds.
    pub flush_seconds: f64,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// One of `[[system_model_configurations]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SystemModelConfiguration {
    /// What clients select it by; its id follows from it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// A provider of the catalog.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Bound of the output in tokens.
    pub max_tokens: Option<i64>,
    /// Response header and idle timeout.
    pub timeout_seconds: Option<f64>,
    /// Tries after the first.
    pub max_retries: Option<i64>,
    /// The provider's own parameters.
    pub additional_params: Option<Map<String, Value>>,
    /// Where a key of its own is: `env:NAME` or `file:PATH`.
    pub api_key_from: Option<String>,
    /// A label for workers.
    pub agent_harness_version_string: Option<String>,
    /// Whether the model speaks its vendor's computer-use protocol.
    #[serde(default)]
    pub is_computer_use_model: bool,
}

impl Settings {
    /// The database's address, with the default filled in.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.database.url.clone().unwrap_or_else(|| {
            let path = self.server.data_dir.join("quartermaster.db");
            format!("sqlite://{}", path.display())
        })
    }

    /// Which endpoints a model configuration may name.
    #[must_use]
    pub const fn endpoint_policy(&self) -> EndpointPolicy {
        if self.egress.allow_private_networks {
            EndpointPolicy::PrivateNetworksAllowed
        } else {
            EndpointPolicy::PublicOnly
        }
    }

    /// The root key's file, with the default filled in.
    #[must_use]
    pub fn root_key_file(&self) -> PathBuf {
        let default = || self.server.data_dir.join("root.key");
        self.vault.root_key_file.clone().unwrap_or_else(default)
    }
}

/// Seconds as they are written in settings; nonsense is caught when settings are loaded.
#[must_use]
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
