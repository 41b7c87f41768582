//! API keys and organisations.

use domain::api_key::Scope;
use http::Method;
use serde_json::{Value, json};

use crate::harness::TestApp;
use crate::harness::client::Client;

const KEYS: &str = "/v1/api-keys";

#[tokio::test]
async fn a_key_is_shown_once_works_and_can_be_revoked() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let answer = tenant
        .admin
        .post(KEYS, json!({"name": "ci", "scopes": ["invoke", "manage"]}))
        .await;
    assert_eq!(answer.status, 201);
    let created = answer.json();
    let key = created["key"].as_str().unwrap();
    assert_eq!(created["scopes"], json!(["manage", "invoke"]));
    assert_eq!(created["revoked_at"], Value::Null);

    let client = app.with_key(key);
    assert_eq!(client.get("/v1/model-configurations").await.status, 200);
    let listed = tenant.admin.get(KEYS).await;
    assert!(!listed.text().contains(key), "a list shows no key");
    let shown = listed.json();
    let shown = shown.as_array().unwrap().last().unwrap().clone();
    let mut expected = created.clone();
    expected.as_object_mut().unwrap().remove("key");
    assert_eq!(shown, expected);

    let path = format!("{KEYS}/{}", created["id"].as_str().unwrap());
    assert_eq!(tenant.admin.delete(&path).await.status, 204);
    assert_eq!(client.get("/v1/model-configurations").await.status, 401);
    let revoked = tenant.admin.get(KEYS).await.json();
    let time = &revoked.as_array().unwrap().last().unwrap()["revoked_at"];
    assert!(time.is_string());
    assert_eq!(
        tenant.admin.delete(&path).await.status,
        204,
        "twice is fine"
    );
    let again = tenant.admin.get(KEYS).await.json();
    assert_eq!(
        &again.as_array().unwrap().last().unwrap()["revoked_at"],
        time
    );
}

#[tokio::test]
async fn a_key_never_mints_more_than_it_has() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let weak = app.mint(tenant.id, &[Scope::Admin, Scope::Invoke]).await;
    for scope in ["operator", "manage"] {
        let answer = weak
            .post(KEYS, json!({"name": "x", "scopes": [scope]}))
            .await;
        assert_eq!(answer.status, 403, "{scope}");
    }
    let default = weak.post(KEYS, json!({"name": "x"})).await.json();
    assert_eq!(default["scopes"], json!(["admin", "invoke"]));
    let default = tenant
        .admin
        .post(KEYS, json!({"name": "x", "scopes": null}))
        .await
        .json();
    assert_eq!(default["scopes"], json!(["admin", "manage", "invoke"]));
}

#[tokio::test]
async fn a_weaker_key_cannot_revoke_a_stronger_one() {
    let app = TestApp::start().await;
    let operator = app.operator().await;
    let mine = operator.get(KEYS).await.json();
    let organization: domain::id::OrganizationId = mine[0]["organization_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let admin = app.mint(organization, &[Scope::Admin]).await;
    let path = format!("{KEYS}/{}", mine[0]["id"].as_str().unwrap());
    assert_eq!(admin.delete(&path).await.status, 403);
    assert_eq!(operator.get(KEYS).await.status, 200);
}

#[tokio::test]
async fn keys_of_others_do_not_exist() {
    let app = TestApp::start().await;
    let one = app.tenant("a").await;
    let other = app.tenant("b").await;
    let keys = other.admin.get(KEYS).await.json();
    let path = format!("{KEYS}/{}", keys[0]["id"].as_str().unwrap());
    let foreign = one.admin.delete(&path).await;
    assert_eq!(foreign.status, 404);
    let random = format!("{KEYS}/{}", uuid::Uuid::from_u128(77));
    assert_eq!(foreign.body, one.admin.delete(&random).await.body);
    assert_eq!(other.admin.get(KEYS).await.status, 200);
    let into = json!({"name": "x", "organization_id": other.id.to_string()});
    assert_eq!(one.admin.post(KEYS, into).await.status, 403);
}

#[tokio::test]
async fn bodies_are_validated_whole() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let body = json!({"name": "", "scopes": ["invoke", "root"], "organization_id": "x"});
    let answer = tenant.admin.post(KEYS, body).await;
    assert_eq!(
        answer.faults(),
        [
            ("body.name", "string_too_short"),
            ("body.scopes.1", "enum"),
            ("body.organization_id", "uuid_parsing"),
        ]
        .map(|(loc, kind)| (loc.to_owned(), kind.to_owned()))
    );
    for scopes in [json!([]), json!("invoke"), json!([1])] {
        let answer = tenant
            .admin
            .post(KEYS, json!({"name": "x", "scopes": scopes}))
            .await;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    tenant
        .admin
        .delete("/v1/api-keys/x")
        .await
        .assert_fault("path.api_key_id", "uuid_parsing");
}

#[tokio::test]
async fn an_operator_makes_organizations_and_their_first_keys() {
    let app = TestApp::start().await;
    let operator = app.operator().await;
    let answer = operator
        .post("/v1/organizations", json!({"name": "Acme"}))
        .await;
    assert_eq!(answer.status, 201);
    let organization = answer.json();
    let listed = operator.get("/v1/organizations").await.json();
    assert_eq!(listed[1], organization);
    let again = operator
        .post("/v1/organizations", json!({"name": "Acme"}))
        .await;
    assert_eq!(again.status, 409);
    assert_eq!(again.header("idempotency-status"), None);

    let body = json!({"name": "first", "organization_id": organization["id"]});
    let key = operator.post(KEYS, body).await.json();
    assert_eq!(key["organization_id"], organization["id"]);
    let client = app.with_key(key["key"].as_str().unwrap());
    assert_eq!(client.names().await, Vec::<String>::new());
    let nowhere = json!({"name": "x", "organization_id": uuid::Uuid::from_u128(9).to_string()});
    assert_eq!(operator.post(KEYS, nowhere).await.status, 404);
}

#[tokio::test]
async fn a_misspelt_limit_is_refused_and_not_ignored() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let operator = app.operator().await;
    let body = json!({"name": "x", "rpm": 1});
    for (client, path) in [(&tenant.admin, KEYS), (&operator, "/v1/organizations")] {
        let refused = client.post(path, body.clone()).await;
        refused.assert_fault("body.rpm", "extra_forbidden");
    }
    let key = tenant.admin.post(KEYS, json!({"name": "x"})).await.json();
    let key = format!("{KEYS}/{}", key["id"].as_str().unwrap());
    let organization = format!("/v1/organizations/{}", tenant.id);
    for (client, path) in [(&tenant.admin, key), (&operator, organization)] {
        let refused = client.patch(&path, json!({"rpm": 1})).await;
        refused.assert_fault("body.rpm", "extra_forbidden");
    }
}

#[tokio::test]
async fn a_repeated_creation_shows_the_same_key_and_keeps_it_sealed() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let create = || {
        let call = tenant.admin.call(Method::POST, KEYS);
        call.json(json!({"name": "ci"}))
            .idempotency_key("k-1")
            .send()
    };
    let first = create().await;
    let second = create().await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    let first = first.json();
    let key = first["key"].as_str().unwrap().as_bytes();
    let files = app.database_files();
    assert!(
        !files.windows(key.len()).any(|window| window == key),
        "the key is on disk"
    );
    let keys = tenant.admin.get(KEYS).await.json();
    assert_eq!(keys.as_array().unwrap().len(), 4);
    // Without a key there is nothing to repeat, and so nothing is kept.
    assert_eq!(
        tenant.admin.post(KEYS, json!({"name": "ci"})).await.status,
        201
    );
    assert_eq!(store::outbox::pending(&app.database).await.unwrap(), 1);
}

#[tokio::test]
async fn a_weaker_key_is_not_shown_what_a_stronger_one_made() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let operator = app.mint(tenant.id, &Scope::ALL).await;
    let weak = app.mint(tenant.id, &[Scope::Admin]).await;
    let other = app.add_organization("b").await;
    for (number, body) in [
        json!({"name": "unsaid"}),
        json!({"name": "said", "scopes": ["operator"]}),
        json!({"name": "others", "scopes": ["admin"], "organization_id": other}),
    ]
    .into_iter()
    .enumerate()
    {
        let create = |client: &Client| {
            let call = client.call(Method::POST, KEYS).json(body.clone());
            call.idempotency_key(&format!("k-{number}")).send()
        };
        let made = create(&operator).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let repeated = create(&weak).await;
        assert!(
            matches!(repeated.status.as_u16(), 403 | 409),
            "{}",
            repeated.text()
        );
        assert!(!repeated.text().contains("qm_"));
        assert_eq!(create(&operator).await.body, made.body);
    }
}

#[tokio::test]
async fn keys_and_organizations_have_limits_that_can_be_changed() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let body = json!({"name": "agents", "requests_per_minute": 60, "concurrent_calls": "5"});
    let created = tenant.admin.post(KEYS, body).await.json();
    assert_eq!(created["requests_per_minute"], 60);
    assert_eq!(created["tokens_per_minute"], Value::Null);
    assert_eq!(created["concurrent_calls"], 5);
    let path = format!("{KEYS}/{}", created["id"].as_str().unwrap());
    let change = json!({"tokens_per_minute": 9000, "concurrent_calls": null});
    let changed = tenant.admin.patch(&path, change).await;
    assert_eq!(changed.status, 200);
    let changed = changed.json();
    let limits = [
        "requests_per_minute",
        "tokens_per_minute",
        "concurrent_calls",
    ];
    let expected = [json!(60), json!(9000), Value::Null];
    assert_eq!(limits.map(|name| changed[name].clone()), expected);
    let listed = tenant.admin.get(KEYS).await.json();
    assert_eq!(listed.as_array().unwrap().last().unwrap(), &changed);

    // Nobody else's key, none by who may not, and no limit below one.
    let other = app.tenant("b").await;
    assert_eq!(other.admin.patch(&path, json!({})).await.status, 404);
    assert_eq!(tenant.developer.patch(&path, json!({})).await.status, 403);
    let nothing = json!({"requests_per_minute": 0});
    tenant
        .admin
        .patch(&path, nothing)
        .await
        .assert_fault("body.requests_per_minute", "greater_than_equal");

    let operator = app.operator().await;
    let body = json!({"name": "Acme", "tokens_per_minute": 5});
    let organization = operator.post("/v1/organizations", body).await.json();
    assert_eq!(organization["tokens_per_minute"], 5);
    let path = format!("/v1/organizations/{}", organization["id"].as_str().unwrap());
    let change = json!({"tokens_per_minute": null, "requests_per_minute": 7});
    let changed = operator.patch(&path, change.clone()).await.json();
    assert_eq!(changed["tokens_per_minute"], Value::Null);
    let listed = operator.get("/v1/organizations").await.json();
    assert!(listed.as_array().unwrap().contains(&changed), "{listed}");
    // An organisation cannot raise its own limits.
    assert_eq!(tenant.admin.patch(&path, change).await.status, 403);
    let nowhere = format!("/v1/organizations/{}", uuid::Uuid::from_u128(9));
    assert_eq!(operator.patch(&nowhere, json!({})).await.status, 404);
}
