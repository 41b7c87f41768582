//! Limits of API keys and organisations: what clients are told, and what they get.

use std::time::Duration;

use domain::id::ApiKeyId;
use domain::rate_limits::RateLimits;
use http::StatusCode;
use serde_json::json;
use testkit::simulator::serve::RunningSimulator;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::gateway_under_test::{
    GatewayUnderTest, Workshop, anthropic, openai, organization, streamed,
};

const NONE: RateLimits = RateLimits {
    requests_per_minute: None,
    tokens_per_minute: None,
    concurrent_calls: None,
};

/// The key of organisation 1.
fn first_key() -> ApiKeyId {
    ApiKeyId(Uuid::from_u128(0xb001))
}

async fn with(
    of_key: RateLimits,
    of_organization: RateLimits,
) -> (RunningSimulator, GatewayUnderTest) {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let mut workshop = Workshop::new()
        .row("chat", "openai", "simulated-chat:words=10", &url)
        .row("slow", "openai", "fault:delay=30", &url)
        .row("bad", "openai", "fault:400", &url);
    workshop.rate_limits = vec![
        (organization(1), Some(first_key()), of_key),
        (organization(1), None, of_organization),
    ];
    (upstream, workshop.start().await)
}

async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_parallel_burst_gets_the_limit_and_not_one_call_more() {
    let limits = RateLimits {
        requests_per_minute: Some(7),
        ..NONE
    };
    let (upstream, gateway) = with(NONE, limits).await;
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let client = gateway.client(1);
        calls.spawn(async move { client.post("/v1/chat/completions", &openai("chat")).await });
    }
    let answers = calls.join_all().await;
    let (good, refused): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .map(|answer| answer.expect("an answer"))
        .partition(|answer| answer.status == StatusCode::OK);
    assert_eq!(good.len(), 7);
    assert_eq!(upstream.ledger().count(), 7);
    for answer in refused {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
        assert_eq!(answer.header("x-ratelimit-remaining"), "0");
        assert_eq!(answer.header("x-quartermaster-attempts"), "0");
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((58..=60).contains(&wait), "{wait}");
    }
    let counted = "quartermaster_limited_calls_total{limit=\"requests\"} 33\n";
    let metrics = gateway.metrics();
    assert!(metrics.contains(counted), "{metrics}");
    // Nobody else is concerned, and a minute later all is well.
    let other = gateway
        .client(2)
        .get("/v1/models")
        .await
        .expect("an answer");
    assert_eq!(other.status, StatusCode::OK);
    pass(60).await;
    assert_eq!(gateway.chat(&openai("chat")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_says_how_much_is_left_in_both_dialects_and_streams() {
    let of_key = RateLimits {
        requests_per_minute: Some(4),
        ..NONE
    };
    let of_organization = RateLimits {
        requests_per_minute: Some(1000),
        ..NONE
    };
    let (_upstream, gateway) = with(of_key, of_organization).await;
    let answers = [
        gateway.chat(&openai("chat")).await,
        gateway.chat(&streamed(openai("chat"))).await,
        gateway.chat(&openai("bad")).await,
        gateway.messages(&anthropic("chat")).await,
        gateway.messages(&anthropic("chat")).await,
    ];
    for (answer, left) in answers.iter().zip(["3", "2", "1", "0", "0"]) {
        assert_eq!(answer.header("x-ratelimit-limit"), "4");
        assert_eq!(answer.header("x-ratelimit-remaining"), left);
        assert_eq!(answer.header("x-ratelimit-resource"), "api_key.requests");
        let reset: u64 = answer.header("x-ratelimit-reset").parse().expect("seconds");
        assert!((58..=60).contains(&reset), "{reset}");
    }
    let [.., refused] = answers;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    let text = refused.text();
    assert!(
        text.contains("this API key is used up: 4 requests"),
        "{text}"
    );
}

#[tokio::test]
async fn tokens_are_counted_as_the_provider_counts_them() {
    let limits = RateLimits {
        tokens_per_minute: Some(5000),
        ..NONE
    };
    let (upstream, gateway) = with(limits, NONE).await;
    let mut question = openai("chat");
    question["max_tokens"] = json!(4000);
    let mut as_stream = streamed(question.clone());
    as_stream["stream_options"] = json!({"include_usage": true});
    for question in [&question, &as_stream] {
        assert_eq!(gateway.chat(question).await.status, StatusCode::OK);
    }
    // Of about 8,000 reserved tokens few were used, and a failure uses none.
    gateway.chat(&openai("bad")).await;
    let records = gateway.records.all();
    let counted = records.iter().filter_map(|record| record.usage);
    let used: u64 = counted
        .map(|usage| usage.input_tokens() + usage.output_tokens)
        .sum();
    let answer = gateway.chat(&question).await;
    let left: u64 = answer
        .header("x-ratelimit-remaining")
        .parse()
        .expect("a number");
    let reserved = 4000 + serde_json::to_vec(&question).expect("JSON").len() as u64 / 4;
    assert_eq!(left, 5000 - used - reserved);
    // As long as that is under way, another of its kind must wait.
    let mut slow = JoinSet::new();
    let client = gateway.client(1);
    let mut late = question.clone();
    late["model"] = json!("slow");
    slow.spawn(async move { client.post("/v1/chat/completions", &late).await });
    let begun = upstream
        .ledger()
        .wait_until(Duration::from_secs(1), |requests| {
            requests
                .iter()
                .any(|request| request.json()["model"] == "fault:delay=30")
        });
    assert!(begun.await);
    let refused = gateway.chat(&question).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("x-ratelimit-resource"), "api_key.tokens");
}

#[tokio::test]
async fn calls_under_way_are_bounded_until_they_end_or_are_given_up() {
    let limits = RateLimits {
        concurrent_calls: Some(1),
        ..NONE
    };
    let (upstream, gateway) = with(NONE, limits).await;
    let mut slow = JoinSet::new();
    let client = gateway.client(1);
    slow.spawn(async move { client.post("/v1/chat/completions", &openai("slow")).await });
    let begun = upstream
        .ledger()
        .wait_until(Duration::from_secs(1), |requests| requests.len() == 1);
    assert!(begun.await);
    let refused = gateway.chat(&openai("chat")).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    slow.shutdown().await;
    assert!(
        gateway
            .within_a_second(|it| !it.records.all().is_empty())
            .await
    );
    for _ in 0..3 {
        // A stream is under way until its end.
        let stream = gateway.chat(&streamed(openai("chat"))).await;
        assert_eq!(stream.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn wrong_keys_are_slowed_down_and_good_ones_never() {
    let (upstream, gateway) = with(NONE, NONE).await;
    let wrong = gateway.stranger().with_key("sk-of-somebody-else");
    let mut statuses = Vec::new();
    for _ in 0..50 {
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let answer = wrong.post(path, &openai("chat")).await.expect("an answer");
            statuses.push(answer.status);
        }
    }
    assert_eq!(statuses, [StatusCode::UNAUTHORIZED; 100]);
    let answers = [
        wrong.post("/v1/chat/completions", &openai("chat")).await,
        wrong.post("/v1/messages", &anthropic("chat")).await,
        wrong.get("/v1/models").await,
    ];
    for answer in answers.map(|answer| answer.expect("an answer")) {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.header("retry-after"), "10");
    }
    // Nobody else behind the same address is concerned.
    assert_eq!(gateway.chat(&openai("chat")).await.status, StatusCode::OK);
    let none = gateway
        .stranger()
        .get("/v1/models")
        .await
        .expect("an answer");
    assert_eq!(
        none.status,
        StatusCode::UNAUTHORIZED,
        "no key is no wrong key"
    );
    assert_eq!(upstream.ledger().count(), 1);
}

#[tokio::test]
async fn members_of_another_dialect_do_not_talk_a_reservation_down() {
    let limits = RateLimits {
        tokens_per_minute: Some(5000),
        ..NONE
    };
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let mut workshop = Workshop::new().row("slow", "openai", "fault:delay=2", &url);
    workshop.rate_limits = vec![(organization(1), None, limits)];
    let gateway = workshop.start().await;
    let body = json!({
        "model": "slow", "input": "hi", "max_output_tokens": 100_000, "max_tokens": 0,
    });
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let (client, body) = (gateway.client(1), body.clone());
        calls.spawn(async move { client.post("/v1/responses", &body).await });
    }
    let answers = calls.join_all().await;
    let refused = answers
        .iter()
        .filter_map(|answer| answer.as_ref().ok())
        .filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.count(), 19);
    assert_eq!(upstream.ledger().count(), 1);
}
