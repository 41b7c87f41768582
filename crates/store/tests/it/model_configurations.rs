//! Model configurations and revisions.

use domain::id::OrganizationId;
use domain::model_configuration::{
    ModelConfiguration, ModelSettings, ReadConfiguration, UnreadableConfiguration,
};
use serde_json::{Map, Value};
use store::{Database, StoreError, model_configurations as configurations};

use crate::support::{add_organization, alias, commit, configuration, time};

async fn insert(database: &Database, row: &ModelConfiguration) -> Result<(), StoreError> {
    commit(database, async |transaction| {
        configurations::insert(transaction, row).await
    })
    .await
}

async fn update(database: &Database, row: &ModelConfiguration) -> Result<(), StoreError> {
    commit(database, async |transaction| {
        configurations::update(transaction, row).await
    })
    .await
}

async fn names(database: &Database, organization_id: OrganizationId) -> Vec<String> {
    let rows = configurations::list(database, organization_id)
        .await
        .unwrap();
    rows.into_iter().map(|row| row.settings.name).collect()
}

/// Every page of everything.
pub(crate) async fn everything(database: &Database) -> Vec<ReadConfiguration> {
    let mut pages = configurations::everything(database);
    let mut rows = Vec::new();
    while let Some(page) = pages.next_page().await.unwrap() {
        rows.extend(page);
    }
    rows
}

/// Every member set, with the numbers and texts that storage likes to bend.
fn rich_settings(name: &str) -> ModelSettings {
    let params: Map<String, Value> = serde_json::from_str(
        r#"{"z":1,"a":{"y":1.0,"b":[0.1,1e-7,-0.0,5e-324,1.7976931348623157e308]},
            "int":9223372036854775807,"uint":18446744073709551615,"neg":-9223372036854775808,
            "third":0.3333333333333333,"text":"NUL \u0000, é, \ud83d\ude00","null":null,"":{}}"#,
    )
    .unwrap();
    ModelSettings {
        name: name.to_owned(),
        description: Some("what it is for\n\"quoted\"".to_owned()),
        provider: "anthropic".to_owned(),
        model: "claude".to_owned(),
        temperature: Some(0.1 + 0.2),
        max_tokens: Some(i64::MAX),
        timeout_seconds: Some(1e-9),
        max_retries: Some(0),
        additional_params: Some(params),
        agent_harness_version_string: Some("v1".to_owned()),
        is_computer_use_model: true,
        is_archived: false,
    }
}

on_both_engines! {
    async fn a_row_comes_back_as_it_went_in(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let plain = configuration(1, Some(owner), "plain");
        let mut rich = configuration(2, Some(owner), "rich");
        rich.settings = rich_settings("rich");
        rich.api_key_alias = Some(alias(1));
        // Null and not null in turns, on the same prepared statement.
        for row in [&plain, &rich] {
            insert(database, row).await.unwrap();
        }
        let listed = configurations::list(database, owner).await.unwrap();
        assert_eq!(listed, [plain, rich.clone()]);

        let found = configurations::get(database, owner, rich.id).await.unwrap().unwrap();
        let text = |row: &ModelConfiguration| serde_json::to_string(&row.settings).unwrap();
        assert_eq!(text(&found), text(&rich), "the order of members and the digits of numbers");
    }

    async fn a_name_is_unique_among_the_unarchived_rows_of_one_owner(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let other = add_organization(database, 2).await;
        insert(database, &configuration(1, Some(owner), "a")).await.unwrap();
        let outcome = insert(database, &configuration(2, Some(owner), "a")).await;
        assert!(matches!(outcome, Err(StoreError::Conflict("name"))), "{outcome:?}");

        insert(database, &configuration(3, Some(other), "a")).await.unwrap();
        insert(database, &configuration(4, None, "a")).await.unwrap();
        let outcome = insert(database, &configuration(5, None, "a")).await;
        assert!(matches!(outcome, Err(StoreError::Conflict("name"))), "{outcome:?}");

        let mut archived = configuration(6, Some(owner), "a");
        archived.settings.is_archived = true;
        insert(database, &archived).await.unwrap();
        archived.settings.is_archived = false;
        archived.revision = 2;
        let outcome = update(database, &archived).await;
        assert!(matches!(outcome, Err(StoreError::Conflict("name"))), "{outcome:?}");

        // Names differ by bytes: case and normal form count.
        insert(database, &configuration(7, Some(owner), "A")).await.unwrap();
        insert(database, &configuration(8, Some(owner), "\u{e9}")).await.unwrap();
        insert(database, &configuration(9, Some(owner), "e\u{301}")).await.unwrap();
    }

    async fn an_organisation_sees_system_defaults_and_its_own(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let other = add_organization(database, 2).await;
        insert(database, &configuration(1, Some(owner), "old")).await.unwrap();
        insert(database, &configuration(3, Some(owner), "new")).await.unwrap();
        insert(database, &configuration(4, Some(other), "theirs")).await.unwrap();
        insert(database, &configuration(2, None, "default")).await.unwrap();
        assert_eq!(names(database, owner).await, ["default", "old", "new"]);
        assert_eq!(names(database, other).await, ["default", "theirs"]);

        let theirs = configuration(4, Some(other), "theirs");
        assert_eq!(configurations::get(database, owner, theirs.id).await.unwrap(), None);
        let default = configuration(2, None, "default");
        let found = configurations::get(database, owner, default.id).await.unwrap();
        assert_eq!(found, Some(default.clone()));
        let locked = commit(database, async |transaction| {
            let theirs = configurations::get_for_update(transaction, owner, theirs.id).await?;
            assert_eq!(theirs, None);
            configurations::get_for_update(transaction, owner, default.id).await
        })
        .await;
        assert_eq!(locked.unwrap(), Some(default.clone()));

        let owned = configurations::list_owned(database, None).await.unwrap();
        assert_eq!(owned, [Ok(default)]);
        let owned = configurations::list_owned(database, Some(other)).await.unwrap();
        assert_eq!(owned, [Ok(theirs)]);
        assert_eq!(everything(database).await.len(), 4);
    }

    async fn everything_is_more_than_a_page(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let rows: Vec<_> = (1..=501)
            .map(|number| configuration(number, Some(owner), &format!("number {number}")))
            .collect();
        commit(database, async |transaction| {
            for row in &rows {
                configurations::insert(transaction, row).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        let mut pages = configurations::everything(database);
        let first = pages.next_page().await.unwrap().unwrap();
        let second = pages.next_page().await.unwrap().unwrap();
        assert_eq!((first.len(), second.len()), (500, 1));
        assert_eq!(pages.next_page().await.unwrap(), None);
        let read: Vec<_> = first.into_iter().chain(second).map(Result::unwrap).collect();
        assert_eq!(read, rows);
    }

    async fn a_row_that_cannot_be_read_hides_no_other(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let rows = ["before", "text", "alias", "nobody's", "after"];
        let rows: Vec<_> = (1..)
            .zip(rows)
            .map(|(number, name)| configuration(number, Some(owner), name))
            .collect();
        for row in &rows {
            insert(database, row).await.unwrap();
        }
        fixture.tamper("UPDATE model_configurations SET settings = '{\"x\":' WHERE name = 'text'").await;
        fixture.tamper("UPDATE model_configurations SET api_key_alias = 'x' WHERE name = 'alias'").await;
        let last = "UPDATE model_configurations SET id = 'zzz', settings = '' WHERE name = 'nobody''s'";
        fixture.tamper("DELETE FROM model_configuration_revisions").await;
        fixture.tamper(last).await;
        let unreadable = |row: &ModelConfiguration| UnreadableConfiguration {
            id: row.id,
            organization_id: Some(owner),
            name: row.settings.name.clone(),
            is_archived: false,
        };
        let wanted = [
            Ok(rows[0].clone()),
            Err(unreadable(&rows[1])),
            Err(unreadable(&rows[2])),
            Ok(rows[4].clone()),
        ];
        assert_eq!(everything(database).await, wanted);
        assert_eq!(configurations::list_owned(database, Some(owner)).await.unwrap(), wanted);

        let mended = configuration(2, Some(owner), "mended");
        commit(database, async |transaction| {
            configurations::replace_unreadable(transaction, &mended).await
        })
        .await
        .unwrap();
        assert_eq!(configurations::get(database, owner, mended.id).await.unwrap(), Some(mended));
    }

    async fn a_footprint_counts_own_rows_in_bytes(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let other = add_organization(database, 2).await;
        insert(database, &configuration(1, None, "default")).await.unwrap();
        insert(database, &configuration(2, Some(other), "theirs")).await.unwrap();
        let footprint = commit(database, async |transaction| {
            configurations::footprint(transaction, owner).await
        });
        assert_eq!(footprint.await.unwrap(), configurations::Footprint::default());
        // Two bytes in UTF-8, one character.
        let rows = [configuration(3, Some(owner), "e"), configuration(4, Some(owner), "é")];
        let length = |row: &ModelConfiguration| serde_json::to_string(&row.settings).unwrap().len();
        let bytes = rows.iter().map(length).sum::<usize>() as u64;
        let footprint = commit(database, async |transaction| {
            for row in &rows {
                configurations::insert(transaction, row).await?;
            }
            configurations::footprint(transaction, owner).await
        });
        let expected = configurations::Footprint { rows: 2, bytes };
        assert_eq!(footprint.await.unwrap(), expected);
    }

    async fn every_change_is_a_revision(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let other = add_organization(database, 2).await;
        let first = configuration(1, Some(owner), "one");
        insert(database, &first).await.unwrap();
        let mut second = first.clone();
        second.revision = 2;
        second.settings = rich_settings("two");
        second.api_key_alias = Some(alias(1));
        second.updated_at = time(60);
        update(database, &second).await.unwrap();
        let found = configurations::get(database, owner, first.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&second));

        let stale = update(database, &second).await;
        assert!(matches!(stale, Err(StoreError::Busy)), "{stale:?}");
        let mut foreign = second.clone();
        foreign.organization_id = Some(other);
        foreign.revision = 3;
        let outcome = update(database, &foreign).await;
        assert!(matches!(outcome, Err(StoreError::Busy)), "{outcome:?}");

        let id = first.id;
        let revisions = configurations::revisions(database, owner, id, None, 10).await.unwrap();
        let numbers: Vec<i64> = revisions.iter().map(|revision| revision.number).collect();
        assert_eq!(numbers, [2, 1]);
        assert_eq!(revisions[0].settings, second.settings);
        assert_eq!(revisions[0].api_key_alias, second.api_key_alias);
        assert_eq!(revisions[0].created_at, second.updated_at);
        assert_eq!(revisions[1].settings, first.settings);
        let page = configurations::revisions(database, owner, id, Some(2), 10).await.unwrap();
        assert_eq!(page, revisions[1..]);
        let page = configurations::revisions(database, owner, id, None, 1).await.unwrap();
        assert_eq!(page, revisions[..1]);
        let one = configurations::revision(database, owner, id, 1).await.unwrap();
        assert_eq!(one.as_ref(), Some(&revisions[1]));

        let hidden = configurations::revisions(database, other, id, None, 10).await.unwrap();
        assert!(hidden.is_empty());
        assert_eq!(configurations::revision(database, other, id, 1).await.unwrap(), None);
    }

    async fn only_the_owner_deletes_and_revisions_go_too(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let other = add_organization(database, 2).await;
        let row = configuration(1, Some(owner), "one");
        insert(database, &row).await.unwrap();
        for stranger in [Some(other), None] {
            commit(database, async |transaction| {
                configurations::delete(transaction, stranger, row.id).await
            })
            .await
            .unwrap();
            let found = configurations::get(database, owner, row.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(&row));
            let kept = configurations::revision(database, owner, row.id, 1).await.unwrap();
            assert!(kept.is_some());
        }
        commit(database, async |transaction| {
            configurations::delete(transaction, Some(owner), row.id).await
        })
        .await
        .unwrap();
        assert_eq!(configurations::get(database, owner, row.id).await.unwrap(), None);
        // The same id can come again, so no revision was left behind.
        insert(database, &row).await.unwrap();
    }

    async fn of_two_who_update_at_once_each_sees_the_other(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let row = configuration(1, Some(owner), "one");
        insert(database, &row).await.unwrap();
        let raise = async || {
            commit(database, async |transaction| {
                let row = configurations::get_for_update(transaction, owner, row.id).await?;
                let mut row = row.unwrap();
                row.revision += 1;
                configurations::update(transaction, &row).await
            })
            .await
            .unwrap();
        };
        for _ in 0..5 {
            tokio::join!(raise(), raise(), raise(), raise());
        }
        let found = configurations::get(database, owner, row.id).await.unwrap().unwrap();
        assert_eq!(found.revision, 21);
    }

    async fn a_row_needs_an_organisation_that_exists(fixture) {
        let ghost = OrganizationId(uuid::Uuid::from_u128(99));
        let outcome = insert(&fixture.database, &configuration(1, Some(ghost), "a")).await;
        assert!(matches!(outcome, Err(StoreError::Database(_))), "{outcome:?}");
    }
}
