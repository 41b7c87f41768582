//! Cyberdesk's answers, request by request: see `tests/vectors/README.md`.

use base64::Engine as _;
use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, TestApp};

/// What we answer in place of a vector's answer, and why.
const DIFFERENT: &[(&str, u16, &str)] = &[
    (
        "create: provider 50",
        422,
        "an unknown provider is refused, with the known ones named",
    ),
    ("create: escaped NUL in name", 422, "databases refuse NUL"),
    (
        "create: api_key empty string",
        422,
        "an empty key is a mistake, and null is none",
    ),
    (
        "create: temperature string nan",
        422,
        "a temperature is finite",
    ),
    (
        "create: temperature bare NaN",
        422,
        "a temperature is finite",
    ),
    (
        "create: temperature bare -Infinity",
        422,
        "a temperature is finite",
    ),
    (
        "create: temperature 1e999 (parses to inf)",
        422,
        "a temperature is finite",
    ),
    ("create: timeout_seconds 0", 422, "a timeout is above 0"),
    (
        "create: max_tokens 10**30",
        422,
        "an integer has 64 bits at most",
    ),
    ("create: max_tokens bare NaN", 422, "FastAPI crashes"),
    ("create: max_tokens bare Infinity", 422, "FastAPI crashes"),
    (
        "create: max_tokens 4300 digits",
        422,
        "an integer has 64 bits at most",
    ),
    ("create: max_retries -1", 422, "retries are 0 to 100"),
    (
        "create: additional_params holding NaN",
        422,
        "FastAPI answers null in place of it",
    ),
    (
        "create: additional_params holding 10**30",
        422,
        "what cannot be kept exactly is refused",
    ),
    ("create: body deep nesting 200", 422, "at most 128 levels"),
    (
        "update: name null (schema accepts)",
        422,
        "a name cannot be cleared",
    ),
];

/// Routes that do not exist yet. A vector that passes must leave this list.
const PENDING: &[&str] = &[];

#[tokio::test]
async fn every_vector_is_answered_as_recorded() {
    let vectors = include_str!("../vectors/validation.jsonl");
    let mut failures = Vec::new();
    let mut count = 0;
    for line in vectors.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let name = vector["name"].as_str().unwrap();
        count += 1;
        let result = compare(&vector).await;
        let different = DIFFERENT.iter().find(|(known, ..)| *known == name);
        let is_pending = PENDING.iter().any(|prefix| name.starts_with(prefix));
        match (result, different) {
            (Ok(_), Some(_)) => {
                failures.push(format!("{name}: is the same, yet listed as different"))
            }
            (Ok(_), None) if is_pending => failures.push(format!("{name}: passes, yet is pending")),
            (Ok(_), None) => {}
            (Err((answer, _)), Some((_, status, _))) if answer.status == *status => {
                // Even so it is a list, which the SDK can parse.
                assert!(!answer.faults().is_empty(), "{name}");
            }
            (Err(_), None) if is_pending => {}
            (Err((answer, why)), _) => failures.push(format!("{name}: {why}\n    {answer:?}")),
        }
    }
    assert_eq!(count, 159);
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Sends a vector's request to a fresh control plane.
async fn compare(vector: &Value) -> Result<Answer, (Answer, String)> {
    let app = TestApp::start().await;
    let tenant = app.tenant("a").await;
    let existing = json!({"name": "n", "provider": "anthropic", "model": "m", "api_key": "k"});
    let mut path = vector["path"].as_str().unwrap().to_owned();
    if path.contains("{ID}") {
        let row = tenant.developer.create(existing).await;
        path = path.replace("{ID}", row["id"].as_str().unwrap());
    }
    let answer = send(&app, &tenant.developer, vector, &path).await;
    match difference(vector, &answer) {
        None => Ok(answer),
        Some(why) => Err((answer, why)),
    }
}

async fn send(app: &TestApp, caller: &Client, vector: &Value, path: &str) -> Answer {
    let method: Method = vector["method"].as_str().unwrap().parse().unwrap();
    let mut call = app.anonymous().call(method, path);
    for (name, value) in vector["headers"].as_object().unwrap() {
        let value = value.as_str().unwrap().replace("tok-org-a", caller.key());
        call = call.header(name.as_str(), &value);
    }
    if let Some(text) = vector["body_text"].as_str() {
        call = call.body(text.to_owned());
    } else if let Some(encoded) = vector["body_b64"].as_str() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
        call = call.body(bytes.unwrap());
    }
    call.send().await
}

fn difference(vector: &Value, answer: &Answer) -> Option<String> {
    let status = vector["status"].as_u64().unwrap();
    if u64::from(answer.status.as_u16()) != status {
        return Some(format!("status {} in place of {status}", answer.status));
    }
    for (name, expected) in vector["response_headers"].as_object().into_iter().flatten() {
        let expected = expected.as_str().unwrap();
        // Where to go is the same wherever the server is called from.
        let expected = expected.strip_prefix("http://replica").unwrap_or(expected);
        let is_same = match (name.as_str(), answer.header(name)) {
            // FastAPI names the methods of one route, we name all of the path (RFC 9110).
            ("allow", Some(allow)) => allow.split(", ").any(|method| method == expected),
            (_, value) => value == Some(expected),
        };
        if !is_same {
            return Some(format!("header {name} is not {expected}"));
        }
    }
    let expected = &vector["response"];
    if expected.is_null() {
        return None;
    }
    if expected
        .as_str()
        .is_some_and(|text| text.starts_with("<array"))
    {
        return (!answer.json().is_array()).then(|| "not an array".to_owned());
    }
    let answer = answer.json();
    (!matches(expected, &answer)).then(|| format!("body is not {expected}"))
}

/// Equal, save for what differs from run to run, and for `input` of the body, which we
/// leave out since it could hold a key.
fn matches(expected: &Value, answer: &Value) -> bool {
    match (expected, answer) {
        (Value::String(text), Value::String(answer)) => match text.as_str() {
            "<uuid>" => uuid::Uuid::parse_str(answer).is_ok() || answer.starts_with("mca_"),
            "<time>" => is_time(answer),
            "org_a" => uuid::Uuid::parse_str(answer).is_ok(),
            _ => text == answer,
        },
        (Value::Object(expected), Value::Object(answer)) => {
            let is_body_fault = expected.get("loc").is_some_and(|loc| loc[0] == "body");
            let left_out = |name: &str| is_body_fault && name == "input";
            let members = expected.iter().filter(|(name, _)| !left_out(name));
            let count = members.clone().count();
            let mut members = members;
            answer.len() == count
                && members.all(|(name, value)| {
                    answer
                        .get(name)
                        .is_some_and(|answer| matches(value, answer))
                })
        }
        (Value::Array(expected), Value::Array(answer)) => {
            expected.len() == answer.len()
                && expected
                    .iter()
                    .zip(answer)
                    .all(|(one, other)| matches(one, other))
        }
        (Value::Number(expected), Value::Number(answer)) => expected.as_f64() == answer.as_f64(),
        _ => expected == answer,
    }
}

/// `2026-04-04T01:10:42.560368Z`
fn is_time(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|character| {
            if character.is_ascii_digit() {
                '0'
            } else {
                character
            }
        })
        .collect();
    shape == "0000-00-00T00:00:00.000000Z"
}
