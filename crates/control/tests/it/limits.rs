//! Sizes, depths and outages: AT-80 to AT-89, and answers in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::{Value, json};
use testkit::postgres::Cluster;

use crate::harness::{Answer, Client, QUOTA, TestApp};

const PATH: &str = "/v1/model-configurations";

async fn post(client: &Client, body: impl Into<Body>) -> Answer {
    let call = client.call(Method::POST, PATH);
    call.header(CONTENT_TYPE, "application/json")
        .body(body)
        .send()
        .await
}

fn padded(length: usize) -> String {
    let mut body = json!({"name": "n", "provider": "simulated", "model": "m", "padding": ""});
    let padding = length - body.to_string().len();
    body["padding"] = json!("x".repeat(padding));
    body.to_string()
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let limit = 1024 * 1024;
    assert_eq!(post(&tenant.developer, padded(limit)).await.status, 201);
    let answer = post(&tenant.developer, padded(limit + 1)).await;
    assert_eq!(answer.status, 413);
    assert!(answer.json()["detail"].is_string());
}

#[tokio::test]
async fn an_organisation_has_a_quota_of_rows() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let mut last = Value::Null;
    for number in 0..QUOTA.rows {
        let body = json!({"name": format!("n{number}"), "provider": "simulated", "model": "m"});
        let answer = post(&tenant.developer, body.to_string()).await;
        assert_eq!(answer.status, 201, "{number}");
        last = answer.json();
    }
    let more = json!({"name": "more", "provider": "simulated", "model": "m"}).to_string();
    let refused = post(&tenant.developer, more.clone()).await;
    assert_eq!(refused.status, 403);
    let detail = refused.json()["detail"].to_string();
    assert!(
        detail.contains("limits.model_configurations_per_organization"),
        "{detail}"
    );
    // Nobody else is concerned, and whoever deletes has room again.
    assert_eq!(
        post(&app.tenant("b").await.developer, more.clone())
            .await
            .status,
        201
    );
    let path = format!("{PATH}/{}", last["id"].as_str().unwrap());
    let deleted = tenant.developer.call(Method::DELETE, &path).send().await;
    assert_eq!(deleted.status, 204);
    assert_eq!(post(&tenant.developer, more).await.status, 201);
}

#[tokio::test]
async fn an_organisation_has_a_quota_of_bytes() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let large = "x".repeat(usize::try_from(QUOTA.bytes * 2 / 3).unwrap());
    let body = |name: &str, text: &str| {
        let body =
            json!({"name": name, "provider": "simulated", "model": "m", "description": text});
        body.to_string()
    };
    assert_eq!(
        post(&tenant.developer, body("one", &large)).await.status,
        201
    );
    let refused = post(&tenant.developer, body("two", &large)).await;
    assert_eq!(refused.status, 403);
    let detail = refused.json()["detail"].to_string();
    assert!(
        detail.contains("limits.configuration_bytes_per_organization"),
        "{detail}"
    );

    let small = post(&tenant.developer, body("two", "")).await.json();
    let path = format!("{PATH}/{}", small["id"].as_str().unwrap());
    let patch = |text: &str| {
        let call = tenant.developer.call(Method::PATCH, &path);
        call.json(json!({"description": text})).send()
    };
    assert_eq!(patch(&large).await.status, 403);
    assert_eq!(patch("short").await.status, 200);
}

#[tokio::test]
async fn a_declared_length_is_refused_before_anything_is_read() {
    let app = TestApp::start().await;
    let never = futures::stream::pending::<Result<Bytes, std::io::Error>>();
    let call = app.anonymous().call(Method::POST, PATH);
    let call = call
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, "10737418240");
    assert_eq!(call.body(Body::from_stream(never)).send().await.status, 413);
}

#[tokio::test]
async fn an_undeclared_length_is_counted() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let chunk = Bytes::from(vec![b' '; 64 * 1024]);
    let endless = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
    assert_eq!(
        post(&tenant.developer, Body::from_stream(endless))
            .await
            .status,
        413
    );
}

#[tokio::test]
async fn little_is_read_of_what_strangers_send() {
    let app = TestApp::start().await;
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let chunk = Bytes::from(vec![b' '; 4096]);
    let endless = futures::stream::repeat_with(move || {
        counter.fetch_add(chunk.len(), Ordering::Relaxed);
        Ok::<_, std::io::Error>(chunk.clone())
    });
    let answer = post(&app.anonymous(), Body::from_stream(endless)).await;
    assert_eq!(answer.status, 401);
    let read = read.load(Ordering::Relaxed);
    assert!(read <= 80 * 1024, "{read} bytes were read");
    assert_eq!(post(&app.anonymous(), padded(512 * 1024)).await.status, 401);
    // What is short is parsed, as in FastAPI, before anybody asks for a key.
    assert_eq!(post(&app.anonymous(), "{").await.status, 422);
}

#[tokio::test]
async fn an_encoded_body_is_not_unpacked() {
    let app = TestApp::start().await;
    for encoding in ["gzip", "br", "zstd", "gzip, identity"] {
        let call = app.anonymous().call(Method::POST, PATH);
        let call = call
            .header(CONTENT_TYPE, "application/json")
            .header("content-encoding", encoding);
        assert_eq!(call.body("x").send().await.status, 415, "{encoding}");
    }
}

#[tokio::test]
async fn nesting_ends_at_128_and_what_is_at_128_can_be_read_again() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.admin;
    let nested = |levels: usize| {
        let value = "[".repeat(levels) + &"]".repeat(levels);
        format!(
            r#"{{"name":"n{levels}","provider":"simulated","model":"m","additional_params":{{"a":{value}}}}}"#
        )
    };
    // The body and the parameters are two levels.
    let answer = post(client, nested(126)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let list = client.get(PATH).await;
    assert_eq!(list.status, 200);
    let id = list
        .text()
        .split("\"id\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let item = format!("{PATH}/{id}");
    assert_eq!(client.get(&item).await.status, 200);
    assert_eq!(
        client.patch(&item, json!({"max_tokens": 1})).await.status,
        200
    );
    assert_eq!(client.get(&format!("{item}/revisions")).await.status, 200);
    assert_eq!(client.get("/v1/audit-events").await.status, 200);
    for levels in [127, 1000, 100_000] {
        post(client, nested(levels))
            .await
            .assert_fault("body", "value_error");
    }
}

#[tokio::test]
async fn members_are_counted() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let with = |count: usize, name: &str| {
        let params: serde_json::Map<String, Value> = (0..count)
            .map(|number| (format!("k{number}"), json!(number)))
            .collect();
        json!({"name": name, "provider": "simulated", "model": "m", "additional_params": params})
    };
    assert_eq!(
        tenant.developer.post(PATH, with(10_000, "a")).await.status,
        201
    );
    let answer = tenant.developer.post(PATH, with(10_001, "b")).await;
    answer.assert_fault("body.additional_params", "value_error");
}

#[tokio::test]
async fn odd_numbers_and_texts_are_kept_exactly_or_refused() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    for (number, literal) in [
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        "1e308",
        "5e-324",
        "-0.0",
        "1e+2",
        "123456789.123456789",
    ]
    .iter()
    .enumerate()
    {
        let body = format!(
            r#"{{"name":"n{number}","provider":"simulated","model":"m","additional_params":{{"a":{literal}}}}}"#
        );
        let answer = post(&tenant.developer, body).await;
        assert_eq!(answer.status, 201, "{literal}");
        let shown = &answer.json()["additional_params"]["a"];
        let sent: Value = serde_json::from_str(literal).unwrap();
        assert_eq!(shown.as_u64(), sent.as_u64(), "{literal}");
        assert_eq!(shown.as_i64(), sent.as_i64(), "{literal}");
        assert_eq!(
            shown.as_f64().map(f64::to_bits),
            sent.as_f64().map(f64::to_bits),
            "{literal}"
        );
    }
    for literal in [
        "18446744073709551616",
        "-9223372036854775809",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        r#""\u0000""#,
        r#""\ud800""#,
        r#"{"\u0000":1}"#,
        r#"{"\udfff":1}"#,
    ] {
        let body = format!(
            r#"{{"name":"x","provider":"simulated","model":"m","additional_params":{{"a":[{literal}]}}}}"#
        );
        let answer = post(&tenant.developer, body).await;
        let faults = answer.faults();
        assert!(
            faults[0].0.starts_with("body.additional_params"),
            "{literal}: {faults:?}"
        );
    }
    for member in [
        "name",
        "model",
        "description",
        "agent_harness_version_string",
    ] {
        for literal in [r#""\u0000""#, r#""\ud800x""#] {
            let body = format!(
                r#"{{"name":"x","provider":"simulated","model":"m","{member}":{literal}}}"#
            );
            let answer = post(&tenant.developer, body).await;
            assert_eq!(answer.faults()[0].0, format!("body.{member}"), "{literal}");
        }
    }
    let long = json!({"name": "x".repeat(1_000_000), "provider": "simulated", "model": "m"});
    tenant
        .developer
        .post(PATH, long)
        .await
        .assert_fault("body.name", "string_too_long");
}

#[tokio::test]
async fn many_errors_make_no_large_answer() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let nulls = format!("[{}]", vec!["NaN"; 9_000].join(","));
    let body = format!(
        r#"{{"name":"x","provider":"simulated","model":"m","additional_params":{{"a":{nulls}}}}}"#
    );
    let answer = post(&tenant.developer, body).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.len() < 10_000);
}

#[tokio::test]
async fn a_vault_outage_is_a_503_at_once_and_readiness_says_so() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    assert_eq!(app.anonymous().get("/health/ready").await.status, 200);
    app.slow_vault.set_down(true);
    let body = json!({"name": "n", "provider": "openai", "model": "m", "api_key": "sk-1"});
    let answer = tenant.developer.post(PATH, body).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    let ready = app.anonymous().get("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.json(),
        json!({"status": "error", "database": "ok", "vault": "error"})
    );
    assert_eq!(app.anonymous().get("/health/live").await.status, 200);
    assert_eq!(tenant.developer.get(PATH).await.status, 200, "reads go on");
}

#[tokio::test]
async fn a_database_outage_is_a_503_at_once_and_passes() {
    let cluster = Cluster::start();
    let app = TestApp::start_on(cluster.fresh_database()).await;
    let tenant = app.tenant("a").await;
    let body = |name: &str| json!({"name": name, "provider": "simulated", "model": "m"});
    assert_eq!(
        tenant.developer.post(PATH, body("before")).await.status,
        201
    );
    cluster.stop();
    for call in [
        tenant
            .developer
            .call(Method::POST, PATH)
            .json(body("during")),
        tenant.developer.call(Method::GET, PATH),
    ] {
        // Far below the ten seconds of a handler; Cyberdesk's SDK would wait for ever.
        let answer = tokio::time::timeout(Duration::from_secs(5), call.send());
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some());
        assert!(answer.json()["detail"].is_string());
    }
    assert_eq!(app.anonymous().get("/v1/health/db").await.status, 503);
    assert_eq!(app.anonymous().get("/health/live").await.status, 200);
    cluster.start_again();
    assert_eq!(tenant.developer.post(PATH, body("after")).await.status, 201);
    assert_eq!(tenant.developer.names().await, ["before", "after"]);
}
