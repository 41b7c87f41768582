//! What several tests need.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::application::{TestApp, TestAppBuilder};
use testkit::client::{Answer, Client};
use testkit::simulator::serve::RunningSimulator;

/// The path of model configurations.
pub(crate) const CONFIGURATIONS: &str = "/v1/model-configurations";

/// The path of chat completions.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A server to be started, of this very build.
pub(crate) fn app() -> TestAppBuilder {
    TestApp::builder().program(env!("CARGO_BIN_EXE_quartermaster"))
}

/// A chat request.
pub(crate) fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello!"}]})
}

/// A chat request whose answer is a stream.
pub(crate) fn streamed(model: &str) -> Value {
    let mut body = chat(model);
    body["stream"] = json!(true);
    body
}

/// A configuration of an OpenAI model that lies at the stand-in, with a key of its own.
pub(crate) fn at_simulator(name: &str, simulator: &RunningSimulator, model: &str) -> Value {
    json!({
        "name": name,
        "provider": "openai",
        "model": model,
        "api_key": "sk-of-the-tests-0123456789",
        "max_retries": 0,
        "additional_params": {"base_url": simulator.openai_base_url()},
    })
}

/// Makes a model configuration and returns its id.
pub(crate) async fn create(client: &Client, body: &Value) -> String {
    let answer = client.post(CONFIGURATIONS, body).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The text of a chat completion that must have succeeded.
pub(crate) fn said(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let content = &answer.json()["choices"][0]["message"]["content"];
    content.as_str().unwrap_or_default().to_owned()
}

/// Tries until something is so, and says how long that took.
pub(crate) async fn eventually(limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < limit, "not so within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}
