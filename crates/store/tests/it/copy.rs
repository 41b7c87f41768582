//! Copies of a whole database.

use std::path::Path;

use store::copy::{Copied, copy_into};
use store::{Database, organizations};

use crate::support::{Fixture, add_organization, options};

async fn open(path: &Path) -> Database {
    let options = options(format!("sqlite://{}", path.display()));
    Database::connect(&options).await.unwrap()
}

on_both_engines! {
    async fn a_copy_holds_what_was_committed_and_never_overwrites(fixture) {
        let database = &fixture.database;
        add_organization(database, 1).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it's a copy.db");
        let copied = copy_into(database, &path).await.unwrap();
        if fixture.is_postgres() {
            assert_eq!(copied, Copied::NotOurs);
            assert!(!path.exists());
            return;
        }
        assert_eq!(copied, Copied::Whole);
        add_organization(database, 2).await;
        assert!(copy_into(database, &path).await.is_err());
        let copy = open(&path).await;
        assert_eq!(organizations::list(&copy).await.unwrap().len(), 1);
        copy.close().await;
        assert!(copy.ping().await.is_err());
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "no write-ahead log stays behind");
    }
}

#[tokio::test]
async fn a_copy_is_taken_while_a_transaction_writes() {
    let fixture = Fixture::sqlite().await;
    add_organization(&fixture.database, 1).await;
    let mut transaction = fixture.database.write().await.unwrap();
    let row = crate::support::organization(2);
    organizations::insert(&mut transaction, &row).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy.db");
    assert_eq!(
        copy_into(&fixture.database, &path).await.unwrap(),
        Copied::Whole
    );
    transaction.commit().await.unwrap();
    let copy = open(&path).await;
    assert_eq!(organizations::list(&copy).await.unwrap().len(), 1);
}
