//! Connections to providers: reuse, isolation, and bodies within bounds.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::simulator::serve::RunningSimulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway_under_test::{
    GatewayUnderTest, Workshop, anthropic, api_key, openai, organization, streamed,
};
use crate::raw_upstream::{Act, RawUpstream};

#[tokio::test]
async fn connections_are_used_again_but_never_by_another_tenant() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let parameters = || json!({"base_url": upstream.openai_base_url()});
    let gateway = Workshop::new()
        .add("one", "openai", "simulated-chat", parameters(), |_| {})
        .add("two", "openai", "simulated-chat", parameters(), |row| {
            row.configuration.organization_id = Some(organization(2));
        })
        .start()
        .await;
    for _ in 0..3 {
        assert_eq!(gateway.chat(&openai("one")).await.status, StatusCode::OK);
        let mut stream = gateway.chat_stream(&streamed(openai("one"))).await;
        stream.rest().await.expect("a stream");
    }
    assert_eq!(upstream.ledger().connections().0, 1);
    let other = gateway.client(2);
    for _ in 0..3 {
        let answer = other.post("/v1/chat/completions", &openai("two")).await;
        assert_eq!(answer.expect("an answer").status, StatusCode::OK);
    }
    assert_eq!(upstream.ledger().connections().0, 2);
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_costs_no_attempt() {
    // It answers once on every connection and then closes it without saying so.
    let json = "content-type: application/json\r\n";
    let answer = Act::answer("200 OK", json, "{\"choices\":[]}");
    let upstream = RawUpstream::start(vec![answer]).await;
    let gateway = Workshop::new()
        .row("closing", "openai", "gpt", &upstream.base_url())
        .start()
        .await;
    for _ in 0..5 {
        let answer = gateway.chat(&openai("closing")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.header("x-quartermaster-attempts"), "1");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(upstream.connections(), 5);
}

#[tokio::test]
async fn many_calls_at_once_do_not_mix() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let gateway = Workshop::new()
        .row(
            "fast",
            "openai",
            "simulated-chat",
            &upstream.openai_base_url(),
        )
        .start()
        .await;
    let ask = async |number: usize| {
        let text = format!("question number {number}.");
        let question = json!({"model": "fast", "messages": [{"role": "user", "content": text}]});
        let answer = gateway.chat(&question).await;
        assert!(answer.text().contains(&text), "{}", answer.text());
    };
    for round in 0..4 {
        futures::future::join_all((0..32).map(|number| ask(round * 32 + number))).await;
    }
    assert!(upstream.ledger().connections().0 <= 32);
}

async fn raw_request(gateway: &GatewayUnderTest, head: &str, body: &[u8]) -> String {
    let mut client = TcpStream::connect(&gateway.address)
        .await
        .expect("a connection");
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {}\r\n{head}\r\n",
        api_key(1)
    );
    client.write_all(request.as_bytes()).await.expect("a head");
    // A server that has refused already may have closed the connection.
    let _ = client.write_all(body).await;
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn bodies_are_bounded_and_must_be_json() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let mut workshop = Workshop::new().row(
        "fast",
        "openai",
        "simulated-chat",
        &upstream.openai_base_url(),
    );
    workshop.limits.request_body_bytes = 4096;
    workshop.limits.request_body_idle = Duration::from_millis(200);
    let gateway = workshop.start().await;
    let json = "content-type: application/json\r\n";
    let large = vec![b' '; 5000];
    let nested = format!(
        "{{\"model\":\"fast\",\"a\":{}{}}}",
        "[".repeat(129),
        "]".repeat(129)
    );
    let sized = |headers: &str, body: &[u8]| format!("{headers}content-length: {}\r\n", body.len());
    let chunked = format!("{json}transfer-encoding: chunked\r\n");
    let chunks = [b"1388\r\n", large.as_slice(), b"\r\n0\r\n\r\n"].concat();
    let table: [(&str, String, &[u8], &str); 10] = [
        (
            "declared too large",
            format!("{json}content-length: 10737418240\r\n"),
            b"",
            "413",
        ),
        ("too large", sized(json, &large), &large, "413"),
        ("too large in chunks", chunked, &chunks, "413"),
        (
            "too slow",
            format!("{json}content-length: 100\r\n"),
            b"{",
            "408",
        ),
        ("no type", sized("", b"{}"), b"{}", "415"),
        (
            "another type",
            sized("content-type: text/plain\r\n", b"{}"),
            b"{}",
            "415",
        ),
        (
            "compressed",
            sized(&format!("{json}content-encoding: gzip\r\n"), b"{}"),
            b"{}",
            "415",
        ),
        (
            "too deep",
            sized(json, nested.as_bytes()),
            nested.as_bytes(),
            "4",
        ),
        ("two documents", sized(json, b"{} {}"), b"{} {}", "400"),
        (
            "not UTF-8",
            sized(json, b"{\"model\":\"\xff\"}"),
            b"{\"model\":\"\xff\"}",
            "400",
        ),
    ];
    for (name, head, body, status) in table {
        let answer = raw_request(&gateway, &head, body).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{name}: {answer}"
        );
        assert!(answer.contains("\"error\""), "{name}: {answer}");
    }
    assert_eq!(upstream.ledger().count(), 0);
}

#[tokio::test]
async fn large_bodies_share_a_room_and_small_ones_need_none() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let mut workshop = Workshop::new().row(
        "fast",
        "openai",
        "simulated-chat",
        &upstream.openai_base_url(),
    );
    workshop.limits.request_bodies_bytes = 320 * 1024;
    let gateway = workshop.start().await;
    let question = |padding: usize| {
        json!({
            "model": "fast",
            "messages": [{"role": "user", "content": "x".repeat(padding)}],
        })
    };
    let mut holder = TcpStream::connect(&gateway.address)
        .await
        .expect("a connection");
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\
         content-type: application/json\r\ncontent-length: 300000\r\n\r\n",
        api_key(1)
    );
    holder.write_all(head.as_bytes()).await.expect("a head");
    holder.write_all(&[b' '; 270_000]).await.expect("a part");
    let refused = until(
        &gateway,
        &question(200_000),
        StatusCode::SERVICE_UNAVAILABLE,
    )
    .await;
    assert_eq!(refused.json()["error"]["code"], "overloaded");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(gateway.chat(&question(10)).await.status, StatusCode::OK);
    drop(holder);
    until(&gateway, &question(200_000), StatusCode::OK).await;
}

/// Asks until the answer has this status: what another connection does takes its time.
async fn until(gateway: &GatewayUnderTest, question: &Value, status: StatusCode) -> Answer {
    let asked = async {
        loop {
            let answer = gateway.chat(question).await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked)
        .await
        .expect("the status in time")
}

#[tokio::test]
async fn a_body_that_trickles_in_is_too_slow() {
    let mut workshop = Workshop::new();
    workshop.limits.request_body_grace = Duration::from_millis(100);
    workshop.limits.request_body_bytes_per_second = 1_000_000;
    let gateway = workshop.start().await;
    let mut client = TcpStream::connect(&gateway.address)
        .await
        .expect("a connection");
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n",
        api_key(1)
    );
    client.write_all(head.as_bytes()).await.expect("a head");
    let (mut reader, mut writer) = client.split();
    let trickle = async {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = [0; 12];
    tokio::select! {
        () = trickle => panic!("nobody answered"),
        read = reader.read_exact(&mut answer) => { read.expect("an answer"); }
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_parsed_body_takes_room_for_its_values_and_a_spliced_one_does_not() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let mut workshop = Workshop::new().row(
        "fast",
        "openai",
        "simulated-chat",
        &upstream.openai_base_url(),
    );
    workshop.limits.request_bodies_bytes = 1024 * 1024;
    let gateway = workshop.start().await;
    let question = |values: usize| {
        json!({
            "model": "fast",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "Hello"}],
            "tools": [{"name": "f", "input_schema": {"type": "object", "x": vec![0; values]}}],
        })
    };
    assert_eq!(gateway.messages(&question(4000)).await.status, 200);
    for _ in 0..2 {
        let refused = gateway.messages(&question(6000)).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.json()["error"]["type"], "overloaded_error");
        assert!(!refused.header("retry-after").is_empty());
        // What the call before took was given back.
        assert_eq!(gateway.messages(&question(4000)).await.status, 200);
    }
    let mut spliced = openai("fast");
    spliced["metadata"] = json!({"x": vec![0; 6000]});
    assert_eq!(gateway.chat(&spliced).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_of_too_many_values_is_too_large() {
    let gateway = Workshop::new().start().await;
    let mut question = openai("fast");
    question["metadata"] = json!({"x": vec![0; 1_000_000]});
    let refused = gateway.chat(&question).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let text = refused.text();
    assert!(text.contains("more than 1000000 JSON values"), "{text}");
}

#[tokio::test]
async fn large_answers_share_a_room_and_small_ones_need_none() {
    let message = |text: &str| {
        let choice = json!({
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
        });
        json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]})
            .to_string()
    };
    let json_answer = |text: &str| {
        let body = message(text);
        Act::answer("200 OK", "content-type: application/json\r\n", &body)
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                content-length: 300000\r\n\r\n";
    let stalls = format!("{head}{}", " ".repeat(270_000));
    let stalling = RawUpstream::start(vec![Act::text(&stalls), Act::Hold]).await;
    let large = RawUpstream::start(vec![json_answer(&"x".repeat(200_000))]).await;
    let small = RawUpstream::start(vec![json_answer("x")]).await;
    let commas = RawUpstream::start(vec![json_answer(&",".repeat(10_000))]).await;
    let long = format!("data: {}", " ".repeat(200_000));
    let unfinished = vec![Act::event_stream(), Act::text(&long), Act::Hold];
    let unfinished = RawUpstream::start(unfinished).await;
    let mut workshop = Workshop::new()
        .without_circuit_breakers()
        .row("stalling", "openai", "m", &stalling.base_url())
        .row("large", "openai", "m", &large.base_url())
        .row("small", "openai", "m", &small.base_url())
        .row("commas", "openai", "m", &commas.base_url())
        .row("unfinished", "openai", "m", &unfinished.base_url());
    workshop.limits.answers_bytes = 320 * 1024;
    let gateway = workshop.start().await;
    let question = openai("stalling").to_string();
    let mut holder = TcpStream::connect(&gateway.address)
        .await
        .expect("a connection");
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{question}",
        api_key(1),
        question.len()
    );
    holder
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    let refused = until(&gateway, &openai("large"), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(refused.json()["error"]["code"], "overloaded");
    assert!(!refused.header("retry-after").is_empty());
    let before = large.connections();
    let refused = gateway.chat(&openai("large")).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(large.connections(), before + 1, "no retries");
    let refused = gateway.chat(&streamed(openai("unfinished"))).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(gateway.chat(&openai("small")).await.status, StatusCode::OK);
    drop(holder);
    until(&gateway, &openai("large"), StatusCode::OK).await;
    // Passed through, it is not parsed; translated, it is.
    assert_eq!(gateway.chat(&openai("commas")).await.status, StatusCode::OK);
    let parsed = gateway.messages(&anthropic("commas")).await;
    assert_eq!(parsed.status, StatusCode::SERVICE_UNAVAILABLE);
}
