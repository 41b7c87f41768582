//! How many idempotent creates a second either engine takes, flushing each commit to disk:
//! `cargo run --profile fast -p quartermaster-store --example creates`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints what it found and stops where it cannot measure"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::audit::{Actor, AuditEvent};
use domain::id::{AuditEventId, ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::organization::Organization;
use jiff::Timestamp;
use store::idempotency::{self, Claim, StoredAnswer};
use store::{Database, DatabaseOptions, StoreError, audit, model_configurations, organizations};
use testkit::postgres::Cluster;
use uuid::Uuid;

const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(1));

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir_in(".").unwrap();
    let path = directory.path().join("creates.db");
    measure("SQLite", format!("sqlite://{}", path.display())).await;
    let cluster = Cluster::start_durable();
    measure("PostgreSQL", cluster.fresh_database()).await;
}

async fn measure(engine: &str, url: String) {
    let options = DatabaseOptions {
        url,
        max_connections: 10,
        timeout: Duration::from_millis(900),
    };
    let database = Database::connect(&options).await.unwrap();
    let mut transaction = database.write().await.unwrap();
    let organization = Organization {
        id: OWNER,
        name: "bench".to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
    };
    organizations::insert(&mut transaction, &organization)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let number = AtomicU64::new(1);
    for writers in [1, 8] {
        let started = Instant::now();
        let first = number.load(Ordering::Relaxed);
        let all = (0..writers).map(async |_| {
            while started.elapsed() < Duration::from_secs(5) {
                create(&database, number.fetch_add(1, Ordering::Relaxed))
                    .await
                    .unwrap();
            }
        });
        futures::future::join_all(all).await;
        let creates = number.load(Ordering::Relaxed) - first;
        let rate = creates / started.elapsed().as_secs().max(1);
        println!("{engine}, {writers} at a time: {rate} creates a second");
    }
}

/// What the control plane writes for one `POST`.
async fn create(database: &Database, number: u64) -> Result<(), StoreError> {
    let id = Uuid::from_u128(u128::from(number));
    let mut key_hash = [0; 32];
    key_hash[..8].copy_from_slice(&number.to_be_bytes());
    let at = Timestamp::UNIX_EPOCH;
    let claim = Claim {
        organization_id: OWNER,
        key_hash,
        fingerprint: [0; 32],
        hash_key_id: "1".to_owned(),
        at,
    };
    let row = ModelConfiguration {
        id: ModelConfigurationId(id),
        organization_id: Some(OWNER),
        revision: 1,
        settings: settings(number),
        api_key_alias: None,
        created_at: at,
        updated_at: at,
    };
    let event = AuditEvent {
        id: AuditEventId(id),
        organization_id: Some(OWNER),
        at,
        actor: Actor::CommandLine,
        action: "model_configuration.create".to_owned(),
        resource_id: id.to_string(),
        before: None,
        after: Some(serde_json::json!({"name": number})),
        request_id: None,
    };
    let answer = StoredAnswer {
        status: 201,
        headers: Vec::new(),
        body: vec![b'x'; 600],
        is_sealed: false,
    };
    idempotency::find(database, &claim).await?;
    let mut transaction = database.write().await?;
    idempotency::claim(&mut transaction, &claim).await?;
    model_configurations::insert(&mut transaction, &row).await?;
    audit::append(&mut transaction, &event).await?;
    idempotency::complete(&mut transaction, &claim, &answer).await?;
    transaction.commit().await
}

fn settings(number: u64) -> ModelSettings {
    ModelSettings {
        name: format!("configuration {number}"),
        description: None,
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        temperature: Some(0.1),
        max_tokens: Some(1000),
        timeout_seconds: None,
        max_retries: None,
        additional_params: None,
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    }
}
