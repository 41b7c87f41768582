//! Every route of the control plane, by who calls it. Route and OpenAPI operation are
//! registered together, so they cannot drift.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower::ServiceBuilder;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::layers::fastapi::{self, RouteTable};
use crate::layers::{limit, observe, request_id, security};
use crate::openapi::{Document, route};
use crate::state::ControlState;
use crate::{
    agent_roles, api_keys, audit_events, budgets, health, model_configurations, organizations,
    provider_credentials, providers, root, usage,
};

/// The control plane. `data_plane` describes the routes that `server` merges in beside
/// it, so that `/openapi.json` shows one API.
///
/// It owns the fallback of the whole server, which answers unknown paths as FastAPI
/// does; whoever merges further routes into it adds none.
pub fn router(state: ControlState, data_plane: OpenApi) -> Router {
    let (routes, document) = routes().split_for_parts();
    let document = merged(document, data_plane);
    let table = RouteTable::of(&document);
    let routes = routes
        .with_state(state.clone())
        .merge(route(&document))
        .merge(
            Router::new()
                .fallback(fastapi::unknown_path)
                .with_state(table.clone()),
        );
    // From the outside in. The request id comes first, since all others name it. Headers
    // and counting surround the limit in time, so that they see its 503 too; were it the
    // other way round, a handler that hangs would be neither counted nor answered with
    // the headers that every answer has.
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(state.clone(), request_id::layer))
        .layer(from_fn(security::layer))
        .layer(from_fn_with_state(state, observe::layer))
        .layer(from_fn(limit::layer))
        .layer(from_fn_with_state(table, fastapi::wrong_method));
    routes.layer(layers)
}

/// The document of the whole API.
#[must_use]
pub fn openapi(data_plane: OpenApi) -> OpenApi {
    merged(routes().split_for_parts().1, data_plane)
}

fn merged(mut document: OpenApi, data_plane: OpenApi) -> OpenApi {
    document.merge(data_plane);
    document
}

fn routes() -> OpenApiRouter<ControlState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(anybody())
        .merge(anybody_with_a_key())
        .merge(agent_developers())
        .merge(organization_admins())
        .merge(operators())
}

/// No key needed.
fn anybody() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new()
        .routes(routes!(root::root))
        .routes(routes!(health::health))
        .routes(routes!(health::database))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::ready_legacy))
        .routes(routes!(health::database_legacy))
}

/// Whatever the key allows.
fn anybody_with_a_key() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new().routes(routes!(providers::list))
}

/// Scope `manage`.
fn agent_developers() -> OpenApiRouter<ControlState> {
    use model_configurations::{create, delete, read, restore, revisions, update, verify};
    OpenApiRouter::new()
        .routes(routes!(read::list, create::create))
        .routes(routes!(read::get, update::update, delete::delete))
        .routes(routes!(revisions::revisions))
        .routes(routes!(restore::restore))
        .routes(routes!(verify::verify))
        .merge(agent_roles())
        .merge(usage_reports())
        .merge(provider_credentials())
}

/// Scope `manage` too: who may give a configuration a key may give one to all of them.
fn provider_credentials() -> OpenApiRouter<ControlState> {
    use provider_credentials::{delete, list, put, validate};
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(put::put, delete::delete))
        .routes(routes!(validate::validate))
}

/// Scope `manage` too.
fn agent_roles() -> OpenApiRouter<ControlState> {
    use agent_roles::{assign, list, resolve, unassign};
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(assign::assign, unassign::unassign))
        .routes(routes!(resolve::resolve))
}

/// Scope `manage` too.
fn usage_reports() -> OpenApiRouter<ControlState> {
    use usage::{aggregate, calls, costs, report};
    OpenApiRouter::new()
        .routes(routes!(costs::list))
        .routes(routes!(costs::of_run))
        .routes(routes!(aggregate::aggregate))
        .routes(routes!(report::report))
        .routes(routes!(calls::list))
}

/// Scope `admin`.
fn organization_admins() -> OpenApiRouter<ControlState> {
    use api_keys::{create, list, revoke, update};
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(update::update, revoke::revoke))
        .routes(routes!(audit_events::list))
        .routes(routes!(budgets::list::list))
        .routes(routes!(budgets::set::set, budgets::remove::remove))
}

/// Scope `operator`.
fn operators() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new()
        .routes(routes!(organizations::list, organizations::create))
        .routes(routes!(organizations::update))
}
