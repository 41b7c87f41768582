//! `POST /v1/provider-credentials/{slot}/validate`.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::{Caller, Scope};
use domain::id::OrganizationId;
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::provider_credential::{AuthType, CredentialStatus, ProviderCredential};
use futures::future::join_all;
use http::StatusCode;
use providers::catalog::Provider;
use providers::slots::{self, Slot};
use providers::target::Target;
use serde::Serialize;
use store::changes::Change;
use utoipa::ToSchema;

use crate::answer::{Answer, to_value};
use crate::body::fields::Faults;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::openapi::{Conflict, NotFound, Refusals, Unprocessable};
use crate::provider_credentials::view::ProviderCredentialView;
use crate::provider_credentials::{no_credential, slot_in};
use crate::state::{Check, ControlState};
use crate::write::context::{Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// How long the calls may take, all at once; less than a handler may.
const PATIENCE: Duration = Duration::from_secs(8);

/// How many models are tried at most.
const MOST_CHECKS: usize = 4;

/// How a credential did.
#[derive(Serialize, ToSchema)]
#[schema(as = ProviderCredentialValidationResponse)]
struct ValidationView {
    slot: &'static str,
    /// Whether every check went well.
    ok: bool,
    checks: Vec<Check>,
    /// The slot as it is now.
    credential: ProviderCredentialView,
}

/// Validate a provider credential
///
/// Makes one minimal live call for each model, and each place, that the organisation's
/// configurations use the slot for, or for a small model where there is none yet. They are
/// calls like any other: the provider bills a few tokens, which limits and budgets count
/// and `/v1/calls` lists. Where a provider refuses the credential and none takes it,
/// its status becomes `invalid`; where one takes it, `active`; other failures leave it.
#[utoipa::path(
    post,
    path = "/v1/provider-credentials/{slot}/validate",
    operation_id = "validate_provider_credential",
    tag = "Provider credentials",
    params(
        ("slot" = String, Path, description = "Which slot"),
        crate::openapi::IdempotencyKey
    ),
    responses(
        (status = 200, description = "How it went, whether well or not", body = ValidationView),
        Refusals, NotFound, Conflict, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn validate(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<Validate>(state, request).await
}

struct Validate(&'static Slot);

struct Prepared {
    before: ProviderCredential,
    checks: Vec<Check>,
}

impl Operation for Validate {
    const ACTION: &'static str = "provider_credential.validate";
    const SCOPE: Scope = Scope::Manage;
    const BODY: BodyRule = BodyRule::Ignored;
    type Prepared = Prepared;

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        let slot = faults.noting(slot_in(&call.path));
        call.check_headers(&mut faults);
        faults.finish(slot).map(Self)
    }

    async fn prepare(&self, preparation: &mut Preparation<'_>) -> Result<Prepared, ApiError> {
        let caller = &preparation.call.caller;
        let organization_id = caller.organization_id;
        let state = preparation.state;
        let row = store::provider_credentials::get(state.database(), organization_id, self.0.name);
        let before = row.await?.filter(|row| row.alias.is_some());
        let before = before.ok_or_else(no_credential)?;
        let models = models(state, organization_id, self.0, before.auth_type).await?;
        let checks = models
            .iter()
            .map(|settings| try_one(state, caller, &before, settings));
        let checks = join_all(checks).await;
        Ok(Prepared { before, checks })
    }

    async fn run(
        &self,
        prepared: Prepared,
        context: &mut WriteContext<'_>,
    ) -> Result<Outcome, ApiError> {
        let Prepared { before, checks } = prepared;
        let organization_id = context.call.caller.organization_id;
        let transaction = &mut *context.transaction;
        let name = self.0.name;
        let present =
            store::provider_credentials::get_for_update(transaction, organization_id, name);
        if present.await?.as_ref() != Some(&before) {
            return Ok(Outcome::Stale);
        }
        let after = ProviderCredential {
            revision: before.revision + 1,
            status: status_after(before.status, &checks),
            last_error: checks.iter().find_map(|check| check.error.clone()),
            last_validated_at: Some(context.now),
            updated_at: context.now,
            ..before.clone()
        };
        store::provider_credentials::put(context.transaction, &after).await?;
        let view = ProviderCredentialView::new(self.0, Some(&after));
        let audited = Audited {
            resource_id: name.to_owned(),
            before: Some(to_value(&ProviderCredentialView::new(
                self.0,
                Some(&before),
            ))?),
            after: Some(to_value(&view)?),
        };
        let answer = ValidationView {
            slot: name,
            ok: !checks.is_empty() && checks.iter().all(|check| check.ok),
            checks,
            credential: view,
        };
        Ok(Outcome::from(Done {
            answer: Answer::json(StatusCode::OK, &answer)?,
            sealed_answer: None,
            audited,
            change: Change::Organization(organization_id),
        }))
    }
}

fn status_after(before: CredentialStatus, checks: &[Check]) -> CredentialStatus {
    if checks.iter().any(|check| check.ok) {
        CredentialStatus::Active
    } else if checks.iter().any(|check| check.is_auth_error) {
        CredentialStatus::Invalid
    } else {
        before
    }
}

/// What is tried: each model that the credential pays for, at each place, or a small one of
/// each provider that it pays for.
async fn models(
    state: &ControlState,
    organization_id: OrganizationId,
    slot: &Slot,
    kind: Option<AuthType>,
) -> Result<Vec<ModelSettings>, ApiError> {
    let providers: Vec<&Provider> = slot.payable(kind).collect();
    let rows = store::model_configurations::list(state.database(), organization_id).await?;
    let mut models: Vec<ModelSettings> = Vec::new();
    for row in rows.into_iter().filter(|row| is_paid_by(&providers, row)) {
        let is_known = models.iter().any(|known| {
            known.provider == row.settings.provider
                && known.model == row.settings.model
                && slots::location(known) == slots::location(&row.settings)
        });
        if !is_known && models.len() < MOST_CHECKS {
            models.push(row.settings);
        }
    }
    if models.is_empty() {
        let small = providers.iter().filter_map(|provider| {
            let model = slots::small_model(&provider.name)?;
            Some(bare(&provider.name, model))
        });
        models.extend(small.take(MOST_CHECKS));
    }
    Ok(models)
}

fn is_paid_by(providers: &[&Provider], row: &ModelConfiguration) -> bool {
    if row.api_key_alias.is_some() || row.settings.is_archived {
        return false;
    }
    Target::new(&row.settings).is_ok_and(|target| {
        let mut paid = providers.iter();
        target.is_catalog_origin && paid.any(|it| it.name == target.provider.name)
    })
}

fn bare(provider: &str, model: &str) -> ModelSettings {
    ModelSettings {
        name: model.to_owned(),
        description: None,
        provider: provider.to_owned(),
        model: model.to_owned(),
        temperature: None,
        max_tokens: None,
        timeout_seconds: None,
        max_retries: None,
        additional_params: None,
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    }
}

async fn try_one(
    state: &ControlState,
    caller: &Caller,
    credential: &ProviderCredential,
    settings: &ModelSettings,
) -> Check {
    let live = state
        .live_check()
        .check_credential(caller, credential, settings);
    let check = tokio::time::timeout(PATIENCE, live).await;
    let mut check = check.unwrap_or_else(|_| too_slow(&settings.model));
    check.model = Some(settings.model.clone());
    let region = credential.display_metadata.aws_region.as_deref();
    let placed = region.and_then(|region| slots::with_region(settings, region));
    check.location = slots::location(placed.as_ref().unwrap_or(settings));
    check
}

fn too_slow(model: &str) -> Check {
    Check {
        check: "call".to_owned(),
        label: format!("One minimal call to {model}"),
        ok: false,
        model: None,
        location: None,
        error: Some(format!("no answer within {} seconds", PATIENCE.as_secs())),
        is_auth_error: false,
        latency_ms: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
    }
}
