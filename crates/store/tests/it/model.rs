//! Random operations of several organisations against a model in memory: whatever is
//! done, nobody sees or changes what is another's, and what was dropped never happened.

use std::collections::BTreeMap;

use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::ModelConfiguration;
use proptest::prelude::*;
use store::{Database, StoreError, model_configurations as configurations};
use uuid::Uuid;

use crate::support::{Fixture, add_organization, configuration};

const ORGANIZATIONS: u128 = 3;

#[derive(Clone, Debug)]
enum Operation {
    Insert {
        id: u128,
        owner: Option<OrganizationId>,
        name: u8,
    },
    Update {
        id: u128,
        actor: Option<OrganizationId>,
        name: u8,
        is_archived: bool,
    },
    Delete {
        id: u128,
        actor: Option<OrganizationId>,
    },
    List {
        actor: OrganizationId,
    },
    Get {
        id: u128,
        actor: OrganizationId,
    },
}

fn organization_id() -> impl Strategy<Value = OrganizationId> + Clone {
    (1..=ORGANIZATIONS).prop_map(|number| OrganizationId(Uuid::from_u128(number)))
}

fn operation() -> impl Strategy<Value = Operation> {
    let id = 1..=8_u128;
    let name = 0..4_u8;
    let owner = proptest::option::weighted(0.8, organization_id());
    prop_oneof![
        (id.clone(), owner.clone(), name.clone()).prop_map(|(id, owner, name)| Operation::Insert {
            id,
            owner,
            name
        }),
        (id.clone(), owner.clone(), name, any::<bool>()).prop_map(
            |(id, actor, name, is_archived)| Operation::Update {
                id,
                actor,
                name,
                is_archived
            }
        ),
        (id.clone(), owner).prop_map(|(id, actor)| Operation::Delete { id, actor }),
        organization_id().prop_map(|actor| Operation::List { actor }),
        (id, organization_id()).prop_map(|(id, actor)| Operation::Get { id, actor }),
    ]
}

/// What the database should hold.
#[derive(Default)]
struct Model(BTreeMap<ModelConfigurationId, ModelConfiguration>);

impl Model {
    fn is_taken(&self, row: &ModelConfiguration) -> bool {
        !row.settings.is_archived
            && self.0.values().any(|other| {
                other.id != row.id
                    && other.organization_id == row.organization_id
                    && other.settings.name == row.settings.name
                    && !other.settings.is_archived
            })
    }

    fn visible_to(&self, actor: OrganizationId) -> Vec<ModelConfiguration> {
        let mut rows: Vec<ModelConfiguration> = self.0.values().cloned().collect();
        rows.retain(|row| row.organization_id.is_none_or(|owner| owner == actor));
        rows.sort_by_key(|row| (row.organization_id.is_some(), row.created_at, row.id));
        rows
    }
}

/// Does one write in a transaction and commits it or drops it.
async fn write(
    database: &Database,
    operation: &Operation,
    model: &mut Model,
    commits: bool,
) -> Result<(), StoreError> {
    let mut transaction = database.write().await?;
    match operation {
        Operation::Insert { id, owner, name } => {
            let row = configuration(*id, *owner, &name.to_string());
            let expected = model.0.contains_key(&row.id) || model.is_taken(&row);
            let outcome = configurations::insert(&mut transaction, &row).await;
            assert_eq!(
                matches!(outcome, Err(StoreError::Conflict(_))),
                expected,
                "{outcome:?}"
            );
            if outcome.is_ok() && commits {
                transaction.commit().await?;
                model.0.insert(row.id, row);
            }
        }
        Operation::Update {
            id,
            actor,
            name,
            is_archived,
        } => {
            let id = ModelConfigurationId(Uuid::from_u128(*id));
            let mut row = model
                .0
                .get(&id)
                .cloned()
                .unwrap_or_else(|| configuration(9, *actor, ""));
            let is_owner = row.id == id && row.organization_id == *actor;
            row.organization_id = *actor;
            row.revision += 1;
            row.settings.name = name.to_string();
            row.settings.is_archived = *is_archived;
            let outcome = configurations::update(&mut transaction, &row).await;
            match &outcome {
                Err(StoreError::Busy) => assert!(!is_owner),
                Err(StoreError::Conflict(_)) => assert!(is_owner && model.is_taken(&row)),
                Ok(()) => assert!(is_owner && !model.is_taken(&row)),
                Err(error) => panic!("{error}"),
            }
            if outcome.is_ok() && commits {
                transaction.commit().await?;
                model.0.insert(id, row);
            }
        }
        Operation::Delete { id, actor } => {
            let id = ModelConfigurationId(Uuid::from_u128(*id));
            configurations::delete(&mut transaction, *actor, id).await?;
            if commits {
                transaction.commit().await?;
                if model
                    .0
                    .get(&id)
                    .is_some_and(|row| row.organization_id == *actor)
                {
                    model.0.remove(&id);
                }
            }
        }
        Operation::List { .. } | Operation::Get { .. } => {}
    }
    Ok(())
}

async fn check(database: &Database, operations: &[(Operation, bool)]) {
    for number in 1..=ORGANIZATIONS {
        add_organization(database, number).await;
    }
    let mut model = Model::default();
    for (operation, commits) in operations {
        match operation {
            Operation::List { actor } => {
                let listed = configurations::list(database, *actor).await.unwrap();
                assert_eq!(listed, model.visible_to(*actor));
            }
            Operation::Get { id, actor } => {
                let id = ModelConfigurationId(Uuid::from_u128(*id));
                let found = configurations::get(database, *actor, id).await.unwrap();
                let expected = model
                    .visible_to(*actor)
                    .into_iter()
                    .find(|row| row.id == id);
                assert_eq!(found, expected);
                let revisions = configurations::revisions(database, *actor, id, None, 100)
                    .await
                    .unwrap();
                let count = found.map_or(0, |row| row.revision);
                assert_eq!(i64::try_from(revisions.len()).unwrap(), count);
            }
            _ => write(database, operation, &mut model, *commits)
                .await
                .unwrap(),
        }
    }
    let everything = crate::model_configurations::everything(database).await;
    assert_eq!(
        everything,
        model.0.into_values().map(Ok).collect::<Vec<_>>()
    );
}

fn run(cases: u32, fixture: impl AsyncFn() -> Fixture) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    });
    let operations =
        proptest::collection::vec((operation(), proptest::bool::weighted(0.85)), 1..60);
    let outcome = runner.run(&operations, |operations| {
        runtime.block_on(async {
            let fixture = fixture().await;
            check(&fixture.database, &operations).await;
        });
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn sqlite_agrees_with_the_model() {
    run(24, Fixture::sqlite);
}

#[test]
fn postgres_agrees_with_the_model() {
    run(24, Fixture::postgres);
}
