//! Revisions, entity tags and preconditions.

use http::Method;
use serde_json::{Value, json};

use crate::harness::TestApp;

const PATH: &str = "/v1/model-configurations";

async fn row(app: &TestApp) -> (crate::harness::Tenant, String) {
    let tenant = app.tenant("a").await;
    let body = json!({"name": "n", "provider": "simulated", "model": "m", "temperature": 0.1});
    let row = tenant.developer.create(body).await;
    let item = format!("{PATH}/{}", row["id"].as_str().unwrap());
    (tenant, item)
}

#[tokio::test]
async fn every_change_makes_a_revision_and_one_can_be_restored() {
    let app = TestApp::start().await;
    let (tenant, item) = row(&app).await;
    let client = &tenant.developer;
    client
        .patch(&item, json!({"temperature": 0.2, "description": "two"}))
        .await;
    client.patch(&item, json!({"temperature": null})).await;
    let page = client.get(&format!("{item}/revisions")).await.json();
    let revisions = page["items"].as_array().unwrap();
    let shown: Vec<_> = revisions
        .iter()
        .map(|it| (it["number"].as_i64().unwrap(), it["temperature"].clone()))
        .collect();
    assert_eq!(shown, [(3, Value::Null), (2, json!(0.2)), (1, json!(0.1))]);
    assert_eq!(page["next_cursor"], Value::Null);

    let restored = client
        .call(Method::POST, &format!("{item}/revisions/2/restore"))
        .send()
        .await;
    assert_eq!(restored.status, 200);
    assert_eq!(restored.header("etag"), Some("\"4\""));
    let restored = restored.json();
    assert_eq!(
        (&restored["temperature"], &restored["description"]),
        (&json!(0.2), &json!("two"))
    );
    assert_eq!(client.get(&item).await.json(), restored);
    let events = tenant.admin.get("/v1/audit-events").await.json();
    assert_eq!(events["items"][0]["action"], "model_configuration.restore");

    for (path, status) in [
        (format!("{item}/revisions/9/restore"), 404),
        (format!("{item}/revisions/0/restore"), 422),
        (format!("{item}/revisions/x/restore"), 422),
    ] {
        assert_eq!(
            client.call(Method::POST, &path).send().await.status,
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn revisions_come_in_pages() {
    let app = TestApp::start().await;
    let (tenant, item) = row(&app).await;
    let client = &tenant.developer;
    for step in 0..6 {
        client.patch(&item, json!({"max_tokens": step + 1})).await;
    }
    let mut numbers = Vec::new();
    let mut path = format!("{item}/revisions?limit=3");
    let mut pages = 0;
    loop {
        let page = client.get(&path).await.json();
        let items = page["items"].as_array().unwrap().clone();
        numbers.extend(items.iter().map(|it| it["number"].as_i64().unwrap()));
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{item}/revisions?limit=3&cursor={cursor}");
    }
    assert_eq!(numbers, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(pages, 3);
    for (query, loc, kind) in [
        ("limit=0", "query.limit", "greater_than_equal"),
        ("limit=201", "query.limit", "less_than_equal"),
        ("limit=abc", "query.limit", "int_parsing"),
        ("cursor=abc", "query.cursor", "value_error"),
    ] {
        let answer = client.get(&format!("{item}/revisions?{query}")).await;
        answer.assert_fault(loc, kind);
    }
}

#[tokio::test]
async fn a_stale_precondition_is_a_412_and_changes_nothing() {
    let app = TestApp::start().await;
    let (tenant, item) = row(&app).await;
    let client = &tenant.developer;
    let seen = client.get(&item).await;
    let tag = seen.header("etag").unwrap().to_owned();
    let patch = |tag: &str| {
        let call = client
            .call(Method::PATCH, &item)
            .json(json!({"max_tokens": 5}));
        call.header("if-match", tag).send()
    };
    let fresh = patch(&tag).await;
    assert_eq!(fresh.status, 200);
    let stale = patch(&tag).await;
    assert_eq!(stale.status, 412);
    assert_eq!(
        stale.header("etag"),
        fresh.header("etag"),
        "it says what is current"
    );
    for weak in ["W/\"2\"", "2"] {
        assert_eq!(patch(weak).await.status, 412, "{weak}");
    }
    let restore = client.call(Method::POST, &format!("{item}/revisions/1/restore"));
    assert_eq!(restore.header("if-match", &tag).send().await.status, 412);
    let delete = |tag: &str| {
        client
            .call(Method::DELETE, &item)
            .header("if-match", tag)
            .send()
    };
    assert_eq!(delete(&tag).await.status, 412);
    assert_eq!(client.get(&item).await.json()["max_tokens"], 5);
    assert_eq!(delete("\"9\", \"2\"").await.status, 204);
    let gone = patch("*").await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn concurrent_changes_all_count() {
    let app = TestApp::start().await;
    let (tenant, item) = row(&app).await;
    let fields = [
        "temperature",
        "max_tokens",
        "timeout_seconds",
        "max_retries",
    ];
    let calls = fields.map(|field| tenant.developer.patch(&item, json!({ field: 7 })));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let row = tenant.developer.get(&item).await;
    assert_eq!(row.header("etag"), Some("\"5\""));
    for field in fields {
        assert_eq!(row.json()[field].as_f64(), Some(7.0), "{field}");
    }
}

#[tokio::test]
async fn a_crowd_of_changes_to_one_row_all_get_through() {
    let app = TestApp::start().await;
    let (tenant, item) = row(&app).await;
    let crowd = 40;
    let calls = (0..crowd).map(|number| {
        let body = json!({"max_tokens": number + 1});
        tenant.developer.patch(&item, body)
    });
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let row = tenant.developer.get(&item).await;
    let revision = format!("\"{}\"", crowd + 1);
    assert_eq!(row.header("etag"), Some(revision.as_str()));
}
