//! Keys that an organisation brings for all its configurations.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, TestApp};

const PATH: &str = "/v1/provider-credentials";
const CONFIGURATIONS: &str = "/v1/model-configurations";
const CANARY: &str = "canary-slot-key-0123456789";

async fn put(client: &Client, slot: &str, body: Value) -> Answer {
    client
        .call(Method::PUT, &format!("{PATH}/{slot}"))
        .json(body)
        .send()
        .await
}

async fn validate(client: &Client, slot: &str) -> Answer {
    let call = client.call(Method::POST, &format!("{PATH}/{slot}/validate"));
    call.send().await
}

async fn listed(client: &Client, query: &str) -> Vec<Value> {
    let list = client.get(&format!("{PATH}{query}")).await;
    assert_eq!(list.status, 200, "{list:?}");
    list.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn four_slots_are_listed_in_cyberdesks_shape_and_others_on_request() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let slots = listed(&tenant.developer, "").await;
    let names: Vec<_> = slots.iter().map(|slot| slot["slot"].clone()).collect();
    assert_eq!(names, ["anthropic", "openai", "google", "aws_bedrock"]);
    for slot in &slots {
        let members: Vec<_> = slot.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            [
                "slot",
                "display_name",
                "source",
                "covered_providers",
                "status",
                "auth_type",
                "display_metadata",
                "last_error",
                "activated_at",
                "last_validated_at",
                "created_at",
                "updated_at",
            ]
        );
        assert_eq!(slot["source"], "cyberdesk");
        assert!(slot["status"].is_null());
        assert!(!slot["covered_providers"].as_array().unwrap().is_empty());
        assert_eq!(slot["display_metadata"].as_object().unwrap().len(), 5);
    }
    let all = listed(&tenant.developer, "?include=all").await;
    assert_eq!(all[..4], slots[..]);
    let has = |name: &str| all.iter().any(|slot| slot["slot"] == name);
    assert!(has("mistralai") && has("groq"));
    assert!(!has("simulated") && !has("bedrock_converse"));
    let odd = tenant.developer.get(&format!("{PATH}?include=some")).await;
    odd.assert_fault("query.include", "enum");
    assert_eq!(tenant.agent.get(PATH).await.status, 403);
}

#[tokio::test]
async fn a_slot_is_set_replaced_and_deleted_and_stays_the_organisation_s() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    // Nobody has a key for openai yet.
    let row = json!({"name": "n", "provider": "openai", "model": "gpt-5-mini"});
    assert_eq!(client.post(CONFIGURATIONS, row.clone()).await.status, 400);
    assert_eq!(client.delete(&format!("{PATH}/openai")).await.status, 404);
    assert_eq!(validate(client, "openai").await.status, 404);

    let set = put(client, "openai", json!({"api_key": CANARY})).await;
    assert_eq!(set.status, 200, "{set:?}");
    let slot = set.json();
    assert_eq!(slot["source"], "organization");
    assert_eq!(slot["status"], "active");
    assert_eq!(slot["auth_type"], "api_key");
    assert_eq!(slot["display_metadata"]["key_last4"], "6789");
    assert!(slot["last_validated_at"].is_null() && slot["activated_at"].is_string());
    assert!(!set.text().contains(CANARY));
    assert_eq!(listed(client, "").await[1], slot);
    client.create(row.clone()).await;

    let set = put(client, "openai", json!({"api_key": "short"})).await;
    assert!(set.json()["display_metadata"]["key_last4"].is_null());
    assert_eq!(set.json()["created_at"], slot["created_at"]);
    let waiting = store::outbox::pending(&app.database).await.unwrap();
    assert_eq!(waiting, 1, "the key before is destroyed later");

    for _ in 0..2 {
        let gone = client.delete(&format!("{PATH}/openai")).await;
        assert_eq!(gone.status, 200, "{gone:?}");
        assert_eq!(gone.json()["status"], "missing");
        assert_eq!(gone.json()["source"], "organization");
        assert!(gone.json()["auth_type"].is_null());
    }
    app.outbox().sweep().await.unwrap();
    let mut other = row.clone();
    other["name"] = json!("other");
    let refused = client.post(CONFIGURATIONS, other.clone()).await;
    assert_eq!(refused.status, 400, "sticky: {refused:?}");
    // The same for a provider whose key the operator lends.
    let mut lent = row.clone();
    lent["provider"] = json!("anthropic");
    lent["name"] = json!("lent");
    client.create(lent.clone()).await;
    put(client, "anthropic", json!({"api_key": CANARY})).await;
    client.delete(&format!("{PATH}/anthropic")).await;
    lent["name"] = json!("lent 2");
    assert_eq!(client.post(CONFIGURATIONS, lent).await.status, 400);
    assert_eq!(
        put(client, "openai", json!({"api_key": CANARY}))
            .await
            .status,
        200
    );
    client.create(other).await;

    let bytes = app.database_files();
    let canary = CANARY.as_bytes();
    assert!(!bytes.windows(canary.len()).any(|window| window == canary));
    let trail = tenant.admin.get("/v1/audit-events?limit=200").await;
    assert!(!trail.text().contains(CANARY));
    assert!(trail.text().contains("provider_credential.put"));
}

#[tokio::test]
async fn each_slot_says_what_it_needs() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let text = |slot: &'static str, body: Value| async move {
        let answer = put(client, slot, body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.detail()
    };
    assert_eq!(text("anthropic", json!({})).await, "api_key is required");
    let foreign = json!({"api_key": "k", "aws_region": "us-east-1"});
    assert!(text("openai", foreign).await.contains("aws_region"));
    let needed = text("google", json!({"api_key": "k"})).await;
    assert_eq!(needed, "service_account_json is required");
    let id_only = json!({"aws_access_key_id": "AKIA0123456789ABCDEF"});
    let needed = text("aws_bedrock", id_only).await;
    assert_eq!(needed, "aws_secret_access_key is required");
    let mode_only = json!({"bedrock_auth_mode": "iam", "api_key": "k"});
    let needed = text("aws_bedrock", mode_only).await;
    assert_eq!(needed, "aws_access_key_id is required");

    let empty = put(client, "openai", json!({"api_key": ""})).await;
    empty.assert_fault("body.api_key", "string_too_short");
    for key in [" ", "a b", "k\n"] {
        let refused = put(client, "openai", json!({"api_key": key})).await;
        refused.assert_fault("body.api_key", "value_error");
    }
    let no_file = put(
        client,
        "google",
        json!({"service_account_json": "{\"canary\": 1}"}),
    )
    .await;
    no_file.assert_fault("body.service_account_json", "value_error");
    assert!(!no_file.text().contains("canary"));

    let iam = json!({
        "bedrock_auth_mode": "iam",
        "aws_access_key_id": "AKIA0123456789ABCDEF",
        "aws_secret_access_key": CANARY,
        "aws_region": "us-west-2",
    });
    let set = put(client, "aws_bedrock", iam).await;
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(set.json()["auth_type"], "aws_iam");
    let shown = &set.json()["display_metadata"];
    assert_eq!(shown["access_key_id_last4"], "CDEF");
    assert_eq!(shown["aws_region"], "us-west-2");
    assert!(!set.text().contains(CANARY));
    let key = json!({"api_key": CANARY, "service_account_json": null});
    let set = put(client, "aws_bedrock", key).await;
    assert_eq!(set.json()["auth_type"], "aws_bedrock_api_key");
    let set = put(client, "mistralai", json!({"api_key": CANARY})).await;
    assert_eq!(set.json()["slot"], "mistralai");
    assert_eq!(
        listed(client, "").await.len(),
        4,
        "it is not one of the four"
    );
}

#[tokio::test]
async fn validation_calls_and_tells_a_refused_key_from_other_failures() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    put(client, "openai", json!({"api_key": CANARY})).await;
    let outcomes = [
        (None, true, "active"),
        (Some("the provider is overloaded"), false, "active"),
        (Some("the key was refused"), false, "invalid"),
        (Some("the provider is overloaded"), false, "invalid"),
        (None, true, "active"),
    ];
    for (error, ok, status) in outcomes {
        *app.live_check.error.lock().unwrap() = error.map(str::to_owned);
        let answer = validate(client, "openai").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!(answer["slot"], "openai");
        assert_eq!(answer["ok"], ok, "{answer}");
        assert_eq!(answer["credential"]["status"], status, "{answer}");
        assert_eq!(answer["credential"]["last_error"], json!(error));
        assert!(answer["credential"]["last_validated_at"].is_string());
        assert_eq!(answer["checks"][0]["check"], "call");
        assert_eq!(answer["checks"][0]["model"], "gpt-5-mini");
        assert_eq!(listed(client, "").await[1], answer["credential"]);
    }
    // One check for each model that is paid for with it; none for those that are not.
    for (name, model, extra) in [
        ("one", "gpt-4o", json!({})),
        ("the same", "gpt-4o", json!({})),
        ("two", "gpt-4.1", json!({})),
        ("keyed", "gpt-4.1-mini", json!({"api_key": "sk-1"})),
        ("old", "gpt-3.5-turbo", json!({"is_archived": true})),
    ] {
        let mut body = json!({"name": name, "provider": "openai", "model": model});
        let extra = extra.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(extra);
        client.create(body).await;
    }
    let answer = validate(client, "openai").await.json();
    let checks = answer["checks"].as_array().unwrap().iter();
    let models: Vec<_> = checks.map(|check| check["model"].clone()).collect();
    assert_eq!(models, ["gpt-4o", "gpt-4.1"]);
}

#[tokio::test]
async fn a_credential_pays_only_for_providers_that_take_its_kind() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    let mantle = json!({
        "name": "mantle",
        "provider": "bedrock_mantle_anthropic",
        "model": "anthropic.claude-haiku-5-5",
    });
    let iam = json!({
        "aws_access_key_id": "AKIA0123456789ABCDEF",
        "aws_secret_access_key": CANARY,
    });
    let set = put(client, "aws_bedrock", iam).await.json();
    let covered = json!(["anthropic_bedrock", "bedrock", "bedrock_converse"]);
    assert_eq!(set["covered_providers"], covered);
    let refused = client.post(CONFIGURATIONS, mantle.clone()).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(
        refused.detail(),
        "api_key is required: the aws_bedrock slot holds an access key of AWS, which \
         bedrock_mantle_anthropic does not take; give the configuration an `api_key`"
    );
    let answer = validate(client, "aws_bedrock").await.json();
    let checks = answer["checks"].as_array().unwrap().iter();
    let models: Vec<_> = checks.map(|check| check["model"].clone()).collect();
    let haiku = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
    assert_eq!(models, [haiku, haiku]);

    // Any of the cloud's providers takes the other kind; AI Studio has a slot of its own.
    let set = put(client, "aws_bedrock", json!({"api_key": CANARY})).await;
    assert!(set.text().contains("bedrock_mantle_anthropic"));
    client.create(mantle).await;
    let gemini = json!({"name": "g", "provider": "google_genai", "model": "gemini-2.5-flash"});
    let refused = client.post(CONFIGURATIONS, gemini.clone()).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let set = put(client, "google_genai", json!({"api_key": CANARY})).await;
    assert_eq!(set.json()["covered_providers"], json!(["google_genai"]));
    client.create(gemini).await;
}

#[tokio::test]
async fn a_wrong_slot_or_key_file_says_what_was_meant() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let client = &tenant.developer;
    for (slot, hint) in [
        (
            "bedrock_converse",
            "; bedrock_converse belongs to the slot aws_bedrock",
        ),
        ("mistral", "; did you mean mistralai?"),
        ("simulated", "; simulated has no slot"),
        ("zzz", "'google' or 'aws_bedrock'\""),
    ] {
        let refused = put(client, slot, json!({"api_key": CANARY})).await;
        refused.assert_fault("path.slot", "enum");
        assert!(refused.text().contains(hint), "{refused:?}");
    }
    for (file, missing) in [
        (
            json!({"type": "service_account"}),
            "client_email and private_key",
        ),
        (json!({"client_email": "a@b"}), "it lacks private_key"),
    ] {
        let body = json!({"service_account_json": file.to_string()});
        let refused = put(client, "google", body).await;
        refused.assert_fault("body.service_account_json", "value_error");
        assert!(refused.text().contains(missing), "{refused:?}");
    }
}

#[tokio::test]
async fn a_replayed_key_replacement_seals_no_second_secret() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let send = |key: &'static str| {
        tenant
            .developer
            .call(Method::PUT, &format!("{PATH}/openai"))
            .json(json!({"api_key": key}))
            .idempotency_key("k")
            .send()
    };
    let first = send(CANARY).await;
    let sealed = store::sealed::secret_count(&app.database).await.unwrap();
    let again = send(CANARY).await;
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let after = store::sealed::secret_count(&app.database).await.unwrap();
    assert_eq!(after, sealed);
    let other = send("another-key").await;
    assert_eq!(other.status, 409);
    assert_eq!(other.header("idempotency-status"), Some("mismatch"));
    assert!(!other.text().contains("another-key"));
}
