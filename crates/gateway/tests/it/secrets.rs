//! A key that a provider echoes is never shown, in no form and by no way.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use testkit::simulator::serve::RunningSimulator;
use tracing_subscriber::fmt::MakeWriter;

use crate::gateway_under_test::{PROVIDER_KEY, Workshop, anthropic, openai, streamed};
use crate::raw_upstream::{Act, RawUpstream};
use crate::tls::TlsUpstream;

/// Every form in which the key must not be seen.
fn forms() -> [String; 4] {
    let hexadecimal = PROVIDER_KEY
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    [
        PROVIDER_KEY.to_owned(),
        STANDARD
            .encode(PROVIDER_KEY)
            .trim_end_matches('=')
            .to_owned(),
        hexadecimal,
        PROVIDER_KEY.to_ascii_uppercase(),
    ]
}

fn assert_clean(name: &str, text: &str) {
    for form in forms() {
        assert!(!text.contains(&form), "{name}: {text}");
    }
}

#[tokio::test]
async fn an_echo_in_an_error_body_is_redacted() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let gateway = Workshop::new()
        .without_circuit_breakers()
        .row(
            "echo",
            "openai",
            "fault:echo-key",
            &upstream.openai_base_url(),
        )
        .row(
            "html",
            "openai",
            "fault:echo-key:500:html",
            &upstream.openai_base_url(),
        )
        .start()
        .await;
    for name in ["echo", "html"] {
        for answer in [
            gateway.chat(&openai(name)).await,
            gateway.chat(&streamed(openai(name))).await,
            gateway.messages(&anthropic(name)).await,
        ] {
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
            assert_clean(name, &answer.text());
        }
    }
    let answer = gateway.chat(&openai("echo")).await;
    assert!(answer.text().contains("[redacted]"), "{}", answer.text());
}

#[tokio::test]
async fn an_echo_is_redacted_in_every_form_and_wherever_it_is_cut() {
    for form in forms() {
        let body = format!(
            "{{\"error\":{{\"message\":\"bad key {form}!\",\"type\":\"{form}\",\"code\":\"{form}\",\"param\":\"{form}\"}}}}"
        );
        let head = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nx-echo: {form}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let middle = body.find(&form).expect("the echo") + form.len() / 2;
        let script = vec![
            Act::text(&head),
            Act::text(&body[..middle]),
            Act::Wait(Duration::from_millis(30)),
            Act::text(&body[middle..]),
        ];
        let upstream = RawUpstream::start(script).await;
        let gateway = Workshop::new()
            .row("echo", "openai", "gpt", &upstream.base_url())
            .start()
            .await;
        let answer = gateway.chat(&openai("echo")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
        assert_clean(&form, &answer.text());
        assert_clean(&form, &format!("{:?}", answer.headers));
        assert!(answer.text().contains("[redacted]"), "{}", answer.text());
    }
}

#[tokio::test]
async fn an_echo_in_a_stream_s_error_is_redacted_wherever_it_is_cut() {
    let content = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
    let error = format!(
        "data: {{\"error\":{{\"message\":\"key {PROVIDER_KEY} was revoked\",\"type\":\"server_error\"}}}}\n\n"
    );
    for cut in [5, 30, 40, error.len() - 30, error.len() - 1] {
        let script = vec![
            Act::event_stream(),
            Act::text(content),
            Act::Wait(Duration::from_millis(20)),
            Act::text(&error[..cut]),
            Act::Wait(Duration::from_millis(20)),
            Act::text(&error[cut..]),
        ];
        let upstream = RawUpstream::start(script).await;
        let gateway = Workshop::new()
            .row("echo", "openai", "gpt", &upstream.base_url())
            .start()
            .await;
        for (path, question) in [
            ("/v1/chat/completions", streamed(openai("echo"))),
            ("/v1/messages", streamed(anthropic("echo"))),
        ] {
            let client = gateway.client(1);
            let mut stream = client.stream(path, &question).await.expect("an answer");
            let text = stream.rest().await.expect("a clean end");
            let text = String::from_utf8(text).expect("UTF-8");
            assert!(
                text.contains("Hello") && text.contains("[redacted]"),
                "{cut}: {text}"
            );
            assert!(!text.contains("canary-provider"), "{cut}: {text}");
        }
    }
}

/// A host may also echo the key where all goes well.
#[tokio::test]
async fn an_echo_in_a_good_answer_is_redacted() {
    let body = format!(
        "{{\"id\":\"a\",\"object\":\"chat.completion\",\"model\":\"m\",\"sent\":\"Bearer {PROVIDER_KEY}\",\
         \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
         \"content\":\"Your key is {PROVIDER_KEY}.\"}},\"finish_reason\":\"stop\"}}]}}"
    );
    let script = vec![Act::answer(
        "200 OK",
        "content-type: application/json\r\n",
        &body,
    )];
    let upstream = RawUpstream::start(script).await;
    let gateway = Workshop::new()
        .row("echo", "openai", "gpt", &upstream.base_url())
        .start()
        .await;
    for answer in [
        gateway.chat(&openai("echo")).await,
        gateway.messages(&anthropic("echo")).await,
    ] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert!(!answer.text().contains(PROVIDER_KEY), "{}", answer.text());
        let text = "Your key is [redacted].";
        assert!(answer.text().contains(text), "{}", answer.text());
    }
}

#[tokio::test]
async fn an_echo_in_a_good_stream_is_redacted_wherever_it_is_cut() {
    let hello = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"Hello {PROVIDER_KEY}\"}}}}]}}\n\n"
    );
    let stop = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    for echo in [
        format!(": authorization: Bearer {PROVIDER_KEY}\n\n"),
        format!("id: {PROVIDER_KEY}\nevent: {PROVIDER_KEY}\n{hello}"),
        // An event that is too large to be held goes on as it comes.
        format!(
            "data: {{\"x\":\"{}{PROVIDER_KEY}\"}}\n\n",
            "x".repeat(70_000)
        ),
    ] {
        let place = echo.find(PROVIDER_KEY).expect("the echo");
        for cut in [place, place + 1, place + 12, place + PROVIDER_KEY.len() - 1] {
            let script = vec![
                Act::event_stream(),
                Act::text(&hello),
                Act::text(&echo[..cut]),
                Act::Wait(Duration::from_millis(20)),
                Act::text(&echo[cut..]),
                Act::text(stop),
                Act::text("data: [DONE]\n\n"),
            ];
            let upstream = RawUpstream::start(script).await;
            let gateway = Workshop::new()
                .row("echo", "openai", "gpt", &upstream.base_url())
                .start()
                .await;
            for (path, question) in [
                ("/v1/chat/completions", streamed(openai("echo"))),
                ("/v1/messages", streamed(anthropic("echo"))),
            ] {
                let client = gateway.client(1);
                let mut stream = client.stream(path, &question).await.expect("an answer");
                let text = stream.rest().await.expect("a clean end");
                let text = String::from_utf8(text).expect("UTF-8");
                assert!(text.contains("Hello [redacted]"), "{cut}: {text}");
                assert!(!text.contains("canary"), "{cut}: {text}");
                let is_whole = text.ends_with("[DONE]\n\n") || text.contains("message_stop");
                assert!(is_whole, "{cut}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn headers_of_a_provider_are_filtered() {
    let headers = format!(
        "content-type: application/json\r\nset-cookie: session=1\r\nopenai-organization: org-1\r\n\
         x-ratelimit-remaining-requests: 59\r\nx-ratelimit-reset-tokens: {PROVIDER_KEY}\r\n\
         openai-processing-ms: 12\r\nopenai-version: {PROVIDER_KEY}\r\nserver: nginx\r\n\
         x-echo: {PROVIDER_KEY}\r\nkeep-alive: timeout=5\r\n"
    );
    let answer = Act::answer("200 OK", &headers, "{\"choices\":[]}");
    let upstream = RawUpstream::start(vec![answer]).await;
    let gateway = Workshop::new()
        .row("headers", "openai", "gpt", &upstream.base_url())
        .start()
        .await;
    let answer = gateway.chat(&openai("headers")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("openai-processing-ms"), "12");
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "59");
    for name in [
        "set-cookie",
        "openai-organization",
        "x-ratelimit-reset-tokens",
        "openai-version",
        "server",
        "x-echo",
        "keep-alive",
    ] {
        assert_eq!(answer.header(name), "", "{name}");
    }
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// One thread, so that the subscriber of this test hears everything the test does.
#[tokio::test(flavor = "current_thread")]
async fn logs_hold_neither_secrets_nor_prompts_at_any_level() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .with_ansi(false)
        .finish();
    // While tracing knows a single subscriber, a thread of another test that is the first
    // to pass a line's place decides for everybody that nobody listens. A second one
    // makes tracing ask all of them.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _guard = tracing::subscriber::set_default(subscriber);
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let gateway = Workshop::new()
        .row("fine", "openai", "simulated-chat", &url)
        .row("echo", "openai", "fault:echo-key", &url)
        .row("breaks", "openai", "fault:error-event=4", &url)
        .start()
        .await;
    gateway.chat(&openai("fine")).await;
    gateway.chat(&openai("echo")).await;
    let mut stream = gateway.chat_stream(&streamed(openai("breaks"))).await;
    stream.rest().await.expect("a stream");
    gateway
        .within_a_second(|gateway| gateway.records.all().len() == 3)
        .await;
    let over_tls = TlsUpstream::start("api.openai.com", &["h2"]).await;
    let gateway = over_tls.workshop().start().await;
    assert_eq!(gateway.chat(&openai("tls")).await.status, StatusCode::OK);
    let log = String::from_utf8(captured.0.lock().expect("a lock").clone()).expect("UTF-8");
    // The gateway's own lines are there: the test heard something.
    assert!(log.contains("http.response.status_code=200"), "{log}");
    assert!(log.contains("attempt failed"), "{log}");
    assert_clean("log", &log);
    for word in ["How do you do", "client-key-of-organization"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
}
