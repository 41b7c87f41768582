//! Budgets over the whole of the product: routes, nodes, restarts, the command line.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::application::{BOOTSTRAP_KEY, DataDir, TestApp};
use testkit::postgres::Cluster;

use crate::support::{CHAT, app, chat, create, eventually, said};

const BUDGETS: &str = "/v1/budgets";

async fn put(server: &TestApp, owner: &str, body: &Value) {
    let path = format!("{BUDGETS}/{owner}");
    let answer = server.client().send(Method::PUT, &path, Some(body)).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn call(server: &TestApp) -> testkit::client::Answer {
    server.client().post(CHAT, &chat("fast")).await.unwrap()
}

async fn spent(server: &TestApp) -> i64 {
    let listed = server.client().get(BUDGETS).await.unwrap().json();
    listed[0]["spent_micros"].as_i64().unwrap()
}

async fn configuration(server: &TestApp) {
    let body = json!({"name": "fast", "provider": "simulated", "model": "simulated-chat"});
    create(&server.client(), &body).await;
}

#[tokio::test]
async fn what_was_spent_before_a_restart_and_on_other_nodes_counts() {
    let url = Cluster::shared().fresh_database();
    let shared = DataDir::temporary().unwrap();
    let root_key = shared.path().join("root.key");
    let start = async || {
        let builder = app()
            .setting("database.url", &url)
            .setting("vault.root_key_file", root_key.to_str().unwrap());
        builder.start().await.unwrap()
    };
    let (one, other) = (start().await, start().await);
    configuration(&one).await;
    said(&call(&one).await);
    put(
        &one,
        "organization",
        &json!({"soft_micros": 1, "hard_micros": 1_000_000_000}),
    )
    .await;
    // Spent before there was a budget, on the other node: known here by the first call.
    let limit = Duration::from_secs(10);
    eventually(limit, async || spent(&one).await > 0).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let first = call(&other).await;
    assert!(
        first.headers.contains_key("x-quartermaster-budget"),
        "{}",
        first.text()
    );
    put(&one, "organization", &json!({"hard_micros": 1})).await;
    for server in [&one, &other] {
        eventually(limit, async || call(server).await.status == 429).await;
        let refused = call(server).await;
        assert_eq!(refused.json()["error"]["code"], "budget_exceeded");
    }
    // A new process knows it from its first call on.
    drop((one, other));
    let again = start().await;
    assert_eq!(call(&again).await.status, 429);
    let removed = again
        .client()
        .delete(&format!("{BUDGETS}/organization"))
        .await
        .unwrap();
    assert_eq!(removed.status, 204);
    said(&call(&again).await);
}

#[tokio::test]
async fn the_command_line_sets_lists_and_removes_budgets() {
    let server = app().start().await.unwrap();
    configuration(&server).await;
    let run = |arguments: &[&str]| {
        let url = server.base_url();
        let builder = app()
            .environment("QUARTERMASTER_URL", &url)
            .environment("QUARTERMASTER_API_KEY", BOOTSTRAP_KEY);
        builder.run(arguments).unwrap()
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let set = run(&[
        "budget",
        "set",
        "organization",
        "--soft",
        "2.5",
        "--hard",
        "4",
    ]);
    assert!(set.status.success(), "{set:?}");
    let listed = text(&run(&["budget", "list"]).stdout);
    let cells: Vec<&str> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (cells[0], &cells[2..]),
        ("organization", &["0.00", "2.50", "4.00"][..])
    );
    let wrong = run(&[
        "budget",
        "set",
        "organization",
        "--soft",
        "5",
        "--hard",
        "4",
    ]);
    assert!(!wrong.status.success());
    assert!(
        text(&wrong.stderr).contains("must not be above"),
        "{wrong:?}"
    );
    assert!(run(&["budget", "remove", "organization"]).status.success());
    assert_eq!(
        text(&run(&["budget", "list", "--output", "json"]).stdout).trim(),
        "[]"
    );
}
