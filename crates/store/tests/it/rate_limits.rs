//! Limits of organisations and their API keys.

use domain::id::ApiKeyId;
use domain::rate_limits::{OrganizationLimits, RateLimits};
use store::rate_limits;
use uuid::Uuid;

use crate::support::{add_organization, commit, time};

const FEW: RateLimits = RateLimits {
    requests_per_minute: Some(5),
    tokens_per_minute: None,
    concurrent_calls: Some(0),
};
const MANY: RateLimits = RateLimits {
    requests_per_minute: None,
    tokens_per_minute: Some(i64::MAX as u64),
    concurrent_calls: None,
};

on_both_engines! {
    async fn limits_are_set_replaced_and_listed_by_owner(fixture) {
        let database = &fixture.database;
        let (one, other) = (add_organization(database, 1).await, add_organization(database, 2).await);
        let key = ApiKeyId(Uuid::from_u128(7));
        for (organization, owner, limits) in [
            (one, Some(key), FEW),
            (one, None, FEW),
            (one, None, MANY),
            (other, Some(key), MANY),
        ] {
            commit(database, async |transaction| {
                rate_limits::put(transaction, organization, owner, &limits, time(1)).await
            })
            .await
            .unwrap();
        }
        let mut expected = OrganizationLimits { all: MANY, ..OrganizationLimits::default() };
        expected.set(Some(key), FEW);
        assert_eq!(rate_limits::of(database, one).await.unwrap(), expected);
        assert_eq!(rate_limits::of(database, other).await.unwrap().of_key(key), MANY);
        assert_eq!(
            rate_limits::list_everything(database).await.unwrap(),
            [(one, None, MANY), (one, Some(key), FEW), (other, Some(key), MANY)]
        );
        let seen = commit(database, async |transaction| rate_limits::of_in(transaction, one).await);
        assert_eq!(seen.await.unwrap(), expected);
    }

    async fn limits_of_an_organization_that_is_not_there_are_refused(fixture) {
        let nobody = domain::id::OrganizationId(Uuid::from_u128(99));
        let put = commit(&fixture.database, async |transaction| {
            rate_limits::put(transaction, nobody, None, &FEW, time(1)).await
        });
        assert!(put.await.is_err());
        assert_eq!(rate_limits::list_everything(&fixture.database).await.unwrap(), []);
    }
}
