//! Organisations.

use store::{StoreError, organizations};

use crate::support::{add_organization, commit, organization};

on_both_engines! {
    async fn they_are_found_by_id_and_name_and_listed_by_age(fixture) {
        let database = &fixture.database;
        add_organization(database, 2).await;
        let first = add_organization(database, 1).await;
        let listed = organizations::list(database).await.unwrap();
        assert_eq!(listed, [organization(1), organization(2)]);
        let found = organizations::get(database, first).await.unwrap();
        assert_eq!(found, Some(organization(1)));
        let found = organizations::by_name(database, "organisation 2").await.unwrap();
        assert_eq!(found, Some(organization(2)));
        let absent = organizations::by_name(database, "Organisation 2").await.unwrap();
        assert_eq!(absent, None);
    }

    async fn a_name_is_taken_once(fixture) {
        let database = &fixture.database;
        add_organization(database, 1).await;
        let mut twin = organization(2);
        twin.name = organization(1).name;
        let outcome = commit(database, async |transaction| {
            organizations::insert(transaction, &twin).await
        })
        .await;
        assert!(matches!(outcome, Err(StoreError::Conflict("name"))), "{outcome:?}");
        assert_eq!(organizations::list(database).await.unwrap().len(), 1);
    }
}
