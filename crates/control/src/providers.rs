//! `GET /v1/providers`: the catalog, with what a form needs.

use axum::extract::State;
use http::StatusCode;
use providers::catalog::{self, Provider};
use serde::Serialize;
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
    /// Where it is, unless an endpoint parameter says otherwise.
    base_url: &'static str,
    /// Whether it wants a key at all.
    needs_key: bool,
    /// Whether this installation lends its own key to all organisations.
    has_platform_key: bool,
    /// What a key consists of. A bare `api_key` is the first of these.
    credential_fields: Vec<CredentialFieldView>,
    /// What `additional_params` may hold. Members that are not listed are passed on.
    parameters: Vec<ParameterView>,
    /// Members of `additional_params` that name another endpoint.
    endpoint_parameters: &'static [String],
    /// The provider's own documentation.
    documentation_url: &'static str,
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
            })
            .collect(),
        endpoint_parameters: &provider.endpoint_parameters,
        documentation_url: &provider.documentation_url,
    }
}
