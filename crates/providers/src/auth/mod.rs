//! Credentials, and putting one into a request.

use domain::secret::Secret;
use http::{HeaderName, HeaderValue, header};
use serde_json::Value;

use crate::catalog::{AuthScheme, Provider};
use crate::target::HttpRequest;

/// An opened credential, parsed for its provider. No `Debug`, no `Serialize`.
pub struct Credential {
    /// The fields that were given, by LangChain's argument names; never empty.
    fields: Vec<(String, Secret)>,
}

/// A stored secret that is not a credential of its provider.
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
        if text.trim_start().starts_with('{') {
            return Self::parse_object(provider, text);
        }
        let Some(field) = provider.credential_fields.first() else {
            return Err(invalid(format!("{} takes no key", provider.name)));
        };
        check_key(text)?;
        Ok(Self {
            fields: vec![(field.name.clone(), secret.clone())],
        })
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
                .any(|field| field.name == name);
            if !known {
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
            }
            let Value::String(text) = value else {
                return Err(invalid(format!("`{name}` of the key must be a string")));
            };
            check_key(&text)?;
            fields.push((name, Secret::new(text)));
        }
        if fields.is_empty() {
            return Err(invalid("the key is an empty object".to_owned()));
        }
        Ok(Self { fields })
    }

    /// Every secret text inside, for scrubbing.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        self.fields
            .iter()
            .map(|(_, secret)| secret.expose())
            .collect()
    }

    /// What a scheme that takes one key is given.
    fn key(&self) -> &str {
        self.fields
            .first()
            .map_or("", |(_, secret)| secret.expose())
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

const fn invalid(message: String) -> InvalidCredential {
    InvalidCredential { message }
}

/// Puts the credential where the provider looks for it, marked sensitive.
pub fn apply(provider: &Provider, credential: &Credential, request: &mut HttpRequest) {
    let (name, text) = match provider.auth {
        AuthScheme::None => return,
        AuthScheme::Bearer => (
            header::AUTHORIZATION,
            format!("Bearer {}", credential.key()),
        ),
        AuthScheme::XApiKey => (
            HeaderName::from_static("x-api-key"),
            credential.key().to_owned(),
        ),
    };
    // `Credential::parse` let nothing through that cannot stand in a header.
    if let Ok(mut value) = HeaderValue::try_from(text) {
        value.set_sensitive(true);
        request.headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::provider;

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
        let mut request = HttpRequest {
            method: http::Method::POST,
            uri: http::Uri::from_static("https://api.openai.com/v1"),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        apply(
            provider("openai").unwrap(),
            &parse("sk-1").unwrap(),
            &mut request,
        );
        assert_eq!(request.headers["authorization"], "Bearer sk-1");
        assert!(request.headers["authorization"].is_sensitive());
        assert!(!format!("{request:?}").contains("sk-1"));
    }
}
