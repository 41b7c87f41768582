//! What a client was told exists, it can use at once on the same node.

use serde_json::json;
use testkit::application::DataDir;
use testkit::postgres::Cluster;

use crate::support::{CHAT, CONFIGURATIONS, app, chat, create, said};

#[tokio::test]
async fn a_configuration_is_callable_as_it_was_last_written() {
    let server = app().start().await.unwrap();
    let client = server.client();
    let model = |words: u32| format!("simulated-chat:words={words}");
    for round in 0..20 {
        let name = format!("fresh-{round}");
        let body = json!({"name": name, "provider": "simulated", "model": model(1)});
        let id = create(&client, &body).await;
        let first = client.post(CHAT, &chat(&name)).await.unwrap();
        assert_eq!(said(&first), "word-1");

        let path = format!("{CONFIGURATIONS}/{id}");
        let changed = client
            .patch(&path, &json!({"model": model(2)}))
            .await
            .unwrap();
        assert_eq!(changed.status, 200, "{}", changed.text());
        let second = client.post(CHAT, &chat(&name)).await.unwrap();
        assert_eq!(said(&second), "word-1 word-2");

        assert_eq!(client.delete(&path).await.unwrap().status, 204);
        let gone = client.post(CHAT, &chat(&name)).await.unwrap();
        assert_eq!(gone.status, 404, "{}", gone.text());
    }
}

#[tokio::test]
async fn a_key_works_once_made_and_not_once_revoked() {
    let server = app().start().await.unwrap();
    let client = server.client();
    for round in 0..10 {
        let body = json!({"name": format!("key-{round}"), "scopes": ["invoke"]});
        let made = client.post("/v1/api-keys", &body).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        let caller = server.stranger().with_key(made["key"].as_str().unwrap());
        said(&caller.post(CHAT, &chat("simulated")).await.unwrap());

        let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
        assert_eq!(client.delete(&path).await.unwrap().status, 204);
        let refused = caller.post(CHAT, &chat("simulated")).await.unwrap();
        assert_eq!(refused.status, 401, "{}", refused.text());
    }
}

#[tokio::test]
async fn a_damaged_row_holds_up_no_revocation() {
    let cluster = Cluster::shared();
    let url = cluster.fresh_database();
    let server = app().setting("database.url", &url).start().await.unwrap();
    let client = server.client();
    let row =
        |name: &str| json!({"name": name, "provider": "simulated", "model": "simulated-chat"});
    create(&client, &row("sound")).await;
    let damaged = create(&client, &row("damaged")).await;
    let made = client
        .post("/v1/api-keys", &json!({"name": "k", "scopes": ["invoke"]}))
        .await
        .unwrap()
        .json();
    let caller = server.stranger().with_key(made["key"].as_str().unwrap());
    said(&caller.post(CHAT, &chat("sound")).await.unwrap());

    let database = url.rsplit('/').next().unwrap();
    let update = format!("UPDATE model_configurations SET settings = '{{' WHERE id = '{damaged}'");
    cluster.query(database, &update);
    create(&client, &row("new")).await;
    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    assert_eq!(client.delete(&path).await.unwrap().status, 204);
    let refused = caller.post(CHAT, &chat("sound")).await.unwrap();
    assert_eq!(refused.status, 401, "{}", refused.text());
    said(&client.post(CHAT, &chat("sound")).await.unwrap());
    assert!(server.log().contains(&damaged));
}

/// Other rows are called; the damaged one is not, and neither is the system default in
/// whose place its owner has put it.
#[tokio::test]
async fn a_server_starts_over_a_damaged_row() {
    let cluster = Cluster::shared();
    let url = cluster.fresh_database();
    let place = DataDir::temporary().unwrap();
    let builder = || app().setting("database.url", &url).data_dir(&place);
    let mut server = builder().start().await.unwrap();
    let client = server.client();
    let row =
        |name: &str| json!({"name": name, "provider": "simulated", "model": "simulated-chat"});
    create(&client, &row("sound")).await;
    let damaged = create(&client, &row("simulated")).await;
    said(&client.post(CHAT, &chat("simulated")).await.unwrap());
    server.terminate().unwrap();
    server.wait().await.unwrap();

    let database = url.rsplit('/').next().unwrap();
    let mine =
        format!("UPDATE model_configurations SET settings = '{{\"x\":' WHERE id = '{damaged}'");
    cluster.query(database, &mine);
    let server = builder().start().await.unwrap();
    let client = server.client();
    said(&client.post(CHAT, &chat("sound")).await.unwrap());
    for selector in ["simulated", damaged.as_str()] {
        let refused = client.post(CHAT, &chat(selector)).await.unwrap();
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.text().contains(&damaged), "{}", refused.text());
    }
    assert!(server.log().contains(&damaged), "{}", server.log());
    let doctor = builder().run(&["doctor", "--offline"]).unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("FAIL  rows"), "{said}");
    assert!(said.contains(&damaged), "{said}");
}

/// The settings say what a system default is: a damaged one is written anew.
#[tokio::test]
async fn a_damaged_system_default_is_mended_at_the_next_start() {
    let cluster = Cluster::shared();
    let url = cluster.fresh_database();
    let place = DataDir::temporary().unwrap();
    let builder = || app().setting("database.url", &url).data_dir(&place);
    let mut server = builder().start().await.unwrap();
    said(
        &server
            .client()
            .post(CHAT, &chat("simulated"))
            .await
            .unwrap(),
    );
    server.terminate().unwrap();
    server.wait().await.unwrap();
    let database = url.rsplit('/').next().unwrap();
    cluster.query(database, "UPDATE model_configurations SET settings = ''");
    let server = builder().start().await.unwrap();
    said(
        &server
            .client()
            .post(CHAT, &chat("simulated"))
            .await
            .unwrap(),
    );
}
