//! Databases to test with, and things to put into them.

use std::time::Duration;

use domain::api_key::{ApiKey, Scope};
use domain::id::{Alias, ApiKeyId, ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::organization::Organization;
use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use store::{Database, DatabaseOptions, StoreError, WriteTransaction, organizations};
use testkit::postgres::Cluster;
use uuid::Uuid;

/// A fresh database, and what keeps it alive.
pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) options: DatabaseOptions,
    _directory: Option<tempfile::TempDir>,
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        Self::at(format!("sqlite://{}", path.display()), Some(directory)).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::at(Cluster::shared().fresh_database(), None).await
    }

    async fn at(url: String, directory: Option<tempfile::TempDir>) -> Self {
        let options = options(url);
        let database = Database::connect(&options).await.unwrap();
        Self {
            database,
            options,
            _directory: directory,
        }
    }

    /// The same database as another process sees it.
    pub(crate) async fn again(&self) -> Database {
        Database::connect(&self.options).await.unwrap()
    }

    /// Runs a statement that no code of ours would.
    pub(crate) async fn tamper(&self, statement: &'static str) {
        let mut connection = AnyConnection::connect(&self.options.url).await.unwrap();
        connection.execute(statement).await.unwrap();
        connection.close().await.unwrap();
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.options.url.starts_with("postgres")
    }
}

pub(crate) fn options(url: String) -> DatabaseOptions {
    DatabaseOptions {
        url,
        max_connections: 8,
        timeout: Duration::from_millis(900),
    }
}

/// Makes of each function a test on SQLite and one on PostgreSQL.
macro_rules! on_both_engines {
    ($($(#[$attribute:meta])* async fn $name:ident($fixture:ident) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn body($fixture: &crate::support::Fixture) $body

            #[tokio::test]
            $(#[$attribute])*
            async fn sqlite() {
                body(&crate::support::Fixture::sqlite().await).await;
            }

            #[tokio::test]
            $(#[$attribute])*
            async fn postgres() {
                body(&crate::support::Fixture::postgres().await).await;
            }
        }
    )+};
}

pub(crate) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_secs(seconds)
}

pub(crate) fn organization(number: u128) -> Organization {
    Organization {
        id: OrganizationId(Uuid::from_u128(number)),
        name: format!("organisation {number}"),
        created_at: time(0) + SignedDuration::from_micros(i64::try_from(number).unwrap()),
    }
}

/// Puts organisation `number` into the database.
pub(crate) async fn add_organization(database: &Database, number: u128) -> OrganizationId {
    let organization = organization(number);
    commit(database, async |transaction| {
        organizations::insert(transaction, &organization).await
    })
    .await
    .unwrap();
    organization.id
}

pub(crate) fn alias(number: u8) -> Alias {
    Alias::from_random([number; 16])
}

pub(crate) fn api_key(number: u128, organization_id: OrganizationId) -> ApiKey {
    ApiKey {
        id: ApiKeyId(Uuid::from_u128(number)),
        organization_id,
        name: format!("key {number}"),
        scopes: Scope::WITHIN_ORGANIZATION.into_iter().collect(),
        created_at: time(0) + SignedDuration::from_micros(i64::try_from(number).unwrap()),
        revoked_at: None,
    }
}

pub(crate) fn configuration(
    number: u128,
    organization_id: Option<OrganizationId>,
    name: &str,
) -> ModelConfiguration {
    let at = time(0) + SignedDuration::from_micros(i64::try_from(number).unwrap());
    ModelConfiguration {
        id: ModelConfigurationId(Uuid::from_u128(number)),
        organization_id,
        revision: 1,
        settings: settings(name),
        api_key_alias: None,
        created_at: at,
        updated_at: at,
    }
}

pub(crate) fn settings(name: &str) -> ModelSettings {
    ModelSettings {
        name: name.to_owned(),
        description: None,
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        temperature: Some(0.1),
        max_tokens: None,
        timeout_seconds: None,
        max_retries: None,
        additional_params: None,
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    }
}

/// Runs `work` in a transaction and commits it if `work` succeeds.
pub(crate) async fn commit<T>(
    database: &Database,
    work: impl AsyncFnOnce(&mut WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.write().await?;
    let outcome = work(&mut transaction).await?;
    transaction.commit().await?;
    Ok(outcome)
}
