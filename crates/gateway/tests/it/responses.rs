//! Clients of OpenAI's Responses API, and providers that speak it.

use http::StatusCode;
use serde_json::{Value, json};
use testkit::simulator::serve::RunningSimulator;

use crate::gateway_under_test::{GatewayUnderTest, Workshop, anthropic, openai, streamed};
use gateway::meter::Outcome;

const PATH: &str = "/v1/responses";

/// Configurations whose calls go through the Responses API, through chat completions and
/// through Anthropic's messages.
async fn simulated(model: &str) -> (RunningSimulator, GatewayUnderTest) {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let base_url = upstream.openai_base_url();
    let responses = json!({"base_url": base_url, "use_responses_api": true});
    let gateway = Workshop::new()
        .without_circuit_breakers()
        .add("responses", "openai", model, responses, |row| {
            row.configuration.settings.max_retries = Some(0);
        })
        .row("chat", "openai", model, &base_url)
        .row("claude", "anthropic", model, &upstream.anthropic_base_url())
        .start()
        .await;
    (upstream, gateway)
}

fn question(model: &str) -> Value {
    json!({"model": model, "input": "Which way is north?", "max_output_tokens": 100})
}

fn weather() -> Value {
    json!([{"type": "function", "name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}])
}

async fn text_of(gateway: &GatewayUnderTest, path: &str, question: &Value) -> String {
    let client = gateway.client(1);
    let mut stream = client.stream(path, question).await.expect("an answer");
    assert_eq!(stream.status, StatusCode::OK);
    String::from_utf8(stream.rest().await.expect("a clean end")).expect("UTF-8")
}

fn events(stream: &str) -> Vec<Value> {
    stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn a_call_passes_through_where_the_provider_speaks_the_format() {
    let (upstream, gateway) = simulated("simulated-chat").await;
    let client = gateway.client(1);
    let answer = client.post(PATH, &question("responses")).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("x-quartermaster-translation-loss"), "");
    let body = answer.json();
    assert_eq!(body["object"], "response");
    // The provider's own answer, byte for byte: only it says this.
    assert_eq!(body["service_tier"], "default");
    let received = upstream.ledger().requests();
    assert_eq!(received[0].path, "/v1/responses");
    assert_eq!(received[0].json()["input"], "Which way is north?");

    let stream = text_of(&gateway, PATH, &streamed(question("responses"))).await;
    let last = events(&stream).pop().expect("an event");
    assert_eq!(last["type"], "response.completed");
    assert!(
        gateway
            .within_a_second(|gateway| gateway.records.all().len() == 2)
            .await
    );
    for record in gateway.records.all() {
        assert_eq!(record.outcome, Outcome::Success);
        let usage = record.usage.expect("usage");
        assert_eq!(
            usage.output_tokens,
            body["usage"]["output_tokens"].as_u64().unwrap_or(0)
        );
    }
    let metrics = gateway.metrics();
    assert!(
        metrics.contains("dialect=\"openai_responses\""),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_dialect_reaches_every_protocol() {
    let (_upstream, gateway) = simulated("simulated-chat").await;
    let client = gateway.client(1);
    for model in ["responses", "chat", "claude"] {
        let answer = client
            .post(PATH, &question(model))
            .await
            .expect("an answer");
        assert_eq!(answer.status, StatusCode::OK, "{model}: {}", answer.text());
        let body = answer.json();
        let said = &body["output"][0]["content"][0];
        let text = said["text"].as_str().unwrap_or_default();
        assert!(text.ends_with("Which way is north?"), "{model}: {body}");
        assert_eq!(
            (&body["status"], &said["type"]),
            (&json!("completed"), &json!("output_text"))
        );
        assert!(
            body["usage"]["total_tokens"].as_u64() > Some(5),
            "{model}: {body}"
        );

        let mut asked = question(model);
        asked["tools"] = weather();
        let stream = text_of(&gateway, PATH, &streamed(asked)).await;
        let events = events(&stream);
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], number, "{model}: {stream}");
        }
        let arguments: String = events
            .iter()
            .filter(|event| event["type"] == "response.function_call_arguments.delta")
            .filter_map(|event| event["delta"].as_str())
            .collect();
        let last = events.last().expect("an event");
        let call = &last["response"]["output"][0];
        assert_eq!(call["type"], "function_call", "{model}: {last}");
        assert_eq!(call["arguments"], arguments, "{model}");
    }
}

#[tokio::test]
async fn other_dialects_reach_a_provider_of_the_responses_api() {
    let (upstream, gateway) = simulated("simulated-chat:reasoning=3").await;
    let answer = gateway.chat(&openai("responses")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let message = answer.json()["choices"][0]["message"].clone();
    assert_eq!(
        message["reasoning_content"],
        "thought-1 thought-2 thought-3"
    );
    let details = &message["reasoning_details"][0];
    assert_eq!(details["type"], "reasoning.encrypted", "{message}");

    // What the model thought comes back to it.
    let again = json!({"model": "responses", "messages": [
        {"role": "user", "content": "Hello"}, message, {"role": "user", "content": "And?"}]});
    let answer = gateway.chat(&again).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let received = upstream.ledger().requests();
    let input = received[1].json()["input"].clone();
    assert_eq!(input[1]["type"], "reasoning", "{input}");
    assert_eq!(input[1]["encrypted_content"], details["data"]);

    let answer = gateway.messages(&anthropic("responses")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let stream = text_of(
        &gateway,
        "/v1/chat/completions",
        &streamed(openai("responses")),
    )
    .await;
    assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
    assert!(stream.contains("reasoning_content"), "{stream}");
}

#[tokio::test]
async fn what_asks_for_kept_answers_is_refused() {
    let (upstream, gateway) = simulated("simulated-chat").await;
    for (name, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "pmpt_1"})),
        ("background", json!(true)),
        ("store", json!(true)),
    ] {
        for (path, mut asked) in [
            (PATH, question("responses")),
            ("/v1/chat/completions", openai("responses")),
            ("/v1/chat/completions", openai("chat")),
            ("/v1/messages", anthropic("responses")),
        ] {
            asked[name] = value.clone();
            let client = gateway.client(1);
            let answer = client.post(path, &asked).await.expect("an answer");
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {name}");
            assert!(answer.text().contains("kept here"), "{}", answer.text());
        }
    }
    assert_eq!(upstream.ledger().count(), 0);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_event() {
    for fault in ["reset=6", "truncate=6", "error-event=6"] {
        let (_upstream, gateway) = simulated(&format!("fault:{fault}")).await;
        let text = text_of(&gateway, PATH, &streamed(question("responses"))).await;
        let last = events(&text).pop().expect("an event");
        assert_eq!(last["type"], "error", "{fault}: {text}");
        assert!(last["message"].is_string() && last["error"]["message"].is_string());
        assert!(!text.contains("response.completed"), "{fault}: {text}");
    }
}
