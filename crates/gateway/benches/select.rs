//! Finding what a call selects, for an organisation with 10,000 configurations: by id, by
//! name and by agent role, beside a look through the list.
//!
//! `cargo bench -p quartermaster-gateway --bench select`

#![expect(clippy::unwrap_used, reason = "what fails here fails the measurement")]

use divan::{Bencher, black_box};
use domain::agent_role::AgentRole;
use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::ModelConfiguration;
use gateway::snapshot::{InstallationRows, PlatformKeys, Snapshot};
use jiff::Timestamp;
use uuid::Uuid;

const ROWS: u128 = 10_000;
const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(1));

fn main() {
    divan::main();
}

fn row(number: u128) -> ModelConfiguration {
    let settings = serde_json::json!({
        "name": format!("configuration {number}"),
        "provider": "openai",
        "model": "gpt-4o",
        "temperature": 0.1,
        "additional_params": {"top_p": 0.9, "stop": ["a", "b"], "seed": 1},
        "is_computer_use_model": true,
        "is_archived": false,
    });
    ModelConfiguration {
        id: ModelConfigurationId(Uuid::from_u128(number << 64 | number)),
        organization_id: Some(OWNER),
        revision: 1,
        settings: serde_json::from_value(settings).unwrap(),
        api_key_alias: None,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn snapshot() -> Snapshot {
    let rows = InstallationRows {
        configurations: (1..=ROWS).map(|number| Ok(row(number))).collect(),
        roles: vec![(Some(OWNER), AgentRole::MainAgent, row(ROWS / 2).id)],
        ..InstallationRows::default()
    };
    Snapshot::build(1, PlatformKeys::default(), rows)
}

/// Every row in turn, so that the memory is not always warm; with the route, which is
/// resolved at the first call.
fn select_each(bencher: Bencher<'_, '_>, selectors: &[String]) {
    let snapshot = snapshot();
    let mut turn = selectors.iter().cycle();
    bencher.bench_local(|| {
        let entry = snapshot.select(OWNER, black_box(turn.next().unwrap()));
        entry.unwrap().route().is_ok()
    });
}

#[divan::bench(sample_count = 1000, sample_size = 100)]
fn by_id(bencher: Bencher<'_, '_>) {
    let ids: Vec<String> = (1..=ROWS)
        .map(|number| row(number).id.to_string())
        .collect();
    select_each(bencher, &ids);
}

#[divan::bench(sample_count = 1000, sample_size = 100)]
fn by_name(bencher: Bencher<'_, '_>) {
    let names: Vec<String> = (1..=ROWS).map(|number| row(number).settings.name).collect();
    select_each(bencher, &names);
}

#[divan::bench]
fn by_role(bencher: Bencher<'_, '_>) {
    let snapshot = snapshot();
    bencher.bench_local(|| {
        let role = black_box(AgentRole::FocusedAction);
        snapshot.role(OWNER, role).entry.unwrap().route().is_ok()
    });
}

/// What a list of models costs that is looked through.
#[divan::bench]
fn rival_list(bencher: Bencher<'_, '_>) {
    let rows: Vec<ModelConfiguration> = (1..=ROWS).map(row).collect();
    let mut turn = (1..=ROWS)
        .cycle()
        .map(|number| format!("configuration {number}"));
    bencher
        .with_inputs(|| turn.next().unwrap())
        .bench_local_refs(|name| rows.iter().any(|row| row.settings.name == *name));
}
