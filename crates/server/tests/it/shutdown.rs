//! An orderly end.

use std::time::Duration;

use testkit::client::Client;

use crate::support::{CHAT, app, create, streamed};

#[tokio::test]
async fn streams_finish_and_nothing_new_begins() {
    let mut server = app().start().await.unwrap();
    let client = server.client();
    let body = serde_json::json!({
        "name": "slow", "provider": "simulated", "model": "simulated-chat:words=60:pace=0.03",
    });
    create(&client, &body).await;
    let mut stream = client.stream(CHAT, &streamed("slow")).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    server.terminate().unwrap();

    let address = server.address().to_owned();
    crate::support::eventually(Duration::from_secs(5), async || {
        tokio::net::TcpStream::connect(&address).await.is_err()
    })
    .await;
    let rest = stream.rest().await.unwrap();
    let text = String::from_utf8([&first[..], &rest[..]].concat()).unwrap();
    assert!(text.contains("word-60"), "{text}");
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    assert!(server.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_stream_that_takes_too_long_is_cut_off() {
    let mut server = app()
        .setting("server.shutdown_seconds", "0.5")
        .start()
        .await
        .unwrap();
    let client = server.client();
    let body = serde_json::json!({
        "name": "slow", "provider": "simulated", "model": "simulated-chat:words=1000:pace=0.05",
    });
    create(&client, &body).await;
    let mut stream = client.stream(CHAT, &streamed("slow")).await.unwrap();
    stream.next().await.unwrap();
    server.terminate().unwrap();
    assert!(server.wait().await.unwrap().success());
    assert!(stream.rest().await.is_err());
}

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let mut server = app().start().await.unwrap();
    // A connection that is kept alive must not hold it up.
    let client = Client::new(&server.base_url());
    assert_eq!(client.get("/health/ready").await.unwrap().status, 200);
    let start = std::time::Instant::now();
    server.terminate().unwrap();
    assert!(server.wait().await.unwrap().success());
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = app().start().await.unwrap();
    let client = server.client();
    let body = serde_json::json!({
        "name": "slow", "provider": "simulated", "model": "simulated-chat:words=10000:pace=0.05",
    });
    create(&client, &body).await;
    let mut stream = client.stream(CHAT, &streamed("slow")).await.unwrap();
    stream.next().await.unwrap();
    server.terminate().unwrap();
    crate::support::eventually(Duration::from_secs(5), async || {
        server.log().contains("shutting down")
    })
    .await;
    server.terminate().unwrap();
    let start = std::time::Instant::now();
    assert!(server.wait().await.unwrap().success());
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}
