//! How fast news travel, and what must break for them to be late.

use store::Database;
use store::changes::{Change, ChangeFeed, News, current_revision, record};
use testkit::postgres::Cluster;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::support::{Fixture, commit, options};

async fn change(database: &Database) {
    commit(database, async |transaction| {
        record(transaction, Change::SystemDefaults).await
    })
    .await
    .unwrap();
}

/// How long `feed`, which waits already, takes to tell what `writer` changes after `drill`.
async fn delay_after(drill: impl FnOnce(), writer: &Database, feed: &mut ChangeFeed) -> Duration {
    let commit = async {
        sleep(Duration::from_millis(200)).await;
        drill();
        change(writer).await;
        Instant::now()
    };
    let hear = async {
        let news = timeout(Duration::from_secs(10), feed.next())
            .await
            .expect("news at all");
        (news, Instant::now())
    };
    let ((news, heard), committed) = tokio::join!(hear, commit);
    let revision = current_revision(writer).await.unwrap();
    assert_eq!(
        news,
        News::Changes {
            revision,
            changes: vec![Change::SystemDefaults]
        }
    );
    heard.saturating_duration_since(committed)
}

async fn delay(writer: &Database, feed: &mut ChangeFeed) -> Duration {
    delay_after(|| {}, writer, feed).await
}

on_both_engines! {
    async fn another_process_is_heard_within_a_second(fixture) {
        let writer = fixture.again().await;
        let mut feed = ChangeFeed::after(&fixture.database, 0);
        for _ in 0..4 {
            let delay = delay(&writer, &mut feed).await;
            assert!(delay < Duration::from_secs(1), "{delay:?}");
        }
    }

    async fn ones_own_commit_is_heard_at_once(fixture) {
        let mut feed = ChangeFeed::after(&fixture.database, 0);
        for _ in 0..3 {
            let delay = delay(&fixture.database, &mut feed).await;
            assert!(delay < Duration::from_millis(200), "{delay:?}");
        }
    }

    async fn waiting_can_be_given_up_and_taken_up_again(fixture) {
        let writer = fixture.again().await;
        let mut feed = ChangeFeed::after(&fixture.database, 0);
        for _ in 0..10 {
            assert!(timeout(Duration::from_millis(20), feed.next()).await.is_err());
        }
        let delay = delay(&writer, &mut feed).await;
        assert!(delay < Duration::from_secs(1), "{delay:?}");
    }
}

/// A listener whose connection is cut (here with `pg_terminate_backend`, again and again)
/// makes news late by seconds, never loses them, and listens again afterwards.
#[tokio::test]
async fn a_lost_notification_is_made_up_for_within_five_seconds() {
    let fixture = Fixture::postgres().await;
    let writer = fixture.again().await;
    let mut feed = ChangeFeed::after(&fixture.database, 0);
    delay(&writer, &mut feed).await;
    for _ in 0..3 {
        let kill = || {
            assert_eq!(
                kill_listeners(&fixture),
                "1",
                "there is one and it was killed"
            )
        };
        let delay = delay_after(kill, &writer, &mut feed).await;
        assert!(delay < Duration::from_secs(5), "{delay:?}");
    }
    for _ in 0..4 {
        let delay = delay(&writer, &mut feed).await;
        assert!(delay < Duration::from_secs(1), "{delay:?}");
    }
}

/// Without any notification the poll alone finds the news, and the listener that heard
/// nothing is replaced.
#[tokio::test]
async fn the_poll_alone_finds_news_within_five_seconds() {
    let fixture = Fixture::postgres().await;
    let mut feed = ChangeFeed::after(&fixture.database, 0);
    delay(&fixture.database, &mut feed).await;
    let listener = listeners(&fixture);
    let commit_in_silence = async {
        sleep(Duration::from_millis(200)).await;
        query(
            &fixture,
            "UPDATE change_counter SET revision = 2; INSERT INTO changes VALUES (2, NULL);",
        );
        Instant::now()
    };
    let (news, committed) = tokio::join!(feed.next(), commit_in_silence);
    assert!(
        matches!(news, News::Changes { revision: 2, .. }),
        "{news:?}"
    );
    let delay = committed.elapsed();
    assert!(
        delay > Duration::from_millis(500),
        "somebody told after {delay:?}"
    );
    assert!(delay < Duration::from_secs(5), "{delay:?}");
    assert!(
        timeout(Duration::from_millis(500), feed.next())
            .await
            .is_err()
    );
    assert_ne!(listeners(&fixture), listener);
}

fn query(fixture: &Fixture, sql: &str) -> String {
    let name = fixture.options.url.rsplit('/').next().unwrap();
    Cluster::shared().query(name, sql)
}

fn kill_listeners(fixture: &Fixture) -> String {
    query(
        fixture,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    )
}

fn listeners(fixture: &Fixture) -> String {
    query(
        fixture,
        "SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    )
}

/// A feed outlives the server: it tells what came after.
#[tokio::test]
async fn a_feed_survives_a_restart_of_the_server() {
    let cluster = Cluster::start();
    let database = Database::connect(&options(cluster.fresh_database()))
        .await
        .unwrap();
    let mut feed = ChangeFeed::after(&database, 0);
    delay(&database, &mut feed).await;
    cluster.crash();
    assert!(timeout(Duration::from_secs(2), feed.next()).await.is_err());
    cluster.start_again();
    let writer = Database::connect(&options(cluster.url("test_0")))
        .await
        .unwrap();
    let first = delay(&writer, &mut feed).await;
    assert!(first < Duration::from_secs(5), "{first:?}");
    for _ in 0..4 {
        let delay = delay(&writer, &mut feed).await;
        assert!(delay < Duration::from_secs(1), "{delay:?}");
    }
}
