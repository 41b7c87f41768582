//! What a configuration may hold, and what it comes to.

use std::borrow::Cow;

use domain::model_configuration::ModelSettings;
use providers::catalog;
use providers::endpoint::EndpointPolicy;
use providers::parameters;
use providers::rewrite::Patch;
use providers::target::Target;
use serde_json::{Value, json};

use crate::vectors::record::Record;

fn settings(config: Value) -> ModelSettings {
    let mut config = config;
    config["provider"] = "openai".into();
    if config["model"].is_null() {
        config["model"] = "gpt-4o".into();
    }
    let parameters = config["additional_params"].as_object().cloned();
    let record: Record =
        serde_json::from_value(json!({"id": "x", "kind": "request", "config": config})).unwrap();
    ModelSettings {
        additional_params: parameters,
        ..record.settings()
    }
}

fn problems(parameters: Value, policy: EndpointPolicy) -> Vec<(Vec<String>, String)> {
    let settings = settings(json!({"additional_params": parameters}));
    let provider = catalog::provider("openai").unwrap();
    parameters::check(provider, &settings, policy)
        .into_iter()
        .map(|error| (error.path, error.message))
        .collect()
}

#[test]
fn secrets_are_refused_wherever_they_stand_and_never_repeated() {
    for (parameters, path) in [
        (json!({"openai_api_key": "CANARY"}), vec!["openai_api_key"]),
        (json!({"api_key": "CANARY"}), vec!["api_key"]),
        (
            json!({"anthropic_api_key": "CANARY"}),
            vec!["anthropic_api_key"],
        ),
        (json!({"azure_ad_token": "CANARY"}), vec!["azure_ad_token"]),
        (
            json!({"aws_secret_access_key": "CANARY"}),
            vec!["aws_secret_access_key"],
        ),
        (json!({"password": "CANARY"}), vec!["password"]),
        (json!({"Authorization": "CANARY"}), vec!["Authorization"]),
        (
            json!({"default_headers": {"Authorization": "CANARY"}}),
            vec!["default_headers", "Authorization"],
        ),
        (
            json!({"default_headers": {"X-API-Key": "CANARY"}}),
            vec!["default_headers", "X-API-Key"],
        ),
        (
            json!({"default_headers": {"api-key": "CANARY"}}),
            vec!["default_headers", "api-key"],
        ),
        (
            json!({"default_headers": {"x-goog-api-key": "CANARY"}}),
            vec!["default_headers", "x-goog-api-key"],
        ),
        (
            json!({"default_headers": {"Cookie": "CANARY"}}),
            vec!["default_headers", "Cookie"],
        ),
        (
            json!({"default_headers": {"x-auth-token": "CANARY"}}),
            vec!["default_headers", "x-auth-token"],
        ),
        (
            json!({"default_query": {"key": "CANARY"}}),
            vec!["default_query", "key"],
        ),
        (
            json!({"model_kwargs": {"api_key": "CANARY"}}),
            vec!["model_kwargs", "api_key"],
        ),
        (
            json!({"extra_body": {"api_key": "CANARY"}}),
            vec!["extra_body", "api_key"],
        ),
        (
            json!({"default_request_headers": {"Authorization": "CANARY"}}),
            vec!["default_request_headers", "Authorization"],
        ),
        (
            json!({"model_kwargs": {"http_headers": {"x-api-key": "CANARY"}}}),
            vec!["model_kwargs", "http_headers", "x-api-key"],
        ),
        (
            json!({"extra_body": {"extra_headers": {"Api-Key": "CANARY", "x": "fine"}}}),
            vec!["extra_body", "extra_headers", "Api-Key"],
        ),
    ] {
        let found = problems(parameters.clone(), EndpointPolicy::PrivateNetworksAllowed);
        assert_eq!(found.len(), 1, "{parameters}: {found:?}");
        assert_eq!(found[0].0, path, "{parameters}");
        assert!(
            found[0].1.contains("`api_key`"),
            "{parameters}: {}",
            found[0].1
        );
        assert!(!found[0].1.contains("CANARY"), "{parameters}");
    }
}

#[test]
fn code_files_proxies_and_what_belongs_elsewhere_are_refused() {
    for parameters in [
        json!({"http_client": {}}),
        json!({"http_async_client": {}}),
        json!({"openai_proxy": "http://p"}),
        json!({"proxies": {}}),
        json!({"verify": false}),
        json!({"cert": "x"}),
        json!({"callbacks": []}),
        json!({"cache": true}),
        json!({"credentials_file": "/x"}),
        json!({"ca_path": "/x"}),
        json!({"azure_ad_token_provider": "x"}),
        json!({"model": "gpt-4"}),
        json!({"messages": []}),
        json!({"stream": true}),
        json!({"timeout": 5}),
        json!({"max_retries": 5}),
        json!({"azure_endpoint": "https://x.example"}),
        json!({"extra_body": {"model": "x"}}),
        json!({"default_headers": {"Host": "x"}}),
        json!({"default_headers": {"Transfer-Encoding": "x"}}),
        json!({"default_headers": {"Content-Length": "1"}}),
        json!({"default_headers": {"Proxy-X": "1"}}),
        json!({"default_headers": {"X-Forwarded-For": "1"}}),
        json!({"default_headers": {"X-HTTP-Method": "DELETE"}}),
        json!({"default_headers": {"X-HTTP-Method-Override": "DELETE"}}),
        json!({"default_headers": {"X-Method-Override": "DELETE"}}),
        json!({"default_headers": {"X-Original-URL": "/x"}}),
        json!({"default_headers": {"X-Rewrite-URL": "/x"}}),
        json!({"default_headers": {"x": "a\r\nb: c"}}),
        json!({"default_headers": {"x": "a\u{0}"}}),
        json!({"default_headers": {"x y": "a"}}),
        json!({"default_headers": {"x": "a".repeat(1 << 20)}}),
        json!({"default_headers": {"x": "é"}}),
        json!({"default_headers": {":path": "/x"}}),
        json!({"default_headers": "x"}),
        json!({"model_kwargs": []}),
        json!({"base_url": 1}),
        json!({"base_url": "https://"}),
    ] {
        let found = problems(parameters.clone(), EndpointPolicy::PrivateNetworksAllowed);
        assert_eq!(found.len(), 1, "{parameters}: {found:?}");
    }
}

#[test]
fn harmless_parameters_pass() {
    let parameters = json!({
        "top_p": 0.5, "eos_token": "</s>", "max_tokens": 5, "metadata": {"a": 1}, "tags": ["a"],
        "prompt_cache_key": "k", "default_headers": {"X-Team": "qa"}, "anything_new": {"a": 1},
        "base_url": "https://llm.example.com/v1", "stop": null,
    });
    assert_eq!(problems(parameters, EndpointPolicy::PublicOnly), []);
}

#[test]
fn endpoints_are_judged_by_the_policy() {
    for name in ["base_url", "openai_api_base"] {
        let parameters = json!({name: "http://127.1:8000/v1"});
        let refused = problems(parameters.clone(), EndpointPolicy::PublicOnly);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].0, [name]);
        assert_eq!(
            problems(parameters, EndpointPolicy::PrivateNetworksAllowed),
            []
        );
    }
}

#[test]
fn an_address_of_the_catalogs_own_is_judged_too() {
    let refusals = |provider: &str, parameters: Value, policy| {
        let row = catalog::provider(provider).unwrap();
        let settings = settings(json!({"provider": provider, "additional_params": parameters}));
        parameters::check(row, &settings, policy)
    };
    let refused = refusals("ollama", json!({}), EndpointPolicy::PublicOnly);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].path, ["base_url"]);
    for part in [
        "127.0.0.1:11434",
        "https://",
        "egress.allow_private_networks",
    ] {
        assert!(refused[0].message.contains(part), "{}", refused[0].message);
    }
    let public = json!({"base_url": "https://ollama.example.com"});
    for (provider, parameters, policy) in [
        ("ollama", json!({}), EndpointPolicy::PrivateNetworksAllowed),
        ("ollama", public, EndpointPolicy::PublicOnly),
        ("openai", json!({}), EndpointPolicy::PublicOnly),
        // The server answers for it itself.
        ("simulated", json!({}), EndpointPolicy::PublicOnly),
    ] {
        assert!(
            refusals(provider, parameters, policy).is_empty(),
            "{provider}"
        );
    }
}

#[test]
fn a_target_knows_its_origin() {
    let target =
        |parameters| Target::new(&settings(json!({"additional_params": parameters}))).unwrap();
    let own = target(json!({}));
    assert_eq!(own.origin.as_str(), "https://api.openai.com");
    assert!(own.is_catalog_origin);
    let other = target(json!({"base_url": "https://API.OpenAI.com.evil.example/v1"}));
    assert_eq!(other.origin.as_str(), "https://api.openai.com.evil.example");
    assert!(!other.is_catalog_origin);
    let same = target(json!({"base_url": "https://API.openai.com:443/other/"}));
    assert!(same.is_catalog_origin);
    assert_eq!(same.uri, "https://api.openai.com/other/chat/completions");
}

#[test]
fn models_that_could_lead_elsewhere_are_refused() {
    let target = |model: &str| Target::new(&settings(json!({"model": model})));
    for model in [
        "../../x",
        "a/../b",
        "a/b?key=1",
        "a%2fb",
        "a\r\nX: y",
        "a\u{0}",
        "a#b",
        "a\\b",
        "",
        " a",
        &"a".repeat(10_240),
    ] {
        let error = target(model).unwrap_err();
        assert_eq!(error.parameter.as_deref(), Some("model"), "{model}");
    }
    for model in [
        "gpt-4o",
        "meta-llama/Llama-3.1-8B-Instruct",
        "accounts/fireworks/models/llama-v3p3",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "claude-sonnet-4-5@20250929",
        "arn:aws:bedrock:us-east-1:1:inference-profile/x",
        "ft:gpt-4o:acme::abc",
        "模型",
    ] {
        assert!(target(model).is_ok(), "{model}");
    }
}

/// The top level that comes of a configuration and a client's members.
fn top_level(config: Value, client: Value) -> Value {
    let target = Target::new(&settings(config)).unwrap();
    let mut body = client.clone();
    let present = |name: &str| client.get(name).map(|value| Cow::Owned(value.to_string()));
    for (name, patch) in target.top_level(&present).unwrap() {
        match patch {
            Patch::Set(json) => body[name.as_ref()] = serde_json::from_str(&json).unwrap(),
            Patch::Remove => {
                body.as_object_mut().unwrap().remove(name.as_ref());
            }
        }
    }
    body
}

#[test]
fn a_request_wins_over_a_configuration_which_wins_over_a_default() {
    let config = json!({
        "temperature": 0.1, "max_tokens": 10,
        "additional_params": {"top_p": 0.2, "temperature": 0.9, "max_tokens": 99, "user": "c"},
    });
    assert_eq!(
        top_level(
            config.clone(),
            json!({"models": ["a"], "temperature": null})
        ),
        json!({
            "model": "gpt-4o", "temperature": 0.1, "max_completion_tokens": 10, "top_p": 0.2,
            "user": "c", "stream": false,
        })
    );
    let client = json!({
        "model": "mine", "temperature": 0.5, "max_tokens": 7, "top_p": 1, "user": "r",
        "stream": true, "stream_options": {"include_usage": false},
    });
    // Usage alone is asked for all the same, since calls are metered; the client that did
    // not want it is not shown it.
    assert_eq!(
        top_level(config, client),
        json!({
            "model": "gpt-4o", "temperature": 0.5, "max_completion_tokens": 7, "top_p": 1,
            "user": "r", "stream": true, "stream_options": {"include_usage": true},
        })
    );
}

#[test]
fn a_bound_in_extra_body_yields_to_the_configurations_own() {
    let extra = json!({"extra_body": {"max_tokens": 5}});
    assert_eq!(
        top_level(json!({"additional_params": extra}), json!({})),
        json!({"model": "gpt-4o", "max_tokens": 5, "stream": false})
    );
    assert_eq!(
        top_level(
            json!({"max_tokens": 3, "additional_params": extra}),
            json!({})
        ),
        json!({"model": "gpt-4o", "max_completion_tokens": 3, "stream": false})
    );
}

#[test]
fn model_families_get_what_langchain_gives_them() {
    let temperature = |model: &str, temperature: Value, effort: Value| {
        let config = json!({
            "model": model, "temperature": temperature,
            "additional_params": {"reasoning_effort": effort},
        });
        top_level(config, json!({}))["temperature"].clone()
    };
    assert_eq!(temperature("o1-mini", Value::Null, Value::Null), 1);
    assert_eq!(temperature("o1", json!(0.5), Value::Null), 0.5);
    assert_eq!(temperature("o3", Value::Null, Value::Null), Value::Null);
    assert_eq!(temperature("gpt-5", json!(0.5), Value::Null), Value::Null);
    assert_eq!(temperature("gpt-5.1", json!(0.5), json!("none")), 0.5);
    assert_eq!(
        temperature("gpt-5-chat-latest", json!(0.5), Value::Null),
        0.5
    );
    assert_eq!(temperature("gpt-5", json!(1), Value::Null), 1.0);
}
