//! Credentials, and putting one into a request.

pub mod exchange;
mod sigv4;

use domain::secret::Secret;
use http::{HeaderName, HeaderValue, Uri, header};
use jiff::Timestamp;
use serde_json::Value;

use crate::address::template::encoded;
use crate::catalog::{AuthScheme, CredentialField, Provider};
use crate::target::{HttpRequest, Target};

/// LangChain's names for the access keys of AWS.
const ACCESS_KEY_ID: &str = "aws_access_key_id";
const SECRET_ACCESS_KEY: &str = "aws_secret_access_key";
const SESSION_TOKEN: &str = "aws_session_token";

/// An opened credential, parsed for its provider. No `Debug`, no `Serialize`.
#[derive(Clone)]
pub struct Credential {
    /// The fields that were given; never empty.
    fields: Vec<Field>,
    /// What it was exchanged for.
    access_token: Option<Secret>,
}

/// One member of a credential.
#[derive(Clone)]
struct Field {
    /// LangChain's argument name.
    name: String,
    value: Secret,
    /// Whether it must not be shown; a service account's e-mail address may be.
    is_secret: bool,
}

/// A stored secret that is not a credential of its provider, or not for a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidCredential {
    /// What is wrong; holds nothing of the secret.
    pub message: String,
}

impl Credential {
    /// Reads a bare key or a JSON object of the provider's secret fields.
    ///
    /// # Errors
    /// When it is neither, or holds members the provider does not have.
    pub fn parse(provider: &Provider, secret: &Secret) -> Result<Self, InvalidCredential> {
        let text = secret.expose();
        let credential = if text.trim_start().starts_with('{') {
            Self::parse_object(provider, text)?
        } else {
            let Some(field) = provider.credential_fields.first() else {
                return Err(invalid(format!("{} takes no key", provider.name)));
            };
            check_key(text)?;
            Self::of(vec![Field::of(field, secret.clone())])
        };
        exchange::check(provider, &credential)?;
        check_access_keys(provider, &credential)?;
        Ok(credential)
    }

    fn parse_object(provider: &Provider, text: &str) -> Result<Self, InvalidCredential> {
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Err(invalid(
                "the key begins like a JSON object but is none".to_owned(),
            ));
        };
        let mut fields = Vec::with_capacity(members.len());
        for (name, value) in members {
            let known = provider
                .credential_fields
                .iter()
                .find(|field| field.name == name);
            let Some(field) = known else {
                let names: Vec<&str> = provider
                    .credential_fields
                    .iter()
                    .map(|field| field.name.as_str())
                    .collect();
                return Err(invalid(format!(
                    "the key holds a member that {} does not have; it has {}",
                    provider.name,
                    names.join(", ")
                )));
            };
            let Value::String(text) = value else {
                return Err(invalid(format!("`{name}` of the key must be a string")));
            };
            if !field.is_document {
                check_key(&text)?;
            }
            fields.push(Field::of(field, Secret::new(text)));
        }
        if fields.is_empty() {
            return Err(invalid("the key is an empty object".to_owned()));
        }
        Ok(Self::of(fields))
    }

    const fn of(fields: Vec<Field>) -> Self {
        Self {
            fields,
            access_token: None,
        }
    }

    /// The same credential with what it was exchanged for, which goes into requests in
    /// its place.
    #[must_use]
    pub fn with_access_token(&self, token: Secret) -> Self {
        Self {
            fields: self.fields.clone(),
            access_token: Some(token),
        }
    }

    /// Every secret text inside, for scrubbing.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        let fields = self.fields.iter().filter(|field| field.is_secret);
        let all = fields.map(|field| &field.value).chain(&self.access_token);
        all.map(Secret::expose).collect()
    }

    /// One of its fields, by LangChain's argument name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|field| field.name == name);
        found.map(|field| field.value.expose())
    }

    /// What goes into a request, and how.
    fn key(&self, provider: &Provider) -> (AuthScheme, &str) {
        if let Some(token) = &self.access_token {
            return (AuthScheme::Bearer, token.expose());
        }
        let given = |field: &CredentialField| Some((field.auth?, self.field(&field.name)?));
        if let Some(own) = provider.credential_fields.iter().rev().find_map(given) {
            return own;
        }
        let first = self.fields.first();
        let first = first.map_or("", |field| field.value.expose());
        (provider.auth, first)
    }
}

impl Field {
    fn of(row: &CredentialField, value: Secret) -> Self {
        Self {
            name: row.name.clone(),
            value,
            is_secret: row.is_secret,
        }
    }
}

/// A key goes into a header, so that it may hold visible ASCII characters only.
fn check_key(text: &str) -> Result<(), InvalidCredential> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(
            "the key must hold visible ASCII characters only, and at least one".to_owned(),
        ));
    }
    Ok(())
}

pub(crate) const fn invalid(message: String) -> InvalidCredential {
    InvalidCredential { message }
}

/// Whether the credential says all that calls to this target need of it, such as the
/// project of a Google service account.
///
/// # Errors
/// When it does not.
pub fn check(target: &Target, credential: &Credential) -> Result<(), InvalidCredential> {
    for wanted in &target.from_credential {
        let value = credential.field(&wanted.field).unwrap_or_default();
        let variables = &target.provider.endpoint_variables;
        let variable = variables.iter().find(|row| row.name == wanted.variable);
        let fits = variable.is_some_and(|variable| variable.pattern.matches(value));
        if !fits || matches!(value, "." | "..") {
            return Err(invalid(wanted.missing()));
        }
    }
    Ok(())
}

/// Puts the credential where the provider looks for it, marked sensitive, and fills in
/// what of the address only it knows. `request` must not change after that: it may be
/// signed, for `now`. It may be done again, for another try: what it did before is replaced.
///
/// Where [`exchange::is_needed`], the credential is one [`Credential::with_access_token`].
///
/// # Errors
/// When the credential does not hold what this target needs.
pub fn apply(
    target: &Target,
    credential: &Credential,
    request: &mut HttpRequest,
    now: Timestamp,
) -> Result<(), InvalidCredential> {
    check(target, credential)?;
    fill_address(target, credential, request)?;
    let (scheme, key) = credential.key(target.provider);
    let (name, text) = match scheme {
        AuthScheme::None => return Ok(()),
        AuthScheme::Bearer => (header::AUTHORIZATION, format!("Bearer {key}")),
        AuthScheme::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
        AuthScheme::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
        AuthScheme::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), key.to_owned()),
        AuthScheme::AwsSigv4 => return sign(target, credential, request, now),
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| invalid("the key cannot stand in a header".to_owned()))?;
    value.set_sensitive(true);
    request.headers.insert(name, value);
    Ok(())
}

/// Signs the request with the access keys of AWS.
fn sign(
    target: &Target,
    credential: &Credential,
    request: &mut HttpRequest,
    now: Timestamp,
) -> Result<(), InvalidCredential> {
    let (Some(access_key_id), Some(secret_access_key)) = (
        credential.field(ACCESS_KEY_ID),
        credential.field(SECRET_ACCESS_KEY),
    ) else {
        return Err(incomplete_keys());
    };
    let keys = sigv4::Keys {
        access_key_id,
        secret_access_key,
        session_token: credential.field(SESSION_TOKEN),
    };
    let scope = sigv4::Scope {
        region: target.region.as_deref().unwrap_or("us-east-1"),
        service: &target.provider.signing_service,
    };
    sigv4::sign(request, &keys, scope, now);
    Ok(())
}

/// One access key of AWS is none: it takes the identifier and the secret.
fn check_access_keys(
    provider: &Provider,
    credential: &Credential,
) -> Result<(), InvalidCredential> {
    let (scheme, _) = credential.key(provider);
    let has = |name| credential.field(name).is_some();
    if scheme == AuthScheme::AwsSigv4 && !(has(ACCESS_KEY_ID) && has(SECRET_ACCESS_KEY)) {
        return Err(incomplete_keys());
    }
    Ok(())
}

fn incomplete_keys() -> InvalidCredential {
    invalid(format!(
        "the key must hold both `{ACCESS_KEY_ID}` and `{SECRET_ACCESS_KEY}`, or a Bedrock API key"
    ))
}

/// Takes what a credential knows of the path out of it. It has been checked.
fn fill_address(
    target: &Target,
    credential: &Credential,
    request: &mut HttpRequest,
) -> Result<(), InvalidCredential> {
    if target.from_credential.is_empty() {
        return Ok(());
    }
    let parts = request.uri.clone().into_parts();
    let path = parts
        .path_and_query
        .as_ref()
        .map_or("/", |path| path.as_str());
    let path = filled_in(path, target, credential).unwrap_or_else(|| path.to_owned());
    // Google wants the address repeated for its routers.
    for value in request.headers.values_mut() {
        if let Ok(text) = value.to_str()
            && let Some(filled) = filled_in(text, target, credential)
        {
            *value = HeaderValue::try_from(filled)
                .map_err(|_| invalid("the key makes no usable address".to_owned()))?;
        }
    }
    let mut filled = parts;
    filled.path_and_query = path.parse().ok();
    request.uri = Uri::from_parts(filled)
        .map_err(|_| invalid("the key makes no usable address".to_owned()))?;
    Ok(())
}

/// The text with what only the credential knows. None where it has no place for that.
fn filled_in(text: &str, target: &Target, credential: &Credential) -> Option<String> {
    let wanted = target.from_credential.iter();
    let mut filled: Option<String> = None;
    for wanted in wanted {
        let placeholder = wanted.placeholder();
        let text = filled.as_deref().unwrap_or(text);
        if text.contains(&placeholder) {
            let value = credential.field(&wanted.field).unwrap_or_default();
            filled = Some(text.replace(&placeholder, &encoded(value, false)));
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::provider;
    use crate::target::tests::target;

    fn parse(text: &str) -> Result<Credential, InvalidCredential> {
        Credential::parse(provider("openai").unwrap(), &Secret::new(text.to_owned()))
    }

    #[test]
    fn a_key_is_bare_or_an_object_of_the_providers_fields() {
        assert_eq!(parse("sk-1").unwrap().secrets(), ["sk-1"]);
        let object = r#"{"openai_api_key":"sk-2"}"#;
        assert_eq!(parse(object).unwrap().secrets(), ["sk-2"]);
    }

    #[test]
    fn anything_else_is_refused_without_repeating_it() {
        for text in [
            "",
            "canary key",
            "canary\n",
            "canaryé",
            "{\"canary\":1}",
            "{\"canary\"",
            r#"{"openai_api_key":"a","canary":"canary"}"#,
            r#"{"openai_api_key":1}"#,
            "{}",
        ] {
            let error = parse(text).err().unwrap();
            assert!(!error.message.contains("canary"), "{text}: {error}");
        }
    }

    #[test]
    fn a_header_that_holds_a_key_is_sensitive() {
        let target = target(&json!({"provider": "openai", "model": "gpt-4o"})).unwrap();
        let mut request = HttpRequest {
            method: http::Method::POST,
            uri: target.uri.clone(),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        apply(
            &target,
            &parse("sk-1").unwrap(),
            &mut request,
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        assert_eq!(request.headers["authorization"], "Bearer sk-1");
        assert!(request.headers["authorization"].is_sensitive());
        assert!(!format!("{request:?}").contains("sk-1"));
    }
}
