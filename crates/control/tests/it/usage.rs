//! What calls took and cost, as it is shown.

use std::time::Duration;

use domain::id::{ApiKeyId, CallId, ModelConfigurationId, OrganizationId};
use domain::usage::{Attempt, CallEnd, Tokens};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::TestApp;

const RUN: &str = "018f2b5e-0000-7000-8000-000000000001";

/// The only attempt of a call in organisation `owner`; `number` tells calls apart.
fn attempt(owner: OrganizationId, number: u64) -> Attempt {
    let at = Timestamp::from_second(1_800_000_000 + i64::try_from(number).unwrap()).unwrap();
    let milliseconds = u128::try_from(at.as_millisecond()).unwrap();
    // Calls of two organisations may begin at the same time; their identifiers differ.
    let random = owner.0.as_u128() & 0xffff_ffff;
    Attempt {
        call_id: CallId(Uuid::from_u128(milliseconds << 80 | random)),
        number: 1,
        organization_id: owner,
        api_key_id: ApiKeyId(Uuid::from_u128(5)),
        request_id: format!("request-{number}"),
        run_id: Some(RUN.to_owned()),
        role: Some("main_agent".to_owned()),
        called_at: at,
        dialect: "openai_chat".to_owned(),
        model_asked: "fast".to_owned(),
        is_stream: true,
        call: Some(CallEnd {
            outcome: "success".to_owned(),
            status: 200,
            duration: Duration::from_micros(2500),
            time_to_first_byte: None,
        }),
        model_configuration_id: ModelConfigurationId(Uuid::from_u128(9)),
        revision: 3,
        provider: "openai".to_owned(),
        protocol: "openai_chat".to_owned(),
        model: "gpt-5.4".to_owned(),
        model_answered: None,
        service_tier: None,
        key_owner: "own".to_owned(),
        outcome: "success".to_owned(),
        error_kind: None,
        status: Some(200),
        started_at: at,
        duration: Duration::from_micros(2400),
        time_to_first_byte: None,
        tokens: Some(Tokens {
            uncached_input: 10,
            cache_read: 1,
            cache_write_5m: 2,
            cache_write_1h: 3,
            output: 5,
            reasoning: 4,
        }),
        cost_micros: Some(1_250_000),
    }
}

async fn store(app: &TestApp, batch: &[Attempt]) {
    store::usage::record::record(&app.database, batch)
        .await
        .unwrap();
}

#[tokio::test]
async fn runs_cost_what_their_calls_cost_by_role_and_model() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let mut unpriced = attempt(tenant.id, 3);
    unpriced.role = None;
    unpriced.model = "unheard-of".to_owned();
    unpriced.key_owner = "platform".to_owned();
    unpriced.cost_micros = None;
    store(
        &app,
        &[attempt(tenant.id, 1), attempt(tenant.id, 2), unpriced],
    )
    .await;
    let client = &tenant.developer;

    let costs = client
        .get(&format!("/v1/runs/{RUN}/llm-costs"))
        .await
        .json();
    assert_eq!(costs["run_id"], RUN);
    assert_eq!(costs["has_unpriced"], true);
    assert_eq!(costs["total_cost_usd"], 2.5);
    let expected = json!({
        "role": "main_agent", "billing_platform": "openai", "model": "gpt-5.4",
        "endpoint_type": "openai_chat", "call_count": 2, "input_tokens": 32,
        "uncached_input_tokens": 20, "cache_read_tokens": 2, "cache_write_5m_tokens": 4,
        "cache_write_1h_tokens": 6, "output_tokens": 10, "reasoning_tokens": 8,
        "source": "organization", "cost_usd": 2.5,
    });
    assert_eq!(costs["rows"][0], expected);
    assert_eq!(costs["rows"][1]["role"], "none");
    assert_eq!(costs["rows"][1]["source"], "cyberdesk");
    assert_eq!(costs["rows"][1]["cost_usd"], Value::Null);

    let list = client.get("/v1/usage/llm-costs").await.json();
    assert_eq!(
        (
            list["total"].as_u64(),
            list["skip"].as_u64(),
            list["limit"].as_u64()
        ),
        (Some(1), Some(0), Some(100))
    );
    let expected = json!({
        "run_id": RUN, "workflow_id": Uuid::nil(), "created_at": "2027-01-15T08:00:01.000000Z",
        "has_unpriced": true, "total_cost_usd": 2.5,
    });
    assert_eq!(list["items"][0], expected);
    let before = client
        .get("/v1/usage/llm-costs?to_date=2027-01-15T08:00:01Z")
        .await
        .json();
    assert_eq!(before["items"], json!([]));

    let steps = "/v1/usage/aggregate?from_date=2027-01-15T08:00:02Z&to_date=2027-01-16&mode=billed";
    let steps = client.get(steps).await.json();
    assert_eq!(steps["total_agentic_steps"], 2);
    assert_eq!(
        (steps["runs_counted"].as_u64(), steps["mode"].as_str()),
        (Some(1), Some("billed"))
    );
}

#[tokio::test]
async fn usage_is_grouped_and_filtered_as_asked() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let mut second = attempt(tenant.id, 2);
    second.model = "another".to_owned();
    second.cost_micros = Some(1);
    store(&app, &[attempt(tenant.id, 1), second]).await;
    let client = &tenant.developer;
    let report = client.get("/v1/usage?group_by=model,day").await.json();
    assert_eq!(report["group_by"], json!(["model", "day"]));
    assert_eq!(report["total"]["cost_micros"], 1_250_001);
    assert_eq!(report["total"]["tokens"]["output"], 10);
    let names: Vec<_> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["model"])
        .collect();
    assert_eq!(names, ["gpt-5.4", "another"], "dearest first");
    assert_eq!(report["items"][0]["day"], "2027-01-15");
    for group in ["configuration", "role", "key", "provider", "run"] {
        let report = client
            .get(&format!("/v1/usage?group_by={group}"))
            .await
            .json();
        assert_eq!(report["items"].as_array().unwrap().len(), 1, "{group}");
    }
    let none = client.get("/v1/usage?run_id=other").await.json();
    assert_eq!(none["total"]["calls"], 0);
    assert_eq!(none["items"], json!([]));
    client
        .get("/v1/usage?group_by=colour")
        .await
        .assert_fault("query.group_by", "enum");
    client
        .get("/v1/usage?api_key_id=x")
        .await
        .assert_fault("query.api_key_id", "value_error");
}

#[tokio::test]
async fn calls_are_paged_with_their_attempts() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let mut first = attempt(tenant.id, 1);
    first.call = None;
    first.outcome = "failed".to_owned();
    first.error_kind = Some("provider_overloaded".to_owned());
    first.status = Some(529);
    first.tokens = None;
    first.cost_micros = None;
    let retried = Attempt {
        number: 2,
        ..attempt(tenant.id, 1)
    };
    store(
        &app,
        &[first, retried, attempt(tenant.id, 2), attempt(tenant.id, 3)],
    )
    .await;
    let client = &tenant.developer;
    let page = client.get("/v1/calls?limit=2").await.json();
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items
            .iter()
            .map(|call| call["request_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&page), ["request-3", "request-2"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = client
        .get(&format!("/v1/calls?limit=2&cursor={cursor}"))
        .await
        .json();
    assert_eq!(ids(&page), ["request-1"]);
    assert_eq!(page["next_cursor"], Value::Null);
    let call = &page["items"][0];
    assert_eq!(call["duration_ms"], 2.5);
    assert_eq!(
        (call["status"].as_u64(), call["outcome"].as_str()),
        (Some(200), Some("success"))
    );
    let attempts = call["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0]["status"], 529);
    assert_eq!(attempts[0]["tokens"], Value::Null);
    assert_eq!(attempts[1]["cost_micros"], 1_250_000);
    let found = client.get("/v1/calls?outcome=failed").await.json();
    assert_eq!(found["items"], json!([]));
    client
        .get("/v1/calls?outcome=odd")
        .await
        .assert_fault("query.outcome", "enum");
}

#[tokio::test]
async fn nobody_sees_another_organisation_s_usage() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant("a").await, app.tenant("b").await);
    store(&app, &[attempt(theirs.id, 1), attempt(theirs.id, 2)]).await;
    let key = ApiKeyId(Uuid::from_u128(5));
    let configuration = Uuid::from_u128(9);
    for path in [
        format!("/v1/runs/{RUN}/llm-costs"),
        "/v1/usage/llm-costs".to_owned(),
        "/v1/usage?group_by=run,key".to_owned(),
        format!("/v1/usage?group_by=model&api_key_id={key}"),
        "/v1/calls".to_owned(),
        format!("/v1/calls?run_id={RUN}"),
        format!("/v1/calls?api_key_id={key}"),
        format!("/v1/calls?model_configuration_id={configuration}"),
        "/v1/calls?outcome=success&cursor=ffffffff-ffff-ffff-ffff-ffffffffffff".to_owned(),
    ] {
        let before = ours.developer.get(&path).await;
        assert_eq!(before.status, 200, "{path}");
        assert!(!before.text().contains("request-"), "{path}");
        let shown = theirs.developer.get(&path).await;
        assert_ne!(before.body, shown.body, "{path} shows its owner something");
        assert_eq!(ours.agent.get(&path).await.status, 403, "{path}");
    }
    let steps = "/v1/usage/aggregate?from_date=2027-01-01&to_date=2028-01-01";
    assert_eq!(
        ours.developer.get(steps).await.json()["total_agentic_steps"],
        0
    );
    assert_eq!(
        theirs.developer.get(steps).await.json()["total_agentic_steps"],
        2
    );
}
