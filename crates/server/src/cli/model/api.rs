//! Talking to a running server's control plane.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The control plane answers within ten seconds or says why not.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which server, and as whom.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ServerArguments {
    /// Where the server is
    #[arg(
        long,
        value_name = "URL",
        env = "QUARTERMASTER_URL",
        default_value = "http://127.0.0.1:8700",
        help_heading = "The server",
        global = true
    )]
    server: String,
    /// A key with the scope `manage`; better in the environment than on the command line
    #[arg(
        long,
        value_name = "KEY",
        env = "QUARTERMASTER_API_KEY",
        hide_env_values = true,
        help_heading = "The server",
        global = true
    )]
    api_key: Option<String>,
}

/// A client of one server.
pub(in crate::cli) struct Api {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: String,
    authorization: HeaderValue,
}

impl Api {
    pub(in crate::cli) fn new(arguments: &ServerArguments) -> anyhow::Result<Self> {
        let key = arguments.api_key.as_deref().context(
            "no API key: set QUARTERMASTER_API_KEY, or make one with `quartermaster api-key create`",
        )?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))
            .context("the API key holds characters that no key holds")?;
        authorization.set_sensitive(true);
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .build();
        let server = arguments.server.trim_end_matches('/');
        ensure!(
            server.starts_with("http://") || server.starts_with("https://"),
            "the server's address `{server}` begins with neither http:// nor https://"
        );
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            server: server.to_owned(),
            authorization,
        })
    }

    pub(in crate::cli) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    pub(in crate::cli) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(in crate::cli) async fn post_nothing(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::POST, path, None).await
    }

    pub(in crate::cli) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(in crate::cli) async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(in crate::cli) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::DELETE, path, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let bytes = body
            .map(|body| Bytes::from(body.to_string()))
            .unwrap_or_default();
        let request = request
            .body(Full::new(bytes))
            .context("the server's address is no URL")?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let (parts, body) = response.into_parts();
            anyhow::Ok((parts.status, body.collect().await?.to_bytes()))
        };
        let (status, bytes) = tokio::time::timeout(PATIENCE, exchange)
            .await
            .context("the server did not answer")?
            .with_context(|| format!("no answer from {}; is the server running?", self.server))?;
        let value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        bail!("{}", refusal(status, &value))
    }
}

/// What a server's refusal says, for a person.
fn refusal(status: StatusCode, body: &Value) -> String {
    let detail = &body["detail"];
    let reasons: Vec<String> = match detail {
        Value::String(text) => vec![text.clone()],
        Value::Array(entries) => entries.iter().map(validation_error).collect(),
        _ => Vec::new(),
    };
    let advice = match status {
        StatusCode::UNAUTHORIZED => "; is QUARTERMASTER_API_KEY a key of this server?",
        _ => "",
    };
    format!("{status}: {}{advice}", reasons.join("\n  "))
}

fn validation_error(entry: &Value) -> String {
    let path = entry["loc"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let path: Vec<String> = path
        .iter()
        .filter(|step| *step != "body")
        .map(|step| {
            step.as_str()
                .map_or_else(|| step.to_string(), str::to_owned)
        })
        .collect();
    let message = entry["msg"].as_str().unwrap_or("not acceptable");
    format!("{}: {message}", path.join("."))
}
