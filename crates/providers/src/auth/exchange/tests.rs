//! Requests for tokens, and their answers.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;
use crate::catalog;
use crate::target::tests::target;

/// A key made for this run.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

/// As a service account's file holds it.
fn private_key() -> String {
    let der: Pkcs8V1Der<'_> = KEY.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn service_account() -> Value {
    json!({
        "type": "service_account", "project_id": "proj-1", "private_key_id": "key-1",
        "private_key": private_key(), "client_email": "a@proj-1.iam.gserviceaccount.com",
        "client_id": "1", "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/a",
        "universe_domain": "googleapis.com",
    })
}

fn parse(provider: &str, secret: &str) -> Result<Credential, InvalidCredential> {
    let provider = catalog::provider(provider).unwrap();
    Credential::parse(provider, &Secret::new(secret.to_owned()))
}

fn made(provider: &str, secret: &Value) -> (Exchange, Vec<(String, String)>) {
    let secret = secret.as_str().map_or(secret.to_string(), str::to_owned);
    let credential = parse(provider, &secret).unwrap();
    let provider = catalog::provider(provider).unwrap();
    assert!(is_needed(provider, &credential));
    let exchange = request(provider, &credential, now()).unwrap();
    assert_eq!(exchange.request.method, Method::POST);
    let form = url::form_urlencoded::parse(&exchange.request.body);
    let form = form.into_owned().collect();
    (exchange, form)
}

#[test]
fn a_service_account_signs_what_it_claims() {
    let (exchange, form) = made("google_anthropic_vertex", &service_account());
    assert_eq!(exchange.origin.as_str(), "https://oauth2.googleapis.com");
    assert_eq!(exchange.request.uri.path(), "/token");
    assert_eq!(form[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (signed, signature) = form[1].1.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, KEY.public_key())
        .verify(signed.as_bytes(), &signature)
        .unwrap();
    let part = |index| {
        let text = signed.split('.').nth(index).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"});
    assert_eq!(part(0), header);
    let claims = json!({
        "iss": "a@proj-1.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1_700_000_000, "exp": 1_700_003_600,
    });
    assert_eq!(part(1), claims);
}

#[test]
fn a_service_account_that_leads_elsewhere_or_is_none_is_refused() {
    let elsewhere = [
        ("token_uri", json!("https://evil.example/token")),
        (
            "token_uri",
            json!("https://oauth2.googleapis.com.evil.example/token"),
        ),
        ("token_uri", json!("http://oauth2.googleapis.com/token")),
        ("token_uri", json!("https://oauth2.googleapis.com/token#")),
        ("universe_domain", json!("evil.example")),
        ("type", json!("external_account")),
        ("private_key", json!("canary")),
        (
            "private_key",
            json!("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n"),
        ),
        ("client_email", json!(null)),
        (
            "credential_source",
            json!({"url": "http://169.254.169.254"}),
        ),
    ];
    for (name, value) in elsewhere {
        let mut account = service_account();
        account[name] = value.clone();
        if value.is_null() {
            account.as_object_mut().unwrap().shift_remove(name);
        }
        let error = parse("google_anthropic_vertex", &account.to_string());
        let error = error.err().unwrap_or_else(|| panic!("{name}: {value}"));
        assert!(!error.message.contains("canary"), "{error}");
    }
}

#[test]
fn only_what_is_secret_of_a_service_account_is_looked_for_in_texts() {
    let account = service_account().to_string();
    let credential = parse("google_anthropic_vertex", &account).unwrap();
    assert_eq!(credential.secrets(), [private_key()]);
    let with_token = credential.with_access_token(Secret::new("ya29.token".to_owned()));
    assert_eq!(with_token.secrets(), [private_key().as_str(), "ya29.token"]);
}

#[test]
fn a_service_account_knows_its_project() {
    let config = json!({"provider": "google_anthropic_vertex", "model": "claude-sonnet-4-5"});
    let target = target(&config).unwrap();
    let mut request = HttpRequest {
        method: Method::POST,
        uri: target.stream_uri.clone(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    let account = parse("google_anthropic_vertex", &service_account().to_string()).unwrap();
    let account = account.with_access_token(Secret::new("ya29.t".to_owned()));
    for _ in 0..2 {
        crate::auth::apply(&target, &account, &mut request, now()).unwrap();
        assert_eq!(request.headers["authorization"], "Bearer ya29.t");
        let path = "/v1/projects/proj-1/locations/us-central1/publishers/anthropic/models/\
                    claude-sonnet-4-5:streamRawPredict";
        assert_eq!(request.uri.path(), path);
    }
    let token = parse("google_anthropic_vertex", "ya29.mine").unwrap();
    let error = crate::auth::check(&target, &token).unwrap_err();
    assert!(error.message.contains("`project`"), "{error}");
    let mut account = service_account();
    account["project_id"] = json!("../other");
    let account = parse("google_anthropic_vertex", &account.to_string()).unwrap();
    assert!(crate::auth::check(&target, &account).is_err());
}

#[test]
fn a_key_of_ibm_cloud_and_an_application_of_entra_are_shown() {
    let (exchange, form) = made("ibm", &json!("key +&1".replace([' ', '+', '&'], "%")));
    assert_eq!(exchange.origin.as_str(), "https://iam.cloud.ibm.com");
    assert_eq!(form[0].1, "urn:ibm:params:oauth:grant-type:apikey");
    assert_eq!(form[1], ("apikey".to_owned(), "key%%%1".to_owned()));
    let application = json!({"azure_tenant_id": "tenant-1", "azure_client_id": "c",
        "azure_client_secret": "s&=+"});
    let (exchange, form) = made("azure_openai", &application);
    assert_eq!(
        exchange.origin.as_str(),
        "https://login.microsoftonline.com"
    );
    assert_eq!(exchange.request.uri.path(), "/tenant-1/oauth2/v2.0/token");
    assert_eq!(form[2], ("client_secret".to_owned(), "s&=+".to_owned()));
    assert_eq!(form[3].1, "https://cognitiveservices.azure.com/.default");
    let (_, form) = made("azure_ai", &application);
    assert_eq!(form[3].1, "https://ai.azure.com/.default");
    for tenant in ["a/b", "..", "a?b", "a#b", "a@b"] {
        let application = json!({"azure_tenant_id": tenant, "azure_client_id": "c",
            "azure_client_secret": "s"});
        assert!(
            parse("azure_openai", &application.to_string()).is_err(),
            "{tenant}"
        );
    }
    let half = json!({"azure_tenant_id": "t", "azure_client_id": "c"});
    let error = parse("azure_openai", &half.to_string()).err().unwrap();
    assert!(error.message.contains("azure_client_secret"), "{error}");
}

#[test]
fn a_token_that_is_given_needs_no_exchange() {
    for (provider, secret) in [
        ("google_anthropic_vertex", "ya29.mine"),
        ("azure_openai", "key"),
        ("azure_openai", r#"{"azure_ad_token":"t"}"#),
        ("ibm", r#"{"token":"t"}"#),
        ("openai", "sk-1"),
    ] {
        let credential = parse(provider, secret).unwrap();
        let provider = catalog::provider(provider).unwrap();
        assert!(!is_needed(provider, &credential), "{}", provider.name);
    }
}

fn answer(status: u16, body: &str) -> Result<AccessToken, ProviderError> {
    let status = StatusCode::from_u16(status).unwrap();
    decode(status, &HeaderMap::new(), body.as_bytes(), now())
}

#[test]
fn an_answer_is_a_token_with_an_expiry() {
    for (body, seconds) in [
        (
            r#"{"access_token":"t","expires_in":3599,"token_type":"Bearer"}"#,
            3599,
        ),
        (r#"{"access_token":"t","expires_in":"60"}"#, 60),
        (r#"{"access_token":"t"}"#, 300),
        (r#"{"access_token":"t","expires_in":0}"#, 300),
        (r#"{"access_token":"t","expires_in":-5}"#, 300),
        (r#"{"access_token":"t","expires_in":1e300}"#, 300),
        (r#"{"access_token":"t","expires_in":99999999}"#, 86_400),
    ] {
        let token = answer(200, body).ok().unwrap();
        assert_eq!(token.token.expose(), "t");
        assert_eq!(
            token.expires_at.as_second() - 1_700_000_000,
            seconds,
            "{body}"
        );
    }
}

#[test]
fn an_answer_without_a_token_is_an_error_of_its_kind() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":"a\nb"}"#,
    ] {
        assert_eq!(
            answer(200, body).err().unwrap().kind,
            ErrorKind::Malformed,
            "{body}"
        );
    }
    let refused = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    let error = answer(400, refused).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Authentication);
    assert!(error.message.contains("Invalid JWT Signature."));
    let ibm = r#"{"errorCode":"BXNIM0415E","errorMessage":"Provided API key could not be found."}"#;
    let error = answer(400, ibm).err().unwrap();
    assert_eq!(error.code.as_deref(), Some("BXNIM0415E"));
    for (status, kind) in [
        (302, ErrorKind::Malformed),
        (401, ErrorKind::Authentication),
        (429, ErrorKind::RateLimit),
        (500, ErrorKind::Server),
        (503, ErrorKind::Overloaded),
    ] {
        assert_eq!(
            answer(status, "<html>").err().unwrap().kind,
            kind,
            "{status}"
        );
    }
}
