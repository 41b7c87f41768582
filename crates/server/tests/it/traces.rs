//! Traces, as a collector gets them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use testkit::application::TestAppBuilder;
use tokio::task::JoinSet;

use crate::support::{CHAT, app, chat, create, eventually, streamed};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collector.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await });
        tasks.detach_all();
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|it| &it.resource_spans);
        let scopes = resources.flat_map(|it| &it.scope_spans);
        scopes.flat_map(|it| it.spans.clone()).collect()
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if headers
        .get("x-collector-key")
        .is_none_or(|key| key != "of-the-collector")
    {
        return StatusCode::UNAUTHORIZED;
    }
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    collector.0.lock().unwrap().push(request);
    StatusCode::OK
}

fn traced(endpoint: &str) -> TestAppBuilder {
    app()
        .setting("telemetry.otlp_endpoint", endpoint)
        .setting(
            "telemetry.otlp_headers.x-collector-key",
            "env:COLLECTOR_KEY",
        )
        .environment("COLLECTOR_KEY", "of-the-collector")
}

fn attribute(span: &Span, name: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|it| it.key == name)?;
    found.value.clone()?.value
}

fn named<'a>(spans: &'a [Span], prefix: &str) -> Vec<&'a Span> {
    spans
        .iter()
        .filter(|span| span.name.starts_with(prefix))
        .collect()
}

#[tokio::test]
async fn a_call_is_one_trace_with_a_span_for_each_stage_and_attempt() {
    let (collector, endpoint) = Collector::start().await;
    let server = traced(&endpoint).start().await.unwrap();
    let client = server.client();
    let body = serde_json::json!({
        "name": "flaky", "provider": "simulated", "model": "fault:500:times=1", "max_retries": 1,
    });
    create(&client, &body).await;
    let client = client.with_header("traceparent", PARENT);
    assert_eq!(client.post(CHAT, &chat("flaky")).await.unwrap().status, 200);
    eventually(Duration::from_secs(10), async || {
        !collector.spans().is_empty()
    })
    .await;

    let spans = collector.spans();
    let [call] = named(&spans, "call openai_chat")[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!(call.kind(), SpanKind::Server);
    assert_eq!(call.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    for span in &spans {
        assert_eq!(
            span.trace_id,
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()
        );
        assert!(
            span.start_time_unix_nano >= call.start_time_unix_nano,
            "{span:?}"
        );
        assert!(
            span.end_time_unix_nano <= call.end_time_unix_nano,
            "{span:?}"
        );
        assert!(
            span == call || span.parent_span_id == call.span_id,
            "{span:?}"
        );
    }
    let attempts = named(&spans, "chat ");
    let errors: Vec<_> = attempts
        .iter()
        .map(|span| attribute(span, "error.type"))
        .collect();
    assert_eq!(
        errors,
        [
            Some(Value::StringValue("provider_server_error".to_owned())),
            None
        ]
    );
    let provider = Value::StringValue("simulated".to_owned());
    assert_eq!(
        attribute(attempts[1], "gen_ai.provider.name"),
        Some(provider)
    );
    let tokens = attribute(attempts[1], "gen_ai.usage.output_tokens");
    assert!(matches!(tokens, Some(Value::IntValue(1..))), "{tokens:?}");
    for stage in ["authenticate", "ingress", "resolve", "prepare"] {
        assert_eq!(named(&spans, stage).len(), 1, "{stage}");
    }
    assert!(
        !format!("{spans:?}").contains("Hello!"),
        "a prompt is in a trace"
    );
}

#[tokio::test]
async fn what_calls_left_is_sent_before_the_end() {
    let (collector, endpoint) = Collector::start().await;
    let mut server = traced(&endpoint).start().await.unwrap();
    let client = server.client();
    let body = serde_json::json!({
        "name": "slow", "provider": "simulated", "model": "simulated-chat:words=30:pace=0.03",
    });
    create(&client, &body).await;
    let mut stream = client.stream(CHAT, &streamed("slow")).await.unwrap();
    stream.next().await.unwrap();
    server.terminate().unwrap();
    stream.rest().await.unwrap();
    assert!(server.wait().await.unwrap().success());
    assert_eq!(named(&collector.spans(), "call openai_chat").len(), 1);
}

#[tokio::test]
async fn nobody_waits_for_a_collector_that_is_away() {
    let server = traced("http://127.0.0.1:9").start().await.unwrap();
    let client = server.client();
    let models = client.get("/v1/models").await.unwrap().json();
    let model = models["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(client.post(CHAT, &chat(&model)).await.unwrap().status, 200);
    eventually(Duration::from_secs(20), async || {
        let metrics = client.get("/metrics").await.unwrap().text();
        metrics.contains("quartermaster_traces_failed_total 1")
    })
    .await;
}
