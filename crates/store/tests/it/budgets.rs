//! Budgets.

use domain::budget::{Budget, BudgetOwner};
use domain::id::ApiKeyId;
use store::budgets;
use uuid::Uuid;

use crate::support::{add_organization, commit, time};

on_both_engines! {
    async fn budgets_are_set_replaced_listed_by_owner_and_removed(fixture) {
        let database = &fixture.database;
        let (one, other) = (add_organization(database, 1).await, add_organization(database, 2).await);
        let key = BudgetOwner::ApiKey(ApiKeyId(Uuid::from_u128(7)));
        let soft = Budget { soft_micros: Some(5), hard_micros: None };
        let hard = Budget { soft_micros: None, hard_micros: Some(9) };
        for (organization, owner, budget) in [
            (one, key, hard),
            (one, BudgetOwner::Organization, hard),
            (one, BudgetOwner::Organization, soft),
            (other, key, soft),
        ] {
            commit(database, async |transaction| {
                budgets::put(transaction, organization, owner, budget, time(1)).await
            })
            .await
            .unwrap();
        }
        let listed = budgets::list(database, one).await.unwrap();
        assert_eq!(listed, [(BudgetOwner::Organization, soft), (key, hard)]);
        assert_eq!(budgets::list_everything(database).await.unwrap().len(), 3);
        let remove = async || {
            commit(database, async |transaction| budgets::delete(transaction, one, key).await).await
        };
        assert!(remove().await.unwrap());
        assert!(!remove().await.unwrap());
        assert_eq!(budgets::list(database, other).await.unwrap(), [(key, soft)]);
    }
}
