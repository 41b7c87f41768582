//! How much of a stream is held back, and what failures a client therefore never sees.

use std::time::Duration;

use gateway::StreamCommit;
use http::StatusCode;
use serde_json::{Value, json};
use testkit::simulator::serve::RunningSimulator;

use crate::gateway_under_test::{GatewayUnderTest, Workshop, anthropic, openai, streamed};
use crate::raw_upstream::{Act, RawUpstream};

const HEADER: &str = "x-quartermaster-stream-commit";
const HELLO: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const CALL: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\
    \"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"look\",\
    \"arguments\":\"{\\\"at\\\"\"}}]}}]}\n\n";
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\
    \"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\
    \"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n\
    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\
    \"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
    \"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n";
const BLOCK_STOP: &str = "event: content_block_stop\n\
    data: {\"type\":\"content_block_stop\",\"index\":0}\n\n";

/// A provider of OpenAI's and one of Anthropic's that send `pieces` of a stream and break
/// off, and one that is well.
struct Scene {
    broken: RawUpstream,
    fine: RunningSimulator,
    gateway: GatewayUnderTest,
}

impl Scene {
    async fn of(pieces: &[&str], provider: &str, set: impl FnOnce(&mut Workshop)) -> Self {
        let mut script = vec![Act::event_stream()];
        for piece in pieces {
            script.push(Act::text(piece));
            script.push(Act::Wait(Duration::from_millis(20)));
        }
        let broken = RawUpstream::start(script).await;
        let fine = RunningSimulator::start().await.expect("a simulator");
        let mut workshop = Workshop::new()
            .without_circuit_breakers()
            .row("broken", provider, "m", &broken.base_url())
            .row("fine", "openai", "simulated-chat", &fine.openai_base_url());
        set(&mut workshop);
        let gateway = workshop.start().await;
        Self {
            broken,
            fine,
            gateway,
        }
    }

    async fn ask(&self, path: &str, mut question: Value, commit: Option<&str>) -> String {
        question["models"] = json!(["fine"]);
        let mut client = self.gateway.client(1);
        if let Some(commit) = commit {
            client = client.with_header(HEADER, commit);
        }
        let mut stream = client.stream(path, &question).await.expect("an answer");
        assert_eq!(stream.status, StatusCode::OK);
        String::from_utf8(stream.rest().await.expect("a clean end")).expect("UTF-8")
    }
}

fn chat() -> (&'static str, Value) {
    ("/v1/chat/completions", streamed(openai("broken")))
}

fn messages() -> (&'static str, Value) {
    ("/v1/messages", streamed(anthropic("broken")))
}

fn assert_is_of_the_fallback(text: &str) {
    assert!(!text.contains("Hello"), "{text}");
    assert!(!text.contains("look"), "{text}");
    assert!(!text.contains("\"error\""), "{text}");
    let is_whole = text.ends_with("data: [DONE]\n\n") || text.contains("message_stop");
    assert!(is_whole, "{text}");
    let begins = text.matches("message_start").count();
    // Each event has its name and its type.
    assert!(matches!(begins, 0 | 2), "{text}");
}

#[tokio::test]
async fn a_failure_within_the_first_block_is_answered_by_the_fallback() {
    // Passed through and translated, in both dialects of the client.
    for (provider, pieces) in [
        ("openai", &[HELLO, HELLO][..]),
        ("openai", &[CALL]),
        ("anthropic", &[START]),
    ] {
        let scene = Scene::of(pieces, provider, |_| {}).await;
        for (path, question) in [chat(), messages()] {
            let before = scene.fine.ledger().count();
            let text = scene.ask(path, question.clone(), Some("first_block")).await;
            assert_is_of_the_fallback(&text);
            assert_eq!(scene.fine.ledger().count(), before + 1);
            let text = scene.ask(path, question, Some("first_byte")).await;
            assert!(text.contains("\"error\""), "{provider} {path}: {text}");
            assert_eq!(scene.fine.ledger().count(), before + 1);
        }
        assert_eq!(scene.broken.connections(), 2 * 3 + 2, "tries and retries");
    }
}

#[tokio::test]
async fn a_failure_after_the_first_block_ends_the_stream_with_an_error_event() {
    for (provider, pieces) in [
        ("openai", &[HELLO, CALL][..]),
        ("anthropic", &[START, BLOCK_STOP]),
    ] {
        let scene = Scene::of(pieces, provider, |_| {}).await;
        for (path, question) in [chat(), messages()] {
            let text = scene.ask(path, question, Some("first_block")).await;
            assert_eq!(
                text.matches("Hello").count(),
                1,
                "{provider} {path}: {text}"
            );
            assert!(text.contains("\"error\""), "{provider} {path}: {text}");
        }
        assert_eq!(scene.fine.ledger().count(), 0);
        assert_eq!(scene.broken.connections(), 2);
    }
}

#[tokio::test]
async fn the_setting_holds_where_the_call_says_nothing() {
    let held = |workshop: &mut Workshop| workshop.stream_commit = StreamCommit::FirstBlock;
    let scene = Scene::of(&[HELLO], "openai", held).await;
    let (path, question) = chat();
    assert_is_of_the_fallback(&scene.ask(path, question.clone(), None).await);
    let text = scene.ask(path, question, Some("first_byte")).await;
    assert_eq!(text.matches("Hello").count(), 1, "{text}");
}

#[tokio::test]
async fn a_block_that_is_too_large_to_hold_is_released() {
    let held = |workshop: &mut Workshop| workshop.limits.stream_event_bytes = 3 * HELLO.len();
    let scene = Scene::of(&[HELLO; 5], "openai", held).await;
    let (path, question) = chat();
    let text = scene.ask(path, question, Some("first_block")).await;
    assert_eq!(text.matches("Hello").count(), 5, "{text}");
    assert!(text.contains("\"error\""), "{text}");
    assert_eq!(scene.fine.ledger().count(), 0);
}

#[tokio::test]
async fn a_whole_stream_is_the_same_however_long_it_is_held() {
    let scene = Scene::of(&[], "openai", |_| {}).await;
    let client = scene.gateway.client(1);
    for commit in ["first_byte", "first_block"] {
        let client = client.with_header(HEADER, commit);
        let question = streamed(openai("fine"));
        let mut stream = client.stream(chat().0, &question).await.expect("an answer");
        let text = String::from_utf8(stream.rest().await.expect("an end")).expect("UTF-8");
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        assert_eq!(text.matches("[DONE]").count(), 1);
    }
    let answer = client
        .with_header(HEADER, "last_byte")
        .post(chat().0, &streamed(openai("fine")))
        .await
        .expect("an answer");
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
}
