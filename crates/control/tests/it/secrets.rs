//! Keys of providers: where they go, where they may go, and where they never show.
//! AT-26, AT-30, AT-37 to AT-40, AT-70 to AT-72.

use jiff::SignedDuration;
use providers::endpoint::EndpointPolicy;
use serde_json::{Value, json};

use crate::harness::{Client, TestApp};

const PATH: &str = "/v1/model-configurations";
const KEY: &str = "sk-canary-Zm9vYmFyYmF6cXV4";

fn with_key() -> Value {
    json!({"name": "n", "provider": "openai", "model": "m", "api_key": KEY})
}

fn item(row: &Value) -> String {
    format!("{PATH}/{}", row["id"].as_str().unwrap())
}

fn alias(row: &Value) -> String {
    row["api_key_alias"].as_str().unwrap().to_owned()
}

async fn patched(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.patch(path, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn a_key_goes_to_the_vault_and_shows_nowhere() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.admin;
    let call = client.call(http::Method::POST, PATH).json(with_key());
    let created = call.idempotency_key("k").send().await;
    let path = item(&created.json());
    let mut texts = vec![created.text().to_owned()];
    for path in [
        PATH,
        &path,
        &format!("{path}/revisions"),
        "/v1/audit-events",
        "/openapi.json",
    ] {
        texts.push(client.get(path).await.text().to_owned());
    }
    texts.push(app.metrics_text());
    for text in &texts {
        assert!(!text.contains("canary"), "{text}");
    }
    let binding = vault::Binding {
        organization_id: Some(tenant.id),
        alias: alias(&created.json()).parse().unwrap(),
        version: 1,
        purpose: vault::Purpose::ProviderApiKey,
        provider: "openai".to_owned(),
        allowed_origin: "https://api.openai.com".to_owned(),
    };
    let opened = vault::VaultBackend::get(&*app.vault, &binding)
        .await
        .unwrap();
    assert_eq!(opened.expose(), KEY);
    let reversed: String = KEY.chars().rev().collect();
    let hexadecimal: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(KEY);
    let files = app.database_files();
    for form in [KEY, &reversed, &hexadecimal, encoded.trim_end_matches('=')] {
        let form = form.as_bytes();
        assert!(!files.windows(form.len()).any(|window| window == form));
    }
}

#[tokio::test]
async fn no_error_quotes_a_body() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let row = client
        .create(json!({"name": "x", "provider": "simulated", "model": "m"}))
        .await;
    let bodies = [
        json!({"provider": "openai", "model": "m", "api_key": KEY}).to_string(),
        json!({"name": 1, "api_key": KEY}).to_string(),
        json!({"name": "n", "provider": "openai", "model": "m", "api_key": [KEY]}).to_string(),
        json!({"name": "n", "provider": "openai", "model": "m", "api_key": format!("{KEY} ")})
            .to_string(),
        json!({"name": "n", "provider": "openai", "model": "m",
            "api_key": format!("{{\"wrong\": \"{KEY}\"}}")})
        .to_string(),
        json!([{"api_key": KEY}]).to_string(),
        json!(KEY).to_string(),
        format!("{{\"api_key\": \"{KEY}\", }}"),
        format!("{{\"api_key\": \"{KEY}"),
        json!({"provider": KEY, "name": KEY, "model": {"x": KEY}}).to_string(),
    ];
    for body in bodies {
        for content_type in ["application/json", "text/plain"] {
            for (method, path) in [("POST", PATH.to_owned()), ("PATCH", item(&row))] {
                let call = client.call(method.parse().unwrap(), &path);
                let call = call.header("content-type", content_type).body(body.clone());
                let answer = call.send().await;
                let is_valid = method == "PATCH" && answer.status == 200;
                assert!(is_valid || answer.status == 422, "{body}");
                assert!(!answer.text().contains("canary"), "{answer:?}");
                assert!(!answer.text().contains("\"input\""), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let long = "k".repeat(64 * 1024);
    for key in [
        "",
        " ",
        " sk",
        "sk ",
        "s\nk",
        "s\0k",
        "schlüssel",
        &long,
        "{}",
        "{",
        "{\"x\": 1}",
        "{\"openai_api_key\": \"\"}",
    ] {
        let mut body = with_key();
        body["api_key"] = json!(key);
        let answer = tenant.developer.post(PATH, body).await;
        let faults = answer.faults();
        assert_eq!(faults.len(), 1, "{key:?}");
        assert_eq!(faults[0].0, "body.api_key", "{key:?}");
    }
    let mut body = with_key();
    body["api_key"] = json!(json!({"openai_api_key": KEY}).to_string());
    assert_eq!(tenant.developer.post(PATH, body).await.status, 201);
    let mut body = json!({"name": "s", "provider": "simulated", "model": "m"});
    body["api_key"] = json!(KEY);
    tenant
        .developer
        .post(PATH, body)
        .await
        .assert_fault("body.api_key", "value_error");
}

#[tokio::test]
async fn a_replaced_key_lives_until_its_grace_ends() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let created = client.create(with_key()).await;
    let path = item(&created);
    let replaced = patched(client, &path, json!({"api_key": "sk-2"})).await;
    assert_ne!(alias(&created), alias(&replaced));
    let kept = patched(client, &path, json!({"api_key": null, "model": "m2"})).await;
    assert_eq!(
        alias(&kept),
        alias(&replaced),
        "null is no key and clears none"
    );
    app.outbox().sweep().await.unwrap();
    assert!(
        app.holds_secret(&alias(&created)).await,
        "calls under way may need it"
    );
    app.clock.advance(SignedDuration::from_secs(601));
    app.outbox().sweep().await.unwrap();
    assert!(!app.holds_secret(&alias(&created)).await);
    assert!(app.holds_secret(&alias(&replaced)).await);

    assert_eq!(client.delete(&path).await.status, 204);
    app.outbox().sweep().await.unwrap();
    assert!(
        !app.holds_secret(&alias(&replaced)).await,
        "a deleted row's key goes at once"
    );
    assert!(app.metrics_text().contains("secrets_to_destroy 0"));
}

#[tokio::test]
async fn a_secret_that_cannot_be_destroyed_is_tried_again() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let created = tenant.developer.create(with_key()).await;
    tenant.developer.delete(&item(&created)).await;
    let mut outbox = app.outbox();
    outbox.vault = app.slow_vault.clone();
    app.slow_vault.set_down(true);
    assert_eq!(outbox.sweep().await.unwrap().failed, 1);
    assert!(
        app.metrics_text()
            .contains("secret_destructions_failed_total 1")
    );
    assert!(app.metrics_text().contains("secrets_to_destroy 1"));
    app.slow_vault.set_down(false);
    assert_eq!(outbox.sweep().await.unwrap().failed, 0);
    assert!(!app.holds_secret(&alias(&created)).await);
}

#[tokio::test]
async fn a_refused_write_leaves_no_secret() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    tenant.developer.create(with_key()).await;
    assert_eq!(tenant.developer.post(PATH, with_key()).await.status, 409);
    let secrets = store::sealed::all_secrets(&app.database).await.unwrap();
    assert_eq!(secrets.len(), 1);
}

#[tokio::test]
async fn without_any_key_nothing_is_made() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    // The installation lends a key for anthropic alone.
    let none = json!({"name": "n", "provider": "openai", "model": "m"});
    let answer = client.post(PATH, none).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.detail().contains("api_key is required"),
        "{answer:?}"
    );
    let lent = client
        .create(json!({"name": "l", "provider": "anthropic", "model": "m"}))
        .await;
    assert_eq!(lent["api_key_alias"], Value::Null);
    let own = client.create(with_key()).await;
    assert_eq!(
        client
            .patch(&item(&own), json!({"clear_api_key": true}))
            .await
            .status,
        400
    );
    let both = json!({"clear_api_key": true, "api_key": "sk-2"});
    client
        .patch(&item(&own), both)
        .await
        .assert_fault("body.clear_api_key", "value_error");
    assert!(app.holds_secret(&alias(&own)).await);
    let to_anthropic = json!({"provider": "anthropic", "clear_api_key": true});
    let moved = patched(client, &item(&own), to_anthropic).await;
    assert_eq!(moved["api_key_alias"], Value::Null);
}

#[tokio::test]
async fn a_key_stays_with_its_host() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let created = client.create(with_key()).await;
    let path = item(&created);
    for body in [
        json!({"additional_params": {"base_url": "https://evil.example/v1"}}),
        json!({"provider": "anthropic"}),
    ] {
        let answer = client.patch(&path, body).await;
        answer.assert_fault("body.api_key", "value_error");
    }
    // With the key in the same request it may go elsewhere, under a new alias.
    let body =
        json!({"additional_params": {"base_url": "https://proxy.example/v1"}, "api_key": "sk-2"});
    let moved = patched(client, &path, body).await;
    assert_ne!(alias(&moved), alias(&created));
    // On that host another path is no other host.
    let body = json!({"additional_params": {"base_url": "https://proxy.example/v2"}});
    assert_eq!(alias(&patched(client, &path, body).await), alias(&moved));
    // The old revision went elsewhere.
    let restore = client.call(http::Method::POST, &format!("{path}/revisions/1/restore"));
    restore
        .send()
        .await
        .assert_fault("body.api_key", "value_error");
    // Without an own key, the installation's would have to go there.
    let answer = client.patch(&path, json!({"clear_api_key": true})).await;
    assert_eq!(answer.faults()[0].0, "body.api_key");
    let lent = json!({"name": "l", "provider": "anthropic", "model": "m",
        "additional_params": {"base_url": "https://evil.example"}});
    client
        .post(PATH, lent)
        .await
        .assert_fault("body.api_key", "value_error");
}

#[tokio::test]
async fn a_region_is_another_host_of_the_same_provider() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let vertex = |name: &str, parameters: Value| {
        json!({"name": name, "provider": "google_anthropic_vertex",
            "model": "claude-sonnet-4-5@20250929", "additional_params": parameters})
    };
    let there = |location: &str| json!({"project": "p", "location": location});
    let mut body = vertex("own", there("us-central1"));
    body["api_key"] = json!("ya29.token");
    let created = client.create(body).await;
    let path = item(&created);
    let elsewhere = json!({"additional_params": there("europe-west4")});
    let refused = client.patch(&path, elsewhere.clone()).await;
    refused.assert_fault("body.api_key", "value_error");
    let mut with_key = elsewhere;
    with_key["api_key"] = json!("ya29.token");
    let moved = patched(client, &path, with_key).await;
    assert_ne!(alias(&moved), alias(&created));
    let other_project = json!({"project": "q", "location": "europe-west4"});
    let kept = patched(client, &path, json!({"additional_params": other_project})).await;
    assert_eq!(alias(&kept), alias(&moved));
    // The installation's key may go to any of the provider's hosts.
    client.create(vertex("lent", there("asia-east1"))).await;
    client
        .create(vertex("lent everywhere", there("global")))
        .await;
    for location in ["evil.example", "x@evil.example", "a/", "us-central1.evil"] {
        let answer = client.post(PATH, vertex("evil", there(location))).await;
        answer.assert_fault("body.additional_params", "value_error");
    }
    // An access token does not say which project it is for.
    let mut silent = vertex("silent", json!({}));
    silent["api_key"] = json!("ya29.token");
    let answer = client.post(PATH, silent).await;
    answer.assert_fault("body.api_key", "value_error");
}

#[tokio::test]
async fn a_customers_resource_gets_no_key_of_the_installation() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let parameters = json!({"azure_endpoint": "https://attacker.openai.azure.com",
        "api_version": "2024-10-21"});
    let mut body = json!({"name": "azure", "provider": "azure_openai", "model": "gpt-4o",
        "additional_params": parameters});
    let answer = client.post(PATH, body.clone()).await;
    answer.assert_fault("body.api_key", "value_error");
    body["api_key"] = json!("own-key");
    client.create(body.clone()).await;
    body["name"] = json!("nowhere");
    body["additional_params"] = json!({"api_version": "2024-10-21"});
    let answer = client.post(PATH, body).await;
    answer.assert_fault("body.additional_params", "value_error");
}

#[tokio::test]
async fn private_hosts_are_the_operators_to_allow() {
    for (policy, status) in [
        (EndpointPolicy::PublicOnly, 422),
        (EndpointPolicy::PrivateNetworksAllowed, 201),
    ] {
        let app = TestApp::start_with(policy).await;
        let tenant = app.tenant("a").await;
        let mut body = with_key();
        body["additional_params"] = json!({"base_url": "http://127.0.0.1:11434/v1"});
        let answer = tenant.developer.post(PATH, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let own_address = json!({"name": "local", "provider": "ollama", "model": "llama3.2"});
        let answer = tenant.developer.post(PATH, own_address).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn an_external_vault_keeps_what_is_used_and_nothing_else() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.admin;
    *app.slow_vault.external.lock().unwrap() = Some(std::collections::BTreeMap::new());
    let kept = || -> Vec<String> {
        let secrets = app.slow_vault.external.lock().unwrap();
        secrets.as_ref().unwrap().values().cloned().collect()
    };
    let created = client.create(with_key()).await;
    assert_eq!(kept(), [KEY]);
    assert!(
        !app.holds_secret(&alias(&created)).await,
        "it is not in the database"
    );
    assert_eq!(client.post(PATH, with_key()).await.status, 409);
    let nowhere = format!("{PATH}/{}", uuid::Uuid::from_u128(1));
    assert_eq!(
        client
            .patch(&nowhere, json!({"api_key": "sk-2"}))
            .await
            .status,
        404
    );
    assert_eq!(
        kept(),
        [KEY],
        "what a refused write had deposited is taken back"
    );
    let keys = || {
        let call = client
            .call(http::Method::POST, "/v1/api-keys")
            .json(json!({"name": "x"}));
        call.idempotency_key("k").send()
    };
    assert_eq!(
        keys().await.body,
        keys().await.body,
        "a sealed answer is found there too"
    );
    client.delete(&item(&created)).await;
    let mut outbox = app.outbox();
    outbox.vault = app.slow_vault.clone();
    outbox.sweep().await.unwrap();
    assert_eq!(kept().len(), 1, "the sealed answer");
    app.clock.advance(SignedDuration::from_hours(49));
    outbox.sweep().await.unwrap();
    assert_eq!(kept(), Vec::<String>::new());
}
