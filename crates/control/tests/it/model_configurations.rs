//! What a model configuration may be, beyond Cyberdesk's schema.

use http::Method;
use serde_json::{Value, json};

use crate::harness::TestApp;

const PATH: &str = "/v1/model-configurations";

fn body() -> Value {
    json!({"name": "n", "provider": "simulated", "model": "m"})
}

#[tokio::test]
async fn all_members_come_back_as_they_were_sent() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let sent = json!({
        "name": "Ünïcödé \u{202e}😀",
        "description": "d",
        "provider": "openai",
        "model": "ft:gpt-4o:acme/x",
        "temperature": 0.1,
        "max_tokens": i64::MAX,
        "timeout_seconds": 1.5,
        "max_retries": 100,
        "additional_params": {
            "reasoning_effort": "low",
            "seed": 9_007_199_254_740_993_i64,
            "unknown": [u64::MAX, -0.5, 1e-7, null, {"z": 1, "a": 2}, "\u{7f}"],
        },
        "agent_harness_version_string": "v2",
        "is_computer_use_model": true,
        "is_archived": true,
        "api_key": "sk-1",
    });
    let created = tenant.developer.create(sent.clone()).await;
    for (name, value) in sent.as_object().unwrap() {
        if name != "api_key" {
            assert_eq!(&created[name], value, "{name}");
        }
    }
    assert!(created.get("api_key").is_none());
    let path = format!("{PATH}/{}", created["id"].as_str().unwrap());
    let read = tenant.developer.get(&path).await;
    assert_eq!(read.json(), created);
    assert_eq!(tenant.developer.get(PATH).await.json(), json!([created]));
    let order: Vec<_> = created["additional_params"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(
        order,
        ["reasoning_effort", "seed", "unknown"],
        "order is kept"
    );
}

#[tokio::test]
async fn numbers_have_ranges_and_say_so_all_at_once() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let mut wrong = body();
    wrong["temperature"] = json!(-0.1);
    wrong["max_tokens"] = json!(0);
    wrong["timeout_seconds"] = json!(0);
    wrong["max_retries"] = json!(101);
    wrong["model"] = json!("../../x");
    let answer = tenant.developer.post(PATH, wrong).await;
    let expected = [
        ("body.model", "value_error"),
        ("body.temperature", "greater_than_equal"),
        ("body.max_tokens", "greater_than_equal"),
        ("body.timeout_seconds", "greater_than"),
        ("body.max_retries", "less_than_equal"),
    ];
    let expected = expected.map(|(loc, kind)| (loc.to_owned(), kind.to_owned()));
    assert_eq!(answer.faults(), expected);
    assert_eq!(answer.json()["detail"][4]["ctx"], json!({"le": 100}));
}

#[tokio::test]
async fn an_unknown_provider_is_told_the_known_ones() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let mut wrong = body();
    wrong["provider"] = json!("antropic");
    let answer = tenant.developer.post(PATH, wrong).await;
    answer.assert_fault("body.provider", "value_error");
    for known in ["anthropic", "openai", "simulated"] {
        assert!(answer.text().contains(known), "{known}");
    }
    let row = tenant.developer.create(body()).await;
    let item = format!("{PATH}/{}", row["id"].as_str().unwrap());
    let answer = tenant
        .developer
        .patch(&item, json!({"provider": "x"}))
        .await;
    answer.assert_fault("body.provider", "value_error");
}

#[tokio::test]
async fn a_name_is_unique_among_own_rows_that_are_not_archived() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let first = client.create(body()).await;
    let first = format!("{PATH}/{}", first["id"].as_str().unwrap());
    let answer = client.post(PATH, body()).await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.header("idempotency-status"),
        None,
        "the SDK is not to try again"
    );
    assert!(answer.json()["detail"].is_string());
    let mut archived = body();
    archived["is_archived"] = json!(true);
    let archived = client.create(archived).await;
    let archived = format!("{PATH}/{}", archived["id"].as_str().unwrap());
    let back = json!({"is_archived": false});
    assert_eq!(client.patch(&archived, back.clone()).await.status, 409);
    assert_eq!(
        client
            .patch(&first, json!({"is_archived": true}))
            .await
            .status,
        200
    );
    assert_eq!(client.patch(&archived, back.clone()).await.status, 200);
    assert_eq!(client.patch(&first, back).await.status, 409);
    // Twins that only look alike are different names.
    for name in ["N", "n ", "n\u{200b}"] {
        let mut twin = body();
        twin["name"] = json!(name);
        assert_eq!(client.post(PATH, twin).await.status, 201, "{name:?}");
    }
}

#[tokio::test]
async fn null_clears_absent_leaves_and_what_cannot_be_cleared_is_refused() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let mut full = body();
    let optional = json!({
        "description": "d",
        "temperature": 0.5,
        "max_tokens": 5,
        "timeout_seconds": 5.0,
        "max_retries": 5,
        "additional_params": {"stream_usage": true},
        "agent_harness_version_string": "v",
    });
    full.as_object_mut()
        .unwrap()
        .extend(optional.as_object().unwrap().clone());
    let created = client.create(full).await;
    let item = format!("{PATH}/{}", created["id"].as_str().unwrap());
    let same = client.patch(&item, json!({})).await.json();
    for name in optional.as_object().unwrap().keys() {
        assert_eq!(same[name], created[name], "{name}");
        let cleared = client.patch(&item, json!({name: null})).await;
        assert_eq!(cleared.json()[name], Value::Null, "{name}");
    }
    let nulls = json!({"name": null, "provider": null, "model": null, "is_archived": null,
        "is_computer_use_model": null});
    let answer = client.patch(&item, nulls).await;
    let expected = [
        ("body.name", "string_type"),
        ("body.provider", "string_type"),
        ("body.model", "string_type"),
        ("body.is_computer_use_model", "bool_type"),
        ("body.is_archived", "bool_type"),
    ];
    assert_eq!(
        answer.faults(),
        expected.map(|(loc, kind)| (loc.to_owned(), kind.to_owned()))
    );
    let replaced = client
        .patch(&item, json!({"additional_params": {"streaming": true}}))
        .await;
    assert_eq!(
        replaced.json()["additional_params"],
        json!({"streaming": true}),
        "replaced whole"
    );
}

#[tokio::test]
async fn parameters_that_are_secrets_or_headers_are_refused_where_they_are() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let mut wrong = body();
    wrong["provider"] = json!("openai");
    wrong["api_key"] = json!("sk-1");
    wrong["additional_params"] = json!({
        "openai_api_key": "sk-canary-12345",
        "default_headers": {"Authorization": "Bearer sk-canary-12345"},
    });
    let answer = tenant.developer.post(PATH, wrong).await;
    let locations: Vec<_> = answer.faults().into_iter().map(|(loc, _)| loc).collect();
    assert_eq!(
        locations,
        [
            "body.additional_params.openai_api_key",
            "body.additional_params.default_headers.Authorization",
        ]
    );
    assert!(!answer.text().contains("sk-canary"));
}

#[tokio::test]
async fn verify_says_how_a_call_went() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let row = tenant.developer.create(body()).await;
    let path = format!("{PATH}/{}/verify", row["id"].as_str().unwrap());
    let verify = || tenant.developer.call(Method::POST, &path).send();
    let good = verify().await;
    assert_eq!(good.status, 200);
    assert_eq!(
        good.json(),
        json!({"ok": true, "checks": [{
            "check": "call", "label": "One minimal call to m", "ok": true,
            "is_auth_error": false, "latency_ms": 12,
        }]})
    );
    *app.live_check.error.lock().unwrap() = Some("refused".to_owned());
    let bad = verify().await;
    assert_eq!(bad.status, 200);
    assert_eq!(bad.json()["ok"], false);
    assert_eq!(bad.json()["checks"][0]["error"], "refused");
    assert_eq!(
        tenant.agent.call(Method::POST, &path).send().await.status,
        403
    );
}

#[tokio::test(start_paused = true)]
async fn a_live_check_that_hangs_is_a_failed_check() {
    // Time stands still from the start: the database must be ready before.
    tokio::time::resume();
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let row = tenant.developer.create(body()).await;
    let path = format!("{PATH}/{}/verify", row["id"].as_str().unwrap());
    *app.live_check.hangs.lock().unwrap() = true;
    let call = tenant.developer.call(Method::POST, &path).send();
    tokio::pin!(call);
    // Long enough to get to the check, then nine seconds at once.
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(300), &mut call)
            .await
            .is_err()
    );
    tokio::time::pause();
    let answer = call.await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["ok"], false);
    assert!(answer.text().contains("no answer within 9 seconds"));
}

#[tokio::test]
async fn a_name_that_would_select_a_role_is_refused() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let body = |name: &str| json!({"name": name, "provider": "simulated", "model": "m"});
    let path = "/v1/model-configurations";
    let refused = client.post(path, body("role:main_agent")).await;
    refused.assert_fault("body.name", "value_error");
    let row = client.create(body("roles: a comparison")).await;
    let path = format!("{path}/{}", row["id"].as_str().unwrap());
    let refused = client.patch(&path, json!({"name": "role:x"})).await;
    refused.assert_fault("body.name", "value_error");
}
