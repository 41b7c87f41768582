//! Answers are predictable; faults are what was asked for; the ledger knows.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::client::Client;
use testkit::simulator::answer::PREFIX;
use testkit::simulator::ledger::Ending;
use testkit::simulator::serve::RunningSimulator;

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "say three words"}]})
}

fn streamed(model: &str) -> Value {
    let mut body = chat(model);
    body["stream"] = json!(true);
    body
}

async fn start() -> (RunningSimulator, Client) {
    let simulator = RunningSimulator::start().await.unwrap();
    let client = Client::new(&simulator.anthropic_base_url());
    (simulator, client)
}

#[tokio::test]
async fn answers_follow_from_the_request() {
    let (simulator, client) = start().await;
    let first = client
        .post("/v1/chat/completions", &chat("simulated-chat"))
        .await
        .unwrap();
    let second = client
        .post("/v1/chat/completions", &chat("simulated-chat"))
        .await
        .unwrap();
    assert_eq!(first.body, second.body);
    let answer = first.json();
    let text = format!("{PREFIX}say three words");
    assert_eq!(answer["choices"][0]["message"]["content"], text);
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    assert_eq!(answer["usage"]["completion_tokens"], 6);
    assert_eq!(
        (
            simulator.ledger().usage().input,
            simulator.ledger().usage().output
        ),
        (6, 12)
    );
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let (_simulator, client) = start().await;
    let mut body = streamed("simulated-chat:reasoning=2");
    body["max_tokens"] = json!(100);
    let mut stream = client.stream("/v1/messages", &body).await.unwrap();
    let text = String::from_utf8(stream.rest().await.unwrap()).unwrap();
    let said: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|event| event["delta"]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, format!("{PREFIX}say three words"));
    assert!(text.contains("signature_delta"));
    assert!(text.ends_with("data: {\"type\":\"message_stop\"}\n\n"));
}

#[tokio::test]
async fn tools_are_called_in_parallel_on_demand_and_not_after_their_result() {
    let (_simulator, client) = start().await;
    let mut body = chat("simulated-chat:tools=2");
    body["tools"] = json!([{"type": "function", "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }}]);
    let answer = client
        .post("/v1/chat/completions", &body)
        .await
        .unwrap()
        .json();
    let calls = &answer["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls.as_array().map(Vec::len), Some(2));
    assert_eq!(calls[1]["function"]["arguments"], r#"{"city":"simulated"}"#);
    assert_ne!(calls[0]["id"], calls[1]["id"]);

    body["model"] = json!("simulated-chat");
    body["messages"] = json!([
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]);
    let answer = client
        .post("/v1/chat/completions", &body)
        .await
        .unwrap()
        .json();
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn faults_are_what_was_asked_for() {
    let (_simulator, client) = start().await;
    let post = async |model: &str| client.post("/v1/chat/completions", &chat(model)).await;

    let limited = post("fault:429:retry-after=2").await.unwrap();
    assert_eq!(
        (limited.status.as_u16(), limited.header("retry-after")),
        (429, "2")
    );

    let keyed = client.with_key("sk-planted");
    let echoed = keyed
        .post("/v1/chat/completions", &chat("fault:echo-key"))
        .await
        .unwrap();
    assert_eq!(echoed.status, 401);
    assert!(echoed.text().contains("sk-planted"));

    let page = post("fault:html").await.unwrap();
    assert_eq!(
        (page.status.as_u16(), page.header("content-type")),
        (502, "text/html")
    );

    let broken = post("fault:malformed").await.unwrap();
    assert!(serde_json::from_slice::<Value>(&broken.body).is_err());
    assert!(post("fault:empty").await.unwrap().body.is_empty());
    assert!(post("fault:reset").await.unwrap_err().0.contains("reset"));
    assert_eq!(post("fault:whoops").await.unwrap().status, 400);

    let statuses = [
        post("fault:500:times=2").await,
        post("fault:500:times=2").await,
        post("fault:500:times=2").await,
    ];
    assert_eq!(
        statuses.map(|answer| answer.unwrap().status.as_u16()),
        [500, 500, 200]
    );
}

#[tokio::test]
async fn a_stream_can_break_off_or_end_early() {
    let (_simulator, client) = start().await;
    let path = "/v1/chat/completions";
    let mut reset = client
        .stream(path, &streamed("fault:reset=3"))
        .await
        .unwrap();
    assert_eq!(reset.status, 200);
    assert!(reset.rest().await.is_err());

    let mut cut = client
        .stream(path, &streamed("fault:truncate=3"))
        .await
        .unwrap();
    let text = String::from_utf8(cut.rest().await.unwrap()).unwrap();
    assert_eq!(text.matches("data: ").count(), 3);
    assert!(!text.contains("[DONE]"));

    let mut dripped = client
        .stream(path, &streamed("fault:drip=0:truncate=1"))
        .await
        .unwrap();
    assert!(dripped.rest().await.unwrap().starts_with(b"data: {"));
}

#[tokio::test]
async fn the_ledger_knows_when_a_client_went_away() {
    let (simulator, client) = start().await;
    let body = streamed("simulated-chat:words=1000:pace=0.01");
    let mut stream = client.stream("/v1/chat/completions", &body).await.unwrap();
    stream.next().await.unwrap();
    drop(stream);
    let noticed = simulator
        .ledger()
        .wait_until(Duration::from_secs(10), |requests| {
            requests[0].ending == Ending::Cancelled
        })
        .await;
    assert!(noticed, "{:?}", simulator.ledger().requests()[0].ending);
}
