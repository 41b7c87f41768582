//! A Google service account: an assertion, signed with its private key, for a token.
//!
//! Source: "Using OAuth 2.0 for Server to Server Applications", HTTP/REST; RFC 7523.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::secret::Secret;
use jiff::Timestamp;
use serde_json::json;

use super::{Exchange, form, required};
use crate::auth::{Credential, InvalidCredential, invalid};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where Google gives tokens; a file names one of these.
const TOKEN_ADDRESSES: &[&str] = &[
    "https://oauth2.googleapis.com/token",
    "https://www.googleapis.com/oauth2/v4/token",
    "https://accounts.google.com/o/oauth2/token",
];
/// As long as Google allows.
const LIFETIME_SECONDS: i64 = 3600;

pub(super) fn request(
    credential: &Credential,
    now: Timestamp,
) -> Result<Exchange, InvalidCredential> {
    if credential
        .field("type")
        .is_some_and(|kind| kind != "service_account")
    {
        return Err(invalid(
            "the key is not the file of a service account: its `type` says something else"
                .to_owned(),
        ));
    }
    let universe = credential.field("universe_domain");
    if universe.is_some_and(|domain| domain != "googleapis.com") {
        return Err(invalid(
            "`universe_domain` of the key must be googleapis.com".to_owned(),
        ));
    }
    let address = credential.field("token_uri").unwrap_or(TOKEN_ADDRESSES[0]);
    if !TOKEN_ADDRESSES.contains(&address) {
        return Err(invalid(
            "`token_uri` of the key must be Google's".to_owned(),
        ));
    }
    let assertion = assertion(credential, address, now)?;
    let exchange = form(
        address,
        &[
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", &assertion),
        ],
    )?;
    Ok(Exchange {
        assertion: Some(Secret::new(assertion)),
        ..exchange
    })
}

fn assertion(
    credential: &Credential,
    audience: &str,
    now: Timestamp,
) -> Result<String, InvalidCredential> {
    let mut header = json!({"alg": "RS256", "typ": "JWT"});
    if let Some(id) = credential.field("private_key_id") {
        header["kid"] = id.into();
    }
    let claims = json!({
        "iss": required(credential, "client_email")?,
        "scope": SCOPE,
        "aud": audience,
        "iat": now.as_second(),
        "exp": now.as_second() + LIFETIME_SECONDS,
    });
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = sign(required(credential, "private_key")?, signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// RS256 is deterministic: no randomness goes into it, though the interface wants some.
fn sign(private_key: &str, text: &[u8]) -> Result<Vec<u8>, InvalidCredential> {
    let unusable = || invalid("`private_key` of the key is not an RSA key in PEM".to_owned());
    let key = key_pair(private_key).ok_or_else(unusable)?;
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text,
        &mut signature,
    )
    .map_err(|_| unusable())?;
    Ok(signature)
}

fn key_pair(pem: &str) -> Option<KeyPair> {
    let between = |begin: &str, end: &str| {
        let (_, rest) = pem.split_once(begin)?;
        let (inner, _) = rest.split_once(end)?;
        let inner: String = inner.split_ascii_whitespace().collect();
        STANDARD.decode(inner).ok().map(zeroize::Zeroizing::new)
    };
    let pkcs8 = between("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
    if let Some(der) = pkcs8 {
        return KeyPair::from_pkcs8(&der).ok();
    }
    let pkcs1 = between(
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END RSA PRIVATE KEY-----",
    );
    KeyPair::from_der(&pkcs1?).ok()
}
