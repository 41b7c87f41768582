//! API keys.

use domain::api_key::Scope;
use store::{StoreError, api_keys};

use crate::support::{add_organization, api_key, commit, time};

on_both_engines! {
    async fn a_key_is_found_by_its_digest_only(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        assert!(!api_keys::is_any(database).await.unwrap());
        let mut key = api_key(1, owner);
        key.scopes = Scope::ALL.into_iter().collect();
        commit(database, async |transaction| api_keys::insert(transaction, &key, &[7; 32]).await)
            .await
            .unwrap();
        assert!(api_keys::is_any(database).await.unwrap());
        let found = api_keys::by_digest(database, &[7; 32]).await.unwrap();
        assert_eq!(found, Some(key.clone()));
        assert_eq!(api_keys::by_digest(database, &[8; 32]).await.unwrap(), None);

        let twin = api_key(2, owner);
        let outcome = commit(database, async |transaction| {
            api_keys::insert(transaction, &twin, &[7; 32]).await
        })
        .await;
        assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    }

    async fn a_revoked_key_is_listed_and_not_active_and_keeps_its_first_time(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let other = add_organization(database, 2).await;
        for (number, owner) in [(1, owner), (2, owner), (3, other)] {
            let digest = [u8::try_from(number).unwrap(); 32];
            let key = api_key(number, owner);
            commit(database, async |transaction| {
                api_keys::insert(transaction, &key, &digest).await
            })
            .await
            .unwrap();
        }
        for seconds in [10, 20] {
            commit(database, async |transaction| {
                let id = api_key(1, owner).id;
                let seen = api_keys::get_for_update(transaction, owner, id).await?;
                assert!(seen.is_some());
                assert_eq!(api_keys::get_for_update(transaction, other, id).await?, None);
                // Another organisation's revocation touches nothing.
                api_keys::revoke(transaction, other, api_key(2, owner).id, time(5)).await?;
                api_keys::revoke(transaction, owner, id, time(seconds)).await
            })
            .await
            .unwrap();
        }
        let mut revoked = api_key(1, owner);
        revoked.revoked_at = Some(time(10));
        let listed = api_keys::list(database, owner).await.unwrap();
        assert_eq!(listed, [revoked, api_key(2, owner)]);
        let active = api_keys::list_active_of(database, owner).await.unwrap();
        assert_eq!(active, [([2; 32], api_key(2, owner))]);
        let everybody = api_keys::list_active(database).await.unwrap();
        assert_eq!(everybody, [([2; 32], api_key(2, owner)), ([3; 32], api_key(3, other))]);
    }
}
