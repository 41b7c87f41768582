//! Names that a configuration must not use: secrets, credentials, endpoints of others,
//! code, files and proxies, and headers that belong to the connection.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::catalog::Provider;

pub(super) fn checked_header(
    name: &str,
    value: &Value,
) -> Result<(HeaderName, HeaderValue), String> {
    let lower = name.to_ascii_lowercase();
    if is_credential_header(&lower) {
        return Err(secret_message(name));
    }
    if is_connection_header(&lower) {
        return Err(format!(
            "the header `{name}` belongs to the connection and is not yours to set"
        ));
    }
    let header = HeaderName::from_bytes(lower.as_bytes())
        .map_err(|_| "is not the name of a header".to_owned())?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(format!("the header `{name}` must be a string")),
    };
    let is_visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let value = HeaderValue::from_str(&text).ok().filter(|_| is_visible);
    let value = value
        .ok_or_else(|| format!("the header `{name}` may hold visible ASCII characters only"))?;
    Ok((header, value))
}

/// Whether a header of this name, in lower case, would hold a credential.
pub(super) fn is_credential_header(lower: &str) -> bool {
    let words = lower.replace('-', "_");
    matches!(
        lower,
        "authorization" | "cookie" | "x-auth" | "x-goog-iam-authority-selector"
    ) || is_secret_name(&words)
}

fn is_connection_header(lower: &str) -> bool {
    const NAMES: &[&str] = &[
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept",
        "accept-encoding",
        "forwarded",
        "via",
        "idempotency-key",
        // Some servers take these for the method or the path of the request.
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
    ];
    NAMES.contains(&lower)
        || lower.starts_with("proxy-")
        || lower.starts_with("x-forwarded")
        || lower.starts_with(':')
}

/// Parameters of every LangChain chat model that never reach a provider.
pub(super) const IGNORED: &[&str] = &[
    "metadata",
    "name",
    "output_version",
    "profile",
    "tags",
    "verbose",
];

/// Why this provider must not be given a parameter of this name at all.
pub(super) fn refusal(provider: &Provider, name: &str) -> Option<String> {
    let is_field = provider
        .credential_fields
        .iter()
        .any(|field| field.is_secret && field.name == name);
    if is_field || is_secret_name(name) {
        return Some(secret_message(name));
    }
    if provider.parameter(name).is_some() {
        return None;
    }
    match name {
        "model" | "model_name" | "model_id" | "model_provider" | "provider" => Some(format!(
            "`{name}` belongs in the configuration's own fields"
        )),
        "max_retries" => Some("use the configuration's `max_retries`".to_owned()),
        "timeout" | "request_timeout" | "default_request_timeout" => Some(format!(
            "use the configuration's `timeout_seconds` in place of `{name}`"
        )),
        "messages" | "stream" => Some(format!("`{name}` comes with each request")),
        _ if is_endpoint_name(name) => Some(foreign_endpoint_message(provider, name)),
        _ if is_code_name(name) => Some(format!(
            "`{name}` is code, a file or a proxy of the client's process and has no meaning here"
        )),
        _ => None,
    }
}

pub(super) fn secret_message(name: &str) -> String {
    format!("`{name}` looks like a secret: give it as the configuration's `api_key`")
}

fn foreign_endpoint_message(provider: &Provider, name: &str) -> String {
    match provider.endpoint_parameters.first() {
        Some(own) => format!(
            "`{name}` is not a parameter of {}: use `{own}`",
            provider.name
        ),
        None => format!("the endpoint of {} cannot be changed", provider.name),
    }
}

/// Whether a member of this name would hold a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "api_key",
        "apikey",
        "secret",
        "password",
        "passwd",
        "credential",
        "authorization",
        "private_key",
        "access_key",
        "subscription_key",
        "bearer",
    ];
    const TOKENS_OF_TEXT: &[&str] = &[
        "eos_token",
        "bos_token",
        "pad_token",
        "unk_token",
        "sep_token",
        "mask_token",
        "cls_token",
        "stop_token",
        "start_token",
        "end_token",
    ];
    let lower = name.to_ascii_lowercase();
    let is_token = lower == "token" || lower.ends_with("_token");
    (is_token && !TOKENS_OF_TEXT.contains(&lower.as_str()))
        || PARTS.iter().any(|part| lower.contains(part))
}

fn is_endpoint_name(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "anthropic_api_url",
        "anthropic_proxy",
        "api_base",
        "api_endpoint",
        "azure_endpoint",
        "base_url",
        "client_options",
        "endpoint",
        "model_url",
        "url",
        "endpoint_url",
        "openai_api_base",
        "openai_proxy",
    ];
    NAMES.contains(&name)
}

fn is_code_name(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "async_client",
        "cache",
        "callback_manager",
        "callbacks",
        "cert",
        "client",
        "custom_get_token_ids",
        "http_async_client",
        "http_client",
        "http_socket_options",
        "proxies",
        "proxy",
        "rate_limiter",
        "root_async_client",
        "root_client",
        "ssl",
        "transport",
        "verify",
        "verify_ssl",
    ];
    const ENDINGS: &[&str] = &["_file", "_path", "_proxy", "_proxies", "_token_provider"];
    NAMES.contains(&name)
        || name.starts_with("credentials")
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}
