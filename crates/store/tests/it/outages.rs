//! A PostgreSQL server that is stopped, crashes or hangs: callers are told within a
//! second, and the pool works again within five of the server's return.

use store::{Database, StoreError, organizations};
use testkit::postgres::Cluster;
use tokio::time::{Duration, Instant, sleep};

use crate::support::{add_organization, commit, options, organization};

struct Drill {
    cluster: Cluster,
    database: Database,
    written: u128,
}

impl Drill {
    async fn start() -> Self {
        let cluster = Cluster::start();
        let database = Database::connect(&options(cluster.fresh_database()))
            .await
            .unwrap();
        let mut drill = Self {
            cluster,
            database,
            written: 0,
        };
        // Warm several connections, so that the outage finds them idle.
        let pings = (0..8).map(|_| drill.database.ping());
        futures::future::join_all(pings).await;
        drill.write().await.unwrap();
        drill
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        let number = self.written + 1;
        commit(&self.database, async |transaction| {
            organizations::insert(transaction, &organization(number)).await
        })
        .await?;
        self.written = number;
        Ok(())
    }

    /// More callers than connections, all of which must be told within a second.
    async fn everybody_is_told(&self) {
        let callers = (0..20).map(async |caller| {
            let started = Instant::now();
            let outcome = if caller % 2 == 0 {
                self.database.write().await.map(drop)
            } else {
                self.database.ping().await
            };
            assert!(
                matches!(outcome, Err(StoreError::Unavailable(_))),
                "{outcome:?}"
            );
            let waited = started.elapsed();
            assert!(waited < Duration::from_millis(1200), "{waited:?}");
        });
        futures::future::join_all(callers).await;
    }

    async fn recovers(&mut self) {
        let returned = Instant::now();
        while let Err(error) = self.write().await {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
            assert!(returned.elapsed() < Duration::from_secs(5), "{error}");
            sleep(Duration::from_millis(50)).await;
        }
        assert!(returned.elapsed() < Duration::from_secs(5));
        // All connections, not only the first.
        let pings = (0..8).map(|_| self.database.ping());
        for outcome in futures::future::join_all(pings).await {
            outcome.unwrap();
        }
        let stored = organizations::list(&self.database).await.unwrap().len();
        assert_eq!(stored, usize::try_from(self.written).unwrap());
    }
}

#[tokio::test]
async fn a_stopped_server() {
    let mut drill = Drill::start().await;
    drill.cluster.stop();
    for _ in 0..2 {
        drill.everybody_is_told().await;
    }
    drill.cluster.start_again();
    drill.recovers().await;
}

#[tokio::test]
async fn a_server_that_crashes_and_restarts() {
    let mut drill = Drill::start().await;
    drill.cluster.restart();
    drill.recovers().await;
    drill.cluster.kill();
    drill.everybody_is_told().await;
    drill.cluster.start_again();
    drill.recovers().await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    let mut drill = Drill::start().await;
    for _ in 0..2 {
        drill.cluster.pause();
        for _ in 0..3 {
            drill.everybody_is_told().await;
        }
        drill.cluster.resume();
        drill.recovers().await;
    }
}

/// The worst moment: a transaction is under way, and its next statement, or its commit,
/// gets no answer.
#[tokio::test]
async fn a_server_that_hangs_in_the_midst_of_a_transaction() {
    let mut drill = Drill::start().await;
    let mut transaction = drill.database.write().await.unwrap();
    organizations::insert(&mut transaction, &organization(70))
        .await
        .unwrap();
    let mut other = drill.database.write().await.unwrap();
    organizations::insert(&mut other, &organization(80))
        .await
        .unwrap();
    drill.cluster.pause();
    let started = Instant::now();
    let statement = organizations::insert(&mut transaction, &organization(71)).await;
    assert!(
        matches!(statement, Err(StoreError::Unavailable(_))),
        "{statement:?}"
    );
    assert!(
        started.elapsed() < Duration::from_millis(1200),
        "{:?}",
        started.elapsed()
    );
    let started = Instant::now();
    let commit = other.commit().await;
    assert!(
        matches!(commit, Err(StoreError::Unavailable(_))),
        "{commit:?}"
    );
    assert!(
        started.elapsed() < Duration::from_millis(1200),
        "{:?}",
        started.elapsed()
    );
    drop(transaction);
    drill.cluster.resume();
    drill.recovers().await;
}

/// A standby after a failover refuses writes; that is an outage, not a bug.
#[tokio::test]
async fn a_server_that_only_reads() {
    let cluster = Cluster::start();
    let url = cluster.fresh_database();
    let database = Database::connect(&options(url)).await.unwrap();
    add_organization(&database, 1).await;
    cluster.query(
        "postgres",
        "ALTER SYSTEM SET default_transaction_read_only = on",
    );
    cluster.restart();
    let outcome = commit(&database, async |transaction| {
        organizations::insert(transaction, &organization(2)).await
    })
    .await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "{outcome:?}"
    );
    assert_eq!(organizations::list(&database).await.unwrap().len(), 1);
}

/// A full disk is an outage of writes: it may end by itself, and reading goes on. SQLite's
/// own limit on the size of a file gives the same answer as a device that is full.
#[tokio::test]
async fn a_full_disk() {
    use sqlx::{Connection as _, Executor as _};
    let fixture = crate::support::Fixture::sqlite().await;
    add_organization(&fixture.database, 1).await;
    let mut connection = sqlx::AnyConnection::connect(&fixture.options.url)
        .await
        .unwrap();
    connection
        .execute("PRAGMA max_page_count = 1")
        .await
        .unwrap();
    let mut error = None;
    for number in 0..1000 {
        let statement =
            sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, 0)")
                .bind(number.to_string())
                .bind(format!("{number} {}", "x".repeat(1000)));
        if let Err(refusal) = connection.execute(statement).await {
            error = Some(StoreError::from(refusal));
            break;
        }
    }
    assert!(
        matches!(error, Some(StoreError::Unavailable(_))),
        "{error:?}"
    );
    assert!(
        !organizations::list(&fixture.database)
            .await
            .unwrap()
            .is_empty()
    );
}
