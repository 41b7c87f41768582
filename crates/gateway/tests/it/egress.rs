//! Where calls may go: the guard at the time of the call.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use gateway::upstream::resolver::Resolver;
use http::StatusCode;
use serde_json::json;

use crate::gateway_under_test::{Workshop, openai};
use crate::raw_upstream::{Act, RawUpstream};

fn strict() -> Workshop {
    let mut workshop = Workshop::new();
    workshop.egress.allow_private_networks = false;
    workshop
}

async fn listener() -> RawUpstream {
    let json = "content-type: application/json\r\n";
    RawUpstream::start(vec![Act::answer("200 OK", json, "{\"choices\":[]}")]).await
}

/// Answers with one list of addresses after the other; the last one stays.
struct Scripted {
    answers: Vec<Vec<SocketAddr>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |address: &&str| address.parse().expect("an address");
        Arc::new(Self {
            answers: answers
                .iter()
                .map(|addresses| addresses.iter().map(parse).collect())
                .collect(),
            asked: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Resolver for Scripted {
    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.answers[asked.min(self.answers.len() - 1)].clone())
    }
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused_in_every_spelling() {
    let upstream = listener().await;
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "100.100.100.200",
        "[fd00::1]",
        "10.0.0.1",
        "192.168.1.1",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{}/v1", upstream.port);
            let gateway = strict().row("inward", "openai", "gpt", &url).start().await;
            let answer = gateway.chat(&openai("inward")).await;
            let code = answer.json()["error"]["code"].clone();
            let is_refused = code == "egress_refused" || code == "model_configuration_not_callable";
            assert!(is_refused, "{url}: {}", answer.text());
            assert!(answer.header("x-quartermaster-attempts") <= "1", "{url}");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn metadata_services_are_refused_even_on_private_networks() {
    for host in [
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "[::ffff:169.254.169.254]",
    ] {
        let url = format!("http://{host}/v1");
        let gateway = Workshop::new()
            .row("metadata", "openai", "gpt", &url)
            .start()
            .await;
        let answer = gateway.chat(&openai("metadata")).await;
        assert_eq!(
            answer.json()["error"]["code"],
            "egress_refused",
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_public_name_must_lead_to_public_addresses_only() {
    let upstream = listener().await;
    let loopback = format!("127.0.0.1:{}", upstream.port);
    let mapped = format!("[::ffff:127.0.0.1]:{}", upstream.port);
    let public = format!("203.0.114.1:{}", upstream.port);
    for addresses in [
        vec![loopback.as_str()],
        vec![public.as_str(), loopback.as_str()],
        vec![loopback.as_str(), public.as_str()],
        vec![mapped.as_str()],
        vec![public.as_str(), "[fe80::1]:443"],
    ] {
        let mut workshop = strict().row("outward", "openai", "gpt", "https://llm.example.com/v1");
        workshop.resolver = Scripted::new(&[addresses.as_slice()]);
        let answer = workshop.start().await.chat(&openai("outward")).await;
        assert_eq!(
            answer.json()["error"]["code"],
            "egress_refused",
            "{addresses:?}"
        );
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_name_that_is_bound_anew_does_not_lead_inward() {
    let upstream = listener().await;
    let loopback = format!("127.0.0.1:{}", upstream.port);
    // 192.0.2.0/24 is documentation and would be refused; this one is merely unreachable.
    let resolver = Scripted::new(&[&["203.0.114.1:9"], &[loopback.as_str()]]);
    let mut workshop = strict().add(
        "rebound",
        "openai",
        "gpt",
        json!({"base_url": "https://llm.example.com/v1"}),
        |row| row.configuration.settings.max_retries = Some(1),
    );
    workshop.resolver = Arc::clone(&resolver) as Arc<dyn Resolver>;
    workshop.limits.connect = std::time::Duration::from_millis(200);
    let answer = workshop.start().await.chat(&openai("rebound")).await;
    assert!(answer.status.is_server_error(), "{}", answer.text());
    // Once for each connection that is made: there is no second look-up after the check.
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 2);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn plain_http_needs_the_operator() {
    let mut workshop = strict().row("plain", "openai", "gpt", "http://llm.example.com/v1");
    workshop.resolver = Scripted::new(&[&["203.0.114.1:80"]]);
    let answer = workshop.start().await.chat(&openai("plain")).await;
    assert_eq!(
        answer.json()["error"]["code"],
        "egress_refused",
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn the_operator_can_lead_a_host_elsewhere() {
    let upstream = listener().await;
    let url = format!("http://llm.example.com:{}/v1", upstream.port);
    let mut workshop = strict().row("led", "openai", "gpt", &url);
    let host = format!("llm.example.com:{}", upstream.port);
    let address = format!("127.0.0.1:{}", upstream.port);
    workshop.egress.connect_to.insert(host.clone(), address);
    let answer = workshop.start().await.chat(&openai("led")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let request = upstream.requests()[0].to_ascii_lowercase();
    assert!(
        request.starts_with("post /v1/chat/completions http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("\r\nhost: {host}\r\n")),
        "{request}"
    );
}
