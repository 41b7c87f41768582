//! Selection by agent role, and what such a call falls back to.

use domain::agent_role::AgentRole;
use http::StatusCode;
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::simulator::serve::RunningSimulator;

use crate::gateway_under_test::{GatewayUnderTest, Workshop, anthropic, openai};

/// One row for each name, whose model has the name too; `fault…` rows fail at once, and
/// those with `computer` in their names are computer-use models.
async fn workshop(names: &[&str]) -> (RunningSimulator, Workshop) {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let workshop = names.iter().fold(Workshop::new(), |workshop, name| {
        let uses_computer = name.contains("computer");
        let (provider, base_url) = if uses_computer {
            ("anthropic", upstream.anthropic_base_url())
        } else {
            ("openai", upstream.openai_base_url())
        };
        let parameters = json!({"base_url": base_url});
        workshop.add(name, provider, name, parameters, |row| {
            row.configuration.settings.max_retries = Some(0);
            row.configuration.settings.is_computer_use_model = uses_computer;
        })
    });
    (upstream, workshop)
}

/// The models that were asked since the ledger was cleared, in order.
fn asked(upstream: &RunningSimulator) -> Vec<String> {
    let requests = upstream.ledger().requests();
    let models = requests.iter().map(|request| request.model.clone());
    let models = models.collect();
    upstream.ledger().clear();
    models
}

async fn with_role(gateway: &GatewayUnderTest, role: &str, body: &Value) -> Answer {
    let client = gateway.client(1).with_header("x-agent-role", role);
    let answer = client.post("/v1/chat/completions", body).await;
    answer.expect("an answer")
}

#[tokio::test]
async fn a_role_selects_falls_back_and_is_recorded() {
    let (upstream, workshop) =
        workshop(&["fault:500:id=a", "fault:503:id=b", "last", "other"]).await;
    let gateway = workshop
        .role(AgentRole::ExtractPrompt, "fault:500:id=a")
        .role(AgentRole::Fallback1, "fault:503:id=b")
        .role(AgentRole::Fallback2, "last")
        .role(AgentRole::CacheDetection, "fault:500:id=a")
        .role(AgentRole::CacheDetectionFallback, "other")
        .start()
        .await;
    let answer = gateway.chat(&openai("role:extract_prompt")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(
        asked(&upstream),
        ["fault:500:id=a", "fault:503:id=b", "last"]
    );
    let roles: Vec<_> = gateway.records.all().iter().map(|it| it.role).collect();
    assert_eq!(roles, [Some(AgentRole::ExtractPrompt); 3]);

    let answer = gateway.chat(&openai("role:cache_detection")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(asked(&upstream), ["fault:500:id=a", "other"]);

    // By id or name, the header says which role it is; without it there is no fallback.
    let answer = gateway.chat(&openai("fault:503:id=b")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(asked(&upstream), ["fault:503:id=b"]);
    let id = gateway.rows[0].configuration.id.to_string();
    for selector in ["fault:500:id=a", id.as_str()] {
        let answer = with_role(&gateway, "main_agent", &openai(selector)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(
            asked(&upstream),
            ["fault:500:id=a", "fault:503:id=b", "last"]
        );
    }
    // A target stands in a plan once, and a role that is selected wins over the header.
    let answer = with_role(&gateway, "main_agent", &openai("role:fallback_1")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(asked(&upstream), ["fault:503:id=b", "last"]);
    let last = gateway.records.all().pop().expect("a record");
    assert_eq!(last.role, Some(AgentRole::Fallback1));
}

#[tokio::test]
async fn models_replaces_what_a_role_falls_back_to() {
    let (upstream, workshop) = workshop(&["fault:500:id=a", "fault:503:id=b", "last"]).await;
    let gateway = workshop
        .role(AgentRole::ExtractPrompt, "fault:500:id=a")
        .role(AgentRole::Fallback1, "last")
        .role(AgentRole::CacheDetection, "fault:503:id=b")
        .start()
        .await;
    let mut body = openai("role:extract_prompt");
    body["models"] = json!([]);
    let answer = gateway.chat(&body).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(asked(&upstream), ["fault:500:id=a"]);
    body["models"] = json!(["role:cache_detection", "fault:500:id=a"]);
    let answer = gateway.chat(&body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(asked(&upstream), ["fault:500:id=a", "fault:503:id=b"]);
    let mut body = anthropic("x");
    body.as_object_mut().expect("an object").remove("model");
    body["models"] = json!(["role:extract_prompt", "role:fallback_1"]);
    let answer = gateway.messages(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(asked(&upstream), ["fault:500:id=a", "last"]);
}

#[tokio::test]
async fn a_role_that_nobody_has_and_one_that_does_not_exist_are_told_apart() {
    let (_upstream, workshop) = workshop(&["one"]).await;
    let gateway = workshop.role(AgentRole::MainAgent, "one").start().await;
    let answer = gateway.chat(&openai("role:extract_prompt")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["error"]["code"], "agent_role_not_assigned");
    let answer = gateway.chat(&openai("role:boss")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"]["code"], "agent_role_not_found");
    let answer = with_role(&gateway, "boss", &openai("one")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"]["param"], "x-agent-role");

    // What an organisation assigned is not another's.
    let other = gateway.client(2);
    let answer = other
        .post("/v1/chat/completions", &openai("role:main_agent"))
        .await;
    assert_eq!(answer.expect("an answer").status, StatusCode::NOT_FOUND);

    let listed = gateway.client(1).get("/v1/models").await.expect("a list");
    let listed = listed.json();
    let ids: Vec<_> = listed["data"].as_array().expect("models").iter().collect();
    let ids: Vec<_> = ids.iter().map(|model| model["id"].clone()).collect();
    assert_eq!(ids, ["one", "role:main_agent", "role:focused_action"]);
    let one = gateway
        .client(1)
        .get("/v1/models/role:focused_action")
        .await;
    assert_eq!(one.expect("a model").json()["id"], "role:focused_action");
}

#[tokio::test]
async fn computer_use_goes_to_models_for_it_only() {
    let (upstream, workshop) = workshop(&["fault:500:id=computer", "plain", "computer"]).await;
    let gateway = workshop
        .role(AgentRole::MainAgent, "fault:500:id=computer")
        .role(AgentRole::ExtractPrompt, "plain")
        .role(AgentRole::CacheDetection, "fault:500:id=computer")
        .role(AgentRole::CacheDetectionFallback, "plain")
        .role(AgentRole::Fallback1, "computer")
        .start()
        .await;
    let with_tool = |selector: &str| {
        let mut body = anthropic(selector);
        body["tools"] = json!([{
            "type": "computer_20250124",
            "name": "computer",
            "display_width_px": 800,
            "display_height_px": 600,
        }]);
        body
    };
    let answer = gateway.messages(&with_tool("role:extract_prompt")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(asked(&upstream).is_empty());
    let answer = gateway.messages(&with_tool("role:cache_detection")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(asked(&upstream), ["fault:500:id=computer", "computer"]);
}
