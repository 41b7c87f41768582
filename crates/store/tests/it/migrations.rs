//! Coming up to date.

use sqlx::{AnyConnection, Connection as _, Executor as _};
use store::{Database, StoreError, organizations};
use testkit::postgres::Cluster;

use crate::support::{Fixture, add_organization, options};

on_both_engines! {
    async fn a_second_start_keeps_everything(fixture) {
        add_organization(&fixture.database, 1).await;
        let again = fixture.again().await;
        assert_eq!(organizations::list(&again).await.unwrap().len(), 1);
    }

    async fn a_newer_schema_is_refused_and_left_alone(fixture) {
        add_organization(&fixture.database, 1).await;
        raise_version(fixture).await;
        let refusal = Database::connect(&fixture.options).await.map(drop);
        let Err(StoreError::Database(message)) = refusal else {
            panic!("{refusal:?}");
        };
        assert!(message.contains("version 999"), "{message}");
        assert!(message.contains("newer version of Quartermaster"), "{message}");
        assert_eq!(organizations::list(&fixture.database).await.unwrap().len(), 1);
    }
}

async fn raise_version(fixture: &Fixture) {
    let mut connection = AnyConnection::connect(&fixture.options.url).await.unwrap();
    connection
        .execute("INSERT INTO schema_version (version) VALUES (999)")
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn servers_that_start_together_on_sqlite_wait_for_one_another() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("store.db").display());
    start_together(&url).await;
}

#[tokio::test]
async fn servers_that_start_together_on_postgres_wait_for_one_another() {
    start_together(&Cluster::shared().fresh_database()).await;
}

async fn start_together(url: &str) {
    let options = options(url.to_owned());
    let starts = (0..8).map(|_| Database::connect(&options));
    for database in futures::future::join_all(starts).await {
        database.unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_database_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::sqlite().await;
    add_organization(&fixture.database, 1).await;
    let path = fixture.options.url.trim_start_matches("sqlite://");
    for suffix in ["", "-wal", "-shm"] {
        let metadata = std::fs::metadata(format!("{path}{suffix}")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_named_so_at_once() {
    for url in [
        "postgres://u:hunter2@127.0.0.1:1/d",
        "sqlite:///nowhere/at/all.db",
    ] {
        let refusal = Database::connect(&options(url.to_owned())).await.map(drop);
        let Err(error @ StoreError::Unavailable(_)) = refusal else {
            panic!("{refusal:?}");
        };
        assert!(!error.to_string().contains("hunter2"));
    }
}
