//! Access tokens for credentials that cannot go into a request themselves: a Google
//! service account, an application of Microsoft Entra, an API key of IBM Cloud.
//!
//! Pure: an exchange is a request value, and its answer a token with an expiry. Who owns
//! sockets sends the one and keeps the other. Tokens are only ever asked for at the
//! provider's own hosts, which no configuration and no credential can change.

mod google;

use domain::secret::Secret;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use super::{Credential, InvalidCredential, invalid};
use crate::catalog::{Provider, TokenExchange};
use crate::endpoint::Origin;
use crate::error::{ErrorKind, ProviderError, retry_after};
use crate::target::HttpRequest;

/// How long a token is taken to live where the answer does not say.
const UNSAID_LIFETIME: SignedDuration = SignedDuration::from_mins(5);
/// No token is kept for longer, whatever the answer says.
const LONGEST_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// A request for an access token.
pub struct Exchange {
    /// What to send. Its body is as secret as the credential.
    pub request: HttpRequest,
    /// Where it goes.
    pub origin: Origin,
    /// What was signed for it, where it holds that in the place of the credential.
    pub assertion: Option<Secret>,
}

/// What a credential was exchanged for. No `Debug`, no `Serialize`.
pub struct AccessToken {
    /// The token.
    pub token: Secret,
    /// When it stops being one.
    pub expires_at: Timestamp,
}

/// Whether this credential must be exchanged before it can go into a request.
#[must_use]
pub fn is_needed(provider: &Provider, credential: &Credential) -> bool {
    let goes_itself = provider
        .credential_fields
        .iter()
        .any(|field| field.auth.is_some() && credential.field(&field.name).is_some());
    provider.token_exchange.is_some() && credential.access_token.is_none() && !goes_itself
}

/// The request for a token, made at `now`.
///
/// # Errors
/// When the credential is not one that can be exchanged.
pub fn request(
    provider: &Provider,
    credential: &Credential,
    now: Timestamp,
) -> Result<Exchange, InvalidCredential> {
    match provider.token_exchange {
        Some(TokenExchange::GoogleServiceAccount) => google::request(credential, now),
        Some(TokenExchange::Entra) => entra(credential, &provider.token_scope),
        Some(TokenExchange::IbmIam) => ibm_iam(credential),
        None => Err(invalid(format!("{} has no tokens", provider.name))),
    }
}

/// Whether a credential that must be exchanged can be.
///
/// # Errors
/// When it cannot.
pub(super) fn check(provider: &Provider, credential: &Credential) -> Result<(), InvalidCredential> {
    if is_needed(provider, credential) {
        request(provider, credential, Timestamp::UNIX_EPOCH)?;
    }
    Ok(())
}

/// Entra's client credentials grant.
///
/// Source: "OAuth 2.0 client credentials flow on the Microsoft identity platform".
fn entra(credential: &Credential, scope: &str) -> Result<Exchange, InvalidCredential> {
    let tenant = required(credential, "azure_tenant_id")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if !tenant.bytes().all(is_name) || matches!(tenant, "." | "..") {
        return Err(invalid(
            "`azure_tenant_id` of the key must be a tenant's id or domain".to_owned(),
        ));
    }
    form(
        &format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
        &[
            ("grant_type", "client_credentials"),
            ("client_id", required(credential, "azure_client_id")?),
            (
                "client_secret",
                required(credential, "azure_client_secret")?,
            ),
            ("scope", scope),
        ],
    )
}

/// Source: IBM Cloud IAM Identity Services, "Create an IAM access token for a user or
/// service ID using an API key".
fn ibm_iam(credential: &Credential) -> Result<Exchange, InvalidCredential> {
    let key = required(credential, "api_key").or_else(|error| {
        let older = required(credential, "apikey");
        older.map_err(|_| error)
    })?;
    form(
        "https://iam.cloud.ibm.com/identity/token",
        &[
            ("grant_type", "urn:ibm:params:oauth:grant-type:apikey"),
            ("apikey", key),
        ],
    )
}

fn required<'a>(credential: &'a Credential, name: &str) -> Result<&'a str, InvalidCredential> {
    credential
        .field(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| invalid(format!("the key lacks `{name}`")))
}

/// A form for a token, as OAuth 2.0 wants it (RFC 6749, section 4).
fn form(address: &str, members: &[(&str, &str)]) -> Result<Exchange, InvalidCredential> {
    let no_address = || invalid("the key makes no usable address for a token".to_owned());
    let url = Url::parse(address).map_err(|_| no_address())?;
    let uri = Uri::try_from(url.as_str()).map_err(|_| no_address())?;
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let body = Serializer::new(String::new())
        .extend_pairs(members)
        .finish();
    Ok(Exchange {
        request: HttpRequest {
            method: Method::POST,
            uri,
            headers,
            body: body.into(),
        },
        origin: Origin::of(&url),
        assertion: None,
    })
}

/// The members of an answer that anybody sends; the others do not matter.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// Seconds; Entra's older interface wrote them as text.
    #[serde(default)]
    expires_in: Value,
}

/// Reads the answer that came at `now`.
///
/// # Errors
/// When the credential was refused, or the answer holds no token. The message may repeat
/// what was sent: whoever shows or logs it scrubs it first.
pub fn decode(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<AccessToken, ProviderError> {
    if !status.is_success() {
        return Err(refusal(status, headers, body, now));
    }
    let malformed = || {
        let message = "the answer to the request for an access token holds none".to_owned();
        ProviderError::new(ErrorKind::Malformed, message)
    };
    let answer: Answer = serde_json::from_slice(body).map_err(|_| malformed())?;
    let token = answer.access_token;
    // It goes into a header.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed());
    }
    let seconds = match &answer.expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let lifetime = seconds
        .and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
        .filter(|lifetime| lifetime.is_positive())
        .unwrap_or(UNSAID_LIFETIME)
        .min(LONGEST_LIFETIME);
    Ok(AccessToken {
        token: Secret::new(token),
        expires_at: now.checked_add(lifetime).unwrap_or(now),
    })
}

/// A refused exchange is our credential's fault, unless the other side is to blame.
fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> ProviderError {
    let kind = match status.as_u16() {
        408 => ErrorKind::Timeout,
        429 => ErrorKind::RateLimit,
        503 => ErrorKind::Overloaded,
        500.. => ErrorKind::Server,
        ..400 => ErrorKind::Malformed,
        _ => ErrorKind::Authentication,
    };
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    let code = text("error").or(text("errorCode"));
    let words = text("error_description").or(text("errorMessage")).or(code);
    let words = words.unwrap_or("it does not say why");
    ProviderError {
        // A refusal is about the credential, whichever status says it.
        status: Some(status.as_u16()).filter(|_| kind != ErrorKind::Authentication),
        code: code.map(str::to_owned),
        retry_after: retry_after(headers, now),
        ..ProviderError::new(kind, format!("no access token was given for it: {words}"))
    }
}

#[cfg(test)]
mod tests;
