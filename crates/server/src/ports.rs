//! What one crate needs and another has: small adapters between them.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use control::state::{Check, LiveCheck};
use domain::api_key::Caller;
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::provider_credential::ProviderCredential;
use gateway::Gateway;
use gateway::upstream::in_process::{InProcessOrigins, InProcessService};
use http::Request;
use providers::catalog;
use providers::target::Target;
use testkit::simulator::Simulator;
use tower::service_fn;

/// The control plane's live check, made by the gateway.
pub struct GatewayCheck(pub Arc<Gateway>);

#[async_trait]
impl LiveCheck for GatewayCheck {
    async fn check(&self, caller: &Caller, configuration: &ModelConfiguration) -> Vec<Check> {
        let outcome = self.0.check(caller, configuration).await;
        let settings = &configuration.settings;
        vec![check(settings, outcome)]
    }

    async fn check_credential(
        &self,
        caller: &Caller,
        credential: &ProviderCredential,
        settings: &ModelSettings,
    ) -> Check {
        let outcome = self.0.check_credential(caller, credential, settings).await;
        check(settings, outcome)
    }
}

fn check(settings: &ModelSettings, outcome: gateway::check::Check) -> Check {
    let place = Target::new(settings)
        .map(|target| format!(" at {}", target.origin.as_str()))
        .unwrap_or_default();
    Check {
        check: "call".to_owned(),
        label: format!("One minimal call to {}{place}", settings.model),
        ok: outcome.is_ok,
        model: None,
        location: None,
        error: outcome.error,
        is_auth_error: outcome.is_auth_error,
        latency_ms: u64::try_from(outcome.latency.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The built-in stand-in, which answers for the origin of the provider `simulated`.
#[must_use]
pub fn simulated_origin() -> InProcessOrigins {
    let origins = InProcessOrigins::default();
    let origin = catalog::provider("simulated")
        .and_then(|provider| provider.base_url.parse::<url::Url>().ok())
        .map(|url| url.origin().ascii_serialization());
    let simulator = Simulator::remembering(0);
    let service = service_fn(move |request: Request<Body>| {
        let simulator = simulator.clone();
        async move { simulator.call(request).await.map_err(Into::into) }
    });
    match origin {
        Some(origin) => origins.with(origin, InProcessService::new(service)),
        None => origins,
    }
}
