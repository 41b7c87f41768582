//! How long a node takes to read everything when it starts, with 100,000 configurations:
//! `cargo run --profile fast -p quartermaster-store --example snapshot`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints what it found and stops where it cannot measure"
)]

use std::time::{Duration, Instant};

use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::ModelConfiguration;
use domain::organization::Organization;
use jiff::Timestamp;
use store::{Database, DatabaseOptions, model_configurations, organizations};
use testkit::postgres::Cluster;
use uuid::Uuid;

const ORGANIZATIONS: u128 = 1_000;
const EACH: u128 = 100;

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir_in(".").unwrap();
    let path = directory.path().join("snapshot.db");
    measure("SQLite", format!("sqlite://{}", path.display())).await;
    let cluster = Cluster::start();
    measure("PostgreSQL", cluster.fresh_database()).await;
}

async fn measure(engine: &str, url: String) {
    let options = DatabaseOptions {
        url,
        max_connections: 10,
        timeout: Duration::from_millis(900),
    };
    let database = Database::connect(&options).await.unwrap();
    for number in 1..=ORGANIZATIONS {
        let id = OrganizationId(Uuid::from_u128(number));
        let mut transaction = database.write().await.unwrap();
        let organization = Organization {
            id,
            name: number.to_string(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        organizations::insert(&mut transaction, &organization)
            .await
            .unwrap();
        for row in (0..EACH).map(|row| configuration(number * EACH + row, id)) {
            model_configurations::insert(&mut transaction, &row)
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
    }
    let started = Instant::now();
    let mut pages = model_configurations::everything(&database);
    let mut rows = 0;
    while let Some(page) = pages.next_page().await.unwrap() {
        rows += page.len();
    }
    println!("{engine}: {rows} configurations in {:?}", started.elapsed());
    let started = Instant::now();
    let owner = Some(OrganizationId(Uuid::from_u128(1)));
    let rows = model_configurations::list_owned(&database, owner)
        .await
        .unwrap()
        .len();
    println!(
        "{engine}: one organisation's {rows} in {:?}",
        started.elapsed()
    );
}

fn configuration(number: u128, owner: OrganizationId) -> ModelConfiguration {
    let settings = serde_json::json!({
        "name": format!("configuration {number}"),
        "description": "what it is for",
        "provider": "openai",
        "model": "gpt-4o",
        "temperature": 0.1,
        "additional_params": {"top_p": 0.9, "stop": ["a", "b"], "seed": 1},
        "is_computer_use_model": false,
        "is_archived": false,
    });
    ModelConfiguration {
        id: ModelConfigurationId(Uuid::from_u128(number)),
        organization_id: Some(owner),
        revision: 1,
        settings: serde_json::from_value(settings).unwrap(),
        api_key_alias: None,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}
