//! What is stored of calls equals what providers were asked, to the token and micro-dollar.

use std::time::Duration;

use domain::price::Rates;
use domain::usage::Tokens;
use futures::StreamExt as _;
use serde_json::{Value, json};
use testkit::application::TestApp;
use testkit::postgres::Cluster;
use testkit::simulator::answer::Usage;
use testkit::simulator::ledger::{Ending, Received};
use testkit::simulator::serve::RunningSimulator;

use crate::support::{CHAT, CONFIGURATIONS, app, at_simulator, chat, create, eventually, said};

const CALLS: usize = 10_000;

/// A call that has waited for this many others gives the machine a rest.
const AT_ONCE: usize = 16;

/// Prices whose products are seldom whole micro-dollars.
const PRICES: &str = r#"
[[prices]]
provider = "openai"
models = ["simulated*", "fault*"]
rates = { input = 1_234_567, cache_read = 123_457, output = 9_876_543 }
source = "https://example.com/prices"
date = "2026-11-24"

[[prices]]
provider = "anthropic"
models = ["simulated*", "fault*"]
rates = { input = 3_333_333, cache_read = 333_333, cache_write_5m = 4_166_667, cache_write_1h = 6_666_667, output = 16_666_667 }
source = "https://example.com/prices"
date = "2026-11-24"
"#;

const OPENAI: Rates = Rates {
    input: 1_234_567,
    cache_read: Some(123_457),
    cache_write_5m: None,
    cache_write_1h: None,
    output: 9_876_543,
};

const ANTHROPIC: Rates = Rates {
    input: 3_333_333,
    cache_read: Some(333_333),
    cache_write_5m: Some(4_166_667),
    cache_write_1h: Some(6_666_667),
    output: 16_666_667,
};

/// What the models of the ledger test do, by the name of their configuration.
const MODELS: [(&str, &str, &str); 6] = [
    ("plain", "openai", "simulated-chat:reasoning=3:cache-read=7"),
    (
        "claude",
        "anthropic",
        "simulated-chat:cache-read=5:cache-write=11",
    ),
    ("long", "openai", "simulated-chat:words=40"),
    ("broken", "openai", "fault:500"),
    ("refused", "anthropic", "fault:401"),
    ("slow", "openai", "simulated-chat:words=400:pace=0.02"),
];

async fn configurations(server: &TestApp, simulator: &RunningSimulator) {
    for (name, provider, model) in MODELS {
        let mut body = at_simulator(name, simulator, model);
        if provider == "anthropic" {
            body["provider"] = json!("anthropic");
            body["additional_params"] = json!({"base_url": simulator.anthropic_base_url()});
        }
        if provider == "openai" {
            body["additional_params"]["stream_usage"] = json!(true);
        }
        create(&server.client(), &body).await;
    }
}

/// One of the calls, by its number: either dialect, whole or as a stream, with and without
/// fallbacks, and one in two hundred that is left by its client.
async fn call(server: &TestApp, number: usize) {
    let client = server
        .client()
        .with_header("x-run-id", &format!("run-{}", number % 50));
    let is_stream = number.is_multiple_of(2);
    let (model, fallbacks) = match number % 10 {
        0..=3 => ("plain", Value::Null),
        4..=6 => ("claude", Value::Null),
        7 => ("long", Value::Null),
        8 => ("broken", json!(["claude", "plain"])),
        _ => ("refused", json!(["plain"])),
    };
    let is_left = number % 200 == 77;
    let mut body = chat(if is_left { "slow" } else { model });
    body["stream"] = json!(is_stream || is_left);
    if !fallbacks.is_null() && !is_left {
        body["models"] = fallbacks;
    }
    let path = if number.is_multiple_of(3) && !is_left {
        body["max_tokens"] = json!(100);
        "/v1/messages"
    } else {
        CHAT
    };
    if is_left {
        let mut stream = client.stream(path, &body).await.unwrap();
        stream.next().await.unwrap();
    } else {
        let answer = client.post(path, &body).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// What the ledger says that finished answers cost, and their tokens.
fn expected(received: &[Received]) -> (Tokens, i64) {
    let mut sum = Tokens::default();
    let mut cost = 0;
    for request in received.iter().filter(|it| it.ending == Ending::Finished) {
        let Usage {
            input,
            cache_read,
            cache_write,
            output,
            reasoning,
        } = request.usage;
        let is_anthropic = request.path.ends_with("/messages");
        // OpenAI's format tells no writes apart: they are in its input.
        let (input, cache_write) = if is_anthropic {
            (input, cache_write)
        } else {
            (input + cache_write, 0)
        };
        let tokens = Tokens {
            uncached_input: input,
            cache_read,
            cache_write_5m: cache_write,
            cache_write_1h: 0,
            output,
            reasoning: if is_anthropic { 0 } else { reasoning },
        };
        cost += if is_anthropic { ANTHROPIC } else { OPENAI }.cost(&tokens);
        sum.uncached_input += tokens.uncached_input;
        sum.cache_read += tokens.cache_read;
        sum.cache_write_5m += tokens.cache_write_5m;
        sum.output += tokens.output;
        sum.reasoning += tokens.reasoning;
    }
    (sum, cost)
}

async fn total(server: &TestApp, query: &str) -> Value {
    let answer = server
        .client()
        .get(&format!("/v1/usage{query}"))
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["total"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_mixed_calls_equal_the_ledger_of_the_stand_in() {
    let simulator = RunningSimulator::remembering(4 * CALLS).await.unwrap();
    // Faults are spread evenly, and no target is to be skipped for them.
    let builder = app().setting("limits.circuit_breakers", "false");
    let server = builder.start().await.unwrap();
    let list = server.data_dir().path().join("prices.toml");
    std::fs::write(&list, PRICES).unwrap();
    let done = app()
        .data_dir(server.data_dir())
        .run(&["prices", "update", list.to_str().unwrap()])
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    configurations(&server, &simulator).await;

    let calls = futures::stream::iter(0..CALLS).map(|number| call(&server, number));
    calls.buffer_unordered(AT_ONCE).collect::<()>().await;

    let left = CALLS / 200;
    eventually(Duration::from_secs(30), async || {
        total(&server, "").await["calls"] == CALLS
    })
    .await;
    let received = simulator.ledger().requests();
    let whole = total(&server, "").await;
    let (tokens, cost) = expected(&received);
    assert_eq!(whole["attempts"], received.len());
    let counted = json!({
        "uncached_input": tokens.uncached_input, "cache_read": tokens.cache_read,
        "cache_write_5m": tokens.cache_write_5m, "cache_write_1h": 0,
        "output": tokens.output, "reasoning": tokens.reasoning,
    });
    assert_eq!(whole["tokens"], counted);
    assert_eq!(whole["cost_micros"], cost);
    assert_eq!(whole["has_unpriced"], false);
    assert_eq!(
        total(&server, "?outcome=client_closed").await["attempts"],
        left
    );
    let dropped = server.client().get("/metrics").await.unwrap().text();
    assert!(
        !dropped
            .lines()
            .any(|line| line.starts_with("quartermaster_usage_dropped_total")
                && !line.ends_with(" 0")),
        "{dropped}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_of_an_outage_is_not_lost() {
    let cluster = Cluster::start();
    let simulator = RunningSimulator::start().await.unwrap();
    let url = cluster.fresh_database();
    let server = app().setting("database.url", &url).start().await.unwrap();
    create(
        &server.client(),
        &at_simulator("known", &simulator, "gpt-test"),
    )
    .await;
    let mut made = 0;
    let mut calls = async |count: u64| {
        for _ in 0..count {
            said(&server.client().post(CHAT, &chat("known")).await.unwrap());
        }
        made += count;
        made
    };
    let stored = async |made: u64| {
        let limit = Duration::from_secs(5);
        let took = eventually(limit, async || {
            let answer = server.client().get("/v1/usage").await.unwrap();
            answer.status == 200 && answer.json()["total"]["calls"] == made
        });
        took.await
    };
    stored(calls(20).await).await;
    cluster.stop();
    calls(200).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    calls(200).await;
    cluster.start_again();
    stored(calls(1).await).await;
    cluster.pause();
    calls(200).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.resume();
    stored(calls(1).await).await;
    cluster.restart();
    stored(calls(50).await).await;
    assert_eq!(simulator.ledger().count(), made);
}

#[tokio::test]
async fn an_orderly_end_stores_what_is_queued() {
    let simulator = RunningSimulator::start().await.unwrap();
    let mut server = app()
        .setting("usage.flush_seconds", "30")
        .start()
        .await
        .unwrap();
    create(
        &server.client(),
        &at_simulator("known", &simulator, "gpt-test"),
    )
    .await;
    for _ in 0..10 {
        said(&server.client().post(CHAT, &chat("known")).await.unwrap());
    }
    let data_dir = server.data_dir().clone();
    server.terminate().unwrap();
    assert!(server.wait().await.unwrap().success());
    drop(server);
    let again = app().data_dir(&data_dir).start().await.unwrap();
    assert_eq!(total(&again, "").await["calls"], 10);
    let list = again.client().get(CONFIGURATIONS).await.unwrap();
    assert_eq!(list.status, 200);
}
