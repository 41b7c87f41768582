//! Rules that need the catalog or the installation: which providers there are, what
//! their parameters may be, where a key may go, and whose key pays.

use domain::id::OrganizationId;
use domain::model_configuration::ModelSettings;
use domain::provider_credential::ProviderCredential;
use domain::secret::Secret;
use domain::validation;
use http::StatusCode;
use providers::auth::{self, Credential};
use providers::catalog::{self, Provider, inference};
use providers::parameters;
use providers::slots::{self, Slot};
use providers::target::Target;

use crate::body::coerce;
use crate::body::fault::Fault;
use crate::body::json::Json;
use crate::error::{ApiError, FieldError};
use crate::state::ControlState;

/// Where a key may be sent: what its seal is bound to. The provider is the one that is
/// called, which need not be the one that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) provider: &'static str,
    pub(crate) origin: String,
    is_catalog_origin: bool,
    needs_key: bool,
}

/// Whose key a configuration is to be called with.
#[derive(Clone, Copy)]
pub(crate) enum Key<'secret> {
    /// One that comes with the request.
    New(&'secret Secret),
    /// The one it has in the vault.
    Stored,
    /// None of its own.
    None,
}

/// A provider that the catalog knows. Where it knows none of that name, `model` may say
/// which one was meant; it is never chosen by it.
pub(crate) fn provider(json: &Json, model: Option<&str>) -> Result<String, Fault> {
    let name = coerce::text(json, validation::provider)?;
    if catalog::provider(&name).is_some() {
        return Ok(name);
    }
    let known: Vec<_> = catalog::providers()
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    Err(Fault::value_error(&format!(
        "unknown provider{}; known providers: {}",
        suggestion(&name, model),
        known.join(", ")
    )))
}

/// Which provider was meant by another spelling, or by the model's name.
fn suggestion(name: &str, model: Option<&str>) -> String {
    let spelled = inference::normalized(name.trim());
    if catalog::provider(&spelled).is_some() {
        return format!("; did you mean `{spelled}`?");
    }
    let model = model.filter(|model| validation::model(model).is_ok());
    let choice = model.and_then(|model| inference::choose(model, None));
    match choice.filter(|choice| catalog::provider(&choice.provider).is_some()) {
        Some(choice) => format!("; model `{}` suggests `{}`", choice.model, choice.provider),
        None => String::new(),
    }
}

/// Checks settings and key against the catalog, and says where the key may go. All that
/// is wrong is said at once.
pub(crate) async fn check(
    state: &ControlState,
    organization_id: OrganizationId,
    settings: &ModelSettings,
    key: Key<'_>,
) -> Result<Destination, ApiError> {
    let provider = catalog::provider(&settings.provider).ok_or_else(unknown_provider)?;
    let mut faults = parameter_faults(state, provider, settings);
    let target = Target::new(settings);
    // The key is of whoever is called, where the model's name leads to another provider.
    let called = target.as_ref().map_or(provider, |target| target.provider);
    let credential = match key {
        Key::New(secret) => match Credential::parse(called, secret) {
            Ok(credential) => Some(credential),
            Err(error) => {
                faults.push(Fault::value_error(&error.message).about("api_key"));
                None
            }
        },
        Key::Stored | Key::None => None,
    };
    if !faults.is_empty() {
        return Err(ApiError::invalid(faults));
    }
    let target = target.map_err(|error| {
        let member = match error.parameter.as_deref() {
            Some("model") => "model",
            Some("provider") => "provider",
            _ => "additional_params",
        };
        ApiError::invalid(vec![Fault::value_error(&error.message).about(member)])
    })?;
    if let Some(credential) = &credential {
        auth::check(&target, credential).map_err(|error| key_needed(&error.message))?;
    }
    let destination = Destination {
        provider: &called.name,
        origin: target.origin.as_str().to_owned(),
        is_catalog_origin: target.is_catalog_origin,
        needs_key: called.needs_key(),
    };
    if matches!(key, Key::None) {
        require_another_key(state, organization_id, &destination).await?;
    }
    Ok(destination)
}

/// A key without a host of its own: the organisation's slot, or else the installation's.
/// Both only go to the catalog's hosts.
async fn require_another_key(
    state: &ControlState,
    organization_id: OrganizationId,
    destination: &Destination,
) -> Result<(), ApiError> {
    if !destination.needs_key {
        return Ok(());
    }
    if !destination.is_catalog_origin {
        return Err(key_needed(&format!(
            "an own key is needed for {}: keys of the organization and of the installation only \
             go to the provider itself",
            destination.origin
        )));
    }
    let provider = destination.provider;
    if let Some(slot) = slots::covering(provider)
        && let Some(row) = credential(state, organization_id, slot).await?
        && !is_unfit(&row, provider)
    {
        if row.alias.is_some() {
            return Ok(());
        }
        return Err(key_required(&format!(
            "your organization's credential {} was deleted, and nobody else's key is used \
             instead",
            slot.name
        )));
    }
    if state.platform_has_key_for(provider) {
        return Ok(());
    }
    if let Some(slot) = slots::expected_of(provider)
        && let Some(row) = credential(state, organization_id, slot).await?
        && is_unfit(&row, provider)
        && let Some(kind) = row.auth_type
    {
        return Err(key_required(&format!(
            "the {} slot holds {}, which {provider} does not take; give the configuration an \
             `api_key`",
            slot.name,
            kind.in_words()
        )));
    }
    Err(key_required(&format!(
        "neither your organization nor this installation has a key for the provider {provider}"
    )))
}

async fn credential(
    state: &ControlState,
    organization_id: OrganizationId,
    slot: &Slot,
) -> Result<Option<ProviderCredential>, ApiError> {
    let row = store::provider_credentials::get(state.database(), organization_id, slot.name);
    Ok(row.await?)
}

/// Whether a slot holds a credential of a kind that the provider does not take. It is then
/// as if the slot had none for it.
fn is_unfit(row: &ProviderCredential, provider: &str) -> bool {
    let provider = catalog::provider(provider);
    let pair = row.auth_type.zip(provider);
    pair.is_some_and(|(kind, provider)| !slots::takes(provider, kind))
}

fn key_required(why: &str) -> ApiError {
    ApiError::text(
        StatusCode::BAD_REQUEST,
        format!("api_key is required: {why}"),
    )
}

/// A stored key goes where it went before, or not at all.
pub(crate) fn require_same_destination(
    before: &ModelSettings,
    after: &Destination,
) -> Result<(), ApiError> {
    let stays = Target::new(before).is_ok_and(|target| {
        target.origin.as_str() == after.origin && target.provider.name == after.provider
    });
    if stays {
        return Ok(());
    }
    Err(key_needed(&format!(
        "the stored key is bound to another provider or host; send the key for {} in the same request",
        after.origin
    )))
}

fn parameter_faults(
    state: &ControlState,
    provider: &Provider,
    settings: &ModelSettings,
) -> Vec<FieldError> {
    parameters::check(provider, settings, state.endpoint_policy())
        .into_iter()
        .map(|error| {
            let fault = Fault::value_error(&error.message);
            let inwards = error.path.into_iter().rev();
            inwards.fold(fault, Fault::below).about("additional_params")
        })
        .collect()
}

fn key_needed(message: &str) -> ApiError {
    ApiError::invalid(vec![Fault::value_error(message).about("api_key")])
}

/// Settings that were written when the catalog still knew their provider.
fn unknown_provider() -> ApiError {
    let fault = Fault::value_error("the catalog no longer knows this provider");
    ApiError::invalid(vec![fault.about("provider")])
}
