//! What an organisation and its keys may spend.

use domain::api_key::Scope;
use http::Method;
use serde_json::{Value, json};

use crate::harness::TestApp;
use crate::harness::client::{Answer, Client};

const BUDGETS: &str = "/v1/budgets";

async fn put(client: &Client, owner: &str, body: Value) -> Answer {
    let path = format!("{BUDGETS}/{owner}");
    client.call(Method::PUT, &path).json(body).send().await
}

#[tokio::test]
async fn budgets_are_set_replaced_listed_and_removed() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let admin = &tenant.admin;
    assert_eq!(admin.get(BUDGETS).await.json(), json!([]));
    let set = put(
        admin,
        "organization",
        json!({"soft_micros": 4, "hard_micros": 5}),
    )
    .await;
    assert_eq!(set.status, 200, "{}", set.text());
    let expected = json!({
        "owner": "organization", "api_key_id": null, "soft_micros": 4, "hard_micros": 5,
    });
    assert_eq!(set.json(), expected);
    // What is not sent is not bounded any more.
    assert_eq!(
        put(admin, "organization", json!({"soft_micros": 7}))
            .await
            .status,
        200
    );
    let keys = admin.get("/v1/api-keys").await.json();
    let id = keys[0]["id"].as_str().unwrap();
    assert_eq!(put(admin, id, json!({"hard_micros": 9})).await.status, 200);
    let listed = admin.get(BUDGETS).await.json();
    let of = |index: usize, name: &str| listed[index][name].clone();
    assert_eq!(
        (of(0, "soft_micros"), of(0, "hard_micros")),
        (json!(7), Value::Null)
    );
    assert_eq!(
        (of(1, "owner"), of(1, "api_key_id")),
        (json!("api_key"), json!(id))
    );
    assert_eq!(
        (of(1, "hard_micros"), of(1, "spent_micros")),
        (json!(9), json!(0))
    );
    assert!(
        of(1, "resets_at")
            .as_str()
            .unwrap()
            .contains("-01T00:00:00")
    );
    let path = format!("{BUDGETS}/{id}");
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(admin.delete(&path).await.status, 404);
    assert_eq!(admin.get(BUDGETS).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    for body in [
        json!({}),
        json!({"soft_micros": null, "hard_micros": null}),
        json!({"hard_micros": 0}),
        json!({"soft_micros": -1}),
        json!({"hard_micros": 1.5}),
        json!({"soft_micros": 6, "hard_micros": 5}),
    ] {
        let answer = put(&tenant.admin, "organization", body.clone()).await;
        assert_eq!(answer.status, 422, "{body}");
    }
    let answer = put(&tenant.admin, "nobody", json!({"hard_micros": 1})).await;
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn nobody_else_sees_or_sets_them() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant("a").await, app.tenant("b").await);
    let keys = other.admin.get("/v1/api-keys").await.json();
    let id = keys[0]["id"].as_str().unwrap();
    let body = json!({"hard_micros": 1});
    assert_eq!(put(&tenant.admin, id, body.clone()).await.status, 404);
    assert_eq!(
        put(&tenant.admin, "organization", body.clone())
            .await
            .status,
        200
    );
    assert_eq!(other.admin.get(BUDGETS).await.json(), json!([]));
    let path = format!("{BUDGETS}/organization");
    assert_eq!(other.admin.delete(&path).await.status, 404);
    let manager = app.mint(tenant.id, &[Scope::Manage]).await;
    assert_eq!(manager.get(BUDGETS).await.status, 403);
    assert_eq!(
        put(&manager, "organization", body.clone()).await.status,
        403
    );
    // A key that allows more than the caller's own is left alone.
    let mine = tenant.admin.get("/v1/api-keys").await.json();
    let strong = mine[0]["id"].as_str().unwrap();
    let weak = app.mint(tenant.id, &[Scope::Admin]).await;
    assert_eq!(put(&weak, strong, body).await.status, 403);
}
