//! A client of the control plane: one key, requests by word, answers as values.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

/// Somebody with one API key, or none.
#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    key: Option<String>,
}

/// A request that is being put together.
pub(crate) struct Call {
    router: Router,
    request: Request<Body>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn new(router: Router, key: Option<&str>) -> Self {
        Self {
            router,
            key: key.map(str::to_owned),
        }
    }

    pub(crate) fn key(&self) -> &str {
        self.key.as_deref().unwrap()
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        if let Some(key) = &self.key {
            let value = HeaderValue::try_from(format!("Bearer {key}")).unwrap();
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Call {
            router: self.router.clone(),
            request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path).json(body).send().await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path).json(body).send().await
    }

    /// Creates a model configuration and returns it.
    pub(crate) async fn create(&self, body: Value) -> Value {
        let answer = self.post("/v1/model-configurations", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// The names of the model configurations that this client sees.
    pub(crate) async fn names(&self) -> Vec<String> {
        let list = self.get("/v1/model-configurations").await.json();
        let rows = list.as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Call {
    pub(crate) fn json(self, body: Value) -> Self {
        self.header(CONTENT_TYPE, "application/json")
            .body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    pub(crate) fn header(mut self, name: impl TryInto<HeaderName>, value: &str) -> Self {
        let Ok(name) = name.try_into() else {
            panic!("not the name of a header");
        };
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.request.headers_mut().append(name, value);
        self
    }

    pub(crate) fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// Where the request seems to come from.
    pub(crate) fn from(mut self, address: IpAddr) -> Self {
        let address = ConnectInfo(SocketAddr::new(address, 1234));
        self.request.extensions_mut().insert(address);
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let response = self.router.oneshot(self.request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The one sentence of an error.
    pub(crate) fn detail(&self) -> String {
        let body = self.json();
        body["detail"]
            .as_str()
            .unwrap_or_else(|| panic!("{body}"))
            .to_owned()
    }

    /// `loc` and `type` of each fault of a 422.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        assert_eq!(self.status, 422, "{self:?}");
        let body = self.json();
        let faults = body["detail"]
            .as_array()
            .unwrap_or_else(|| panic!("{body}"));
        faults
            .iter()
            .map(|fault| {
                let loc = fault["loc"].as_array().unwrap().iter();
                let loc: Vec<_> = loc
                    .map(|step| {
                        step.as_str()
                            .map_or_else(|| step.to_string(), str::to_owned)
                    })
                    .collect();
                (loc.join("."), fault["type"].as_str().unwrap().to_owned())
            })
            .collect()
    }

    /// Asserts that there is one fault, and where and of which type it is.
    #[track_caller]
    pub(crate) fn assert_fault(&self, loc: &str, kind: &str) {
        assert_eq!(
            self.faults(),
            [(loc.to_owned(), kind.to_owned())],
            "{self:?}"
        );
    }
}
