//! `GET /v1/providers`: the catalog, with what a form needs.

use axum::extract::State;
use http::StatusCode;
use providers::catalog::{self, Provider, UnknownParameters};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::openapi::Refusals;
use crate::state::ControlState;

/// A provider that a model configuration can name.
#[derive(Serialize, ToSchema)]
#[schema(as = Provider)]
struct ProviderView {
    /// What to write into `provider`.
    #[schema(example = "anthropic")]
    name: &'static str,
    /// Its name for people.
    #[schema(example = "Anthropic")]
    display_name: &'static str,
    /// The wire format that is spoken to it.
    #[schema(example = "anthropic_messages")]
    protocol: &'static str,
    /// What it can do through that, as far as the model can.
    #[schema(example = json!(["tools", "images"]))]
    capabilities: Vec<&'static str>,
    /// Where it is, unless an endpoint parameter says otherwise.
    base_url: &'static str,
    /// Whether it wants a key at all.
    needs_key: bool,
    /// Whether this installation lends its own key to all organisations.
    has_platform_key: bool,
    /// What a key consists of. A bare `api_key` is the first of these.
    credential_fields: Vec<CredentialFieldView>,
    /// What `additional_params` may hold.
    parameters: Vec<ParameterView>,
    /// Whether members that are not listed are passed on; otherwise they are left out.
    passes_unknown_parameters: bool,
    /// What is sent where neither a request nor the configuration says otherwise.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    defaults: &'static Map<String, Value>,
    /// Members of `additional_params` that name another endpoint.
    endpoint_parameters: &'static [String],
    /// The provider's own documentation.
    documentation_url: &'static str,
    /// When all this was last checked against it.
    #[schema(format = Date, example = "2026-11-22")]
    verified_on: &'static str,
}

/// One member of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = CredentialField)]
struct CredentialFieldView {
    /// Its name in an `api_key` that is a JSON object.
    name: &'static str,
    /// Its name for people.
    label: &'static str,
    /// Whether a form should hide it.
    is_secret: bool,
}

/// One member of `additional_params`.
#[derive(Serialize, ToSchema)]
#[schema(as = Parameter)]
struct ParameterView {
    /// LangChain's argument name.
    name: &'static str,
    /// A JSON type, or `any`.
    r#type: &'static str,
    /// What it is for.
    description: &'static str,
    /// Where in the request it lands, as in `docs/providers.md`.
    #[schema(example = "body")]
    lands: String,
}

/// List providers
///
/// Every provider that a model configuration can name.
#[utoipa::path(
    get,
    path = "/v1/providers",
    operation_id = "list_providers",
    tag = "Providers",
    responses((status = 200, description = "By name", body = Vec<ProviderView>), Refusals),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<ControlState>,
    caller: Authenticated,
) -> Result<Answer, ApiError> {
    caller.any();
    let views: Vec<_> = catalog::providers()
        .iter()
        .map(|provider| view(provider, state.platform_has_key_for(&provider.name)))
        .collect();
    Answer::json(StatusCode::OK, &views)
}

fn view(provider: &'static Provider, has_platform_key: bool) -> ProviderView {
    let fields = provider.credential_fields.iter();
    let parameters = provider.parameters.iter();
    ProviderView {
        name: &provider.name,
        display_name: &provider.display_name,
        protocol: provider.protocol.as_str(),
        capabilities: provider
            .capabilities()
            .iter()
            .map(|it| it.as_str())
            .collect(),
        base_url: &provider.base_url,
        needs_key: provider.needs_key(),
        has_platform_key,
        credential_fields: fields
            .map(|field| CredentialFieldView {
                name: &field.name,
                label: &field.label,
                is_secret: field.is_secret,
            })
            .collect(),
        parameters: parameters
            .map(|parameter| ParameterView {
                name: &parameter.name,
                r#type: &parameter.r#type,
                description: &parameter.description,
                lands: parameter.lands.to_string(),
            })
            .collect(),
        passes_unknown_parameters: provider.unknown_parameters == UnknownParameters::Body,
        defaults: provider.defaults(),
        endpoint_parameters: &provider.endpoint_parameters,
        documentation_url: &provider.documentation_url,
        verified_on: &provider.verified_on,
    }
}
