//! Assignments of configurations to agent roles.

use domain::agent_role::{AgentRole, RoleAssignments};
use domain::id::OrganizationId;
use domain::model_configuration::ModelConfiguration;
use store::agent_roles::{self, Assignment};
use store::changes::{self, Change, ChangeFeed, News};
use store::{Database, StoreError, model_configurations};

use crate::support::{add_organization, commit, configuration, time};

async fn add(
    database: &Database,
    number: u128,
    organization_id: Option<OrganizationId>,
) -> ModelConfiguration {
    let row = configuration(number, organization_id, &format!("row {number}"));
    commit(database, async |transaction| {
        model_configurations::insert(transaction, &row).await
    })
    .await
    .unwrap();
    row
}

fn assignment(
    organization_id: Option<OrganizationId>,
    role: AgentRole,
    row: &ModelConfiguration,
) -> Assignment {
    Assignment {
        organization_id,
        role,
        model_configuration_id: row.id,
    }
}

async fn assign(database: &Database, assignment: Assignment) -> Result<(), StoreError> {
    commit(database, async |transaction| {
        agent_roles::assign(transaction, &assignment, time(1)).await
    })
    .await
}

on_both_engines! {
    async fn each_owner_has_its_own_assignments(fixture) {
        let database = &fixture.database;
        let one = add_organization(database, 1).await;
        let other = add_organization(database, 2).await;
        let shared = add(database, 10, None).await;
        let own = add(database, 11, Some(one)).await;
        let role = AgentRole::Fallback1;
        let wanted = [
            assignment(None, role, &shared),
            assignment(Some(one), role, &shared),
            assignment(Some(other), role, &shared),
        ];
        for it in wanted {
            assign(database, it).await.unwrap();
        }
        assert_eq!(agent_roles::list_everything(database).await.unwrap(), wanted);
        // The later takes the place of the one before, for its own owner only.
        assign(database, assignment(Some(one), role, &own)).await.unwrap();
        for (owner, row) in [(None, &shared), (Some(one), &own), (Some(other), &shared)] {
            let expected: RoleAssignments = [(role, row.id)].into_iter().collect();
            assert_eq!(agent_roles::of(database, owner).await.unwrap(), expected);
            let seen = commit(database, async |transaction| {
                agent_roles::of_in(transaction, owner).await
            });
            assert_eq!(seen.await.unwrap(), expected);
        }
        let of_shared = commit(database, async |transaction| {
            agent_roles::of_configuration(transaction, shared.id).await
        });
        assert_eq!(of_shared.await.unwrap(), [wanted[0], wanted[2]]);

        for was_there in [true, false] {
            let taken = commit(database, async |transaction| {
                agent_roles::unassign(transaction, Some(one), role).await
            });
            assert_eq!(taken.await.unwrap(), was_there);
        }
        assert_eq!(agent_roles::of(database, Some(one)).await.unwrap(), RoleAssignments::default());
        assert_eq!(agent_roles::list_everything(database).await.unwrap(), [wanted[0], wanted[2]]);
    }

    async fn an_assigned_configuration_cannot_be_deleted(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let row = add(database, 10, Some(owner)).await;
        let taken = assignment(Some(owner), AgentRole::ExtractPrompt, &row);
        assign(database, taken).await.unwrap();
        let refused = commit(database, async |transaction| {
            model_configurations::delete(transaction, Some(owner), row.id).await
        });
        assert!(refused.await.is_err());
        assert!(model_configurations::get(database, owner, row.id).await.unwrap().is_some());
        commit(database, async |transaction| {
            agent_roles::unassign(transaction, Some(owner), taken.role).await?;
            model_configurations::delete(transaction, Some(owner), row.id).await
        })
        .await
        .unwrap();
        // And what is not there cannot be assigned.
        assert!(assign(database, taken).await.is_err());
    }

    async fn an_assignment_is_told_to_its_owner_s_nodes(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let row = add(database, 10, None).await;
        for (to, change) in [
            (Some(owner), Change::Organization(owner)),
            (None, Change::SystemDefaults),
        ] {
            let before = changes::current_revision(database).await.unwrap();
            assign(database, assignment(to, AgentRole::MainAgent, &row)).await.unwrap();
            let news = ChangeFeed::after(database, before).next().await;
            let expected = News::Changes { revision: before + 1, changes: vec![change] };
            assert_eq!(news, expected);
        }
    }
}
