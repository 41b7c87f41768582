//! A client that goes away.

use std::time::Duration;

use testkit::simulator::ledger::Ending;
use testkit::simulator::serve::RunningSimulator;

use crate::support::{CHAT, app, at_simulator, chat, create, streamed};

async fn cancelled(simulator: &RunningSimulator) -> bool {
    let limit = Duration::from_secs(10);
    let is_cancelled = |requests: &[testkit::simulator::ledger::Received]| {
        requests
            .iter()
            .any(|request| request.ending == Ending::Cancelled)
    };
    simulator.ledger().wait_until(limit, is_cancelled).await
}

#[tokio::test]
async fn a_stream_whose_client_goes_away_is_cancelled_upstream() {
    let simulator = RunningSimulator::start().await.unwrap();
    let server = app().start().await.unwrap();
    let client = server.client();
    let model = "simulated-chat:words=10000:pace=0.02";
    create(&client, &at_simulator("long", &simulator, model)).await;
    let mut stream = client.stream(CHAT, &streamed("long")).await.unwrap();
    stream.next().await.unwrap();
    drop(stream);
    assert!(cancelled(&simulator).await);
}

#[tokio::test]
async fn a_call_whose_client_goes_away_before_the_answer_is_cancelled_upstream() {
    let simulator = RunningSimulator::start().await.unwrap();
    let server = app().start().await.unwrap();
    let client = server.client();
    create(&client, &at_simulator("late", &simulator, "fault:delay=60")).await;
    let body = chat("late");
    let call = client.post(CHAT, &body);
    let is_waiting = simulator
        .ledger()
        .wait_until(Duration::from_secs(10), |all| !all.is_empty());
    tokio::select! {
        answer = call => panic!("{answer:?}"),
        arrived = is_waiting => assert!(arrived),
    }
    assert!(cancelled(&simulator).await);
}
