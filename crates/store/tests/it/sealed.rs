//! Sealed secrets, organisation keys, canaries.

use domain::id::OrganizationId;
use store::sealed::{self, OrganizationKeyRow, SealedSecretRow};
use store::{Database, StoreError};
use uuid::Uuid;

use crate::support::{alias, commit};

const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(1));
const OTHER: OrganizationId = OrganizationId(Uuid::from_u128(2));

fn secret(number: u8, organization_id: Option<OrganizationId>) -> SealedSecretRow {
    // Every byte value, so that an encoding in between would show.
    let blob = (0..=u8::MAX).chain([number]).collect();
    SealedSecretRow {
        alias: alias(number),
        version: u32::MAX,
        organization_id,
        blob,
    }
}

async fn insert(database: &Database, row: &SealedSecretRow) -> Result<(), StoreError> {
    commit(database, async |transaction| {
        sealed::insert_secret(transaction, row).await
    })
    .await
}

fn key(organization_id: Option<OrganizationId>, root_key_id: &str, byte: u8) -> OrganizationKeyRow {
    OrganizationKeyRow {
        organization_id,
        root_key_id: root_key_id.to_owned(),
        blob: vec![byte, 0, 255],
    }
}

on_both_engines! {
    async fn a_secret_is_stored_byte_for_byte_and_deleted(fixture) {
        let database = &fixture.database;
        let rows = [secret(1, Some(OWNER)), secret(2, Some(OTHER)), secret(3, None)];
        for row in &rows {
            insert(database, row).await.unwrap();
            assert_eq!(sealed::secret(database, &row.alias).await.unwrap().as_ref(), Some(row));
            let owned = sealed::secrets_of(database, row.organization_id).await.unwrap();
            assert_eq!(owned, std::slice::from_ref(row));
        }
        let twice = insert(database, &rows[0]).await;
        assert!(matches!(twice, Err(StoreError::Conflict("alias"))), "{twice:?}");
        assert_eq!(sealed::all_secrets(database).await.unwrap().len(), 3);

        for _ in 0..2 {
            sealed::delete_secret(database, &rows[0].alias).await.unwrap();
        }
        assert_eq!(sealed::secret(database, &rows[0].alias).await.unwrap(), None);
        assert_eq!(sealed::all_secrets(database).await.unwrap(), [rows[1].clone(), rows[2].clone()]);
    }

    async fn many_secrets_are_read_page_by_page(fixture) {
        let database = &fixture.database;
        commit(database, async |transaction| {
            for number in 0..1201_u128 {
                let mut row = secret(0, Some(OWNER));
                row.alias = domain::id::Alias::from_random(number.to_be_bytes());
                sealed::insert_secret(transaction, &row).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        let all = sealed::all_secrets(database).await.unwrap();
        assert_eq!(all.len(), 1201);
        assert!(all.is_sorted_by(|a, b| a.alias < b.alias));
    }

    async fn the_first_organisation_key_stays(fixture) {
        let database = &fixture.database;
        sealed::insert_canary(database, "root-1", &[1]).await.unwrap();
        for owner in [Some(OWNER), None] {
            let first = key(owner, "root-1", 1);
            let stored = sealed::insert_organization_key(database, &first).await.unwrap();
            assert_eq!(stored, first);
            let second = key(owner, "root-1", 2);
            let stored = sealed::insert_organization_key(database, &second).await.unwrap();
            assert_eq!(stored, first);
            let found = sealed::organization_key(database, owner).await.unwrap();
            assert_eq!(found, Some(first));
        }
        assert_eq!(sealed::organization_key(database, Some(OTHER)).await.unwrap(), None);
        let all = sealed::all_organization_keys(database).await.unwrap();
        assert_eq!(all, [key(None, "root-1", 1), key(Some(OWNER), "root-1", 1)]);
    }

    async fn rotation_replaces_only_what_it_read(fixture) {
        let database = &fixture.database;
        sealed::insert_canary(database, "root-1", &[1]).await.unwrap();
        sealed::insert_canary(database, "root-2", &[2]).await.unwrap();
        let old = key(Some(OWNER), "root-1", 1);
        sealed::insert_organization_key(database, &old).await.unwrap();
        sealed::insert_organization_key(database, &key(None, "root-2", 1)).await.unwrap();
        let left = sealed::organization_keys_not_under(database, "root-2", 10).await.unwrap();
        assert_eq!(left, std::slice::from_ref(&old));

        let new = key(Some(OWNER), "root-2", 2);
        assert!(sealed::replace_organization_key(database, &old, &new).await.unwrap());
        assert!(!sealed::replace_organization_key(database, &old, &new).await.unwrap());
        assert_eq!(sealed::organization_key(database, Some(OWNER)).await.unwrap(), Some(new));
        let left = sealed::organization_keys_not_under(database, "root-2", 10).await.unwrap();
        assert_eq!(left, []);
    }

    async fn nothing_comes_under_a_root_key_without_a_canary(fixture) {
        let database = &fixture.database;
        let orphan = key(Some(OWNER), "root-1", 1);
        assert!(sealed::insert_organization_key(database, &orphan).await.is_err());
        sealed::insert_canary(database, "root-1", &[1]).await.unwrap();
        sealed::insert_organization_key(database, &orphan).await.unwrap();
        assert!(sealed::delete_canary(database, "root-1").await.is_err());
        let new = key(Some(OWNER), "root-2", 2);
        assert!(sealed::replace_organization_key(database, &orphan, &new).await.is_err());
        sealed::insert_canary(database, "root-2", &[2]).await.unwrap();
        assert!(sealed::replace_organization_key(database, &orphan, &new).await.unwrap());
        sealed::delete_canary(database, "root-1").await.unwrap();
    }

    async fn keys_and_secrets_are_counted(fixture) {
        let database = &fixture.database;
        assert_eq!(sealed::secret_count(database).await.unwrap(), 0);
        assert_eq!(sealed::organization_keys_by_root_key(database).await.unwrap(), []);
        for (root, owner) in [("root-1", Some(OWNER)), ("root-2", Some(OTHER)), ("root-2", None)] {
            sealed::insert_canary(database, root, &[1]).await.unwrap();
            sealed::insert_organization_key(database, &key(owner, root, 1)).await.unwrap();
        }
        insert(database, &secret(1, Some(OWNER))).await.unwrap();
        assert_eq!(sealed::secret_count(database).await.unwrap(), 1);
        let counts = sealed::organization_keys_by_root_key(database).await.unwrap();
        assert_eq!(counts, [("root-1".to_owned(), 1), ("root-2".to_owned(), 2)]);
    }

    async fn a_canary_is_stored_once(fixture) {
        let database = &fixture.database;
        sealed::insert_canary(database, "root-1", &[1]).await.unwrap();
        sealed::insert_canary(database, "root-1", &[2]).await.unwrap();
        sealed::insert_canary(database, "root-2", &[3]).await.unwrap();
        let canaries = sealed::canaries(database).await.unwrap();
        assert_eq!(canaries, [("root-1".to_owned(), vec![1]), ("root-2".to_owned(), vec![3])]);
        sealed::delete_canary(database, "root-1").await.unwrap();
        assert_eq!(sealed::canaries(database).await.unwrap().len(), 1);
    }
}
