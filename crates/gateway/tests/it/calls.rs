//! Calls that go well: selection, both dialects, answers and what is recorded of them.

use http::StatusCode;
use providers::chat::usage::Usage;
use serde_json::{Value, json};
use testkit::simulator::serve::RunningSimulator;
use tower::BoxError;
use tower::util::BoxCloneSyncService;

use crate::gateway_under_test::{
    GatewayUnderTest, PROVIDER_KEY, Workshop, anthropic, openai, organization, streamed,
};
use gateway::meter::{KeyOwner, Outcome};
use gateway::snapshot::OrganizationRows;

async fn simulated() -> (RunningSimulator, GatewayUnderTest) {
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
    (upstream, gateway)
}

#[tokio::test]
async fn a_chat_call_passes_through_with_model_key_and_record() {
    let (upstream, gateway) = simulated().await;
    let answer = gateway.chat(&openai("fast")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    let text = body["choices"][0]["message"]["content"].as_str();
    assert!(text.is_some_and(|text| !text.is_empty()), "{body}");
    let id = gateway.rows[0].configuration.id.to_string();
    assert_eq!(answer.header("x-quartermaster-model-configuration"), id);
    assert_eq!(answer.header("x-quartermaster-provider"), "openai");
    assert_eq!(answer.header("x-quartermaster-attempts"), "1");
    assert_eq!(answer.header("x-quartermaster-translation-loss"), "");
    assert!(!answer.header("x-request-id").is_empty());

    let received = upstream.ledger().requests();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].json()["model"], "simulated-chat");
    let bearer = format!("Bearer {PROVIDER_KEY}");
    assert_eq!(received[0].headers["authorization"], bearer.as_str());
    assert_eq!(received[0].headers["accept-encoding"], "identity");

    let records = gateway.records.all();
    assert_eq!(records.len(), 1);
    let usage = upstream.ledger().usage();
    let expected = Usage {
        uncached_input_tokens: usage.input,
        output_tokens: usage.output,
        ..Usage::default()
    };
    assert_eq!(records[0].usage, Some(expected));
    assert_eq!(records[0].outcome, Outcome::Success);
    assert_eq!(records[0].key_owner, KeyOwner::Organization);
    assert_eq!((records[0].revision, records[0].attempt), (7, 1));
    assert_eq!(records[0].organization_id, organization(1));
    assert_eq!(records[0].request_id, answer.header("x-request-id"));
}

#[tokio::test]
async fn a_stream_passes_through_event_by_event() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let parameters = json!({"base_url": upstream.openai_base_url(), "stream_usage": true});
    let gateway = Workshop::new()
        .add("fast", "openai", "simulated-chat", parameters, |_| {})
        .start()
        .await;
    let mut stream = gateway.chat_stream(&streamed(openai("fast"))).await;
    assert_eq!(stream.status, StatusCode::OK);
    assert_eq!(
        stream.headers["content-type"],
        "text/event-stream; charset=utf-8"
    );
    let text = String::from_utf8(stream.rest().await.expect("a stream")).expect("UTF-8");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(text.contains("chat.completion.chunk"), "{text}");
    let recorded = gateway.within_a_second(|gateway| gateway.records.all().len() == 1);
    assert!(recorded.await);
    let record = &gateway.records.all()[0];
    assert_eq!(record.outcome, Outcome::Success);
    assert!(
        record.usage.is_some_and(|usage| usage.output_tokens > 0),
        "{record:?}"
    );
    assert!(record.is_stream && record.time_to_first_byte.is_some());
    assert_eq!(upstream.ledger().count(), 1);
}

#[tokio::test]
async fn an_anthropic_client_talks_to_an_openai_provider() {
    let (_upstream, gateway) = simulated().await;
    let answer = gateway.messages(&anthropic("fast")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let body = answer.json();
    let said = (&body["type"], &body["role"]);
    assert_eq!(said, (&json!("message"), &json!("assistant")));
    assert_eq!(body["content"][0]["type"], "text");
    assert_eq!(answer.header("request-id"), answer.header("x-request-id"));

    let client = gateway.client(1);
    let question = streamed(anthropic("fast"));
    let mut stream = client
        .stream("/v1/messages", &question)
        .await
        .expect("an answer");
    let text = String::from_utf8(stream.rest().await.expect("a stream")).expect("UTF-8");
    assert!(text.starts_with("event: message_start"), "{text}");
    assert!(
        text.trim_end().ends_with("{\"type\":\"message_stop\"}"),
        "{text}"
    );
}

#[tokio::test]
async fn both_dialects_talk_to_an_anthropic_provider() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let base_url = upstream.anthropic_base_url();
    let gateway = Workshop::new()
        .row("claude", "anthropic", "simulated-claude", &base_url)
        .start()
        .await;
    let passed = gateway.messages(&anthropic("claude")).await;
    assert_eq!(passed.status, StatusCode::OK, "{}", passed.text());
    assert_eq!(passed.json()["type"], "message");
    assert_eq!(passed.header("x-quartermaster-provider"), "anthropic");
    let translated = gateway.chat(&openai("claude")).await;
    assert_eq!(translated.status, StatusCode::OK, "{}", translated.text());
    assert_eq!(translated.json()["object"], "chat.completion");
    let mut stream = gateway.chat_stream(&streamed(openai("claude"))).await;
    let text = String::from_utf8(stream.rest().await.expect("a stream")).expect("UTF-8");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let key = upstream.ledger().requests()[0].headers["x-api-key"].clone();
    assert_eq!(key, PROVIDER_KEY);
    let usages = gateway.records.all();
    assert!(
        usages.iter().all(|record| record.usage.is_some()),
        "{usages:?}"
    );
}

#[tokio::test]
async fn a_configuration_that_streams_answers_a_client_that_does_not() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let parameters = json!({"base_url": upstream.openai_base_url(), "streaming": true});
    let gateway = Workshop::new()
        .add("streaming", "openai", "simulated-chat", parameters, |_| {})
        .start()
        .await;
    let answer = gateway.chat(&openai("streaming")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.json()["object"], "chat.completion");
    let text = answer.json()["choices"][0]["message"]["content"].clone();
    assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{text}");
    assert_eq!(upstream.ledger().requests()[0].json()["stream"], true);
}

#[tokio::test]
async fn a_configuration_that_does_not_stream_answers_a_client_that_does() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let base = upstream.openai_base_url();
    let never = json!({"base_url": base, "disable_streaming": true});
    let tools = json!({"base_url": base, "disable_streaming": "tool_calling"});
    let gateway = Workshop::new()
        .add("never", "openai", "simulated-chat", never, |_| {})
        .add("tools", "openai", "simulated-chat", tools, |_| {})
        .start()
        .await;
    let offered = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let cases = [
        ("never", Value::Null, false),
        ("tools", offered, false),
        ("tools", Value::Null, true),
    ];
    for (name, tools, streams) in cases {
        let mut call = openai(name);
        call["stream"] = true.into();
        call["tools"] = tools;
        let answer = gateway.chat(&call).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let text = answer.text();
        assert!(text.contains("chat.completion.chunk"), "{name}: {text}");
        assert!(text.ends_with("data: [DONE]\n\n"), "{name}: {text}");
        let asked = upstream.ledger().requests().last().expect("one").json();
        assert_eq!(asked["stream"], streams, "{name}: {asked}");
    }
    let whole = &gateway.records.all()[..2];
    assert!(
        whole.iter().all(|record| record.usage.is_some()),
        "{whole:?}"
    );
}

#[tokio::test]
async fn the_built_in_provider_answers_inside_the_process() {
    let simulator = testkit::simulator::Simulator::new();
    let ledger = simulator.ledger().clone();
    let service = tower::service_fn(move |request| {
        let simulator = simulator.clone();
        async move { simulator.call(request).await.map_err(BoxError::from) }
    });
    let mut workshop =
        Workshop::new().add("house", "simulated", "simulated-chat", json!({}), |row| {
            row.key = None;
            row.configuration.organization_id = None;
        });
    workshop.egress.allow_private_networks = false;
    let gateway = workshop
        .in_process(
            "http://simulated.invalid",
            BoxCloneSyncService::new(service),
        )
        .start()
        .await;
    for organization in [1, 2] {
        let client = gateway.client(organization);
        let answer = client.post("/v1/chat/completions", &openai("house")).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    let mut stream = gateway.chat_stream(&streamed(openai("house"))).await;
    let text = String::from_utf8(stream.rest().await.expect("a stream")).expect("UTF-8");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(ledger.count(), 3);
    assert_eq!(ledger.connections(), (0, 0));
    assert_eq!(gateway.records.all()[0].key_owner, KeyOwner::Nobody);
}

#[tokio::test]
async fn own_rows_come_before_defaults_and_archived_rows_have_no_name() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let parameters = || json!({"base_url": url});
    let gateway = Workshop::new()
        .add("main", "openai", "simulated-default", parameters(), |row| {
            row.configuration.organization_id = None;
            row.key = None;
        })
        .add("main", "openai", "simulated-own", parameters(), |_| {})
        .add("old", "openai", "simulated-old", parameters(), |row| {
            row.configuration.settings.is_archived = true;
        })
        .start()
        .await;
    assert_eq!(gateway.chat(&openai("main")).await.status, StatusCode::OK);
    assert_eq!(upstream.ledger().requests()[0].model, "simulated-own");
    assert_eq!(
        gateway.chat(&openai("old")).await.status,
        StatusCode::NOT_FOUND
    );
    let id = gateway.rows[2].configuration.id.to_string();
    assert_eq!(gateway.chat(&openai(&id)).await.status, StatusCode::OK);

    // Another organisation sees the default alone, which has no key here.
    let other = gateway.client(2);
    let hidden = other.post("/v1/chat/completions", &openai(&id)).await;
    assert_eq!(hidden.expect("an answer").status, StatusCode::NOT_FOUND);
    let keyless = other.post("/v1/chat/completions", &openai("main")).await;
    let keyless = keyless.expect("an answer");
    assert_eq!(keyless.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        keyless.json()["error"]["code"],
        "provider_credential_missing"
    );

    let names = |answer: Value| -> Vec<String> {
        let data = answer["data"].as_array().cloned().unwrap_or_default();
        let name = |model: &Value| model["id"].as_str().map(str::to_owned);
        data.iter().filter_map(name).collect()
    };
    let mine = gateway
        .client(1)
        .get("/v1/models")
        .await
        .expect("a list")
        .json();
    assert_eq!(
        (&mine["object"], names(mine.clone())),
        (&json!("list"), vec!["main".to_owned()])
    );
    assert_eq!(
        mine["data"][0]["model_configuration_id"],
        gateway.rows[1].configuration.id.to_string()
    );
    let client = gateway
        .client(2)
        .with_header("anthropic-version", "2023-06-01");
    let theirs = client.get("/v1/models").await.expect("a list").json();
    assert_eq!(
        (&theirs["has_more"], &theirs["data"][0]["type"]),
        (&json!(false), &json!("model"))
    );
    let one = gateway
        .client(1)
        .get("/v1/models/main")
        .await
        .expect("a model");
    assert_eq!(one.json()["object"], "model");
    let none = gateway
        .client(1)
        .get("/v1/models/old")
        .await
        .expect("an answer");
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_list_of_models_names_its_request_as_calls_do() {
    let (_upstream, gateway) = simulated().await;
    let stranger = gateway.client(9).with_header("anthropic-version", "1");
    for (sent, is_kept) in [("mine-1", true), ("a b level=error", false)] {
        let client = stranger.with_header("x-request-id", sent);
        let refused = client.get("/v1/models").await.expect("an answer");
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        let id = refused.header("x-request-id").to_owned();
        assert_eq!(id == sent, is_kept, "{id}");
        assert_eq!(refused.header("request-id"), id);
        assert_eq!(refused.json()["request_id"], id);
    }
}

#[tokio::test]
async fn the_next_call_sees_the_next_snapshot() {
    let (_upstream, gateway) = simulated().await;
    assert_eq!(gateway.chat(&openai("fast")).await.status, StatusCode::OK);
    let before = gateway.snapshot.load_full();
    let mut renamed = gateway.rows[0].configuration.clone();
    renamed.settings.name = "renamed".to_owned();
    let after = before.with_organization(2, organization(2), OrganizationRows::default());
    assert_eq!(after.revision(), 2);
    gateway.snapshot.store(std::sync::Arc::new(after));
    assert_eq!(gateway.chat(&openai("fast")).await.status, StatusCode::OK);
    let revoked = gateway
        .client(2)
        .get("/v1/models")
        .await
        .expect("an answer");
    assert_eq!(revoked.status, StatusCode::UNAUTHORIZED);
    let rows = OrganizationRows {
        configurations: vec![Ok(renamed)],
        ..OrganizationRows::default()
    };
    let next = gateway
        .snapshot
        .load()
        .with_organization(3, organization(1), rows);
    gateway.snapshot.store(std::sync::Arc::new(next));
    assert_eq!(
        gateway.chat(&openai("renamed")).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn every_wrong_key_gets_the_same_answer() {
    let (upstream, gateway) = simulated().await;
    let stranger = gateway.stranger();
    let unknown = stranger.with_key("a-key-that-nobody-has-ever-made-1234");
    let malformed = stranger.with_key("short");
    let basic = stranger.with_header("authorization", "Basic dXNlcjpwYXNz");
    let by_x_api_key = stranger.with_header("x-api-key", "another-key-that-nobody-has-made-1");
    let mut bodies = Vec::new();
    for client in [stranger.clone(), unknown, malformed, basic, by_x_api_key] {
        let answer = client.post("/v1/chat/completions", &openai("fast")).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    let path = "/v1/messages?api_key=client-key-of-organization-00000001";
    let in_query = stranger.post(path, &anthropic("fast")).await;
    let in_query = in_query.expect("an answer");
    assert_eq!(in_query.status, StatusCode::UNAUTHORIZED);
    assert_eq!(in_query.json()["type"], "error");
    let no_scope = gateway
        .client(3)
        .post("/v1/chat/completions", &openai("fast"))
        .await;
    assert_eq!(no_scope.expect("an answer").status, StatusCode::FORBIDDEN);
    let lower = stranger.with_header(
        "authorization",
        "bearer client-key-of-organization-00000001",
    );
    let lower = lower.post("/v1/chat/completions", &openai("fast")).await;
    assert_eq!(lower.expect("an answer").status, StatusCode::OK);
    let own = stranger.with_header("x-api-key", "client-key-of-organization-00000001");
    let own = own.post("/v1/messages", &anthropic("fast")).await;
    assert_eq!(own.expect("an answer").status, StatusCode::OK);
    assert_eq!(upstream.ledger().count(), 2);
}

#[tokio::test]
async fn metrics_have_bounded_labels() {
    let (_upstream, gateway) = simulated().await;
    gateway.chat(&openai("fast")).await;
    gateway.chat(&openai("a-name-that-nobody-has")).await;
    let text = gateway.metrics();
    for line in [
        "quartermaster_calls_total{dialect=\"openai_chat\",provider=\"openai\",outcome=\"success\"} 1",
        "quartermaster_calls_total{dialect=\"openai_chat\",provider=\"none\",outcome=\"refused\"} 1",
        "quartermaster_attempts_total{provider=\"openai\",outcome=\"success\"} 1",
        "quartermaster_calls_in_flight 0",
        "quartermaster_call_duration_seconds_count{dialect=\"openai_chat\",provider=\"openai\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    for word in [
        "simulated-chat",
        "fast",
        "a-name-that-nobody-has",
        "How do you do",
    ] {
        assert!(!text.contains(word), "{word}\n{text}");
    }
}

#[tokio::test]
async fn run_and_request_ids_of_the_client_are_kept() {
    let (_upstream, gateway) = simulated().await;
    let client = gateway
        .client(1)
        .with_header("x-run-id", "run-1")
        .with_header("x-request-id", "request-1")
        .with_header("idempotency-key", "once");
    let answer = client.post("/v1/chat/completions", &openai("fast")).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.header("x-request-id"), "request-1");
    assert_eq!(answer.header("idempotency-status"), "unsupported");
    let record = &gateway.records.all()[0];
    assert_eq!(record.run_id.as_deref(), Some("run-1"));
    assert_eq!(record.request_id, "request-1");
}

#[tokio::test]
async fn of_a_client_s_headers_only_betas_reach_a_provider() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let gateway = Workshop::new()
        .row(
            "claude",
            "anthropic",
            "simulated-claude",
            &upstream.anthropic_base_url(),
        )
        .row(
            "gpt",
            "openai",
            "simulated-chat",
            &upstream.openai_base_url(),
        )
        .start()
        .await;
    let client = gateway
        .client(1)
        .with_header("anthropic-beta", "context-1m-2025-08-07")
        .with_header("x-simulate", "500")
        .with_header("openai-organization", "org-of-the-client")
        .with_header("cookie", "session=1");
    for model in ["claude", "gpt"] {
        let answer = client.post("/v1/messages", &anthropic(model)).await;
        assert_eq!(answer.expect("an answer").status, StatusCode::OK, "{model}");
    }
    let received = upstream.ledger().requests();
    assert_eq!(
        received[0].headers["anthropic-beta"],
        "context-1m-2025-08-07"
    );
    assert!(received[1].headers.get("anthropic-beta").is_none());
    for request in received {
        for name in [
            "x-simulate",
            "openai-organization",
            "cookie",
            "x-request-id",
        ] {
            assert!(request.headers.get(name).is_none(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_prompt_is_counted_by_its_provider_and_nothing_is_booked() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let base = upstream.anthropic_base_url();
    let gateway = Workshop::new()
        .row("counts", "anthropic", "simulated-chat", &base)
        .row(
            "does-not",
            "openai",
            "simulated-chat",
            &upstream.openai_base_url(),
        )
        .row("fails", "anthropic", "fault:529", &base)
        .start()
        .await;
    let count = async |name: &str| {
        let body = json!({"model": name, "system": "be brief",
            "messages": [{"role": "user", "content": "which way is north"}]});
        let answer = gateway
            .client(1)
            .post("/v1/messages/count_tokens", &body)
            .await;
        answer.expect("an answer")
    };
    let counted = count("counts").await;
    assert_eq!(counted.status, StatusCode::OK, "{}", counted.text());
    assert_eq!(counted.json(), json!({"input_tokens": 6}));
    assert_eq!(counted.header("x-quartermaster-provider"), "anthropic");
    assert_eq!(counted.header("x-quartermaster-attempts"), "1");
    assert!(
        !counted
            .header("x-quartermaster-model-configuration")
            .is_empty()
    );
    assert_eq!(counted.header("x-request-id"), counted.header("request-id"));
    let sent = upstream.ledger().requests()[0].json();
    assert!(sent.get("max_tokens").is_none(), "{sent}");

    let refused = count("does-not").await;
    assert_eq!(
        refused.status,
        StatusCode::BAD_REQUEST,
        "{}",
        refused.text()
    );
    let body = refused.json();
    assert_eq!(body["type"], "error", "{body}");
    assert_eq!(body["error"]["type"], "invalid_request_error", "{body}");
    let message = body["error"]["message"].to_string();
    assert!(message.contains("counts no tokens"), "{message}");

    let failed = count("fails").await;
    assert_eq!(
        failed.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        failed.text()
    );
    assert_eq!(failed.json()["error"]["type"], "overloaded_error");

    let body = json!({"model": "counts", "messages": []});
    let stranger = gateway
        .stranger()
        .post("/v1/messages/count_tokens", &body)
        .await;
    let stranger = stranger.expect("an answer");
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    assert!(gateway.records.all().is_empty());
}

#[tokio::test]
async fn what_is_not_served_says_what_to_use_instead() {
    let (_upstream, gateway) = simulated().await;
    for (path, advice) in [
        ("/v1/responses/resp_1", "kept here"),
        ("/v1/embeddings", "chat models"),
        ("/chat/completions", "base URL lacks `/v1`"),
    ] {
        let answer = gateway.stranger().post(path, &openai("fast")).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let body = answer.json();
        assert_eq!(body["error"]["code"], "not_served");
        let message = body["error"]["message"].to_string();
        assert!(message.contains(advice), "{path}: {message}");
    }
    for (path, advice) in [
        ("/v1/messages/batches", "each call"),
        ("/v1/v1/messages", "leave it out"),
    ] {
        let answer = gateway.stranger().post(path, &anthropic("fast")).await;
        let answer = answer.expect("an answer");
        let body = answer.json();
        assert_eq!(body["error"]["type"], "not_found_error", "{path}: {body}");
        let id = answer.header("x-request-id");
        assert!(!id.is_empty(), "{path}");
        assert_eq!(body["request_id"], id, "{path}: {body}");
        assert_eq!(answer.header("request-id"), id, "{path}");
        let message = body["error"]["message"].to_string();
        assert!(message.contains(advice), "{path}: {message}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let (_upstream, gateway) = simulated().await;
    for (path, kind) in [
        ("/v1/chat/completions", "invalid_request_error"),
        ("/v1/responses", "invalid_request_error"),
        ("/v1/messages", "invalid_request_error"),
    ] {
        let answer = gateway.stranger().get(path).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.header("allow"), "POST");
        let body = answer.json();
        assert_eq!(body["error"]["type"], kind, "{body}");
        assert!(body["error"]["message"].to_string().contains("POST"));
    }
}

#[tokio::test]
async fn a_parameter_that_never_reaches_the_provider_is_named() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let base = upstream.openai_base_url();
    let base = base.trim_end_matches("/v1");
    let parameters = json!({"base_url": base, "topp": 0.3, "odd\u{e9},": 1});
    let gateway = Workshop::new()
        .add(
            "gemini",
            "google_genai",
            "gemini-2.5-flash",
            parameters,
            |_| {},
        )
        .start()
        .await;
    let answer = gateway.chat(&openai("gemini")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lost = answer.header("x-quartermaster-translation-loss");
    assert!(lost.contains("additional_params.topp"), "{lost}");
    assert!(lost.contains("additional_params.odd"), "{lost}");
}
