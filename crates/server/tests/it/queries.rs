//! No SQL on the way of a call.

use std::time::Duration;

use testkit::postgres::Cluster;
use testkit::simulator::serve::RunningSimulator;

use crate::support::{CHAT, app, at_simulator, chat, create, said};

const CALLS: i64 = 500;

#[tokio::test]
async fn a_warm_call_makes_no_query() {
    let cluster = Cluster::shared();
    let url = cluster.fresh_database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let simulator = RunningSimulator::start().await.unwrap();
    // What calls took is written in batches, off their way; here not before they are over.
    let server = app()
        .setting("database.url", &url)
        .setting("usage.flush_seconds", "60");
    let server = server.start().await.unwrap();
    let client = server.client();
    create(&client, &at_simulator("warm", &simulator, "gpt-test")).await;
    said(&client.post(CHAT, &chat("warm")).await.unwrap());

    let transactions = async || -> i64 {
        // A backend reports its counts when it has been idle for a second.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let sql = format!(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{database}'"
        );
        cluster.query("postgres", &sql).parse().unwrap()
    };
    let before = transactions().await;
    for _ in 0..CALLS {
        said(&client.post(CHAT, &chat("warm")).await.unwrap());
    }
    let made = transactions().await - before;
    // The change feed and the outbox look now and then, whatever the calls do.
    assert!(made < CALLS / 4, "{made} transactions for {CALLS} calls");
    assert!(simulator.ledger().count() >= 500);
}
