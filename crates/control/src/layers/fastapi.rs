//! Answers where no handler is: unknown paths, wrong methods, trailing slashes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_LENGTH, LOCATION};
use http::{HeaderValue, Method, StatusCode, Uri};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

use crate::error::ApiError;

/// Every path of the API with the methods it knows.
#[derive(Clone, Default)]
pub(crate) struct RouteTable(Arc<Vec<Route>>);

struct Route {
    segments: Vec<String>,
    /// As `Allow` lists them.
    methods: String,
}

impl RouteTable {
    /// The table of a document.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let routes = document.paths.paths.iter().map(|(path, item)| Route {
            segments: path.split('/').map(str::to_owned).collect(),
            methods: methods(item),
        });
        Self(Arc::new(routes.collect()))
    }

    /// The methods of the route at `path`, if there is one.
    fn methods_at(&self, path: &str) -> Option<&str> {
        let mut routes = self.0.iter();
        let route = routes.find(|route| {
            let mut given = path.split('/');
            let fits = route.segments.iter().all(|segment| {
                given.next().is_some_and(|given| {
                    segment == given || (segment.starts_with('{') && !given.is_empty())
                })
            });
            fits && given.next().is_none()
        })?;
        Some(&route.methods)
    }
}

/// FastAPI has one route for each method and names in `Allow` only the first that fits
/// the path; RFC 9110 (15.5.6) wants all of them, and has them here.
fn methods(item: &PathItem) -> String {
    let all = [
        (item.get.is_some(), "GET"),
        (item.put.is_some(), "PUT"),
        (item.post.is_some(), "POST"),
        (item.patch.is_some(), "PATCH"),
        (item.delete.is_some(), "DELETE"),
    ];
    let known = all.into_iter().filter(|(is_there, _)| *is_there);
    known
        .map(|(_, method)| method)
        .collect::<Vec<_>>()
        .join(", ")
}

/// No route fits: 307 where the path has a slash too many, else 404.
pub(crate) async fn unknown_path(State(table): State<RouteTable>, uri: Uri) -> Response {
    if let Some(path) = uri.path().strip_suffix('/')
        && table.methods_at(path).is_some()
    {
        let location = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        // Relative to this server: what a client wrote into `Host` is not repeated.
        if let Ok(location) = HeaderValue::try_from(location) {
            return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response();
        }
    }
    ApiError::not_found("Not Found").into_response()
}

/// A route fits, but not its method. `HEAD` is no method of FastAPI's `GET` routes
/// either, save for those that load balancers ask.
pub(crate) async fn wrong_method(
    State(table): State<RouteTable>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = table.methods_at(request.uri().path());
    let allowed = allowed.map(HeaderValue::from_str).and_then(Result::ok);
    let is_head = request.method() == Method::HEAD;
    let is_refused = is_head && allowed.is_some() && !request.uri().path().contains("health");
    let mut response = if is_refused {
        StatusCode::METHOD_NOT_ALLOWED.into_response()
    } else {
        next.run(request).await
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response =
            ApiError::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").into_response();
        let allow = allowed.unwrap_or(HeaderValue::from_static(""));
        response.headers_mut().insert(ALLOW, allow);
        if is_head {
            response.headers_mut().remove(CONTENT_LENGTH);
            *response.body_mut() = Body::empty();
        }
    }
    response
}
