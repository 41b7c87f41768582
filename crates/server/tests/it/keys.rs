//! Whose key a call is made with, from the settings and the API to the provider's door.

use std::time::Duration;

use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::application::{DataDir, TestApp};
use testkit::simulator::serve::RunningSimulator;

use crate::catalog_host::CatalogHost;
use crate::support::{CHAT, CONFIGURATIONS, app, at_simulator, chat, create, eventually, said};

const SLOT: &str = "/v1/provider-credentials/openai";
const LIMIT: Duration = Duration::from_secs(10);

async fn give(server: &TestApp, key: &str) {
    let body = json!({"api_key": key});
    let answer = server
        .client()
        .send(Method::PUT, SLOT, Some(&body))
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn resolved(server: &TestApp, role: &str) -> Value {
    let path = format!("/v1/agent-roles/{role}/resolve");
    let answer = server.client().get(&path).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_slot_comes_before_the_operators_key_and_is_sticky() {
    let openai = CatalogHost::start("api.openai.com").await;
    let server = app()
        .environment("LENT", "sk-lent-by-the-operator-1")
        .configuration(&format!(
            "{}[platform_credentials]\nopenai = \"env:LENT\"\n",
            openai.egress()
        ))
        .start()
        .await
        .unwrap();
    let client = server.client();
    let row = json!({
        "name": "fast",
        "provider": "openai",
        "model": "simulated-chat",
        "temperature": 0.5,
        "max_tokens": 77,
        "max_retries": 1,
    });
    let id = create(&client, &row).await;
    said(&client.post(CHAT, &chat("fast")).await.unwrap());
    assert_eq!(
        openai.last_authorization(),
        "Bearer sk-lent-by-the-operator-1"
    );

    let body = json!({"model_configuration_id": id});
    let path = "/v1/agent-roles/extract_prompt";
    let assigned = client.send(Method::PUT, path, Some(&body)).await.unwrap();
    assert_eq!(assigned.status, 200, "{}", assigned.text());
    let plan = resolved(&server, "extract_prompt").await;
    assert_eq!(plan["role"], "extract_prompt");
    assert_eq!(plan["source"], "organization");
    let target = &plan["target"];
    assert_eq!(target["model_configuration_id"], id.as_str());
    assert_eq!(target["origin"], "https://api.openai.com");
    assert_eq!(target["protocol"], "openai_chat");
    assert_eq!(target["key"]["source"], "platform");
    assert_eq!(target["parameters"]["temperature"], 0.5);
    assert!(target["parameters"].to_string().contains("77"), "{target}");
    assert_eq!(
        (&target["max_retries"], &target["problem"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(plan["steps"][0]["is_taken"], true);
    assert_eq!(plan["steps"][1]["role"], "fallback_1");
    assert_eq!(plan["steps"][1]["is_taken"], false);

    // The slot goes through the vault, and both its keys to the same host.
    for key in ["sk-of-the-organization-1", "sk-of-the-organization-2"] {
        give(&server, key).await;
        said(
            &client
                .post(CHAT, &chat("role:extract_prompt"))
                .await
                .unwrap(),
        );
        assert_eq!(openai.last_authorization(), format!("Bearer {key}"));
    }
    let target = &resolved(&server, "extract_prompt").await["target"];
    assert_eq!(target["key"]["source"], "provider_credential");
    let validated = client
        .send(Method::POST, &format!("{SLOT}/validate"), None)
        .await
        .unwrap();
    assert_eq!(validated.json()["ok"], true, "{}", validated.text());
    assert_eq!(
        openai.last_authorization(),
        "Bearer sk-of-the-organization-2"
    );

    // Once it is taken away, nobody else's key is used instead.
    assert_eq!(client.delete(SLOT).await.unwrap().status, 200);
    let before = openai.simulator.ledger().count();
    let refused = client.post(CHAT, &chat("fast")).await.unwrap();
    assert!(refused.status.is_client_error() || refused.status.is_server_error());
    assert_eq!(openai.simulator.ledger().count(), before);
    let target = &resolved(&server, "extract_prompt").await["target"];
    assert_eq!(target["key"]["source"], "missing");
    assert!(target["problem"].as_str().unwrap().contains("openai"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_key_goes_where_the_model_s_name_leads() {
    let simulator = RunningSimulator::start().await.unwrap();
    let server = app().start().await.unwrap();
    let client = server.client();
    let mut row = at_simulator("routed", &simulator, "openai/simulated-chat");
    row["provider"] = json!("litellm");
    let id = create(&client, &row).await;
    said(&client.post(CHAT, &chat("routed")).await.unwrap());

    let path = format!("{CONFIGURATIONS}/{id}");
    let renamed = json!({"model": "openai/gpt-test"});
    let answer = client.send(Method::PATCH, &path, Some(&renamed)).await;
    assert_eq!(answer.unwrap().status, 200);
    said(&client.post(CHAT, &chat("routed")).await.unwrap());
    // The same host, but a key of another provider.
    let unrouted = json!({"model": "simulated-chat"});
    let answer = client.send(Method::PATCH, &path, Some(&unrouted)).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(
        answer.text().contains("another provider"),
        "{}",
        answer.text()
    );
    let mut with_key = unrouted;
    with_key["api_key"] = json!("sk-of-the-proxy-0123456789");
    let answer = client.send(Method::PATCH, &path, Some(&with_key)).await;
    assert_eq!(answer.unwrap().status, 200);
    said(&client.post(CHAT, &chat("routed")).await.unwrap());
}

/// Writes the configuration file anew, and lets the server read it.
fn reload(server: &TestApp, toml: &str) {
    std::fs::write(server.data_dir().path().join("quartermaster.toml"), toml).unwrap();
    server.signal(Signal::HUP).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_keys_defaults_and_roles_again_and_a_broken_file_changes_nothing() {
    let openai = CatalogHost::start("api.openai.com").await;
    let data = DataDir::temporary().unwrap();
    let key = data.path().join("lent");
    std::fs::write(&key, "sk-lent-first-0001\n").unwrap();
    let settings = |rest: &str| {
        let egress = openai.egress();
        format!(
            "{egress}[platform_credentials]\nopenai = \"file:{}\"\n{rest}",
            key.display()
        )
    };
    let system = |words: u8| {
        format!(
            "[[system_model_configurations]]\nname = \"shared\"\nprovider = \"simulated\"\n\
             model = \"simulated-chat:words={words}\"\n\
             [[system_model_configurations]]\nname = \"lent\"\nprovider = \"openai\"\n\
             model = \"simulated-chat\"\n"
        )
    };
    let server = app()
        .data_dir(&data)
        .configuration(&settings(&system(1)))
        .start()
        .await
        .unwrap();
    let client = server.client();
    let shared = || async { said(&client.post(CHAT, &chat("shared")).await.unwrap()) };
    assert_eq!(shared().await, "word-1");
    said(&client.post(CHAT, &chat("lent")).await.unwrap());
    assert_eq!(openai.last_authorization(), "Bearer sk-lent-first-0001");
    let ids = || async {
        let rows = client.get(CONFIGURATIONS).await.unwrap().json();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["id"].clone()).collect::<Vec<_>>()
    };
    let before = ids().await;

    std::fs::write(&key, "sk-lent-second-0002\n").unwrap();
    let changed = settings(&format!(
        "{}[roles]\nextract_prompt = \"shared\"\n",
        system(2)
    ));
    reload(&server, &changed);
    eventually(LIMIT, async || shared().await == "word-1 word-2").await;
    eventually(LIMIT, async || {
        resolved(&server, "extract_prompt").await["source"] == "system"
    })
    .await;
    said(
        &client
            .post(CHAT, &chat("role:extract_prompt"))
            .await
            .unwrap(),
    );
    said(&client.post(CHAT, &chat("lent")).await.unwrap());
    assert_eq!(openai.last_authorization(), "Bearer sk-lent-second-0002");
    assert_eq!(ids().await, before, "ids follow from names");

    let broken = [
        changed.replace("[roles]", "[roles"),
        changed.replace("extract_prompt = \"shared\"", "extract_prompt = \"nobody\""),
        changed.replace("file:", "file:/not/there"),
        changed.replace("provider = \"openai\"", "provider = \"nobody\""),
    ];
    for (number, toml) in broken.iter().enumerate() {
        assert_ne!(*toml, changed);
        reload(&server, toml);
        let refused = || server.log().matches("nothing was changed").count();
        eventually(LIMIT, async || refused() == number + 1).await;
        assert_eq!(shared().await, "word-1 word-2");
        said(&client.post(CHAT, &chat("lent")).await.unwrap());
        assert_eq!(openai.last_authorization(), "Bearer sk-lent-second-0002");
        assert_eq!(
            resolved(&server, "extract_prompt").await["source"],
            "system"
        );
    }

    // What a running server does not take in is named.
    assert!(!server.log().contains("next start"), "{}", server.log());
    reload(
        &server,
        &format!("{changed}[limits]\ncall_seconds = 1234\n"),
    );
    eventually(LIMIT, async || server.log().contains("limits.call_seconds")).await;

    // The last good word: the role goes, and with it the configuration.
    reload(&server, &settings(""));
    eventually(LIMIT, async || {
        resolved(&server, "extract_prompt").await["source"] == "none"
    })
    .await;
    let gone = client.post(CHAT, &chat("shared")).await.unwrap();
    assert_eq!(gone.status, 404, "{}", gone.text());
    assert!(!server.log().contains("sk-lent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_default_may_have_a_key_of_its_own_for_a_place_of_its_own() {
    let simulator = testkit::simulator::serve::RunningSimulator::remembering(5)
        .await
        .unwrap();
    let entry = |key: &str| {
        format!(
            "[[system_model_configurations]]\nname = \"local\"\nprovider = \"openai\"\n\
             model = \"simulated-chat\"\nadditional_params = {{ base_url = \"{}\" }}\n{key}",
            simulator.openai_base_url()
        )
    };
    let server = app()
        .environment("LENT", "sk-lent-for-openai-itself")
        .environment("LOCAL", "sk-of-the-local-server")
        .configuration(&format!(
            "[platform_credentials]\nopenai = \"env:LENT\"\n{}",
            entry("api_key_from = \"env:LOCAL\"\n")
        ))
        .start()
        .await
        .unwrap();
    let client = server.client();
    said(&client.post(CHAT, &chat("local")).await.unwrap());
    let authorization = || {
        let requests = simulator.ledger().requests();
        requests.last().unwrap().headers["authorization"].clone()
    };
    assert_eq!(authorization(), "Bearer sk-of-the-local-server");

    // An own configuration at the same place gets neither key, and brings its own.
    create(&client, &at_simulator("own", &simulator, "simulated-chat")).await;
    said(&client.post(CHAT, &chat("own")).await.unwrap());
    assert_eq!(authorization(), "Bearer sk-of-the-tests-0123456789");

    let without = app().configuration(&entry("api_key_from = \"env:NOT_SET\"\n"));
    let output = without.run(&["serve", "--listen", "127.0.0.1:0"]).unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(
        text.contains("`local`") && text.contains("NOT_SET"),
        "{text}"
    );
}
