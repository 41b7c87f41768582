//! What holds for every transaction.

use std::time::Duration;

use store::{Database, StoreError, organizations};

use crate::support::{add_organization, commit, organization};

async fn count(database: &Database) -> usize {
    organizations::list(database).await.unwrap().len()
}

on_both_engines! {
    async fn a_transaction_dropped_without_commit_leaves_nothing(fixture) {
        let database = &fixture.database;
        for number in 0..20 {
            let mut transaction = database.write().await.unwrap();
            organizations::insert(&mut transaction, &organization(number)).await.unwrap();
            drop(transaction);
        }
        assert_eq!(count(database).await, 0);
        assert_eq!(store::changes::current_revision(database).await.unwrap(), 0);
        add_organization(database, 1).await;
        assert_eq!(count(&fixture.again().await).await, 1);
    }

    async fn a_transaction_whose_task_is_aborted_leaves_nothing(fixture) {
        let database = &fixture.database;
        for number in 0..20_u64 {
            let work = async {
                let mut transaction = database.write().await.unwrap();
                for insert in 0..1000 {
                    let organization = organization(u128::from(number) * 1000 + insert);
                    organizations::insert(&mut transaction, &organization).await.unwrap();
                }
                transaction.commit().await.unwrap();
            };
            // Gives up at another point each time: also while the transaction begins.
            let patience = Duration::from_micros(number * 300);
            assert!(tokio::time::timeout(patience, work).await.is_err());
        }
        assert_eq!(count(database).await, 0);
        // Whoever gets such a connection next must not inherit its transaction.
        for number in 0..16 {
            add_organization(database, number).await;
        }
        assert_eq!(count(&fixture.again().await).await, 16);
    }

    async fn nothing_is_committed_after_a_failure(fixture) {
        let database = &fixture.database;
        let mut transaction = database.write().await.unwrap();
        organizations::insert(&mut transaction, &organization(1)).await.unwrap();
        let twice = organizations::insert(&mut transaction, &organization(1)).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        let next = organizations::insert(&mut transaction, &organization(2)).await;
        assert!(matches!(next, Err(StoreError::Database(_))), "{next:?}");
        let outcome = transaction.commit().await;
        assert!(matches!(outcome, Err(StoreError::Database(_))), "{outcome:?}");
        assert_eq!(count(database).await, 0);
    }

    async fn many_writers_take_turns(fixture) {
        let other_node = fixture.again().await;
        let nodes = [&fixture.database, &other_node];
        let writers = (0..60_u128).map(async |number| {
            let node = nodes[usize::try_from(number % 2).unwrap()];
            loop {
                let outcome = commit(node, async |transaction| {
                    organizations::insert(transaction, &organization(number)).await
                })
                .await;
                match outcome {
                    Ok(()) => return,
                    Err(StoreError::Busy | StoreError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        futures::future::join_all(writers).await;
        assert_eq!(count(&fixture.database).await, 60);
        // Every commit has its own number, and none was lost or given twice.
        let revision = store::changes::current_revision(&other_node).await.unwrap();
        assert_eq!(revision, 60);
    }

    async fn readers_see_what_was_committed_and_do_not_wait(fixture) {
        let database = &fixture.database;
        let mut transaction = database.write().await.unwrap();
        organizations::insert(&mut transaction, &organization(1)).await.unwrap();
        assert_eq!(count(database).await, 0);
        transaction.commit().await.unwrap();
        assert_eq!(count(database).await, 1);
        database.ping().await.unwrap();
    }
}
