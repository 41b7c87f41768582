//! Every fault of a provider, as a stream and not, alone, with a fallback that speaks the
//! same protocol, and with one that speaks another. What must come of it is a table.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};
use testkit::simulator::serve::RunningSimulator;
use tokio::task::JoinSet;

use crate::gateway_under_test::{PROVIDER_KEY, Workshop, openai};
use crate::raw_upstream::{Act, RawUpstream};

/// What comes of a fault.
#[derive(Clone, Copy, PartialEq)]
enum Comes {
    /// The client's own fault: this status, whatever else there is.
    Stays(u16),
    /// This status alone; the fallback's answer where there is one.
    FallsBack(u16),
    /// Said already: the stream ends with an error event.
    Breaks,
}
use Comes::{Breaks, FallsBack, Stays};

/// Where the fault is.
#[derive(Clone)]
enum Place {
    /// In what is answered.
    Answer(Vec<Act>),
    /// On the way to this address.
    At(&'static str),
    /// TLS is spoken to a port that speaks none.
    NoTls,
}

const HELLO: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
/// So that what came before has been read.
const PAUSE: Duration = Duration::from_millis(200);
const JSON: &str = "content-type: application/json\r\n";
const EVENTS: &str = "content-type: text/event-stream\r\n";

fn status(line: &str, headers: &str, message: &str) -> Place {
    let body = json!({"error": {"message": message, "type": "error"}}).to_string();
    Place::Answer(vec![Act::answer(line, &format!("{JSON}{headers}"), &body)])
}

fn text(pieces: &[&str]) -> Place {
    Place::Answer(pieces.iter().map(|piece| Act::text(piece)).collect())
}

fn events(rest: Vec<Act>) -> Place {
    Place::Answer([vec![Act::event_stream()], rest].concat())
}

/// Name, fault, what comes of a call that does not stream, and of one that does.
fn table() -> Vec<(&'static str, Place, Comes, Comes)> {
    let both = |name, place, comes| (name, place, comes, comes);
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
    let quota = "You exceeded your current quota, please check your plan and billing details.";
    let quota = json!({"error": {"message": quota, "code": "insufficient_quota"}}).to_string();
    let quota = Act::answer("429 Too Many Requests", JSON, &quota);
    let far = "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n";
    let soon = "retry-after: Tue, 14 Nov 2023 22:13:23 GMT\r\n";
    let page = Act::answer("502 Bad Gateway", "content-type: text/html\r\n", "<html>");
    let fake = Act::answer(
        "200 OK",
        "content-type: text/html\r\n",
        "<html>Welcome</html>",
    );
    vec![
        both(
            "refused",
            Place::At("http://127.0.0.1:1/v1"),
            FallsBack(502),
        ),
        both(
            "no name",
            Place::At("http://nowhere.invalid/v1"),
            FallsBack(502),
        ),
        both("no TLS", Place::NoTls, FallsBack(502)),
        both(
            "slow header",
            Place::Answer(vec![Act::Hold]),
            FallsBack(504),
        ),
        (
            "stalled body",
            Place::Answer(vec![Act::text(cut), Act::Hold]),
            FallsBack(504),
            FallsBack(502),
        ),
        both("closed at once", text(&[""]), FallsBack(502)),
        both("cut body", text(&[cut, "{\"id\""]), FallsBack(502)),
        both("400", status("400 Bad Request", "", "no"), Stays(400)),
        both("401", status("401 Unauthorized", "", "no"), FallsBack(502)),
        both("403", status("403 Forbidden", "", "no"), FallsBack(502)),
        both("404", status("404 Not Found", "", "no"), FallsBack(404)),
        both(
            "408",
            status("408 Request Timeout", "", "no"),
            FallsBack(502),
        ),
        both("409", status("409 Conflict", "", "no"), FallsBack(502)),
        both("413", status("413 Payload Too Large", "", "no"), Stays(413)),
        both(
            "429 s",
            status("429 Too Many Requests", "retry-after: 7\r\n", "no"),
            FallsBack(429),
        ),
        both(
            "429 date",
            status("429 Too Many Requests", soon, "no"),
            FallsBack(429),
        ),
        both(
            "429 absurd",
            status("429 Too Many Requests", far, "no"),
            FallsBack(429),
        ),
        both(
            "500",
            status("500 Internal Server Error", "", "no"),
            FallsBack(502),
        ),
        both("502", status("502 Bad Gateway", "", "no"), FallsBack(502)),
        both(
            "503",
            status("503 Service Unavailable", "", "no"),
            FallsBack(503),
        ),
        both("529", status("529 Overloaded", "", "no"), FallsBack(503)),
        both("HTML error", Place::Answer(vec![page]), FallsBack(502)),
        both("HTML answer", Place::Answer(vec![fake]), FallsBack(502)),
        both(
            "cut JSON",
            Place::Answer(vec![Act::answer("200 OK", JSON, "{\"choices\": [")]),
            FallsBack(502),
        ),
        both(
            "gzip",
            Place::Answer(vec![Act::answer(
                "200 OK",
                "content-encoding: gzip\r\n",
                "xx",
            )]),
            FallsBack(502),
        ),
        both(
            "empty stream",
            Place::Answer(vec![Act::answer("200 OK", EVENTS, "")]),
            FallsBack(502),
        ),
        both(
            "malformed event",
            events(vec![Act::text(ROLE), Act::text("data: {no\n\n")]),
            FallsBack(502),
        ),
        both(
            "silent stream",
            events(vec![Act::text(ROLE), Act::Hold]),
            FallsBack(504),
        ),
        both("quota", Place::Answer(vec![quota]), FallsBack(429)),
        (
            "cut stream",
            events(vec![Act::text(ROLE), Act::text(HELLO), Act::Wait(PAUSE)]),
            FallsBack(502),
            Breaks,
        ),
        (
            "stalled stream",
            events(vec![Act::text(HELLO), Act::Hold]),
            FallsBack(504),
            Breaks,
        ),
        (
            "malformed later",
            events(vec![
                Act::text(HELLO),
                Act::Wait(PAUSE),
                Act::text("data: {no\n\n"),
            ]),
            FallsBack(502),
            Breaks,
        ),
    ]
}

/// Where a call falls back to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fallback {
    None,
    SameProtocol,
    OtherProtocol,
}

#[tokio::test]
async fn every_fault_comes_to_what_the_table_says() {
    let mut cells = JoinSet::new();
    for (name, place, whole, streamed) in table() {
        for fallback in [
            Fallback::None,
            Fallback::SameProtocol,
            Fallback::OtherProtocol,
        ] {
            for (is_stream, comes) in [(false, whole), (true, streamed)] {
                let what = format!("{name}, {fallback:?}, stream: {is_stream}");
                cells.spawn(cell(what, place.clone(), fallback, is_stream, comes));
            }
        }
    }
    let faults: Vec<String> = cells.join_all().await.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// One call; what is wrong with what came of it.
async fn cell(
    what: String,
    place: Place,
    fallback: Fallback,
    is_stream: bool,
    comes: Comes,
) -> Option<String> {
    let simulator = RunningSimulator::start().await.expect("a simulator");
    let script = match &place {
        Place::Answer(script) => script.clone(),
        Place::At(_) | Place::NoTls => vec![Act::text("SSH-2.0\r\n")],
    };
    let upstream = RawUpstream::start(script).await;
    let url = match place {
        Place::Answer(_) => upstream.base_url(),
        Place::At(url) => url.to_owned(),
        Place::NoTls => simulator.openai_base_url().replace("http:", "https:"),
    };
    let mut workshop =
        Workshop::new().add("first", "openai", "gpt", json!({"base_url": url}), |row| {
            row.configuration.settings.max_retries = Some(0);
        });
    workshop = workshop
        .row(
            "openai",
            "openai",
            "simulated",
            &simulator.openai_base_url(),
        )
        .row(
            "claude",
            "anthropic",
            "simulated",
            &simulator.anthropic_base_url(),
        );
    workshop.limits.connect = Duration::from_secs(2);
    workshop.limits.idle = Duration::from_secs(2);
    workshop.limits.call = Duration::from_secs(20);
    let gateway = workshop.start().await;
    let mut question = openai("first");
    question["stream"] = json!(is_stream);
    match fallback {
        Fallback::None => {}
        Fallback::SameProtocol => question["models"] = json!(["openai"]),
        Fallback::OtherProtocol => question["models"] = json!(["claude"]),
    }
    let began = Instant::now();
    let answer = gateway.chat(&question).await;
    let took = began.elapsed();
    let text = answer.text();
    let expected = match comes {
        Stays(status) => status,
        FallsBack(status) if fallback == Fallback::None => status,
        FallsBack(_) | Breaks => 200,
    };
    let wait = answer
        .header("retry-after")
        .parse::<u64>()
        .unwrap_or_default();
    let wrong = if answer.status != StatusCode::from_u16(expected).expect("a status") {
        format!("status {} and not {expected}", answer.status)
    } else if took > Duration::from_secs(15) {
        format!("it took {took:?}")
    } else if wait > 3600 {
        format!("retry after {wait} s")
    } else if text.contains(PROVIDER_KEY) {
        "the key shows".to_owned()
    } else if comes == Breaks && (text.matches("Hello").count() != 1 || !ends_with_error(&text)) {
        "the stream does not end with an error".to_owned()
    } else if comes != Breaks && expected == 200 && !answers_once(&text, is_stream) {
        "the fallback's answer is not there once".to_owned()
    } else if expected != 200 && answer.json()["error"]["message"].as_str().is_none() {
        "no message".to_owned()
    } else {
        // Nothing of this is there for anybody else.
        let other = gateway
            .client(2)
            .post("/v1/chat/completions", &question)
            .await;
        let status = other.expect("an answer").status;
        if status == StatusCode::NOT_FOUND {
            return None;
        }
        format!("{status} for another organisation")
    };
    Some(format!("{what}: {wrong}: {text}"))
}

fn ends_with_error(stream: &str) -> bool {
    let last = stream
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data: "));
    let last: Value = serde_json::from_str(last.unwrap_or_default()).unwrap_or_default();
    last["error"]["message"].is_string()
}

/// The simulator quotes the question.
fn answers_once(text: &str, is_stream: bool) -> bool {
    let said: String = if is_stream {
        let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
        let pieces = events.map(|event| event["choices"][0]["delta"]["content"].clone());
        pieces
            .filter_map(|piece| piece.as_str().map(str::to_owned))
            .collect()
    } else {
        let answer: Value = serde_json::from_str(text).unwrap_or_default();
        let said = answer["choices"][0]["message"]["content"].as_str();
        said.unwrap_or_default().to_owned()
    };
    said.matches("How do you do?").count() == 1
}
