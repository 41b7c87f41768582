//! At most once, and the same answer again: AT-41 to AT-60.

use std::time::Duration;

use domain::api_key::Scope;
use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use testkit::postgres::Cluster;

use crate::harness::{Answer, Client, TestApp};

const PATH: &str = "/v1/model-configurations";

fn body(name: &str) -> Value {
    json!({"name": name, "provider": "simulated", "model": "m"})
}

async fn create(client: &Client, key: &str, body: Value) -> Answer {
    let call = client.call(Method::POST, PATH);
    call.json(body).idempotency_key(key).send().await
}

#[track_caller]
fn assert_replay(first: &Answer, second: &Answer) {
    assert_eq!(first.status, second.status, "{second:?}");
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("etag"), second.header("etag"));
    assert_eq!(first.header("content-type"), second.header("content-type"));
    assert_eq!(first.header("idempotency-status"), Some("completed"));
    assert_eq!(second.header("idempotency-status"), Some("completed"));
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[track_caller]
fn assert_mismatch(answer: &Answer) {
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(answer.header("idempotency-status"), Some("mismatch"));
    assert_eq!(answer.header("retry-after"), None);
}

#[tokio::test]
async fn a_repeated_create_makes_one_row() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let first = create(&tenant.developer, "k", body("n")).await;
    assert_eq!(first.status, 201);
    assert_replay(&first, &create(&tenant.developer, "k", body("n")).await);
    assert_eq!(tenant.developer.names().await, ["n"]);
    let events = tenant.admin.get("/v1/audit-events").await.json();
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn fifty_at_once_make_one_row_and_one_secret() {
    fifty_at_once(TestApp::start().await).await;
    fifty_at_once(TestApp::start_on(Cluster::shared().fresh_database()).await).await;
}

async fn fifty_at_once(app: TestApp) {
    let tenant = app.tenant("a").await;
    let mut with_key = body("n");
    with_key["provider"] = json!("openai");
    with_key["api_key"] = json!("sk-canary-12345");
    let calls = (0..50).map(|_| create(&tenant.developer, "k", with_key.clone()));
    let answers = futures::future::join_all(calls).await;
    let mut done = 0;
    for answer in &answers {
        match answer.status.as_u16() {
            201 => done += 1,
            409 => {
                assert_eq!(answer.header("idempotency-status"), Some("in_progress"));
                assert_eq!(answer.header("retry-after"), Some("2"));
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert!(done >= 1);
    assert_eq!(tenant.developer.names().await, ["n"]);
    let secrets = store::sealed::all_secrets(&app.database).await.unwrap();
    assert_eq!(secrets.len(), 1);
    let again = create(&tenant.developer, "k", with_key).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn another_request_under_the_key_is_a_mismatch() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let row = create(client, "k", body("n")).await.json();
    let item = format!("{PATH}/{}", row["id"].as_str().unwrap());
    assert_mismatch(&create(client, "k", body("other")).await);
    let patch = client.call(Method::PATCH, &item).json(body("n"));
    assert_mismatch(&patch.idempotency_key("k").send().await);
    let delete = client.call(Method::DELETE, &item);
    assert_mismatch(&delete.idempotency_key("k").send().await);
    let elsewhere = client
        .call(Method::POST, &format!("{PATH}?x=1"))
        .json(body("n"));
    assert_mismatch(&elsewhere.idempotency_key("k").send().await);
    let keys = tenant
        .admin
        .call(Method::POST, "/v1/api-keys")
        .json(json!({"name": "n"}));
    assert_mismatch(&keys.idempotency_key("k").send().await);
    assert_eq!(client.names().await, ["n"]);
}

#[tokio::test]
async fn a_key_that_differs_is_another_request_and_is_not_named() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let with = |key: &str| json!({"name": "n", "provider": "openai", "model": "m", "api_key": key});
    assert_eq!(
        create(&tenant.developer, "k", with("sk-one")).await.status,
        201
    );
    let answer = create(&tenant.developer, "k", with("sk-two")).await;
    assert_mismatch(&answer);
    assert!(!answer.text().contains("sk-"));
}

#[tokio::test]
async fn spelling_does_not_matter_and_meaning_does() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let send = |text: &'static str| {
        let call = tenant.developer.call(Method::POST, PATH);
        let call = call.header("content-type", "application/json").body(text);
        call.idempotency_key("k").send()
    };
    let first = send(r#"{"name":"n","provider":"simulated","model":"m","temperature":1}"#).await;
    assert_eq!(first.status, 201);
    let reordered =
        send(r#" { "model": "\u006d", "temperature": 1, "provider":"simulated","name":"n" } "#)
            .await;
    assert_replay(&first, &reordered);
    for other in [
        r#"{"name":"n","provider":"simulated","model":"m","temperature":1.0}"#,
        r#"{"name":"n","provider":"simulated","model":"m","temperature":"1"}"#,
        r#"{"name":"n","provider":"simulated","model":"m","temperature":null}"#,
        r#"{"name":"n","provider":"simulated","model":"m"}"#,
        r#"{"name":"n","provider":"simulated","model":"m","temperature":1,"unknown":0}"#,
    ] {
        assert_mismatch(&send(other).await);
    }
}

#[tokio::test]
async fn organisations_are_independent_and_principals_are_not() {
    let app = TestApp::start().await;
    let one = app.tenant("a").await;
    let other = app.tenant("b").await;
    let first = create(&one.developer, "k", body("n")).await;
    let second = create(&other.developer, "k", body("n")).await;
    assert_eq!(second.header("idempotent-replayed"), None);
    assert_ne!(first.body, second.body);
    // Another key of the same organisation gets the answer, if it may do the thing at all.
    assert_replay(&first, &create(&one.admin, "k", body("n")).await);
    assert_eq!(create(&one.agent, "k", body("n")).await.status, 403);
    assert_eq!(create(&app.anonymous(), "k", body("n")).await.status, 401);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let mut with_key = body("n");
    with_key["provider"] = json!("openai");
    with_key["api_key"] = json!("sk-1");
    app.slow_vault.close();
    let hung = create(&tenant.developer, "k", with_key.clone());
    assert!(
        tokio::time::timeout(Duration::from_millis(100), hung)
            .await
            .is_err()
    );
    app.slow_vault.open();
    assert_eq!(tenant.developer.names().await, Vec::<String>::new());
    let answer = create(&tenant.developer, "k", with_key).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("idempotent-replayed"), None);
    assert_eq!(tenant.developer.names().await, ["n"]);
}

#[tokio::test]
async fn a_repeated_delete_is_204_again_and_nothing_comes_back() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let created = create(client, "create", body("n")).await;
    let item = format!("{PATH}/{}", created.json()["id"].as_str().unwrap());
    let delete = || {
        client
            .call(Method::DELETE, &item)
            .idempotency_key("delete")
            .send()
    };
    let first = delete().await;
    assert_eq!(first.status, 204);
    assert!(first.body.is_empty());
    assert_replay(&first, &delete().await);
    assert_eq!(
        client.delete(&item).await.status,
        404,
        "without a key it is gone"
    );
    assert_replay(&created, &create(client, "create", body("n")).await);
    assert_eq!(client.names().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_repeated_patch_does_not_undo_a_later_one() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let row = client.create(body("n")).await;
    let item = format!("{PATH}/{}", row["id"].as_str().unwrap());
    let patch = |key: &'static str, temperature: f64| {
        let call = client.call(Method::PATCH, &item);
        call.json(json!({"temperature": temperature}))
            .idempotency_key(key)
            .send()
    };
    let first = patch("one", 0.1).await;
    assert_eq!(patch("two", 0.2).await.status, 200);
    assert_replay(&first, &patch("one", 0.1).await);
    assert_eq!(client.get(&item).await.json()["temperature"], 0.2);
    // A precondition that held then does not matter now.
    let conditional = || {
        let call = client
            .call(Method::PATCH, &item)
            .json(json!({"temperature": 0.3}));
        call.header("if-match", "\"3\"")
            .idempotency_key("three")
            .send()
    };
    let first = conditional().await;
    assert_eq!(first.status, 200);
    assert_replay(&first, &conditional().await);
}

#[tokio::test]
async fn failures_are_not_remembered() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let mut with_key = body("n");
    with_key["provider"] = json!("openai");
    with_key["api_key"] = json!("sk-1");
    app.slow_vault.set_down(true);
    let failed = create(client, "k", with_key.clone()).await;
    assert_eq!(failed.status, 503);
    assert_eq!(failed.header("retry-after"), Some("1"));
    assert_eq!(failed.header("idempotency-status"), None);
    app.slow_vault.set_down(false);
    assert_eq!(create(client, "k", with_key).await.status, 201);

    assert_eq!(create(client, "v", json!({})).await.status, 422);
    assert_eq!(create(client, "v", body("v")).await.status, 201);
    assert_eq!(create(client, "c", body("n")).await.status, 409);
    assert_eq!(create(client, "c", body("c")).await.status, 201);
    let nowhere = format!("{PATH}/{}", uuid::Uuid::from_u128(1));
    let delete = client.call(Method::DELETE, &nowhere).idempotency_key("d");
    assert_eq!(delete.send().await.status, 404);
    assert_eq!(create(client, "d", body("d")).await.status, 201);
}

#[tokio::test]
async fn duplicates_of_a_hung_request_take_nothing_from_others() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let other = app.tenant("b").await;
    let mut with_key = body("n");
    with_key["provider"] = json!("openai");
    with_key["api_key"] = json!("sk-1");
    app.slow_vault.close();
    let calls = (0..200).map(|_| create(&tenant.developer, "k", with_key.clone()));
    let others = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Nobody holds a connection or a lock meanwhile: others read and write.
        for number in 0..20 {
            let name = format!("n{number}");
            let write = create(&other.developer, &name, body(&name));
            let write = tokio::time::timeout(Duration::from_secs(2), write).await;
            assert_eq!(write.unwrap().status, 201);
        }
        app.slow_vault.open();
    };
    let (answers, ()) = futures::join!(futures::future::join_all(calls), others);
    let statuses: Vec<u16> = answers.iter().map(|it| it.status.as_u16()).collect();
    let done = statuses.iter().filter(|status| **status == 201).count();
    let told = statuses.iter().filter(|status| **status == 409).count();
    assert_eq!((done, told), (2, 198), "one ran, one waited for it");
    assert_eq!(tenant.developer.names().await, ["n"]);
}

#[tokio::test]
async fn answers_last_a_day_for_sure_and_two_at_most() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let first = create(client, "k", body("n")).await;
    app.clock.advance(SignedDuration::from_hours(-24));
    assert_replay(&first, &create(client, "k", body("n")).await);
    app.clock.advance(SignedDuration::from_hours(24 + 25));
    assert_replay(&first, &create(client, "k", body("n")).await);
    app.clock.advance(SignedDuration::from_hours(24));
    let anew = create(client, "k", body("n")).await;
    assert_eq!(anew.status, 409, "it runs anew, and finds the name taken");
    assert_eq!(anew.header("idempotency-status"), None);
    assert_eq!(create(client, "k", body("m")).await.status, 201);
}

#[tokio::test]
async fn keys_have_a_syntax() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let long = "x".repeat(255);
    let first = create(client, &long, body("n")).await;
    assert_eq!(first.status, 201);
    assert_replay(
        &first,
        &create(client, &format!("\"{long}\""), body("n")).await,
    );
    for key in ["", "\"\"", &"x".repeat(256), "a b", "schlüssel", "\"open"] {
        let answer = create(client, key, body("m")).await;
        answer.assert_fault("header.Idempotency-Key", "value_error");
    }
    let doubled = client.call(Method::POST, PATH).json(body("m"));
    let doubled = doubled
        .idempotency_key("a")
        .idempotency_key("a")
        .send()
        .await;
    doubled.assert_fault("header.Idempotency-Key", "value_error");
    let get = client
        .call(Method::GET, PATH)
        .idempotency_key("a b")
        .send()
        .await;
    assert_eq!(get.status, 200, "reads ignore it");
}

#[tokio::test]
async fn a_key_that_was_revoked_replays_nothing() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = app.mint(tenant.id, &[Scope::Manage]).await;
    assert_eq!(create(&client, "k", body("n")).await.status, 201);
    let keys = tenant.admin.get("/v1/api-keys").await.json();
    let id = keys.as_array().unwrap().last().unwrap()["id"]
        .as_str()
        .unwrap();
    tenant.admin.delete(&format!("/v1/api-keys/{id}")).await;
    assert_eq!(create(&client, "k", body("n")).await.status, 401);
}

#[tokio::test]
async fn a_rotation_of_the_root_key_forgets_no_answer() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let first = create(client, "k", body("n")).await;
    app.rotate_root_key().await;
    assert_replay(&first, &create(client, "k", body("n")).await);
    assert_mismatch(&create(client, "k", body("m")).await);
    assert_eq!(client.names().await, ["n"]);
}

/// Two nodes know nothing of one another's turns: there the database decides.
#[tokio::test]
async fn two_nodes_do_a_request_once() {
    let url = Cluster::shared().fresh_database();
    let one = TestApp::start_on(url.clone()).await;
    let tenant = one.tenant("a").await;
    let other = one.second_node(url).await;
    let there = other.with_key(tenant.developer.key());
    for round in 0..10 {
        let name = format!("n{round}");
        let (here, there) = futures::join!(
            create(&tenant.developer, &name, body(&name)),
            create(&there, &name, body(&name)),
        );
        assert_eq!((here.status.as_u16(), there.status.as_u16()), (201, 201));
        assert_eq!(here.body, there.body);
        let replayed = [&here, &there].map(|it| it.header("idempotent-replayed").is_some());
        assert_ne!(replayed[0], replayed[1]);
    }
    assert_eq!(tenant.developer.names().await.len(), 10);
}
