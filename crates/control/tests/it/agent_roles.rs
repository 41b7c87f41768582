//! Which configuration does which agent role.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, TestApp};

const ROLES: &str = "/v1/agent-roles";
const CONFIGURATIONS: &str = "/v1/model-configurations";

async fn row(client: &Client, name: &str, is_computer_use_model: bool) -> String {
    let body = json!({
        "name": name,
        "provider": "simulated",
        "model": "m",
        "is_computer_use_model": is_computer_use_model,
    });
    client.create(body).await["id"].as_str().unwrap().to_owned()
}

async fn assign(client: &Client, role: &str, id: &str) -> Answer {
    client
        .call(Method::PUT, &format!("{ROLES}/{role}"))
        .json(json!({"model_configuration_id": id}))
        .send()
        .await
}

/// `role` → (`model_configuration_name`, `source`).
async fn listed(client: &Client) -> Vec<(String, Value, String)> {
    let list = client.get(ROLES).await;
    assert_eq!(list.status, 200, "{list:?}");
    let list = list.json();
    let list = list.as_array().unwrap().iter();
    list.map(|role| {
        assert_eq!(role.as_object().unwrap().len(), 4);
        assert_eq!(
            role["model_configuration_id"].is_null(),
            role["model_configuration_name"].is_null()
        );
        (
            role["role"].as_str().unwrap().to_owned(),
            role["model_configuration_name"].clone(),
            role["source"].as_str().unwrap().to_owned(),
        )
    })
    .collect()
}

#[tokio::test]
async fn a_role_is_assigned_inherited_and_taken_back() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let names = [
        "main_agent",
        "focused_action",
        "extract_prompt",
        "cache_detection",
        "cache_detection_fallback",
        "fallback_1",
        "fallback_2",
    ];
    let nothing = names.map(|name| (name.to_owned(), Value::Null, "none".to_owned()));
    assert_eq!(listed(client).await, nothing);

    let main = row(client, "main", true).await;
    let assigned = assign(client, "main_agent", &main).await;
    assert_eq!(assigned.status, 200, "{assigned:?}");
    let expected = json!({
        "role": "main_agent",
        "model_configuration_id": main,
        "model_configuration_name": "main",
        "source": "organization",
    });
    assert_eq!(assigned.json(), expected);
    let list = listed(client).await;
    assert_eq!(list[0].2, "organization");
    let inherited = (
        "focused_action".to_owned(),
        json!("main"),
        "inherited".to_owned(),
    );
    assert_eq!(list[1], inherited);
    assert_eq!(list[2..], nothing[2..]);

    // A system default holds for everybody, until somebody says otherwise.
    let default = app.add_system_default("everybody's").await;
    app.assign_system_role("extract_prompt", default).await;
    assert_eq!(listed(client).await[2].2, "system");
    let own = row(client, "own", false).await;
    assign(client, "extract_prompt", &own).await;
    assert_eq!(listed(client).await[2].1, "own");
    let assigned = assign(client, "extract_prompt", &default.to_string()).await;
    assert_eq!(assigned.json()["source"], "organization");
    for _ in 0..2 {
        let back = client.delete(&format!("{ROLES}/extract_prompt")).await;
        assert_eq!(back.status, 200, "{back:?}");
        assert_eq!(back.json()["source"], "system");
        assert_eq!(back.json()["model_configuration_name"], "everybody's");
    }
    let back = client.delete(&format!("{ROLES}/main_agent")).await;
    assert_eq!(back.json()["source"], "none");
}

#[tokio::test]
async fn not_every_row_may_do_every_role() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let other = app.tenant("b").await;
    let client = &tenant.developer;
    let plain = row(client, "plain", false).await;
    for role in ["main_agent", "focused_action", "fallback_1", "fallback_2"] {
        let refused = assign(client, role, &plain).await;
        refused.assert_fault("body.model_configuration_id", "value_error");
    }
    for role in [
        "extract_prompt",
        "cache_detection",
        "cache_detection_fallback",
    ] {
        assert_eq!(assign(client, role, &plain).await.status, 200, "{role}");
    }
    let body = json!({"name": "x", "provider": "simulated", "model": "m", "is_archived": true});
    let archived = client.create(body).await;
    let refused = assign(client, "extract_prompt", archived["id"].as_str().unwrap()).await;
    refused.assert_fault("body.model_configuration_id", "value_error");

    let theirs = row(&other.developer, "theirs", true).await;
    let of_others = assign(client, "main_agent", &theirs).await;
    let of_nobody = assign(client, "main_agent", &uuid::Uuid::nil().to_string()).await;
    assert_eq!(
        (of_others.status.as_u16(), of_nobody.status.as_u16()),
        (404, 404)
    );
    assert_eq!(of_others.body, of_nobody.body);

    let unknown = assign(client, "boss", "x").await;
    assert_eq!(
        unknown.faults(),
        [
            ("path.role".to_owned(), "enum".to_owned()),
            (
                "body.model_configuration_id".to_owned(),
                "uuid_parsing".to_owned()
            ),
        ]
    );
    let missing = client.call(Method::PUT, &format!("{ROLES}/main_agent"));
    let missing = missing.json(json!({})).send().await;
    missing.assert_fault("body.model_configuration_id", "missing");
    assert_eq!(
        assign(&tenant.agent, "main_agent", &plain).await.status,
        403
    );
    assert_eq!(tenant.agent.get(ROLES).await.status, 403);
}

#[tokio::test]
async fn a_row_that_a_role_needs_stays_unless_forced() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let changes = [
        (
            Method::DELETE,
            Value::Null,
            vec!["main_agent", "extract_prompt"],
        ),
        (
            Method::PATCH,
            json!({"is_archived": true}),
            vec!["main_agent", "extract_prompt"],
        ),
        (
            Method::PATCH,
            json!({"is_computer_use_model": false}),
            vec!["main_agent"],
        ),
    ];
    for (number, (method, body, lost)) in changes.into_iter().enumerate() {
        let id = row(client, &format!("row {number}"), true).await;
        for role in ["main_agent", "extract_prompt"] {
            assert_eq!(assign(client, role, &id).await.status, 200);
        }
        let path = format!("{CONFIGURATIONS}/{id}");
        let change = |query: &str| {
            let call = client.call(method.clone(), &format!("{path}{query}"));
            match &body {
                Value::Null => call,
                body => call.json(body.clone()),
            }
        };
        let refused = change("").send().await;
        assert_eq!(refused.status, 409, "{refused:?}");
        assert_eq!(refused.header("idempotency-status"), None);
        for role in ["main_agent", "extract_prompt"] {
            let is_named = refused.detail().contains(role);
            assert_eq!(is_named, lost.contains(&role), "{refused:?}");
        }
        assert_eq!(client.get(&path).await.json()["is_archived"], false);
        let unclear = change("?force=perhaps").send().await;
        unclear.assert_fault("query.force", "bool_parsing");
        // What does not concern the roles is not their concern.
        let harmless = client.patch(&path, json!({"description": "d"})).await;
        assert_eq!(harmless.status, 200);

        let forced = change("?force=true").idempotency_key(&format!("k{number}"));
        let forced = forced.send().await;
        assert!(forced.status.is_success(), "{forced:?}");
        let list = listed(client).await;
        for (name, _, source) in list {
            let is_kept = source == "organization";
            let was_lost = lost.contains(&name.as_str());
            assert!(!(is_kept && was_lost), "{name} {source}");
        }
        // The same key again is the same answer, whatever the roles are now.
        let again = change("?force=true").idempotency_key(&format!("k{number}"));
        assert_eq!(
            again.send().await.header("idempotent-replayed"),
            Some("true")
        );
    }
    let trail = tenant.admin.get("/v1/audit-events?limit=200").await.json();
    let events = trail["items"].as_array().unwrap().iter();
    let taken = events.filter(|event| event["action"] == "agent_role.unassign");
    assert_eq!(taken.count(), 5);
}

#[tokio::test]
async fn an_assignment_takes_a_key_and_leaves_a_trail() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let one = row(client, "one", true).await;
    let two = row(client, "two", true).await;
    let put = |id: &str, key: &str| {
        client
            .call(Method::PUT, &format!("{ROLES}/main_agent"))
            .json(json!({"model_configuration_id": id}))
            .idempotency_key(key)
            .send()
    };
    let first = put(&one, "a").await;
    assert_eq!(put(&two, "b").await.status, 200);
    let replayed = put(&one, "a").await;
    assert_eq!(replayed.body, first.body);
    assert_eq!(listed(client).await[0].1, "two", "a replay changes nothing");
    assert_eq!(put(&two, "a").await.status, 409);

    let trail = tenant.admin.get("/v1/audit-events").await.json();
    let latest = &trail["items"][0];
    assert_eq!(latest["action"], "agent_role.assign");
    assert_eq!(latest["resource_id"], "main_agent");
    assert_eq!(latest["before"]["model_configuration_id"], one);
    assert_eq!(latest["after"]["model_configuration_id"], two);
}

#[tokio::test]
async fn a_condition_on_a_revision_is_refused_and_not_ignored() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let id = row(&tenant.developer, "n", false).await;
    let role = json!({"model_configuration_id": id});
    let key = json!({"api_key": "sk-of-the-tests-0123456789"});
    for (path, body) in [
        ("/v1/agent-roles/extract_prompt", role),
        ("/v1/provider-credentials/openai", key),
    ] {
        for method in [Method::PUT, Method::DELETE] {
            let call = tenant.developer.call(method, path).json(body.clone());
            let answer = call.header("if-match", "\"1\"").send().await;
            assert_eq!(answer.status, 400, "{path}");
            assert!(answer.text().contains("If-Match"), "{}", answer.text());
        }
    }
}
