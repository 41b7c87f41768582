//! Which news a reader gets.

use domain::api_key::ApiKey;
use domain::id::OrganizationId;
use store::changes::{Change, ChangeFeed, News, current_revision, record};
use store::{Database, api_keys, model_configurations as configurations, sealed};
use tokio::time::{Duration, timeout};

use crate::support::{add_organization, alias, api_key, commit, configuration, time};

async fn next(feed: &mut ChangeFeed) -> News {
    timeout(Duration::from_secs(5), feed.next())
        .await
        .expect("news in time")
}

async fn is_silent(feed: &mut ChangeFeed) -> bool {
    timeout(Duration::from_millis(700), feed.next())
        .await
        .is_err()
}

async fn record_change(database: &Database, change: Change) {
    commit(database, async |transaction| {
        record(transaction, change).await
    })
    .await
    .unwrap();
}

fn change_of(owner: OrganizationId, revision: i64) -> News {
    News::Changes {
        revision,
        changes: vec![Change::Organization(owner)],
    }
}

on_both_engines! {
    async fn every_write_that_a_snapshot_shows_is_news(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let mut revision = current_revision(database).await.unwrap();
        assert_eq!(revision, 1);
        let mut feed = ChangeFeed::after(database, revision);
        let key: ApiKey = api_key(1, owner);
        let mut row = configuration(1, Some(owner), "a");
        let secret = sealed::SealedSecretRow {
            alias: alias(1),
            version: 1,
            organization_id: Some(owner),
            blob: vec![1],
        };
        for step in 0..6 {
            commit(database, async |transaction| match step {
                0 => api_keys::insert(transaction, &key, &[1; 32]).await,
                1 => configurations::insert(transaction, &row).await,
                2 => {
                    row.revision = 2;
                    configurations::update(transaction, &row).await
                }
                3 => configurations::delete(transaction, Some(owner), row.id).await,
                4 => api_keys::revoke(transaction, owner, key.id, time(1)).await,
                _ => sealed::insert_secret(transaction, &secret).await,
            })
            .await
            .unwrap();
            revision += 1;
            assert_eq!(next(&mut feed).await, change_of(owner, revision), "step {step}");
        }
        assert!(is_silent(&mut feed).await);
    }

    async fn a_batch_names_each_change_once(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let mut feed = ChangeFeed::after(database, 1);
        commit(database, async |transaction| {
            for number in 1..4 {
                let row = configuration(number, None, &number.to_string());
                configurations::insert(transaction, &row).await?;
            }
            record(transaction, Change::Organization(owner)).await
        })
        .await
        .unwrap();
        record_change(database, Change::SystemDefaults).await;
        let News::Changes { revision, changes } = next(&mut feed).await else {
            panic!("too much missed");
        };
        assert_eq!(revision, 3);
        assert_eq!(changes.len(), 2);
        assert!(changes.contains(&Change::SystemDefaults));
        assert!(changes.contains(&Change::Organization(owner)));
    }

    async fn who_is_too_far_behind_or_ahead_reads_everything(fixture) {
        let database = &fixture.database;
        // 10,000 commits are kept; numbers are made up rather than committed one by one.
        record_change(database, Change::SystemDefaults).await;
        set_counter(fixture, 20_479).await;
        record_change(database, Change::SystemDefaults).await;
        assert_eq!(current_revision(database).await.unwrap(), 20_480);
        let mut behind = ChangeFeed::after(database, 0);
        assert_eq!(next(&mut behind).await, News::Everything { revision: 20_480 });
        assert!(is_silent(&mut behind).await);
        let mut ahead = ChangeFeed::after(database, 30_000);
        assert_eq!(next(&mut ahead).await, News::Everything { revision: 20_480 });
        record_change(database, Change::SystemDefaults).await;
        assert_eq!(
            next(&mut ahead).await,
            News::Changes { revision: 20_481, changes: vec![Change::SystemDefaults] }
        );
    }

    async fn a_reader_never_skips_a_commit(fixture) {
        let other_node = fixture.again().await;
        let nodes = [&fixture.database, &other_node];
        let mut feed = ChangeFeed::after(&fixture.database, 0);
        let writers = futures::future::join_all((1..=60_u128).map(async |number| {
            let owner = OrganizationId(uuid::Uuid::from_u128(number));
            let node = nodes[usize::try_from(number % 2).unwrap()];
            loop {
                let mut transaction = match node.write().await {
                    Ok(transaction) => transaction,
                    Err(_) => continue,
                };
                record(&mut transaction, Change::Organization(owner)).await.unwrap();
                if transaction.commit().await.is_ok() {
                    return;
                }
            }
        }));
        let reader = async {
            let mut seen = std::collections::HashSet::new();
            while seen.len() < 60 {
                match timeout(Duration::from_secs(20), feed.next()).await.expect("news") {
                    News::Changes { changes, .. } => seen.extend(changes),
                    News::Everything { .. } => panic!("nothing was pruned"),
                }
            }
        };
        tokio::join!(reader, writers);
    }
}

async fn set_counter(fixture: &crate::support::Fixture, revision: i64) {
    use sqlx::{Connection as _, Executor as _};
    let mut connection = sqlx::AnyConnection::connect(&fixture.options.url)
        .await
        .unwrap();
    let statement = sqlx::query("UPDATE change_counter SET revision = $1").bind(revision);
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
}
