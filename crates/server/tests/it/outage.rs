//! A database that goes away, or hangs, and comes back.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::application::TestApp;
use testkit::client::Answer;
use testkit::postgres::Cluster;
use testkit::simulator::serve::RunningSimulator;

use crate::support::{CHAT, CONFIGURATIONS, app, at_simulator, chat, create, eventually, said};

struct Scene {
    cluster: Cluster,
    _simulator: RunningSimulator,
    server: TestApp,
}

/// A server on a cluster of its own, with a configuration that has a key of its own.
async fn scene() -> Scene {
    let cluster = Cluster::start();
    let simulator = RunningSimulator::start().await.unwrap();
    let url = cluster.fresh_database();
    let server = app().setting("database.url", &url).start().await.unwrap();
    create(
        &server.client(),
        &at_simulator("known", &simulator, "gpt-test"),
    )
    .await;
    Scene {
        cluster,
        _simulator: simulator,
        server,
    }
}

impl Scene {
    async fn write(&self, name: &str) -> Answer {
        let body = json!({"name": name, "provider": "simulated", "model": "simulated-chat"});
        self.server
            .client()
            .post(CONFIGURATIONS, &body)
            .await
            .unwrap()
    }

    /// Calls go on, writes are refused quickly and say when to come back.
    async fn assert_outage(&self) {
        for _ in 0..20 {
            said(
                &self
                    .server
                    .client()
                    .post(CHAT, &chat("known"))
                    .await
                    .unwrap(),
            );
        }
        let start = Instant::now();
        let answer = self.write("during").await;
        let took = start.elapsed();
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
        assert!(took < Duration::from_millis(2500), "{took:?}");
        said(
            &self
                .server
                .client()
                .post(CHAT, &chat("known"))
                .await
                .unwrap(),
        );
        assert_eq!(
            self.server
                .stranger()
                .get("/health/live")
                .await
                .unwrap()
                .status,
            200
        );
    }

    async fn assert_recovery(&self) {
        eventually(Duration::from_secs(15), async || {
            self.write("after").await.status == 201
        })
        .await;
        said(
            &self
                .server
                .client()
                .post(CHAT, &chat("after"))
                .await
                .unwrap(),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_while_the_database_is_down() {
    let scene = scene().await;
    scene.cluster.stop();
    scene.assert_outage().await;
    scene.cluster.start_again();
    scene.assert_recovery().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_while_the_database_hangs() {
    let scene = scene().await;
    scene.cluster.pause();
    scene.assert_outage().await;
    scene.cluster.resume();
    scene.assert_recovery().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_database_is_survived_without_a_restart() {
    let scene = scene().await;
    scene.cluster.restart();
    said(
        &scene
            .server
            .client()
            .post(CHAT, &chat("known"))
            .await
            .unwrap(),
    );
    scene.assert_recovery().await;
}
