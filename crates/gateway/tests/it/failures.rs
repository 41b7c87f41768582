//! Retries, fallbacks, and what the client is told when nothing helps.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use testkit::simulator::serve::RunningSimulator;

use crate::gateway_under_test::{
    GatewayUnderTest, Workshop, anthropic, openai, organization, streamed,
};
use crate::raw_upstream::{Act, RawUpstream};
use gateway::meter::Outcome;
use providers::error::ErrorKind;

/// One simulator, one configuration for each directive, named by it. Each call stands
/// for itself: what circuit breakers do has tests of its own.
async fn with_directives(directives: &[&str]) -> (RunningSimulator, GatewayUnderTest) {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let workshop = directives.iter().fold(
        Workshop::new().without_circuit_breakers(),
        |workshop, directive| workshop.row(directive, "openai", directive, &url),
    );
    (upstream, workshop.start().await)
}

#[tokio::test]
async fn a_provider_that_recovers_is_tried_again() {
    let (upstream, gateway) =
        with_directives(&["fault:500:times=2", "fault:429:times=1:id=x"]).await;
    let answer = gateway.chat(&openai("fault:500:times=2")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("x-quartermaster-attempts"), "3");
    let outcomes: Vec<_> = gateway
        .records
        .all()
        .iter()
        .map(|record| record.outcome)
        .collect();
    let failed = Outcome::Failed(ErrorKind::Server);
    assert_eq!(outcomes, [failed, failed, Outcome::Success]);
    let answer = gateway.chat(&openai("fault:429:times=1:id=x")).await;
    assert_eq!(answer.header("x-quartermaster-attempts"), "2");
    assert_eq!(upstream.ledger().count(), 5);
}

#[tokio::test]
async fn max_retries_is_the_number_of_tries_after_the_first() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    for (max_retries, tries) in [(None, 3), (Some(0), 1), (Some(4), 5)] {
        let parameters = json!({"base_url": upstream.openai_base_url()});
        let gateway = Workshop::new()
            .add("failing", "openai", "fault:503", parameters, |row| {
                row.configuration.settings.max_retries = max_retries;
            })
            .start()
            .await;
        upstream.ledger().clear();
        let answer = gateway.chat(&openai("failing")).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!answer.header("retry-after").is_empty());
        assert_eq!(answer.header("x-quartermaster-attempts"), tries.to_string());
        assert_eq!(upstream.ledger().count(), tries);
    }
}

#[tokio::test]
async fn every_status_of_a_provider_becomes_the_right_one() {
    let table = [
        ("fault:400", 400, "1"),
        ("fault:401", 502, "1"),
        ("fault:403", 502, "1"),
        ("fault:404", 404, "1"),
        ("fault:413", 413, "1"),
        ("fault:422", 422, "1"),
        ("fault:429:retry-after=0", 429, "3"),
        ("fault:500", 502, "3"),
        ("fault:502:html", 502, "3"),
        ("fault:503", 503, "3"),
        ("fault:529", 503, "3"),
        ("fault:500:malformed", 502, "3"),
        ("fault:408", 502, "3"),
    ];
    let directives: Vec<&str> = table.iter().map(|(directive, ..)| *directive).collect();
    let (_upstream, gateway) = with_directives(&directives).await;
    for (directive, status, attempts) in table {
        for is_stream in [false, true] {
            let mut question = openai(directive);
            question["stream"] = json!(is_stream);
            let answer = gateway.chat(&question).await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{directive}: {}",
                answer.text()
            );
            assert_eq!(
                answer.header("x-quartermaster-attempts"),
                attempts,
                "{directive}"
            );
            assert_eq!(answer.header("x-quartermaster-provider"), "openai");
            assert_eq!(answer.header("content-type"), "application/json");
            let message = answer.json()["error"]["message"].clone();
            assert!(
                message.as_str().is_some_and(|text| !text.is_empty()),
                "{directive}"
            );
        }
        let answer = gateway.messages(&anthropic(directive)).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{directive}: {}",
            answer.text()
        );
        assert_eq!(answer.json()["type"], "error", "{directive}");
    }
    let failing = gateway.chat(&openai("fault:500")).await;
    assert_eq!(failing.header("x-should-retry"), "");
    let refused = gateway.chat(&openai("fault:401")).await;
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(refused.json()["error"]["code"], "provider_authentication");
    let message = refused.json()["error"]["message"].to_string();
    assert!(
        message.contains("The provider refused the key"),
        "{message}"
    );
}

#[tokio::test]
async fn what_another_target_can_help_falls_back_and_what_it_cannot_does_not() {
    let directives = [
        "simulated-chat",
        "fault:401",
        "fault:404",
        "fault:500",
        "fault:400",
        "fault:429:retry-after=60",
        "fault:reset=0",
        "fault:malformed",
    ];
    let (upstream, gateway) = with_directives(&directives).await;
    for (first, attempts) in [
        ("fault:401", "2"),
        ("fault:404", "2"),
        ("fault:500", "4"),
        ("fault:reset=0", "4"),
        ("fault:malformed", "4"),
        // A target that rests for a minute is left at once.
        ("fault:429:retry-after=60", "2"),
    ] {
        for is_stream in [false, true] {
            let mut question = openai(first);
            question["models"] = json!(["simulated-chat"]);
            question["stream"] = json!(is_stream);
            let answer = gateway.chat(&question).await;
            assert_eq!(answer.status, StatusCode::OK, "{first}: {}", answer.text());
            assert_eq!(
                answer.header("x-quartermaster-attempts"),
                attempts,
                "{first}"
            );
            let id = gateway.rows[0].configuration.id.to_string();
            assert_eq!(answer.header("x-quartermaster-model-configuration"), id);
        }
    }
    upstream.ledger().clear();
    let mut question = openai("fault:400");
    question["models"] = json!(["simulated-chat"]);
    assert_eq!(
        gateway.chat(&question).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(upstream.ledger().count(), 1);
    // `models` alone is the whole list, and an unknown entry is named.
    let mut question = openai("");
    question["models"] = json!(["fault:401", "simulated-chat"]);
    question.as_object_mut().expect("an object").remove("model");
    assert_eq!(gateway.chat(&question).await.status, StatusCode::OK);
    let question = json!({"model": "simulated-chat", "models": ["nobody"], "messages": []});
    let answer = gateway.chat(&question).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.text().contains("nobody"), "{}", answer.text());
    assert_eq!(answer.json()["error"]["param"], "models");
    let question = json!({"model": "nobody", "models": ["simulated-chat"], "messages": []});
    let answer = gateway.chat(&question).await;
    assert_eq!(answer.json()["error"]["param"], "model");
    let answer = gateway.chat(&json!({"messages": []})).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_fallback_across_formats_goes_through_the_canonical_call() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let gateway = Workshop::new()
        .row("gpt", "openai", "fault:401", &upstream.openai_base_url())
        .row(
            "claude",
            "anthropic",
            "simulated-claude",
            &upstream.anthropic_base_url(),
        )
        .start()
        .await;
    let mut question = openai("gpt");
    question["models"] = json!(["claude"]);
    let answer = gateway.chat(&question).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("x-quartermaster-provider"), "anthropic");
    assert_eq!(answer.json()["object"], "chat.completion");
}

#[tokio::test]
async fn a_missing_or_unreadable_key_says_what_to_do() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let keyless = json!({"base_url": url});
    let gateway = Workshop::new()
        .add("keyless", "openai", "simulated-chat", keyless, |row| {
            row.key = None
        })
        .row("fine", "openai", "simulated-chat", &url)
        .start()
        .await;
    let answer = gateway.chat(&openai("keyless")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        answer.json()["error"]["code"],
        "provider_credential_missing"
    );
    assert_eq!(answer.header("x-quartermaster-attempts"), "0");
    let mut question = openai("keyless");
    question["models"] = json!(["fine"]);
    assert_eq!(
        gateway
            .chat(&question)
            .await
            .header("x-quartermaster-attempts"),
        "1"
    );

    let mut workshop = Workshop::new().row("sealed", "openai", "simulated-chat", &url);
    workshop.vault_is_down = true;
    let answer = workshop.start().await.chat(&openai("sealed")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"]["code"], "secret_unavailable");
    assert!(!answer.header("retry-after").is_empty());

    // A secret that is bound to another origin than the row now has does not open.
    let mut workshop = Workshop::new().row("moved", "openai", "simulated-chat", &url);
    workshop.rows[0].configuration.settings.provider = "anthropic".to_owned();
    workshop.rows[0].key = None;
    let gateway = workshop.start().await;
    upstream.ledger().clear();
    let answer = gateway.chat(&openai("moved")).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(answer.json()["error"]["code"], "secret_unavailable");
    assert_eq!(upstream.ledger().count(), 0);
}

#[tokio::test]
async fn a_platform_key_goes_to_the_catalog_s_host_and_nowhere_else() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let elsewhere = json!({"base_url": upstream.openai_base_url()});
    let mut workshop = Workshop::new()
        .add("elsewhere", "openai", "simulated-chat", elsewhere, |row| {
            row.key = None
        })
        .add("catalog", "openai", "simulated-chat", json!({}), |row| {
            row.key = None
        });
    let key = "platform-key-canary-0123456789".to_owned();
    workshop.platform_keys.insert("openai".to_owned(), key);
    // Nothing listens there: that it is tried shows that there was a key.
    let closed = "127.0.0.1:9".to_owned();
    workshop
        .egress
        .connect_to
        .insert("api.openai.com:443".to_owned(), closed);
    let gateway = workshop.start().await;
    let answer = gateway.chat(&openai("elsewhere")).await;
    assert_eq!(
        answer.json()["error"]["code"],
        "provider_credential_missing"
    );
    let message = answer.json()["error"]["message"].to_string();
    let origin = upstream.openai_base_url().replace("/v1", "");
    assert!(
        message.contains(&origin) && message.contains("the provider's own host"),
        "{message}"
    );
    assert_eq!(upstream.ledger().count(), 0);
    let answer = gateway.chat(&openai("catalog")).await;
    assert_eq!(answer.json()["error"]["code"], "provider_connect");
    let message = answer.json()["error"]["message"].to_string();
    assert!(
        message.contains("no connection to api.openai.com: ") && !message.contains("127.0.0.1"),
        "{message}"
    );
    assert_eq!(message.matches("no connection").count(), 1, "{message}");
    assert_eq!(answer.header("x-quartermaster-attempts"), "3");
}

#[tokio::test]
async fn each_stage_has_its_limit() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let configured = |seconds: f64| {
        move |row: &mut crate::gateway_under_test::Row| {
            row.configuration.settings.timeout_seconds = Some(seconds);
            row.configuration.settings.max_retries = Some(0);
        }
    };
    let parameters = || json!({"base_url": url});
    let silent = RawUpstream::start(vec![Act::Hold]).await;
    let tls = json!({"base_url": format!("https://127.0.0.1:{}/v1", silent.port)});
    let gateway = Workshop::new()
        .add(
            "header",
            "openai",
            "fault:delay=5",
            parameters(),
            configured(0.2),
        )
        .add(
            "idle",
            "openai",
            "fault:body-delay=5",
            parameters(),
            configured(0.2),
        )
        .add(
            "stall",
            "openai",
            "fault:stall=0",
            parameters(),
            configured(0.2),
        )
        .add("connect", "openai", "simulated-chat", tls, configured(5.0))
        .start()
        .await;
    for (name, says) in [
        ("header", "did not begin to answer"),
        ("idle", "sent nothing"),
        ("stall", "sent nothing"),
        // The listener never answers the TLS handshake.
        ("connect", "no connection"),
    ] {
        let started = std::time::Instant::now();
        let answer = gateway.chat(&streamed(openai(name))).await;
        assert_eq!(
            answer.status,
            StatusCode::GATEWAY_TIMEOUT,
            "{name}: {}",
            answer.text()
        );
        assert!(answer.text().contains(says), "{name}: {}", answer.text());
        assert!(started.elapsed() < Duration::from_secs(3), "{name}");
    }
}

#[tokio::test]
async fn the_whole_call_has_a_limit_that_retries_cannot_exceed() {
    let (upstream, mut workshop) = {
        let upstream = RunningSimulator::start().await.expect("a simulator");
        let url = upstream.openai_base_url();
        let workshop = Workshop::new()
            .row("slow", "openai", "fault:delay=30", &url)
            .row("drip", "openai", "fault:drip=0.05", &url)
            .row("rests", "openai", "fault:429:retry-after=30", &url);
        (upstream, workshop)
    };
    workshop.limits.call = Duration::from_millis(400);
    let gateway = workshop.start().await;
    for (name, status) in [("slow", 504), ("drip", 504), ("rests", 429)] {
        let started = std::time::Instant::now();
        let answer = gateway.chat(&openai(name)).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.text());
        assert!(started.elapsed() < Duration::from_secs(2), "{name}");
    }
    assert_eq!(upstream.ledger().count(), 3);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [
        "301 Moved",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let elsewhere = RawUpstream::start(vec![Act::answer("200 OK", "", "{}")]).await;
        let location = format!("location: http://127.0.0.1:{}/v1\r\n", elsewhere.port);
        let upstream = RawUpstream::start(vec![Act::answer(status, &location, "")]).await;
        let gateway = Workshop::new()
            .row("redirected", "openai", "gpt", &upstream.base_url())
            .start()
            .await;
        let answer = gateway.chat(&openai("redirected")).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_GATEWAY,
            "{status}: {}",
            answer.text()
        );
        assert_eq!(elsewhere.connections(), 0, "{status}");
    }
}

#[tokio::test]
async fn answers_that_are_no_answers_are_failures() {
    let json = "content-type: application/json\r\n";
    let table = [
        (
            "compressed",
            Act::answer("200 OK", "content-encoding: gzip\r\n", "xxxx"),
        ),
        (
            "cut",
            Act::text("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\""),
        ),
        ("no http", Act::text("SSH-2.0-OpenSSH_9.6\r\n\r\n")),
        ("no json", Act::answer("200 OK", json, "<html>")),
        (
            "truncated json",
            Act::answer("200 OK", json, "{\"choices\": ["),
        ),
        ("nothing", Act::text("")),
        (
            "two lengths",
            Act::text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        ),
    ];
    for (name, act) in table {
        let upstream = RawUpstream::start(vec![act]).await;
        let gateway = Workshop::new()
            .without_circuit_breakers()
            .row("broken", "openai", "gpt", &upstream.base_url())
            .start()
            .await;
        for question in [
            openai("broken"),
            streamed(openai("broken")),
            anthropic("broken"),
        ] {
            let is_anthropic = question.get("max_tokens").is_some();
            let answer = if is_anthropic {
                gateway.messages(&question).await
            } else {
                gateway.chat(&question).await
            };
            assert_eq!(
                answer.status,
                StatusCode::BAD_GATEWAY,
                "{name}: {}",
                answer.text()
            );
            assert_eq!(answer.header("x-quartermaster-attempts"), "3", "{name}");
        }
    }
}

#[tokio::test]
async fn an_error_whose_body_breaks_off_keeps_its_status() {
    for rest in [vec![], vec![Act::text("{\"error\":")]] {
        let head = "HTTP/1.1 422 Unprocessable\r\ncontent-length: 100\r\n\r\n";
        let script = [vec![Act::text(head)], rest].concat();
        let upstream = RawUpstream::start(script).await;
        let gateway = Workshop::new()
            .row("broken", "openai", "gpt", &upstream.base_url())
            .start()
            .await;
        let answer = gateway.chat(&openai("broken")).await;
        assert_eq!(answer.status.as_u16(), 422, "{}", answer.text());
        assert_eq!(upstream.connections(), 1);
    }
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_given_up() {
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024));
    let answer = Act::answer("200 OK", "content-type: application/json\r\n", &body);
    let upstream = RawUpstream::start(vec![answer]).await;
    let mut workshop = Workshop::new().row("large", "openai", "gpt", &upstream.base_url());
    workshop.limits.answer_bytes = 16 * 1024;
    let answer = workshop.start().await.chat(&openai("large")).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.text().contains("larger than"), "{}", answer.text());
}

#[tokio::test]
async fn only_rows_for_computer_use_get_computer_use_tools() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.anthropic_base_url();
    let computer = json!({"base_url": url});
    let gateway = Workshop::new()
        .row("plain", "anthropic", "simulated-plain", &url)
        .add("computer", "anthropic", "fault:401", computer, |row| {
            row.configuration.settings.is_computer_use_model = true;
        })
        .start()
        .await;
    let question = |model: &str, fallback: &str| {
        let mut question = anthropic(model);
        question["models"] = json!([fallback]);
        question["tools"] = json!([{
            "type": "computer_20250124", "name": "computer",
            "display_width_px": 800, "display_height_px": 600
        }]);
        question
    };
    let refused = gateway.messages(&question("plain", "computer")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.text().contains("is_computer_use_model"),
        "{}",
        refused.text()
    );
    assert_eq!(upstream.ledger().count(), 0);
    let failed = gateway.messages(&question("computer", "plain")).await;
    assert_eq!(failed.status, StatusCode::BAD_GATEWAY, "{}", failed.text());
    let received = upstream.ledger().requests();
    assert!(received.iter().all(|request| request.model == "fault:401"));
    assert!(
        gateway
            .records
            .all()
            .iter()
            .all(|record| record.organization_id == organization(1))
    );
}

#[tokio::test]
async fn a_computer_use_tool_of_any_shape_is_one_in_every_format() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let responses = json!({"base_url": upstream.openai_base_url(), "use_responses_api": true});
    let gateway = Workshop::new()
        .row(
            "chat",
            "openai",
            "simulated-chat",
            &upstream.openai_base_url(),
        )
        .row(
            "claude",
            "anthropic",
            "simulated-chat",
            &upstream.anthropic_base_url(),
        )
        .add("responses", "openai", "simulated-chat", responses, |_| {})
        .start()
        .await;
    let tools = [
        json!({"type": "computer_use_preview", "display_width": 800, "display_height": 600}),
        json!({"type": "computer"}),
        json!({"type": "computer-preview"}),
        json!({"type": "computerUse"}),
        json!({"computer_use": {"environment": "ENVIRONMENT_BROWSER"}}),
        json!({"computerUse": {"environment": "ENVIRONMENT_BROWSER"}}),
        json!({"type": "custom", "name": "x", "computer_use": {}}),
        json!({"type": "custom", "name": "x", "custom": {"name": "x"}, "computer_use": {}}),
        json!({"type": "function", "function": {"name": "x"}, "computer_use": {}}),
        json!({"type": "function", "name": "x", "input_schema": {}, "computer_use": {}}),
        json!({"type": "namespace", "name": "x", "tools": [{"type": "computer"}]}),
    ];
    for row in ["chat", "claude", "responses"] {
        let input = json!({"model": row, "input": "Hello"});
        for (path, question) in [
            ("/v1/chat/completions", openai(row)),
            ("/v1/messages", anthropic(row)),
            ("/v1/responses", input),
        ] {
            for tool in &tools {
                let mut question = question.clone();
                question["tools"] = json!([tool]);
                let answer = gateway.client(1).post(path, &question).await;
                let answer = answer.expect("an answer");
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {tool}");
                let text = answer.text();
                assert!(
                    text.contains("is_computer_use_model"),
                    "{path} {tool} {text}"
                );
            }
        }
        // A conversation may bring its tools along.
        let brought = json!({"model": row, "input": [
            {"type": "additional_tools", "role": "developer", "tools": [{"type": "computer"}]},
            {"role": "user", "content": "Hello"}]});
        let answer = gateway.client(1).post("/v1/responses", &brought).await;
        let text = answer.expect("an answer").text();
        assert!(text.contains("is_computer_use_model"), "{row} {text}");
    }
    assert_eq!(upstream.ledger().count(), 0);
}

#[tokio::test]
async fn what_a_shared_account_keeps_is_nobody_s_to_continue() {
    let mut workshop = Workshop::new();
    for (name, parameters) in [
        ("continues", json!({"use_previous_response_id": true})),
        (
            "refers",
            json!({"use_responses_api": true, "model_kwargs": {"previous_response_id": "resp_1"}}),
        ),
    ] {
        workshop = workshop.add(name, "openai", "gpt-4o-mini", parameters, |row| {
            row.key = None;
        });
    }
    let key = "platform-key-canary-0123456789".to_owned();
    workshop.platform_keys.insert("openai".to_owned(), key);
    let gateway = workshop.start().await;
    for name in ["continues", "refers"] {
        let answer = gateway.chat(&openai(name)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
        assert!(
            answer.text().contains("account is shared"),
            "{}",
            answer.text()
        );
    }
}
