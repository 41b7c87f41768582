//! Streams that break: before the first content nothing is seen, after it the client
//! is told in its own dialect.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use testkit::simulator::serve::RunningSimulator;

use crate::gateway_under_test::{GatewayUnderTest, Workshop, anthropic, openai, streamed};
use crate::raw_upstream::{Act, RawUpstream};
use gateway::meter::Outcome;

const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const HELLO: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

async fn scripted(script: Vec<Act>) -> (RawUpstream, GatewayUnderTest) {
    let upstream = RawUpstream::start(script).await;
    let gateway = Workshop::new()
        .row("scripted", "openai", "gpt", &upstream.base_url())
        .start()
        .await;
    (upstream, gateway)
}

fn stream_of(pieces: &[&str]) -> Vec<Act> {
    let mut script = vec![Act::event_stream()];
    for piece in pieces {
        script.push(Act::text(piece));
        script.push(Act::Wait(Duration::from_millis(20)));
    }
    script
}

async fn text_of(gateway: &GatewayUnderTest, path: &str, question: &Value) -> String {
    let client = gateway.client(1);
    let mut stream = client.stream(path, question).await.expect("an answer");
    assert_eq!(stream.status, StatusCode::OK);
    String::from_utf8(stream.rest().await.expect("a clean end")).expect("UTF-8")
}

/// The last event of a stream, as JSON.
fn last_event(stream: &str) -> Value {
    let mut lines = stream.lines().rev();
    let data = lines.find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap_or_default()).unwrap_or_default()
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_ends_with_an_error_event() {
    let pieces: [&[&str]; 5] = [
        &[ROLE, HELLO],
        &[ROLE, HELLO, "data: {\"choices\":[{\"ind"],
        &[ROLE, HELLO, "data: {not json}\n\n"],
        &[
            ROLE,
            HELLO,
            "data: {\"error\":{\"message\":\"no more\",\"type\":\"server_error\"}}\n\n",
            STOP,
            DONE,
        ],
        &[
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\r\n\r\n",
            "data: {\"err",
        ],
    ];
    for pieces in pieces {
        let (upstream, gateway) = scripted(stream_of(pieces)).await;
        let text = text_of(
            &gateway,
            "/v1/chat/completions",
            &streamed(openai("scripted")),
        )
        .await;
        assert_eq!(text.matches("Hello").count(), 1, "{pieces:?}: {text}");
        assert!(
            last_event(&text)["error"]["message"].is_string(),
            "{pieces:?}: {text}"
        );
        assert!(!text.contains("[DONE]"), "{pieces:?}: {text}");
        assert_eq!(upstream.connections(), 1, "{pieces:?}");
        let outcome = gateway.records.all()[0].outcome;
        assert!(
            matches!(outcome, Outcome::Failed(_)),
            "{pieces:?}: {outcome:?}"
        );

        let text = text_of(&gateway, "/v1/messages", &streamed(anthropic("scripted"))).await;
        assert_eq!(text.matches("Hello").count(), 1, "{pieces:?}: {text}");
        assert_eq!(last_event(&text)["type"], "error", "{pieces:?}: {text}");
        assert!(!text.contains("message_stop"), "{pieces:?}: {text}");
    }
}

#[tokio::test]
async fn a_stream_that_fails_before_content_is_an_ordinary_failure() {
    let pieces: [&[&str]; 5] = [
        &[],
        &[ROLE],
        &[
            ROLE,
            "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n",
        ],
        &[": comment\n\n", "data: {not json}\n\n"],
        // Content in the same piece as the failure has not been released either.
        &[
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"error\":{\"message\":\"no\"}}\n\n",
        ],
    ];
    for pieces in pieces {
        let upstream = RawUpstream::start(stream_of(pieces)).await;
        let fine = RunningSimulator::start().await.expect("a simulator");
        let gateway = Workshop::new()
            .row("scripted", "openai", "gpt", &upstream.base_url())
            .row("fine", "openai", "simulated-chat", &fine.openai_base_url())
            .start()
            .await;
        let answer = gateway.chat(&streamed(openai("scripted"))).await;
        assert!(
            answer.status.is_server_error(),
            "{pieces:?}: {}",
            answer.text()
        );
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(upstream.connections(), 3, "{pieces:?}");
        let mut question = streamed(openai("scripted"));
        question["models"] = json!(["fine"]);
        let text = text_of(&gateway, "/v1/chat/completions", &question).await;
        assert!(text.ends_with(DONE), "{pieces:?}: {text}");
        assert!(!text.contains("\"error\""), "{pieces:?}: {text}");
    }
}

#[tokio::test]
async fn whatever_way_a_whole_stream_is_cut_it_arrives_whole() {
    let whole = [
        ROLE,
        HELLO,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" wörld\"}}]}\n\n",
        STOP,
        DONE,
    ]
    .concat();
    for size in [1, 7, 64, 10_000] {
        let mut script = vec![Act::event_stream()];
        for piece in whole.as_bytes().chunks(size) {
            script.push(Act::Send(piece.to_vec()));
        }
        let (_upstream, gateway) = scripted(script).await;
        let text = text_of(
            &gateway,
            "/v1/chat/completions",
            &streamed(openai("scripted")),
        )
        .await;
        assert_eq!(text, whole, "pieces of {size}");
        assert_eq!(gateway.records.all()[0].outcome, Outcome::Success);
    }
}

#[tokio::test]
async fn a_stream_without_its_last_event_is_no_success() {
    for last in [&[ROLE, HELLO][..], &[ROLE, HELLO, HELLO]] {
        let (_upstream, gateway) = scripted(stream_of(last)).await;
        let text = text_of(
            &gateway,
            "/v1/chat/completions",
            &streamed(openai("scripted")),
        )
        .await;
        assert!(last_event(&text)["error"].is_object(), "{text}");
    }
    // A provider that says why it stopped and forgets `[DONE]` has said everything.
    let (_upstream, gateway) = scripted(stream_of(&[ROLE, HELLO, STOP])).await;
    text_of(
        &gateway,
        "/v1/chat/completions",
        &streamed(openai("scripted")),
    )
    .await;
    assert_eq!(gateway.records.all()[0].outcome, Outcome::Success);
}

#[tokio::test]
async fn a_provider_that_does_not_close_after_the_end_keeps_nobody_waiting() {
    let mut script = stream_of(&[ROLE, HELLO, STOP, DONE]);
    script.push(Act::Hold);
    let (upstream, gateway) = scripted(script).await;
    let started = std::time::Instant::now();
    let text = text_of(
        &gateway,
        "/v1/chat/completions",
        &streamed(openai("scripted")),
    )
    .await;
    assert!(text.ends_with(DONE), "{text}");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(gateway.within_a_second(|_| upstream.closed() == 1).await);
    assert_eq!(gateway.records.all()[0].outcome, Outcome::Success);
}

#[tokio::test]
async fn each_piece_goes_on_as_it_comes() {
    let mut script = vec![Act::event_stream(), Act::text(ROLE), Act::text(HELLO)];
    script.push(Act::Hold);
    let (_upstream, gateway) = scripted(script).await;
    let mut stream = gateway.chat_stream(&streamed(openai("scripted"))).await;
    let mut seen = String::new();
    while !seen.contains("Hello") {
        let piece = tokio::time::timeout(Duration::from_secs(2), stream.next()).await;
        let piece = piece.expect("held back").expect("a piece").expect("more");
        seen.push_str(&String::from_utf8_lossy(&piece));
    }
}

#[tokio::test]
async fn a_stall_after_content_ends_the_stream_in_time() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let parameters = json!({"base_url": upstream.openai_base_url()});
    let gateway = Workshop::new()
        .add("stalls", "openai", "fault:stall=4", parameters, |row| {
            row.configuration.settings.timeout_seconds = Some(0.3);
        })
        .start()
        .await;
    let text = text_of(
        &gateway,
        "/v1/chat/completions",
        &streamed(openai("stalls")),
    )
    .await;
    let error = last_event(&text)["error"].clone();
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("nothing")),
        "{error}"
    );
    assert_eq!(upstream.ledger().count(), 1);
}

#[tokio::test]
async fn something_else_than_a_stream_is_no_stream() {
    let json = "content-type: application/json\r\n";
    let whole = "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"Hello\"}}]}";
    let (upstream, gateway) = scripted(vec![Act::answer("200 OK", json, whole)]).await;
    let answer = gateway.chat(&streamed(openai("scripted"))).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.text());
    assert_eq!(upstream.connections(), 3);
}
