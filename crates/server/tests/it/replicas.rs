//! Several servers on one database.

use std::time::Duration;

use testkit::application::{DataDir, TestApp};
use testkit::postgres::Cluster;

use crate::support::{CHAT, app, chat, create, eventually};

/// Two servers that share a database and a root key.
async fn pair(url: &str) -> (TestApp, TestApp, DataDir) {
    let shared = DataDir::temporary().unwrap();
    let root_key = shared.path().join("root.key");
    let start = async || {
        let builder = app()
            .setting("database.url", url)
            .setting("vault.root_key_file", root_key.to_str().unwrap());
        builder.start().await.unwrap()
    };
    (start().await, start().await, shared)
}

/// How long a configuration that `one` makes takes to be callable at `other`.
async fn travel(one: &TestApp, other: &TestApp, name: &str) -> Duration {
    let body = serde_json::json!({
        "name": name, "provider": "simulated", "model": "simulated-chat",
    });
    create(&one.client(), &body).await;
    let here = one.client().post(CHAT, &chat(name)).await.unwrap();
    assert_eq!(
        here.status,
        200,
        "at once where it was made: {}",
        here.text()
    );
    eventually(Duration::from_secs(10), async || {
        other.client().post(CHAT, &chat(name)).await.unwrap().status == 200
    })
    .await
}

#[tokio::test]
async fn a_change_is_seen_elsewhere_within_a_second() {
    let url = Cluster::shared().fresh_database();
    let (one, other, _shared) = pair(&url).await;
    let mut fastest = Duration::MAX;
    for round in 0..3 {
        // The poll alone takes up to two seconds: only notifications are this fast each time.
        let there = travel(&one, &other, &format!("there-{round}")).await;
        let back = travel(&other, &one, &format!("back-{round}")).await;
        fastest = fastest.min(there.max(back));
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
}

#[tokio::test]
async fn a_change_is_seen_within_five_seconds_when_the_listener_is_killed() {
    let cluster = Cluster::shared();
    let url = cluster.fresh_database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let (one, other, _shared) = pair(&url).await;
    travel(&one, &other, "before").await;
    let killed = cluster.query(
        "postgres",
        &format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = '{database}' AND query ILIKE 'LISTEN%'"
        ),
    );
    assert_eq!(
        killed, "2",
        "each server listens on a connection of its own"
    );
    let took = travel(&one, &other, "after").await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}
