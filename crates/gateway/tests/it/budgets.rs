//! Budgets of API keys and organisations: what clients are told, and what is let through.

use std::sync::{Arc, Mutex};

use domain::budget::{Budget, BudgetOwner, Month};
use domain::clock::Clock;
use domain::id::ApiKeyId;
use domain::price::{PriceList, PriceTable};
use gateway::limit::budgets::Payer;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use testkit::simulator::serve::RunningSimulator;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::gateway_under_test::{
    GatewayUnderTest, Workshop, anthropic, openai, organization, streamed,
};

/// A token costs a micro-dollar, whatever its kind.
fn prices() -> PriceTable {
    let list = json!({"prices": [{
        "provider": "openai",
        "models": ["simulated-chat*", "fault*"],
        "rates": {"input": 1_000_000, "output": 1_000_000},
        "source": "https://example.com/prices",
        "date": "2026-11-24",
    }]});
    let list: PriceList = serde_json::from_value(list).expect("a list");
    PriceTable::new(list).expect("a sound list")
}

struct Time(Mutex<Timestamp>);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("a lock")
    }
}

impl Time {
    fn set(&self, text: &str) {
        *self.0.lock().expect("a lock") = text.parse().expect("a time");
    }
}

fn at(text: &str) -> Arc<Time> {
    Arc::new(Time(Mutex::new(text.parse().expect("a time"))))
}

fn payer() -> Payer {
    Payer {
        organization_id: organization(1),
        api_key_id: ApiKeyId(Uuid::from_u128(0xb001)),
    }
}

async fn with(owner: BudgetOwner, budget: Budget, time: &Arc<Time>) -> Running {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let mut workshop = Workshop::new()
        .row("chat", "openai", "simulated-chat:words=10", &url)
        .row("other", "openai", "nobody-knows-its-price", &url)
        .row("bad", "openai", "fault:400", &url);
    workshop.prices = prices();
    workshop.clock = Arc::clone(time) as _;
    workshop.budgets = vec![(organization(1), owner, budget)];
    Running {
        gateway: workshop.start().await,
        upstream,
    }
}

struct Running {
    gateway: GatewayUnderTest,
    upstream: RunningSimulator,
}

fn hard(micros: i64) -> Budget {
    Budget {
        soft_micros: None,
        hard_micros: Some(micros),
    }
}

fn spent(gateway: &GatewayUnderTest) -> i64 {
    let records = gateway.records.all();
    records.iter().filter_map(|record| record.cost_micros).sum()
}

#[tokio::test]
async fn a_parallel_burst_spends_the_budget_and_at_most_one_call_more() {
    let time = at("2026-11-24T12:00:00Z");
    let Running { gateway, upstream } = with(BudgetOwner::Organization, hard(5000), &time).await;
    let mut body = openai("chat");
    body["max_tokens"] = json!(900);
    let most = i64::try_from(body.to_string().len()).expect("a length") + 900;
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let (client, body) = (gateway.client(1), body.clone());
        calls.spawn(async move { client.post("/v1/chat/completions", &body).await });
    }
    let answers = calls.join_all().await;
    let answers = answers.into_iter().map(|it| it.expect("an answer"));
    let (good, refused): (Vec<_>, Vec<_>) =
        answers.partition(|answer| answer.status == StatusCode::OK);
    assert_eq!(upstream.ledger().count(), good.len() as u64);
    assert!(!good.is_empty());
    for answer in &refused {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.json()["error"]["code"], "budget_exceeded");
        assert_eq!(answer.header("retry-after"), "2", "calls are under way");
    }
    // One after the other they go on until it is spent.
    for _ in 0..5000 {
        if gateway.chat(&body).await.status != StatusCode::OK {
            break;
        }
    }
    let all = spent(&gateway);
    assert!((5000..5000 + most).contains(&all), "{all}");
}

#[tokio::test]
async fn who_has_spent_it_is_told_which_and_until_when_in_both_dialects() {
    let time = at("2026-11-24T12:00:00Z");
    let owner = BudgetOwner::ApiKey(payer().api_key_id);
    let Running { gateway, upstream } = with(owner, hard(1), &time).await;
    assert_eq!(gateway.chat(&openai("chat")).await.status, StatusCode::OK);
    let spent = spent(&gateway);
    assert!(spent > 1);
    let refused = [
        gateway.chat(&openai("chat")).await,
        gateway.chat(&streamed(openai("other"))).await,
        gateway.messages(&anthropic("chat")).await,
    ];
    for answer in &refused {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        let text = answer.text();
        assert!(
            text.contains("The budget of this API key for 2026-11 is used up"),
            "{text}"
        );
        assert!(text.contains("at 2026-12-01T00:00:00Z"), "{text}");
        let header = format!(
            "api_key; bound=hard; limit_micros=1; spent_micros={spent}; \
             resets=2026-12-01T00:00:00Z"
        );
        assert_eq!(answer.header("x-quartermaster-budget"), header);
        // Nobody waits for a week, and no SDK is to try again.
        assert!(!answer.headers.contains_key("retry-after"));
        assert_eq!(answer.header("x-should-retry"), "false");
        assert_eq!(answer.header("x-quartermaster-attempts"), "0");
    }
    let [chat, .., messages] = refused;
    assert_eq!(chat.json()["error"]["code"], "budget_exceeded");
    assert_eq!(messages.json()["error"]["type"], "rate_limit_error");
    assert_eq!(upstream.ledger().count(), 1);
    let metrics = gateway.metrics();
    let counted = r#"quartermaster_budget_calls_total{whose="api_key",bound="hard"} 3"#;
    assert!(metrics.contains(counted), "{metrics}");
    // Shortly before the month ends, waiting makes sense.
    time.set("2026-11-30T23:59:00Z");
    let answer = gateway.chat(&openai("chat")).await;
    assert_eq!(answer.header("retry-after"), "60");
    time.set("2026-12-01T00:00:00Z");
    assert_eq!(gateway.chat(&openai("chat")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_soft_bound_warns_in_every_answer_and_refuses_nothing() {
    let time = at("2026-11-24T12:00:00Z");
    let budget = Budget {
        soft_micros: Some(1),
        hard_micros: None,
    };
    let Running {
        gateway,
        upstream: _upstream,
    } = with(BudgetOwner::Organization, budget, &time).await;
    let first = gateway.chat(&openai("chat")).await;
    assert!(!first.headers.contains_key("x-quartermaster-budget"));
    let warned = [
        gateway.chat(&openai("chat")).await,
        gateway.chat(&streamed(openai("chat"))).await,
        gateway.messages(&anthropic("chat")).await,
        gateway.chat(&openai("bad")).await,
    ];
    for answer in warned {
        let header = answer.header("x-quartermaster-budget");
        assert!(
            header.starts_with("organization; bound=soft; limit_micros=1;"),
            "{header}"
        );
    }
    let metrics = gateway.metrics();
    let counted = r#"quartermaster_budget_calls_total{whose="organization",bound="soft"} 4"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn what_has_no_price_and_what_fails_is_not_counted() {
    let time = at("2026-11-24T12:00:00Z");
    let Running {
        gateway,
        upstream: _upstream,
    } = with(BudgetOwner::Organization, hard(1), &time).await;
    for _ in 0..3 {
        assert_eq!(gateway.chat(&openai("other")).await.status, StatusCode::OK);
        assert_eq!(
            gateway.chat(&openai("bad")).await.status,
            StatusCode::BAD_REQUEST
        );
    }
    assert_eq!(gateway.chat(&openai("chat")).await.status, StatusCode::OK);
    assert_eq!(
        gateway.chat(&openai("other")).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn what_other_nodes_spent_counts_once_it_is_read() {
    let time = at("2026-11-24T12:00:00Z");
    let Running {
        gateway,
        upstream: _upstream,
    } = with(BudgetOwner::Organization, hard(1_000_000), &time).await;
    assert_eq!(gateway.chat(&openai("chat")).await.status, StatusCode::OK);
    let month = Month::of(time.now());
    gateway.spending.refresh(month, [(payer(), 1_000_000)], []);
    let answer = gateway.chat(&openai("chat")).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    gateway.spending.refresh(month, [(payer(), 1)], []);
    assert_eq!(gateway.chat(&openai("chat")).await.status, StatusCode::OK);
}
