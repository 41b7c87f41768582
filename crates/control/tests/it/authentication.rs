//! Who is let in, and what everybody else is told: AT-01 to AT-10.

use std::net::IpAddr;

use domain::api_key::{ApiKeyToken, Scope};
use http::Method;
use http::header::AUTHORIZATION;
use serde_json::json;

use crate::harness::TestApp;

const PATH: &str = "/v1/model-configurations";

#[tokio::test]
async fn without_a_key_every_refusal_is_the_same() {
    let app = TestApp::start().await;
    let missing = app.anonymous().get(PATH).await;
    assert_eq!(missing.status, 401);
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    assert_eq!(missing.detail(), "Not authenticated");
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "qm_something",
    ] {
        let call = app.anonymous().call(Method::GET, PATH);
        let answer = call.header(AUTHORIZATION, header).send().await;
        assert_eq!(answer.status, 401, "{header:?}");
        assert_eq!(answer.body, missing.body, "{header:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn wrong_revoked_unknown_and_malformed_keys_cannot_be_told_apart() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let keys = tenant.admin.get("/v1/api-keys").await.json();
    let agent = keys[2]["id"].as_str().unwrap();
    let revoked = tenant.admin.delete(&format!("/v1/api-keys/{agent}")).await;
    assert_eq!(revoked.status, 204);

    let mut wrong = tenant.admin.key().to_owned();
    let last = if wrong.ends_with('a') { "b" } else { "a" };
    wrong.replace_range(wrong.len() - 1.., last);
    let unknown = ApiKeyToken::from_random(&[7; 32]);
    let mut seen = Vec::new();
    for key in [
        tenant.agent.key(),
        wrong.as_str(),
        unknown.expose(),
        "nope",
        &"k".repeat(16 * 1024),
        &"k".repeat(40),
    ] {
        let mut answer = app.with_key(key).get(PATH).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.text(), r#"{"detail":"Invalid API key"}"#);
        answer.headers.remove("x-request-id").unwrap();
        seen.push(answer.headers);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[tokio::test]
async fn a_key_is_only_taken_from_its_header() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let key = tenant.admin.key();
    let query = app
        .anonymous()
        .get(&format!("{PATH}?api_key={key}&token={key}"))
        .await;
    assert_eq!(query.status, 401);
    let cookie = app.anonymous().call(Method::GET, PATH);
    let cookie = cookie
        .header("cookie", &format!("token={key}"))
        .send()
        .await;
    assert_eq!(cookie.status, 401);
}

#[tokio::test]
async fn two_authorization_headers_are_a_400() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let call = tenant.developer.call(Method::GET, PATH);
    let header = format!("Bearer {}", tenant.developer.key());
    let answer = call.header(AUTHORIZATION, &header).send().await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn the_scheme_has_no_case_and_spaces_do_not_matter() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    for scheme in ["bearer", "BEARER", "Bearer "] {
        let call = app.anonymous().call(Method::GET, PATH);
        let header = format!("{scheme} {}", tenant.developer.key());
        let answer = call.header(AUTHORIZATION, &header).send().await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn many_wrong_keys_slow_down_their_address_alone() {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let wrong = app.with_key(&"k".repeat(40));
    let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|it| it.parse().unwrap());
    let mut slowed = 0;
    for number in 0..200 {
        let call = wrong.call(Method::GET, PATH).from(one);
        // Anybody can write this header.
        let answer = call
            .header("x-forwarded-for", &format!("10.0.0.{number}"))
            .send()
            .await;
        if answer.status == 429 {
            let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=10).contains(&seconds));
            slowed += 1;
        } else {
            assert_eq!(answer.status, 401);
        }
    }
    assert_eq!(slowed, 100);
    let elsewhere = wrong.call(Method::GET, PATH).from(other).send().await;
    assert_eq!(elsewhere.status, 401);
    let good = tenant
        .developer
        .call(Method::GET, PATH)
        .from(one)
        .send()
        .await;
    assert_eq!(good.status, 200, "a good key is never held up");
}

#[tokio::test]
async fn scopes_are_what_they_say() {
    let app = TestApp::start().await;
    let operator = app.operator().await;
    let tenant = app.tenant("a").await;
    let only_admin = app.mint(tenant.id, &[Scope::Admin]).await;
    let body = json!({"name": "n", "provider": "simulated", "model": "m"});
    for (client, statuses) in [
        // configurations, keys, audit, organizations, providers
        (&operator, [200, 200, 200, 200, 200]),
        (&tenant.admin, [200, 200, 200, 403, 200]),
        (&only_admin, [403, 200, 200, 403, 200]),
        (&tenant.developer, [200, 403, 403, 403, 200]),
        (&tenant.agent, [403, 403, 403, 403, 200]),
    ] {
        let paths = [
            PATH,
            "/v1/api-keys",
            "/v1/audit-events",
            "/v1/organizations",
            "/v1/providers",
        ];
        for (path, status) in paths.into_iter().zip(statuses) {
            assert_eq!(client.get(path).await.status, status, "{path}");
        }
    }
    for (client, status) in [
        (&tenant.agent, 403),
        (&only_admin, 403),
        (&tenant.developer, 201),
    ] {
        assert_eq!(client.post(PATH, body.clone()).await.status, status);
    }
    // The scope comes before validation, as authentication does.
    assert_eq!(tenant.agent.post(PATH, json!({})).await.status, 403);
}
