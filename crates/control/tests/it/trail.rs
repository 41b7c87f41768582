//! The audit trail and the counters: AT-21.

use http::Method;
use serde_json::{Value, json};

use crate::harness::TestApp;

#[tokio::test]
async fn every_write_is_in_the_trail_without_secrets() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let other = app.tenant("b").await;
    let client = &tenant.admin;
    let body = json!({"name": "n", "provider": "openai", "model": "m", "api_key": "sk-canary-1"});
    let call = client
        .call(Method::POST, "/v1/model-configurations")
        .json(body);
    let row = call
        .header("x-request-id", "my-request.1")
        .send()
        .await
        .json();
    let item = format!("/v1/model-configurations/{}", row["id"].as_str().unwrap());
    client
        .patch(&item, json!({"model": "m2", "api_key": "sk-canary-2"}))
        .await;
    client.delete(&item).await;
    let key = client
        .post("/v1/api-keys", json!({"name": "x"}))
        .await
        .json();
    client
        .delete(&format!("/v1/api-keys/{}", key["id"].as_str().unwrap()))
        .await;
    client.post("/v1/model-configurations", json!({})).await;

    let answer = client.get("/v1/audit-events").await;
    assert!(!answer.text().contains("sk-canary"));
    assert!(!answer.text().contains(key["key"].as_str().unwrap()));
    let events = answer.json();
    let events = events["items"].as_array().unwrap();
    let actions: Vec<_> = events
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "api_key.revoke",
            "api_key.create",
            "model_configuration.delete",
            "model_configuration.update",
            "model_configuration.create",
        ]
    );
    let created = &events[4];
    assert_eq!(
        (&created["before"], &created["after"]),
        (&Value::Null, &row)
    );
    assert_eq!(created["request_id"], "my-request.1");
    assert_eq!(created["resource_id"], row["id"]);
    assert_eq!(created["actor"]["type"], "api_key");
    let updated = &events[3];
    assert_eq!(updated["before"], row);
    assert_eq!(updated["after"]["model"], "m2");
    assert_ne!(updated["after"]["api_key_alias"], row["api_key_alias"]);
    assert_eq!(events[2]["after"], Value::Null);
    let theirs = other.admin.get("/v1/audit-events").await.json();
    assert_eq!(theirs["items"], json!([]));
}

#[tokio::test]
async fn the_trail_comes_in_pages() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    for number in 0..5 {
        let body = json!({"name": format!("n{number}"), "provider": "simulated", "model": "m"});
        tenant.developer.create(body).await;
    }
    let first = tenant.admin.get("/v1/audit-events?limit=3").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("/v1/audit-events?limit=3&cursor={cursor}");
    let second = tenant.admin.get(&path).await.json();
    let names: Vec<_> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|event| event["after"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["n4", "n3", "n2", "n1", "n0"]);
    assert_eq!(second["next_cursor"], Value::Null);
}

#[tokio::test]
async fn counters_have_bounded_labels() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let body = json!({"name": "secret-name", "provider": "simulated", "model": "m"});
    let row = tenant.developer.create(body).await;
    let id = row["id"].as_str().unwrap();
    tenant
        .developer
        .get(&format!("/v1/model-configurations/{id}"))
        .await;
    tenant.developer.get("/whatever/somebody/invents").await;
    let invented: Method = "BREW".parse().unwrap();
    tenant.developer.call(invented, "/v1/health").send().await;
    let text = app.metrics_text();
    for line in [
        r#"quartermaster_control_writes_total{action="model_configuration.create",outcome="done"} 1"#,
        r#"quartermaster_control_requests_total{route="/v1/model-configurations/{model_configuration_id}",method="GET",status="200"} 1"#,
        r#"quartermaster_control_requests_total{route="none",method="GET",status="404"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    for unbounded in [id, "secret-name", "BREW", "somebody"] {
        assert!(!text.contains(unbounded), "{unbounded}");
    }
}
