//! Clients that go away or stop reading, and tasks that must not stay behind.

use std::time::Duration;

use http::StatusCode;
use testkit::simulator::ledger::Ending;
use testkit::simulator::serve::RunningSimulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::gateway_under_test::{GatewayUnderTest, Workshop, anthropic, api_key, openai, streamed};
use crate::raw_upstream::{Act, RawUpstream};
use gateway::meter::Outcome;

const SECOND: Duration = Duration::from_secs(1);

/// The tasks that every gateway has: for idle connections, idle circuits, and limits
/// that nobody uses.
const SWEEPERS: usize = 3;

async fn simulated(models: &[&str]) -> (RunningSimulator, GatewayUnderTest) {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let workshop = models.iter().fold(Workshop::new(), |workshop, model| {
        workshop.row(model, "openai", model, &url)
    });
    (upstream, workshop.start().await)
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_provider_within_a_second() {
    let slow = "simulated-chat:words=500:pace=0.05";
    let late = "fault:delay=30";
    let (upstream, gateway) = simulated(&[slow, late]).await;
    for path in ["/v1/chat/completions", "/v1/messages"] {
        upstream.ledger().clear();
        let question = if path.ends_with("messages") {
            streamed(anthropic(slow))
        } else {
            streamed(openai(slow))
        };
        let client = gateway.client(1);
        let mut stream = client.stream(path, &question).await.expect("an answer");
        stream.next().await.expect("a piece");
        drop((stream, client));
        let cancelled = upstream.ledger().wait_until(SECOND, |requests| {
            requests
                .iter()
                .all(|request| request.ending == Ending::Cancelled)
        });
        assert!(cancelled.await, "{path}");
    }

    // Before the header has come, and without a stream.
    upstream.ledger().clear();
    let mut requests = JoinSet::new();
    let request = {
        let gateway = gateway.client(1);
        requests.spawn(async move { gateway.post("/v1/chat/completions", &openai(late)).await })
    };
    assert!(
        upstream
            .ledger()
            .wait_until(SECOND, |requests| requests.len() == 1)
            .await
    );
    request.abort();
    let cancelled = upstream.ledger().wait_until(SECOND, |requests| {
        requests
            .iter()
            .all(|request| request.ending == Ending::Cancelled)
    });
    assert!(cancelled.await);
    let closed = |gateway: &GatewayUnderTest| {
        let records = gateway.records.all();
        records.len() == 3
            && records
                .iter()
                .all(|record| record.outcome == Outcome::ClientClosed)
    };
    assert!(
        gateway.within_a_second(closed).await,
        "{:?}",
        gateway.records.all()
    );
    assert!(
        gateway
            .metrics()
            .contains("quartermaster_calls_in_flight 0")
    );
}

#[tokio::test]
async fn a_hundred_clients_that_go_away_leave_nothing_behind() {
    let slow = "simulated-chat:words=500:pace=0.05";
    let (upstream, gateway) = simulated(&[slow]).await;
    let leave = async || {
        let client = gateway.client(1);
        let question = streamed(openai(slow));
        let stream = client.stream("/v1/chat/completions", &question).await;
        stream.expect("an answer").next().await.expect("a piece");
    };
    futures::future::join_all((0..100).map(|_| leave())).await;
    let is_closed = |_: &GatewayUnderTest| upstream.ledger().connections() == (100, 100);
    let mut closed = false;
    for _ in 0..3 {
        closed = closed || gateway.within_a_second(is_closed).await;
    }
    assert!(closed, "{:?}", upstream.ledger().connections());
    assert_eq!(gateway.tasks.len(), SWEEPERS);
    assert_eq!(gateway.records.all().len(), 100);
    assert!(
        gateway
            .metrics()
            .contains("quartermaster_calls_in_flight 0")
    );
}

#[tokio::test]
async fn a_retry_is_not_made_for_a_client_that_went_away() {
    let waits = "fault:500:retry-after=2";
    let (upstream, gateway) = simulated(&[waits]).await;
    let client = gateway.client(1);
    let mut requests = JoinSet::new();
    let request =
        requests.spawn(async move { client.post("/v1/chat/completions", &openai(waits)).await });
    assert!(
        upstream
            .ledger()
            .wait_until(SECOND, |requests| requests.len() == 1)
            .await
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    request.abort();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(upstream.ledger().count(), 1);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_off_and_frees_the_provider() {
    let event = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(32 * 1024)
    );
    let mut script = vec![Act::event_stream()];
    // Far more than all the buffers in between hold.
    script.extend(std::iter::repeat_n(Act::text(&event), 2000));
    let upstream = RawUpstream::start(script).await;
    let mut workshop = Workshop::new().row("flood", "openai", "gpt", &upstream.base_url());
    workshop.write_limit = Duration::from_millis(300);
    let gateway = workshop.start().await;

    let mut client = TcpStream::connect(&gateway.address)
        .await
        .expect("a connection");
    let body = streamed(openai("flood")).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        api_key(1),
        body.len()
    );
    client
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    let mut first = [0; 16];
    client.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200 OK\r");
    let is_cut = |gateway: &GatewayUnderTest| gateway.records.all().len() == 1;
    let mut cut = false;
    for _ in 0..4 {
        cut = cut || gateway.within_a_second(is_cut).await;
    }
    assert!(cut, "the stalled client still holds the provider");
    assert_eq!(gateway.records.all()[0].outcome, Outcome::ClientClosed);
    assert!(gateway.within_a_second(|_| upstream.closed() == 1).await);
}

#[tokio::test]
async fn no_task_stays_behind() {
    let (_upstream, gateway) = simulated(&["simulated-chat", "fault:reset=2"]).await;
    for _ in 0..3 {
        assert_eq!(
            gateway.chat(&openai("simulated-chat")).await.status,
            StatusCode::OK
        );
        gateway.chat(&openai("fault:reset=2")).await;
        let mut stream = gateway
            .chat_stream(&streamed(openai("simulated-chat")))
            .await;
        stream.next().await.expect("a piece");
    }
    // The pool's sweeper alone.
    assert!(
        gateway
            .within_a_second(|gateway| gateway.tasks.len() == SWEEPERS)
            .await
    );
    gateway.shutdown.cancel();
    gateway.tasks.close();
    let ended = tokio::time::timeout(SECOND, gateway.tasks.wait()).await;
    assert!(ended.is_ok(), "{} tasks left", gateway.tasks.len());
}

#[tokio::test]
async fn shutdown_closes_idle_connections() {
    let (upstream, gateway) = simulated(&["simulated-chat"]).await;
    assert_eq!(
        gateway.chat(&openai("simulated-chat")).await.status,
        StatusCode::OK
    );
    assert_eq!(upstream.ledger().connections(), (1, 0));
    gateway.shutdown.cancel();
    assert!(
        gateway
            .within_a_second(|_| upstream.ledger().connections() == (1, 1))
            .await
    );
}
