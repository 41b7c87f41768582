//! A small HTTP client for tests: it follows nothing, retries nothing, and shows
//! what came back byte for byte.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// No answer in this time is a failure of the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends requests to one server, with one key.
#[derive(Clone)]
pub struct Client {
    http: Hyper<HttpConnector, Full<Bytes>>,
    base_url: String,
    headers: HeaderMap,
}

/// Why there was no answer.
#[derive(Debug)]
pub struct ClientError(pub String);

impl std::fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ClientError {}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON, or null.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's text; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// An answer whose body is still coming. Dropped, it closes the connection.
pub struct Stream {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
}

impl Stream {
    /// The next bytes; none at a clean end.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes in 30 seconds.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match patiently(self.body.frame()).await? {
                None => return Ok(None),
                Some(Err(error)) => return Err(failure(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// All the bytes that are still to come.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes in 30 seconds.
    pub async fn rest(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut rest = Vec::new();
        while let Some(bytes) = self.next().await? {
            rest.extend_from_slice(&bytes);
        }
        Ok(rest)
    }
}

impl Client {
    /// A client without a key.
    #[must_use]
    pub fn new(base_url: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            http: Hyper::builder(TokioExecutor::new()).build(connector),
            base_url: base_url.trim_end_matches('/').to_owned(),
            headers: HeaderMap::new(),
        }
    }

    /// The same with `Authorization: Bearer <key>`.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {key}"))
    }

    /// The same with a header on every request. Text that is no header is left out.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            client.headers.insert(name, value);
        }
        client
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(Method::GET, path, None).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, ClientError> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// `PATCH path` with a JSON body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer, ClientError> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn delete(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(Method::DELETE, path, None).await
    }

    /// Any request, and its whole answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ClientError> {
        let response = self.begin(method, path, body).await?;
        let (parts, body) = response.into_parts();
        let body = patiently(body.collect())
            .await?
            .map_err(|error| failure(&error))?;
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }

    /// `POST path` with a JSON body, and its answer piece by piece.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn stream(&self, path: &str, body: &Value) -> Result<Stream, ClientError> {
        let response = self.begin(Method::POST, path, Some(body)).await?;
        let (parts, body) = response.into_parts();
        Ok(Stream {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    async fn begin(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_url));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body
            .map(|body| Bytes::from(body.to_string()))
            .unwrap_or_default();
        let mut request = request
            .body(Full::new(bytes))
            .map_err(|error| failure(&error))?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        patiently(self.http.request(request))
            .await?
            .map_err(|error| failure(&error))
    }
}

async fn patiently<T>(future: impl Future<Output = T>) -> Result<T, ClientError> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .map_err(|_| ClientError(format!("nothing came in {PATIENCE:?}")))
}

fn failure(error: &dyn std::error::Error) -> ClientError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ClientError(text)
}
