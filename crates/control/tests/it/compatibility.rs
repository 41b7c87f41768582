//! Answers beside the operations: unknown paths, wrong methods, slashes, health, headers.

use http::Method;
use serde_json::json;

use crate::harness::TestApp;

#[tokio::test]
async fn unknown_paths_are_fastapis_404() {
    let app = TestApp::start().await;
    for path in [
        "/v1/nothing",
        "/v1/model-configurationz",
        "/v1",
        "/health/x",
    ] {
        let answer = app.anonymous().get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json(), json!({"detail": "Not Found"}));
    }
}

#[tokio::test]
async fn a_slash_too_many_is_a_redirect_that_stays_here() {
    let app = TestApp::start().await;
    for (path, location) in [
        ("/v1/model-configurations/", "/v1/model-configurations"),
        ("/v1/api-keys/?a=1&b=%20", "/v1/api-keys?a=1&b=%20"),
        ("/v1/model-configurations/x/", "/v1/model-configurations/x"),
    ] {
        for method in [Method::GET, Method::POST, Method::PATCH] {
            let call = app
                .anonymous()
                .call(method, path)
                .header("host", "evil.example");
            let answer = call.send().await;
            assert_eq!(answer.status, 307, "{path}");
            assert_eq!(answer.header("location"), Some(location));
        }
    }
    assert_eq!(app.anonymous().get("/v1/nothing/").await.status, 404);
    assert_eq!(app.anonymous().get("//evil.example/").await.status, 404);
}

#[tokio::test]
async fn wrong_methods_are_fastapis_405() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let item = format!("/v1/model-configurations/{}", uuid::Uuid::from_u128(1));
    for (method, path, allow) in [
        (Method::PUT, "/v1/model-configurations", "GET, POST"),
        (Method::OPTIONS, "/v1/model-configurations", "GET, POST"),
        (Method::PUT, &item, "GET, PATCH, DELETE"),
        (Method::DELETE, "/v1/organizations", "GET, POST"),
        (Method::POST, "/v1/health", "GET"),
        (Method::HEAD, "/v1/model-configurations", "GET, POST"),
        (Method::HEAD, "/v1/providers", "GET"),
    ] {
        for client in [app.anonymous(), tenant.developer.clone()] {
            let answer = client.call(method.clone(), path).send().await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
            if method == Method::HEAD {
                assert!(answer.body.is_empty());
            } else {
                assert_eq!(answer.json(), json!({"detail": "Method Not Allowed"}));
            }
        }
    }
    let verify = format!(
        "/v1/model-configurations/{}/verify",
        uuid::Uuid::from_u128(1)
    );
    let answer = tenant.developer.get(&verify).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("allow")),
        (405, Some("POST"))
    );
}

#[tokio::test]
async fn health_needs_no_key() {
    let app = TestApp::start().await;
    let paths = [
        "/v1/health",
        "/v1/health/db",
        "/health",
        "/health/db",
        "/health/live",
        "/health/ready",
    ];
    for path in paths {
        let answer = app.anonymous().get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let body = answer.json();
        assert_eq!(body["status"], "ok", "{path}");
        assert!(
            body.as_object()
                .unwrap()
                .values()
                .all(serde_json::Value::is_string),
            "{path}"
        );
        let head = app.anonymous().call(Method::HEAD, path).send().await;
        assert_eq!(head.status, 200, "load balancers ask so");
    }
    let root = app.anonymous().get("/").await.json();
    assert_eq!(root["name"], "Quartermaster");
    for link in root["links"].as_object().unwrap().values() {
        let status = app.anonymous().get(link.as_str().unwrap()).await.status;
        // The data plane is not here, and one of them needs a key.
        assert!([200, 401, 404].contains(&status.as_u16()), "{link}");
    }
}

#[tokio::test]
async fn every_answer_carries_its_id_and_the_security_headers() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    for path in [
        "/v1/health",
        "/v1/nothing",
        "/v1/model-configurations",
        "/v1/model-configurations/",
        "/openapi.json",
    ] {
        let answer = tenant.developer.get(path).await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(
            answer
                .header("content-security-policy")
                .unwrap()
                .contains("default-src 'none'")
        );
        let id = answer.header("x-request-id").unwrap();
        assert!(uuid::Uuid::parse_str(id).is_ok());
        let call = tenant
            .developer
            .call(Method::GET, path)
            .header("x-request-id", "mine-1.2_3");
        assert_eq!(call.send().await.header("x-request-id"), Some("mine-1.2_3"));
        let call = tenant
            .developer
            .call(Method::GET, path)
            .header("x-request-id", "a b\"");
        assert_ne!(call.send().await.header("x-request-id"), Some("a b\""));
    }
}

#[tokio::test]
async fn the_catalog_has_what_a_form_needs() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let providers = tenant.agent.get("/v1/providers").await.json();
    let find = |name: &str| {
        let found = providers
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == name);
        found.unwrap().clone()
    };
    let openai = find("openai");
    assert_eq!(openai["base_url"], "https://api.openai.com/v1");
    assert_eq!(openai["needs_key"], true);
    assert_eq!(openai["has_platform_key"], false);
    assert_eq!(openai["credential_fields"][0]["is_secret"], true);
    assert!(
        openai["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["name"].is_string())
    );
    assert_eq!(openai["protocol"], "openai_chat");
    let has = |name: &str| {
        openai["capabilities"]
            .as_array()
            .unwrap()
            .contains(&name.into())
    };
    assert!(has("tools") && has("images") && !has("cache_markers"));
    assert_eq!(find("groq")["defaults"]["temperature"], 0.7);
    assert_eq!(find("ollama")["needs_key"], false);
    assert_eq!(find("ollama")["passes_unknown_parameters"], false);
    assert_eq!(find("anthropic")["has_platform_key"], true);
    assert_eq!(find("simulated")["needs_key"], false);
}

#[tokio::test]
async fn an_unknown_provider_is_refused_with_a_suggestion() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    for (provider, model, suggested) in [
        (
            "gpt",
            "gpt-4o",
            "unknown provider; model `gpt-4o` suggests `openai`; known",
        ),
        (
            "Azure-OpenAI",
            "x",
            "unknown provider; did you mean `azure_openai`?; known",
        ),
        ("gpt", "qwen", "unknown provider; known"),
    ] {
        let body = json!({"name": "n", "provider": provider, "model": model});
        let answer = tenant
            .developer
            .post("/v1/model-configurations", body)
            .await;
        assert_eq!(answer.status, 422);
        let message = answer.json()["detail"][0]["msg"].to_string();
        assert!(message.contains(suggested), "{message}");
    }
}
