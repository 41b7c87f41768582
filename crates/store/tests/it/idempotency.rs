//! Idempotency keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::id::OrganizationId;
use jiff::SignedDuration;
use store::idempotency::{self, Claim, Claimed, StoredAnswer};
use store::{Database, StoreError, organizations};
use uuid::Uuid;

use crate::support::{commit, organization, time};

fn claim(key: u8) -> Claim {
    Claim {
        organization_id: OrganizationId(Uuid::from_u128(1)),
        key_hash: [key; 32],
        fingerprint: [1; 32],
        hash_key_id: "k1".to_owned(),
        at: time(0),
    }
}

fn answer() -> StoredAnswer {
    StoredAnswer {
        status: 201,
        headers: vec![("etag".to_owned(), "\"1\"".to_owned())],
        body: b"{\"a\": 1}\xff\x00".to_vec(),
        is_sealed: false,
    }
}

async fn execute(database: &Database, claim: &Claim, answer: &StoredAnswer) {
    let mut transaction = database.write().await.unwrap();
    let claimed = idempotency::claim(&mut transaction, claim).await.unwrap();
    assert!(matches!(claimed, Claimed::First), "{claimed:?}");
    idempotency::complete(&mut transaction, claim, answer)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

async fn try_claim(database: &Database, claim: &Claim) -> Result<Claimed, StoreError> {
    let mut transaction = database.write().await?;
    idempotency::claim(&mut transaction, claim).await
}

on_both_engines! {
    async fn the_second_claim_is_told_the_first_answer(fixture) {
        let database = &fixture.database;
        assert!(idempotency::find(database, &claim(1)).await.unwrap().is_none());
        let mut sealed = answer();
        sealed.is_sealed = true;
        sealed.body.clear();
        sealed.headers.clear();
        for (key, answer) in [(1, answer()), (2, sealed)] {
            execute(database, &claim(key), &answer).await;
            let found = idempotency::find(database, &claim(key)).await.unwrap();
            assert!(matches!(found, Some(Claimed::Done(stored)) if stored == answer));
            let again = try_claim(database, &claim(key)).await.unwrap();
            assert!(matches!(again, Claimed::Done(stored) if stored == answer));
        }
    }

    async fn claims_are_counted_by_their_hash_key(fixture) {
        let database = &fixture.database;
        execute(database, &claim(1), &answer()).await;
        execute(database, &claim(2), &answer()).await;
        assert_eq!(idempotency::claims_under(database, "k1").await.unwrap(), 2);
        assert_eq!(idempotency::claims_under(database, "k2").await.unwrap(), 0);
    }

    async fn another_request_and_another_hash_key_are_mismatches(fixture) {
        let database = &fixture.database;
        execute(database, &claim(1), &answer()).await;
        let mut request = claim(1);
        request.fingerprint = [2; 32];
        let mut hash_key = claim(1);
        hash_key.hash_key_id = "k2".to_owned();
        for other in [request, hash_key] {
            let claimed = try_claim(database, &other).await.unwrap();
            assert!(matches!(claimed, Claimed::Mismatch));
            let found = idempotency::find(database, &other).await.unwrap();
            assert!(matches!(found, Some(Claimed::Mismatch)));
        }
        let mut organization = claim(1);
        organization.organization_id = OrganizationId(Uuid::from_u128(2));
        let claimed = try_claim(database, &organization).await.unwrap();
        assert!(matches!(claimed, Claimed::First));
    }

    async fn a_claim_that_was_rolled_back_is_free(fixture) {
        let database = &fixture.database;
        for _ in 0..3 {
            let mut transaction = database.write().await.unwrap();
            let claimed = idempotency::claim(&mut transaction, &claim(1)).await.unwrap();
            assert!(matches!(claimed, Claimed::First));
            idempotency::complete(&mut transaction, &claim(1), &answer()).await.unwrap();
            drop(transaction);
        }
        assert!(idempotency::find(database, &claim(1)).await.unwrap().is_none());
    }

    async fn a_claim_without_an_answer_cannot_be_committed(fixture) {
        let database = &fixture.database;
        let mut transaction = database.write().await.unwrap();
        idempotency::claim(&mut transaction, &claim(1)).await.unwrap();
        let outcome = transaction.commit().await;
        assert!(matches!(outcome, Err(StoreError::Database(_))), "{outcome:?}");
        assert!(idempotency::find(database, &claim(1)).await.unwrap().is_none());

        let mut transaction = database.write().await.unwrap();
        let outcome = idempotency::complete(&mut transaction, &claim(1), &answer()).await;
        assert!(matches!(outcome, Err(StoreError::Database(_))), "{outcome:?}");
    }

    async fn fifty_at_once_do_it_once(fixture) {
        let other_node = fixture.again().await;
        let executed = AtomicUsize::new(0);
        let attempt = async |database: &Database| loop {
            let mut transaction = match database.write().await {
                Ok(transaction) => transaction,
                Err(StoreError::Busy | StoreError::Unavailable(_)) => continue,
                Err(error) => panic!("{error}"),
            };
            match idempotency::claim(&mut transaction, &claim(1)).await {
                Ok(Claimed::First) => {
                    executed.fetch_add(1, Ordering::Relaxed);
                    organizations::insert(&mut transaction, &organization(1)).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    idempotency::complete(&mut transaction, &claim(1), &answer()).await.unwrap();
                    transaction.commit().await.unwrap();
                    return;
                }
                Ok(Claimed::Done(stored)) => {
                    assert_eq!(stored, answer());
                    return;
                }
                Ok(Claimed::Mismatch) => panic!("the same claim"),
                Err(StoreError::Busy) => {}
                Err(error) => panic!("{error}"),
            }
        };
        let nodes = [&fixture.database, &other_node];
        let all = (0..50).map(|number| attempt(nodes[number % 2]));
        futures::future::join_all(all).await;
        assert_eq!(executed.into_inner(), 1);
        assert_eq!(organizations::list(&fixture.database).await.unwrap().len(), 1);
    }

    async fn a_duplicate_waits_for_the_first_and_then_for_no_longer_than_five_seconds(fixture) {
        let database = &fixture.database;
        let mut first = database.write().await.unwrap();
        idempotency::claim(&mut first, &claim(1)).await.unwrap();

        let started = tokio::time::Instant::now();
        let duplicate = try_claim(database, &claim(1)).await;
        assert!(matches!(duplicate, Err(StoreError::Busy)), "{duplicate:?}");
        let waited = started.elapsed();
        assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(7), "{waited:?}");

        let finish = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            idempotency::complete(&mut first, &claim(1), &answer()).await.unwrap();
            first.commit().await.unwrap();
        };
        let claimed = claim(1);
        let (duplicate, ()) = tokio::join!(try_claim(database, &claimed), finish);
        assert!(matches!(duplicate, Ok(Claimed::Done(_))), "{duplicate:?}");
    }

    async fn answers_are_replayed_for_a_day_and_gone_after_two(fixture) {
        let database = &fixture.database;
        execute(database, &claim(1), &answer()).await;
        execute(database, &claim(2), &answer()).await;
        // The clock goes back a day, or forward by a day and an hour.
        for hours in [-24, 25, 47] {
            let mut later = claim(1);
            later.at = time(0) + SignedDuration::from_hours(hours);
            idempotency::reap(database, later.at - idempotency::RETENTION).await.unwrap();
            let claimed = try_claim(database, &later).await.unwrap();
            assert!(matches!(claimed, Claimed::Done(_)), "{hours} hours: {claimed:?}");
        }
        let mut late = claim(1);
        late.at = time(0) + SignedDuration::from_hours(49);
        execute(database, &late, &answer()).await;
        let reaped = idempotency::reap(database, late.at - idempotency::RETENTION).await.unwrap();
        assert_eq!(reaped, 1, "the other key; this one is fresh again");
        assert!(idempotency::find(database, &claim(2)).await.unwrap().is_none());
    }

    async fn a_statement_that_is_given_up_fails_its_transaction(fixture) {
        let database = &fixture.database;
        let mut first = database.write().await.unwrap();
        idempotency::claim(&mut first, &claim(1)).await.unwrap();
        if fixture.is_postgres() {
            let mut second = database.write().await.unwrap();
            let short = Duration::from_millis(50);
            let given_up = tokio::time::timeout(
                short,
                idempotency::claim(&mut second, &claim(1)),
            )
            .await;
            assert!(given_up.is_err());
            let outcome = second.commit().await;
            assert!(matches!(outcome, Err(StoreError::Database(_))), "{outcome:?}");
        }
        drop(first);
        execute(database, &claim(1), &answer()).await;
    }

    async fn the_answer_and_the_work_are_one(fixture) {
        let database = &fixture.database;
        let outcome = commit(database, async |transaction| {
            idempotency::claim(transaction, &claim(1)).await?;
            organizations::insert(transaction, &organization(1)).await?;
            let mut twin = organization(2);
            twin.name = organization(1).name;
            organizations::insert(transaction, &twin).await
        })
        .await;
        assert!(matches!(outcome, Err(StoreError::Conflict("name"))), "{outcome:?}");
        assert_eq!(organizations::list(database).await.unwrap(), []);
        assert!(idempotency::find(database, &claim(1)).await.unwrap().is_none());
    }
}
