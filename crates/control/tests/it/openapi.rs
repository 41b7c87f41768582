//! The OpenAPI document: complete, and true.

use serde_json::Value;

use crate::harness::TestApp;

async fn document() -> Value {
    let app = TestApp::start().await;
    app.anonymous().get("/openapi.json").await.json()
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    all
}

#[tokio::test]
async fn every_operation_says_what_it_does_and_answers() {
    let document = document().await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids = std::collections::BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(operation["summary"].is_string(), "{what}");
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{what}"
        );
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{what}");
        let responses = operation["responses"].as_object().unwrap();
        for (status, response) in responses {
            assert!(
                response["description"]
                    .as_str()
                    .is_some_and(|it| !it.is_empty()),
                "{what}"
            );
            let has_body = response["content"]["application/json"]["schema"].is_object();
            assert_eq!(has_body, status != "204", "{what} {status}");
        }
        let is_open = path.contains("health") || path == "/";
        assert_eq!(responses.contains_key("401"), !is_open, "{what}");
        let security = operation["security"].as_array().unwrap();
        assert_eq!(security.contains(&serde_json::json!({})), is_open, "{what}");
    }
}

/// The list of writes is that of the document, so that a new one cannot forget its key.
#[tokio::test]
async fn every_write_takes_an_idempotency_key() {
    let document = document().await;
    let mut writes = 0;
    for (method, path, operation) in operations(&document) {
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let takes_key = parameters.iter().any(|it| {
            it["name"] == "Idempotency-Key" && it["in"] == "header" && it["required"] != true
        });
        let is_write = method != "GET" && !path.ends_with("/verify");
        assert_eq!(takes_key, is_write, "{method} {path}");
        if is_write {
            writes += 1;
            assert!(operation["responses"]["409"].is_object(), "{method} {path}");
            assert!(operation["responses"]["422"].is_object(), "{method} {path}");
        }
    }
    assert_eq!(writes, 16);
}

#[tokio::test]
async fn no_reference_leads_nowhere_and_no_answer_has_a_place_for_a_key() {
    let document = document().await;
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        let key = &schema["properties"]["api_key"];
        if !key.is_null() {
            assert_eq!(key["writeOnly"], true, "{name}");
        }
    }
    let row = &schemas["ModelConfigurationResponse"];
    let mut members: Vec<String> = Vec::new();
    names(&document, row, &mut members);
    members.sort();
    let expected = [
        "additional_params",
        "agent_harness_version_string",
        "api_key_alias",
        "created_at",
        "description",
        "id",
        "is_archived",
        "is_computer_use_model",
        "is_system_default",
        "max_retries",
        "max_tokens",
        "model",
        "name",
        "organization_id",
        "provider",
        "temperature",
        "timeout_seconds",
        "updated_at",
    ];
    assert_eq!(members, expected);
    for (name, required) in [
        (
            "ModelConfigurationCreate",
            &["model", "name", "provider"][..],
        ),
        ("ModelConfigurationUpdate", &[]),
        ("ApiKeyCreate", &["name"]),
    ] {
        let mut listed: Vec<_> = schemas[name]["required"]
            .as_array()
            .map(|it| it.iter().map(|it| it.as_str().unwrap()).collect())
            .unwrap_or_default();
        listed.sort_unstable();
        assert_eq!(listed, required, "{name}");
    }
}

fn collect<'doc>(value: &'doc Value, found: &mut Vec<&'doc str>) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                found.push(reference);
            }
            map.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// The names of an object schema's members, those of its `allOf` included.
fn names(document: &Value, schema: &Value, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        names(document, document.pointer(&reference[1..]).unwrap(), found);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        names(document, part, found);
    }
    found.extend(
        schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone()),
    );
}
