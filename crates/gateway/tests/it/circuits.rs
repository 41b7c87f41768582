//! Circuit breakers: which targets are skipped, for whom, and for how long.

use std::time::Duration;

use domain::id::Alias;
use http::StatusCode;
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::simulator::serve::RunningSimulator;
use tokio::task::JoinSet;

use crate::gateway_under_test::{GatewayUnderTest, Workshop, caller, openai, streamed};

/// Retries are left out, so that a call is an attempt.
fn once(workshop: Workshop, name: &str, model: &str, url: &str) -> Workshop {
    workshop.add(name, "openai", model, json!({"base_url": url}), |row| {
        row.configuration.settings.max_retries = Some(0);
    })
}

/// Each name is a configuration with a key of its own and a directive for a model.
async fn with(rows: &[(&str, &str)]) -> (RunningSimulator, GatewayUnderTest) {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let workshop = rows
        .iter()
        .fold(Workshop::new(), |workshop, (name, model)| {
            once(workshop, name, model, &url)
        });
    (upstream, workshop.start().await)
}

/// Each name is a configuration with a directive for a model; the key is the same.
async fn with_one_key(rows: &[(&str, &str)]) -> (RunningSimulator, GatewayUnderTest) {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let workshop = rows
        .iter()
        .fold(Workshop::new(), |workshop, (name, model)| {
            workshop.add(name, "openai", model, json!({"base_url": url}), |row| {
                row.configuration.api_key_alias = Some(Alias::from_random([7; 16]));
                row.configuration.settings.max_retries = Some(0);
            })
        });
    (upstream, workshop.start().await)
}

/// The gateway's clock goes on; nothing else has changed.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

fn with_fallback(model: &str, fallback: &str) -> Value {
    let mut question = openai(model);
    question["models"] = json!([fallback]);
    question
}

fn attempts(answer: &Answer) -> &str {
    answer.header("x-quartermaster-attempts")
}

#[tokio::test]
async fn a_failing_target_is_skipped_until_a_probe_finds_it_well() {
    let (upstream, gateway) = with(&[("bad", "fault:500:times=6"), ("good", "simulated")]).await;
    for _ in 0..5 {
        assert_eq!(
            gateway.chat(&openai("bad")).await.status,
            StatusCode::BAD_GATEWAY
        );
    }
    let answer = gateway.chat(&openai("bad")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "15");
    assert_eq!(attempts(&answer), "0");
    assert_eq!(upstream.ledger().count(), 5);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "circuit_open");
    let message = error["message"].as_str().expect("a message");
    assert!(
        message.contains("`bad`: openai failed again and again (provider_server_error)"),
        "{message}"
    );
    // Skipped targets are no attempts.
    let answer = gateway.chat(&with_fallback("bad", "good")).await;
    assert_eq!((answer.status, attempts(&answer)), (StatusCode::OK, "1"));
    let metrics = gateway.metrics();
    for line in [
        "quartermaster_circuits{provider=\"openai\",state=\"open\"} 1",
        "quartermaster_circuit_openings_total{provider=\"openai\",reason=\"failing\"} 1",
        "quartermaster_circuit_skips_total{provider=\"openai\",reason=\"failing\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }

    pass(15).await;
    assert_eq!(
        gateway.chat(&openai("bad")).await.status,
        StatusCode::BAD_GATEWAY
    );
    let answer = gateway.chat(&openai("bad")).await;
    assert_eq!(answer.header("retry-after"), "30");
    pass(30).await;
    for _ in 0..2 {
        assert_eq!(gateway.chat(&openai("bad")).await.status, StatusCode::OK);
    }
    let line = "quartermaster_circuits{provider=\"openai\",state=\"open\"} 0";
    assert!(gateway.metrics().contains(line), "{}", gateway.metrics());
}

#[tokio::test]
async fn a_call_whose_target_opens_meanwhile_leaves_it() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let parameters = json!({"base_url": upstream.openai_base_url()});
    let gateway = Workshop::new()
        .add("bad", "openai", "fault:503", parameters, |row| {
            row.configuration.settings.max_retries = Some(20);
        })
        .start()
        .await;
    let answer = gateway.chat(&openai("bad")).await;
    // What went wrong says more than that the circuit is open now.
    assert_eq!(answer.json()["error"]["code"], "provider_overloaded");
    assert_eq!(attempts(&answer), "5");
    assert_eq!(upstream.ledger().count(), 5);
}

#[tokio::test]
async fn a_refused_key_is_not_a_bad_provider() {
    let (upstream, gateway) = with(&[("refused", "fault:401"), ("fine", "simulated")]).await;
    let answer = gateway.chat(&openai("refused")).await;
    assert_eq!(answer.json()["error"]["code"], "provider_authentication");
    let answer = gateway.chat(&openai("refused")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "15");
    // Trying again soon is no use, since somebody has to change the key.
    assert_eq!(answer.header("x-should-retry"), "false");
    let message = answer.text();
    assert!(message.contains("openai refused its key"), "{message}");
    // The same provider with another key.
    assert_eq!(gateway.chat(&openai("fine")).await.status, StatusCode::OK);
    assert_eq!(upstream.ledger().count(), 2);
}

#[tokio::test]
async fn a_forbidden_model_and_a_rate_limit_leave_the_other_models_of_a_key_alone() {
    let models = [
        ("forbidden", "fault:403"),
        ("limited", "fault:429:retry-after=60"),
        ("fine", "simulated"),
    ];
    let (upstream, gateway) = with_one_key(&models).await;
    let answer = gateway.chat(&openai("forbidden")).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let answer = gateway.chat(&openai("limited")).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(gateway.chat(&openai("fine")).await.status, StatusCode::OK);
    upstream.ledger().clear();

    let answer = gateway.chat(&openai("forbidden")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = gateway.chat(&openai("limited")).await;
    // That all targets rest is what the provider's own answer would say.
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), "60");
    assert!(
        answer.text().contains("openai limits the rate"),
        "{}",
        answer.text()
    );
    assert_eq!(upstream.ledger().count(), 0);
    let answer = gateway.chat(&with_fallback("limited", "fine")).await;
    assert_eq!((answer.status, attempts(&answer)), (StatusCode::OK, "1"));
}

#[tokio::test]
async fn a_short_rest_of_the_only_target_is_waited_for() {
    let directive = "fault:429:retry-after=1:times=1";
    let (upstream, gateway) = with(&[("limited", directive)]).await;
    let answer = gateway.chat(&openai("limited")).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let answer = gateway.chat(&openai("limited")).await;
    assert_eq!((answer.status, attempts(&answer)), (StatusCode::OK, "1"));
    assert_eq!(upstream.ledger().count(), 2);
}

#[tokio::test]
async fn one_organization_opens_no_circuit_of_another() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let port = upstream.openai_base_url();
    let address = port.trim_start_matches("http://").trim_end_matches("/v1");
    // A system default with the operator's key, at the provider's own address.
    let mut workshop = Workshop::new().add(
        "shared",
        "simulated",
        "fault:500:times=5",
        json!({}),
        |row| {
            row.configuration.organization_id = None;
            row.configuration.settings.max_retries = Some(0);
            row.key = None;
        },
    );
    let origin = &providers::catalog::provider("simulated")
        .expect("a provider")
        .base_url;
    let origin: http::Uri = origin.parse().expect("an address");
    let simulated = format!(
        "{}:{}",
        origin.host().expect("a host"),
        origin.port_u16().unwrap_or(80)
    );
    workshop
        .egress
        .connect_to
        .insert(simulated, address.to_owned());
    let gateway = workshop.start().await;
    for _ in 0..6 {
        gateway.chat(&openai("shared")).await;
    }
    assert_eq!(upstream.ledger().count(), 5);
    let other = gateway.client(2);
    let answer = other.post("/v1/chat/completions", &openai("shared")).await;
    assert_eq!(answer.expect("an answer").status, StatusCode::OK);
    let answer = gateway.chat(&openai("shared")).await;
    assert_eq!(answer.json()["error"]["code"], "circuit_open");
}

#[tokio::test]
async fn calls_that_clients_give_up_on_are_neither_good_nor_bad() {
    let (upstream, gateway) = with(&[("slow", "fault:delay=30")]).await;
    let begin_and_leave = async |count: usize, seen: usize| {
        let mut calls = JoinSet::new();
        for _ in 0..count {
            let client = gateway.client(1);
            let question = streamed(openai("slow"));
            calls.spawn(async move { client.post("/v1/chat/completions", &question).await });
        }
        let wait = Duration::from_secs(1);
        let all = upstream
            .ledger()
            .wait_until(wait, |requests| requests.len() == seen);
        assert!(all.await);
        calls.shutdown().await;
    };
    begin_and_leave(10, 10).await;
    assert!(
        gateway
            .within_a_second(|it| it.records.all().len() == 10)
            .await
    );
    assert!(!gateway.metrics().contains("circuit_openings_total{"));
    begin_and_leave(1, 11).await;
}

#[tokio::test]
async fn only_one_probe_goes_and_one_that_is_given_up_makes_room() {
    let models = [
        ("refused", "fault:401"),
        ("slow", "fault:delay=30"),
        ("fine", "simulated"),
    ];
    let (upstream, gateway) = with_one_key(&models).await;
    gateway.chat(&openai("refused")).await;
    pass(15).await;
    let mut probe = JoinSet::new();
    let client = gateway.client(1);
    probe.spawn(async move { client.post("/v1/chat/completions", &openai("slow")).await });
    let wait = Duration::from_secs(1);
    let begun = upstream
        .ledger()
        .wait_until(wait, |requests| requests.len() == 2);
    assert!(begun.await);
    let answer = gateway.chat(&openai("fine")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "2");
    let line = "quartermaster_circuits{provider=\"openai\",state=\"probing\"} 1";
    assert!(gateway.metrics().contains(line), "{}", gateway.metrics());
    probe.shutdown().await;
    assert!(
        gateway
            .within_a_second(|it| it.records.all().len() == 2)
            .await
    );
    assert_eq!(gateway.chat(&openai("fine")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_check_that_succeeds_closes_the_circuit() {
    let (_upstream, gateway) = with(&[("key", "fault:401:times=1")]).await;
    gateway.chat(&openai("key")).await;
    let answer = gateway.chat(&openai("key")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let row = &gateway.rows[0].configuration;
    assert!(gateway.gateway.check(&caller(1), row).await.is_ok);
    assert_eq!(gateway.chat(&openai("key")).await.status, StatusCode::OK);
}
