//! Secrets to be destroyed.

use store::outbox;

use crate::support::{alias, commit, time};

on_both_engines! {
    async fn aliases_fall_due_in_order_and_are_forgotten_when_done(fixture) {
        let database = &fixture.database;
        commit(database, async |transaction| {
            outbox::schedule_destruction(transaction, &alias(1), time(20)).await?;
            outbox::schedule_destruction(transaction, &alias(2), time(10)).await?;
            outbox::schedule_destruction(transaction, &alias(3), time(30)).await?;
            // Once more changes nothing.
            outbox::schedule_destruction(transaction, &alias(1), time(99)).await
        })
        .await
        .unwrap();
        assert_eq!(outbox::pending(database).await.unwrap(), 3);
        assert_eq!(outbox::due(database, time(9), 10).await.unwrap(), []);
        let due = outbox::due(database, time(20), 10).await.unwrap();
        assert_eq!(due, [alias(2), alias(1)]);
        assert_eq!(outbox::due(database, time(99), 1).await.unwrap(), [alias(2)]);
        outbox::done(database, &alias(2)).await.unwrap();
        assert_eq!(outbox::due(database, time(99), 10).await.unwrap(), [alias(1), alias(3)]);
        assert_eq!(outbox::pending(database).await.unwrap(), 2);
    }
}
