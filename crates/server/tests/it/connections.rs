//! Limits on connections and headers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app;

/// What the server says to raw bytes until it closes.
async fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let ended = tokio::time::timeout(Duration::from_secs(20), read).await;
    assert!(ended.is_ok(), "it does not close");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_header_is_disconnected() {
    let server = app()
        .setting("server.header_read_seconds", "0.5")
        .start()
        .await
        .unwrap();
    // Nothing, half of HTTP/1, and half of what HTTP/2 begins with.
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\nhost:", b"PRI * HTT"] {
        let answer = exchange(server.address(), bytes).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn a_header_that_is_too_large_is_a_431() {
    let server = app().start().await.unwrap();
    let header = format!(
        "GET /health/live HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n",
        "a".repeat(200_000)
    );
    let answer = exchange(server.address(), header.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: String = (0..200)
        .map(|number| format!("x-{number}: a\r\n"))
        .collect();
    let header = format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    let answer = exchange(server.address(), header.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_503() {
    let server = app()
        .setting("server.max_connections", "2")
        .start()
        .await
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream
            .write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        held.push(stream);
    }
    let answer = exchange(server.address(), b"").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    drop(held);
    crate::support::eventually(Duration::from_secs(5), async || {
        let Ok(answer) = server.stranger().get("/health/live").await else {
            return false;
        };
        answer.status == 200
    })
    .await;
}

#[tokio::test]
async fn split_listeners_answer_their_own_plane_only() {
    let server = app()
        .setting("server.control_listen", "127.0.0.1:0")
        .setting("server.metrics_listen", "127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let other = |name: &str| {
        let log = server.log();
        let line = log
            .lines()
            .find(|line| line.contains(&format!("\"listener\":\"{name}\"")))
            .unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("http://{}", line["fields"]["address"].as_str().unwrap())
    };
    let key = testkit::application::BOOTSTRAP_KEY;
    let control = testkit::client::Client::new(&other("control.address")).with_key(key);
    let metrics = testkit::client::Client::new(&other("metrics.address"));
    let configurations = crate::support::CONFIGURATIONS;
    let body = crate::support::chat("simulated");

    assert_eq!(control.get(configurations).await.unwrap().status, 200);
    assert_eq!(
        control
            .post(crate::support::CHAT, &body)
            .await
            .unwrap()
            .status,
        404
    );
    let lost = server.client().get(configurations).await.unwrap();
    assert_eq!(lost.status, 404);
    assert!(
        lost.text().contains("server.control_listen"),
        "{}",
        lost.text()
    );
    assert_eq!(
        server
            .client()
            .post(crate::support::CHAT, &body)
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(
        server.stranger().get("/health/ready").await.unwrap().status,
        200
    );
    let text = metrics.get("/metrics").await.unwrap().text();
    assert!(text.contains("quartermaster_calls"), "{text}");
    assert_eq!(server.client().get("/metrics").await.unwrap().status, 404);
}

#[tokio::test]
async fn metrics_beside_the_control_plane_need_an_operators_key() {
    let server = app().start().await.unwrap();
    assert_eq!(server.stranger().get("/metrics").await.unwrap().status, 401);
    let answer = server.client().get("/metrics").await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text().ends_with("# EOF\n"), "{}", answer.text());
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    let server = app().start().await.unwrap();
    for (version, hosts, status) in [
        ("1.1", "host: x\r\n", "200"),
        ("1.1", "", "400"),
        ("1.1", "host: x\r\nhost: y\r\n", "400"),
        ("1.0", "", "200"),
        ("1.0", "host: x\r\nhost: x\r\n", "400"),
    ] {
        let request =
            format!("GET /health/live HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        let answer = exchange(server.address(), request.as_bytes()).await;
        let expected = format!("HTTP/{version} {status}");
        assert!(answer.starts_with(&expected), "{request}{answer}");
    }
}
