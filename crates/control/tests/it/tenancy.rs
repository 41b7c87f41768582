//! No organisation sees or changes what another has: AT-11 to AT-19.

use std::collections::BTreeMap;

use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Client, Tenant, TestApp};

const PATH: &str = "/v1/model-configurations";

/// Something that an organisation does. Targets count over all rows ever made by anybody.
#[derive(Clone, Debug)]
enum Operation {
    Create {
        name: u8,
    },
    Patch {
        target: usize,
        name: Option<u8>,
        is_archived: Option<bool>,
        tokens: u16,
    },
    Delete {
        target: usize,
    },
    Get {
        target: usize,
    },
    Restore {
        target: usize,
    },
    Revisions {
        target: usize,
    },
    Verify {
        target: usize,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let target = 0_usize..40;
    prop_oneof![
        4 => (0_u8..6).prop_map(|name| Operation::Create { name }),
        4 => (target.clone(), prop::option::of(0_u8..6), prop::option::of(any::<bool>()), 1_u16..)
            .prop_map(|(target, name, is_archived, tokens)| Operation::Patch {
                target, name, is_archived, tokens,
            }),
        2 => target.clone().prop_map(|target| Operation::Delete { target }),
        2 => target.clone().prop_map(|target| Operation::Get { target }),
        1 => target.clone().prop_map(|target| Operation::Restore { target }),
        1 => target.clone().prop_map(|target| Operation::Revisions { target }),
        1 => target.prop_map(|target| Operation::Verify { target }),
    ]
}

/// What a row is expected to be.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    owner: usize,
    name: String,
    is_archived: bool,
    tokens: Option<u64>,
    first: (String, bool),
    revision: u64,
}

/// All rows, and the ids of all that ever were.
#[derive(Default)]
struct Model {
    rows: BTreeMap<String, Row>,
    ever: Vec<String>,
}

impl Model {
    fn target(&self, number: usize) -> String {
        let known = self.ever.get(number % self.ever.len().max(1)).cloned();
        known.unwrap_or_else(|| Uuid::from_u128(number as u128).to_string())
    }

    fn name_is_free(&self, owner: usize, name: &str, except: &str) -> bool {
        !self.rows.iter().any(|(id, row)| {
            id != except && row.owner == owner && row.name == name && !row.is_archived
        })
    }

    fn own(&self, owner: usize, id: &str) -> Option<&Row> {
        self.rows.get(id).filter(|row| row.owner == owner)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_of_several_organisations_stay_apart(
        operations in prop::collection::vec((0_usize..5, operation()), 120)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(operations));
    }
}

async fn run(operations: Vec<(usize, Operation)>) {
    let app = TestApp::start().await;
    let mut tenants = Vec::new();
    for number in 0..5 {
        tenants.push(app.tenant(&format!("tenant {number}")).await);
    }
    let default = app.add_system_default("everybody's").await.to_string();
    let mut model = Model::default();
    for (owner, operation) in operations {
        apply(&mut model, owner, &tenants[owner].developer, &operation).await;
    }
    for (owner, tenant) in tenants.iter().enumerate() {
        check_list(&model, owner, tenant, &default).await;
        check_trail(&model, owner, tenant).await;
    }
}

async fn apply(model: &mut Model, owner: usize, client: &Client, operation: &Operation) {
    match operation {
        Operation::Create { name } => create(model, owner, client, &format!("n{name}")).await,
        Operation::Patch {
            target,
            name,
            is_archived,
            tokens,
        } => {
            let id = model.target(*target);
            let mut body = json!({"max_tokens": tokens});
            if let Some(name) = name {
                body["name"] = json!(format!("n{name}"));
            }
            if let Some(is_archived) = is_archived {
                body["is_archived"] = json!(is_archived);
            }
            let answer = client.patch(&format!("{PATH}/{id}"), body.clone()).await;
            let Some(row) = model.own(owner, &id).cloned() else {
                return assert_unknown(client, &answer, "PATCH", body).await;
            };
            let name = name.map_or(row.name.clone(), |name| format!("n{name}"));
            let is_archived = is_archived.unwrap_or(row.is_archived);
            let tokens = Some(u64::from(*tokens));
            change(
                model,
                &id,
                &answer,
                Row {
                    name,
                    is_archived,
                    tokens,
                    ..row
                },
            );
        }
        Operation::Restore { target } => {
            let id = model.target(*target);
            let path = format!("{PATH}/{id}/revisions/1/restore");
            let answer = client.call(Method::POST, &path).send().await;
            let Some(row) = model.own(owner, &id).cloned() else {
                assert_eq!(answer.status, 404);
                return;
            };
            let (name, is_archived) = row.first.clone();
            change(
                model,
                &id,
                &answer,
                Row {
                    name,
                    is_archived,
                    tokens: None,
                    ..row
                },
            );
        }
        Operation::Delete { target } => {
            let id = model.target(*target);
            let answer = client.delete(&format!("{PATH}/{id}")).await;
            if model.own(owner, &id).is_none() {
                return assert_unknown(client, &answer, "DELETE", Value::Null).await;
            }
            assert_eq!(answer.status, 204);
            model.rows.remove(&id);
        }
        Operation::Get { target } => {
            let id = model.target(*target);
            let answer = client.get(&format!("{PATH}/{id}")).await;
            match model.own(owner, &id) {
                Some(row) => assert_row(&answer.json(), row),
                None => assert_unknown(client, &answer, "GET", Value::Null).await,
            }
        }
        Operation::Revisions { target } => {
            let id = model.target(*target);
            let answer = client
                .get(&format!("{PATH}/{id}/revisions?limit=200"))
                .await;
            match model.own(owner, &id) {
                Some(row) => {
                    let items = answer.json()["items"].as_array().unwrap().len() as u64;
                    assert_eq!(items, row.revision);
                }
                None => assert_eq!(answer.status, 404),
            }
        }
        Operation::Verify { target } => {
            let id = model.target(*target);
            let answer = client
                .call(Method::POST, &format!("{PATH}/{id}/verify"))
                .send()
                .await;
            let expected = if model.own(owner, &id).is_some() {
                200
            } else {
                404
            };
            assert_eq!(answer.status, expected);
        }
    }
}

async fn create(model: &mut Model, owner: usize, client: &Client, name: &str) {
    let body = json!({"name": name, "provider": "simulated", "model": "m"});
    let answer = client.post(PATH, body).await;
    if !model.name_is_free(owner, name, "") {
        assert_eq!(answer.status, 409);
        return;
    }
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let row = Row {
        owner,
        name: name.to_owned(),
        is_archived: false,
        tokens: None,
        first: (name.to_owned(), false),
        revision: 1,
    };
    assert_row(&answer.json(), &row);
    model.ever.push(id.clone());
    model.rows.insert(id, row);
}

fn change(model: &mut Model, id: &str, answer: &Answer, mut row: Row) {
    if !row.is_archived && !model.name_is_free(row.owner, &row.name, id) {
        assert_eq!(answer.status, 409);
        return;
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    row.revision += 1;
    assert_row(&answer.json(), &row);
    model.rows.insert(id.to_owned(), row);
}

#[track_caller]
fn assert_row(shown: &Value, row: &Row) {
    assert_eq!(shown["name"], json!(row.name));
    assert_eq!(shown["is_archived"], json!(row.is_archived));
    assert_eq!(shown["max_tokens"], json!(row.tokens));
}

/// A foreign row and one that never was are the same, byte for byte.
async fn assert_unknown(client: &Client, answer: &Answer, method: &str, body: Value) {
    let method: Method = method.parse().unwrap();
    let random = format!("{PATH}/{}", Uuid::from_u128(0xDEAD_BEEF));
    let call = client.call(method, &random);
    let call = if body.is_null() {
        call
    } else {
        call.json(body)
    };
    let unknown = call.send().await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.body, unknown.body);
    let names = |answer: &Answer| -> Vec<_> { answer.headers.keys().cloned().collect() };
    assert_eq!(names(answer), names(&unknown));
}

async fn check_list(model: &Model, owner: usize, tenant: &Tenant, default: &str) {
    let list = tenant.developer.get(PATH).await.json();
    let list = list.as_array().unwrap();
    assert_eq!(list[0]["id"], default, "system defaults come first");
    let own = &list[1..];
    let expected = model
        .rows
        .iter()
        .filter(|(_, row)| row.owner == owner)
        .count();
    assert_eq!(own.len(), expected);
    for shown in own {
        let id = shown["id"].as_str().unwrap();
        assert_row(shown, model.own(owner, id).unwrap());
        assert_eq!(shown["organization_id"], json!(tenant.id.to_string()));
    }
    let times: Vec<_> = own
        .iter()
        .map(|row| row["created_at"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "oldest first");
}

async fn check_trail(model: &Model, owner: usize, tenant: &Tenant) {
    let events = tenant.admin.get("/v1/audit-events?limit=200").await.json();
    for event in events["items"].as_array().unwrap() {
        let id = event["resource_id"].as_str().unwrap();
        let foreign = model.rows.get(id).is_some_and(|row| row.owner != owner);
        assert!(!foreign, "{event}");
    }
}

#[tokio::test]
async fn members_that_are_not_the_clients_to_set_have_no_effect() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let other = app.tenant("b").await;
    let theirs = json!({"name": "x", "provider": "openai", "model": "m", "api_key": "sk-1"});
    let theirs = other.developer.create(theirs).await;
    let extras = json!({
        "id": theirs["id"],
        "organization_id": other.id.to_string(),
        "is_system_default": true,
        "api_key_alias": theirs["api_key_alias"],
        "created_at": "2000-01-01T00:00:00Z",
        "updated_at": "2000-01-01T00:00:00Z",
        "revision": 99,
        "scopes": ["operator"],
    });
    let mut body = json!({"name": "n", "provider": "simulated", "model": "m"});
    body.as_object_mut()
        .unwrap()
        .extend(extras.as_object().unwrap().clone());
    let row = tenant.developer.create(body).await;
    let item = format!("{PATH}/{}", row["id"].as_str().unwrap());
    let patched = tenant.developer.patch(&item, extras.clone()).await.json();
    for shown in [&row, &patched, &tenant.developer.get(&item).await.json()] {
        assert_eq!(shown["organization_id"], json!(tenant.id.to_string()));
        assert_eq!(shown["is_system_default"], json!(false));
        assert_eq!(shown["api_key_alias"], Value::Null);
        assert_ne!(shown["id"], theirs["id"]);
        assert!(shown["created_at"].as_str().unwrap().starts_with("2027"));
        assert!(shown["updated_at"].as_str().unwrap().starts_with("2027"));
        assert_eq!(shown.as_object().unwrap().len(), 18);
    }
    assert_eq!(other.developer.names().await, ["x"]);
}

#[tokio::test]
async fn system_defaults_are_seen_by_all_and_changed_by_nobody() {
    let app = TestApp::start().await;
    let operator = app.operator().await;
    let tenant = app.tenant("a").await;
    let default = app.add_system_default("default").await;
    let item = format!("{PATH}/{default}");
    let before = tenant.developer.get(&item).await;
    assert_eq!(before.status, 200);
    assert_eq!(before.json()["organization_id"], Value::Null);
    for client in [&tenant.developer, &operator] {
        assert_eq!(client.patch(&item, json!({"model": "x"})).await.status, 403);
        assert_eq!(client.delete(&item).await.status, 403);
        let restore = format!("{item}/revisions/1/restore");
        assert_eq!(client.call(Method::POST, &restore).send().await.status, 403);
        // What is wrong in form is said first.
        assert_eq!(client.patch(&item, json!({"model": ""})).await.status, 422);
    }
    assert_eq!(tenant.developer.get(&item).await.body, before.body);
    // An own row may have its name.
    tenant
        .developer
        .create(json!({"name": "default", "provider": "simulated", "model": "m"}))
        .await;
    assert_eq!(tenant.developer.names().await, ["default", "default"]);
}

#[tokio::test]
async fn ids_may_be_spelled_in_every_way_of_a_uuid_and_no_other() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let row = client
        .create(json!({"name": "n", "provider": "simulated", "model": "m"}))
        .await;
    let id = row["id"].as_str().unwrap();
    for spelling in [
        id.to_uppercase(),
        id.replace('-', ""),
        format!("%7B{id}%7D"),
        format!("urn:uuid:{id}"),
    ] {
        assert_eq!(
            client.get(&format!("{PATH}/{spelling}")).await.status,
            200,
            "{spelling}"
        );
    }
    for wrong in [
        format!("{id}0"),
        "x".to_owned(),
        "%00".to_owned(),
        "..%2F..%2Fx".to_owned(),
        "é".replace('é', "%C3%A9"),
        "1".repeat(5000),
    ] {
        let path = format!("{PATH}/{wrong}");
        for method in [Method::GET, Method::DELETE] {
            let answer = client.call(method, &path).send().await;
            answer.assert_fault("path.model_configuration_id", "uuid_parsing");
        }
        let patch = client.patch(&path, json!({"name": ""})).await;
        let locations: Vec<_> = patch.faults().into_iter().map(|(loc, _)| loc).collect();
        assert_eq!(locations, ["path.model_configuration_id", "body.name"]);
    }
    assert_eq!(client.get(&format!("{PATH}/%FF")).await.status, 404);
}
