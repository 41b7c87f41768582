//! Scanning and splicing, with serde_json as the oracle.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;
use domain::model_configuration::ModelSettings;
use proptest::prelude::*;
use providers::chat::WireFormat;
use providers::error::InvalidCall;
use providers::pass_through::{Envelope, splice};
use providers::protocol::{encode, parse};
use providers::rewrite::Patch;
use providers::target::Target;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

fn scan(body: &[u8]) -> Result<Envelope, InvalidCall> {
    Envelope::scan(WireFormat::OpenAiChat, Bytes::copy_from_slice(body))
}

/// Whether serde_json takes the text for an object. It checks no UTF-8 in what it ignores.
fn is_object(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| {
        text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
    })
}

/// JSON as a client may write it: names twice, any escape, white space anywhere.
#[derive(Clone, Debug)]
enum Json {
    Literal(&'static str),
    Text(String, bool),
    List(Vec<Json>, &'static str),
    Object(Vec<(String, bool, Json)>, &'static str),
}

impl Json {
    fn write(&self, out: &mut String) {
        match self {
            Self::Literal(literal) => out.push_str(literal),
            Self::Text(text, is_escaped) => write_text(text, *is_escaped, out),
            Self::List(items, space) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(space);
                    item.write(out);
                    out.push_str(space);
                }
                out.push(']');
            }
            Self::Object(members, space) => {
                out.push('{');
                for (index, (name, is_escaped, value)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(space);
                    write_text(name, *is_escaped, out);
                    out.push_str(space);
                    out.push(':');
                    out.push_str(space);
                    value.write(out);
                    out.push_str(space);
                }
                out.push('}');
            }
        }
    }
}

/// Every character as `\u....`, or only those that must be escaped.
fn write_text(text: &str, is_escaped: bool, out: &mut String) {
    if !is_escaped {
        out.push_str(&Value::from(text).to_string());
        return;
    }
    out.push('"');
    for unit in text.encode_utf16() {
        let _ = write!(out, "\\u{unit:04x}");
    }
    out.push('"');
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", " ", "\n\t", "\r\n  "])
}

fn name() -> impl Strategy<Value = String> {
    let known = [
        "model",
        "models",
        "stream",
        "temperature",
        "tools",
        "type",
        "messages",
    ];
    let known = prop::sample::select(known.to_vec()).prop_map(str::to_owned);
    prop_oneof![known, "[a-c\"\\\\é\u{1F600}\n]{0,3}"]
}

fn json() -> impl Strategy<Value = Json> {
    let literals = vec![
        "0",
        "-0.5e+3",
        "12345678901234567890123",
        "true",
        "false",
        "null",
        "1E400",
    ];
    let text = prop_oneof![".{0,40}", "[ -~]{60,200}"];
    let leaf = prop_oneof![
        prop::sample::select(literals).prop_map(Json::Literal),
        (text, any::<bool>()).prop_map(|(text, is_escaped)| Json::Text(text, is_escaped)),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let member = (name(), any::<bool>(), inner.clone());
        prop_oneof![
            (prop::collection::vec(inner, 0..6), space())
                .prop_map(|(items, space)| Json::List(items, space)),
            (prop::collection::vec(member, 0..6), space())
                .prop_map(|(members, space)| Json::Object(members, space)),
        ]
    })
}

/// A body that is an object, whose `model`, `models` and `stream` have the right types.
fn body() -> impl Strategy<Value = String> {
    let typed = |name: &'static str, values: Vec<Json>| {
        (any::<bool>(), prop::sample::select(values))
            .prop_map(move |(is_escaped, value)| (name.to_owned(), is_escaped, value))
    };
    let text = |text: &str| Json::Text(text.to_owned(), text.len().is_multiple_of(2));
    let models = Json::List(vec![text("one"), text("a\"\\é")], " ");
    let other = (name(), any::<bool>(), json()).prop_filter("typed", |(name, ..)| {
        !matches!(name.as_str(), "model" | "models" | "stream")
    });
    let member = prop_oneof![
        typed(
            "model",
            vec![text("a\u{1F600}b"), text("c"), Json::Literal("null")]
        ),
        typed(
            "models",
            vec![models, Json::List(vec![], ""), Json::Literal("null")]
        ),
        typed(
            "stream",
            ["true", "false", "null"].map(Json::Literal).to_vec()
        ),
        other.boxed(),
    ];
    (prop::collection::vec(member, 0..10), space()).prop_map(|(members, space)| {
        let mut out = space.to_owned();
        Json::Object(members, space).write(&mut out);
        out + space
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_scan_knows_what_a_parser_knows(body in body()) {
        let envelope = scan(body.as_bytes()).unwrap();
        let oracle = raw_members(&body);
        let value = |name: &str| -> Option<Value> {
            oracle.get(name).map(|raw| serde_json::from_str(raw.get()).unwrap())
        };
        prop_assert_eq!(envelope.model().map(Value::from), value("model").filter(|model| !model.is_null()));
        let models = envelope.models().map(|models| json!(models));
        prop_assert_eq!(models, value("models").filter(|models| !models.is_null()));
        prop_assert_eq!(envelope.stream(), value("stream") == Some(true.into()));
        for (name, raw) in &oracle {
            prop_assert_eq!(envelope.member(name), Some(raw.get().as_bytes()));
        }
        prop_assert_eq!(envelope.member("no such member"), None);
    }

    #[test]
    fn what_is_cut_off_is_an_error(body in body()) {
        let whole = body.trim_end().len();
        for end in (0..whole).rev().take(400) {
            let invalid = scan(&body.as_bytes()[..end]).unwrap_err();
            prop_assert!(invalid.message.contains(" at line "), "{}", invalid.message);
        }
    }

    #[test]
    fn what_is_broken_is_broken_for_both(
        body in body(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = body.into_bytes();
        for (place, byte) in edits {
            let place = place.index(body.len());
            body[place] = byte;
        }
        match scan(&body) {
            Ok(_) => prop_assert!(is_object(&body)),
            Err(invalid) if invalid.parameter.is_some() => prop_assert!(is_object(&body)),
            Err(_) => prop_assert!(!is_object(&body)),
        }
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(scan(&body).is_ok(), is_object(&body));
    }

    #[test]
    fn a_splice_is_an_edit_of_the_tree(body in body(), settings in settings()) {
        let target = Target::new(&settings).unwrap();
        let envelope = scan(body.as_bytes()).unwrap();
        let Some(spliced) = splice(&envelope, &target) else {
            let has_other_tools =
                envelope.tool_types().any(|kind| kind != "function" && kind != "custom");
            prop_assert!(has_other_tools || target.rewrites_messages(&envelope.message_words()));
            return Ok(());
        };
        let spliced = spliced.unwrap();
        prop_assert_eq!(&spliced.uri, &target.uri);
        let spliced = raw_members(std::str::from_utf8(&spliced.body).unwrap());
        let expected = edited(&raw_members(&body), &target);
        prop_assert_eq!(texts(&spliced), texts(&expected));
        let model = Value::from(target.model.as_str()).to_string();
        prop_assert_eq!(spliced["model"].get(), model);
        prop_assert!(!spliced.contains_key("models"));
    }
}

type RawMembers = std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>;

fn raw_members(body: &str) -> RawMembers {
    serde_json::from_str(body).unwrap()
}

fn texts(members: &RawMembers) -> Vec<(&str, &str)> {
    let members = members.iter();
    members
        .map(|(name, raw)| (name.as_str(), raw.get()))
        .collect()
}

/// The target's changes, made on the tree.
fn edited(body: &RawMembers, target: &Target) -> RawMembers {
    let present = |name: &str| body.get(name).map(|raw| Cow::Owned(raw.get().to_owned()));
    let mut edited = body.clone();
    for (name, patch) in target.top_level(&present).unwrap() {
        match patch {
            Patch::Set(text) => {
                let raw = serde_json::value::RawValue::from_string(text.into_owned()).unwrap();
                edited.insert(name.into_owned(), raw);
            }
            Patch::Remove => {
                edited.remove(name.as_ref());
            }
        }
    }
    edited
}

fn settings() -> impl Strategy<Value = ModelSettings> {
    let parameters = prop_oneof![
        Just(json!({})),
        Just(json!({"top_p": 0.5, "stop": ["x"], "extra_body": {"qu\"ote": {"a": [1]}}})),
        Just(json!({"seed": 7, "base_url": "https://models.example.com/v1"})),
    ];
    let temperature = prop::option::of(Just(0.25));
    let max_tokens = prop::option::of(Just(64));
    (parameters, temperature, max_tokens).prop_map(|(parameters, temperature, max_tokens)| {
        ModelSettings {
            additional_params: parameters.as_object().cloned(),
            temperature,
            max_tokens,
            ..openai()
        }
    })
}

fn openai() -> ModelSettings {
    ModelSettings {
        name: "support-agent".to_owned(),
        description: None,
        provider: "openai".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        temperature: None,
        max_tokens: None,
        timeout_seconds: None,
        max_retries: None,
        additional_params: None,
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    }
}

#[test]
fn other_formats_and_rules_are_not_spliced() {
    let body = || Bytes::from_static(br#"{"model":"x","messages":[]}"#);
    let target = |model: &str, parameters: Value| {
        let settings = ModelSettings {
            model: model.to_owned(),
            additional_params: parameters.as_object().cloned(),
            ..openai()
        };
        Target::new(&settings).unwrap()
    };
    let envelope = Envelope::scan(WireFormat::OpenAiChat, body()).unwrap();
    assert!(splice(&envelope, &target("gpt-4o", json!({}))).is_some());
    assert!(splice(&envelope, &target("o3", json!({}))).is_none());
    assert!(splice(&envelope, &target("gpt-4o", json!({"streaming": true}))).is_none());
    let other = Envelope::scan(WireFormat::AnthropicMessages, body()).unwrap();
    assert!(splice(&other, &target("gpt-4o", json!({}))).is_none());
    assert!(splice(&envelope, &target("codex-mini", json!({}))).is_none());
}

#[test]
fn a_client_of_the_responses_api_is_passed_through_where_it_is_served() {
    let target = |parameters: Value| {
        let settings = ModelSettings {
            additional_params: parameters.as_object().cloned(),
            ..openai()
        };
        Target::new(&settings).unwrap()
    };
    let scan = |body: &'static str| {
        Envelope::scan(
            WireFormat::OpenAiResponses,
            Bytes::from_static(body.as_bytes()),
        )
        .unwrap()
    };
    let plain = scan(r#"{"model":"x","input":"Hi","text":{"verbosity":"low"}}"#);
    let spliced = |envelope: &Envelope, parameters: Value| {
        let request = splice(envelope, &target(parameters))?.unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        Some((request.uri.to_string(), body))
    };
    let (uri, body) = spliced(&plain, json!({"text": {"format": {"type": "text"}}})).unwrap();
    assert_eq!(uri, "https://api.openai.com/v1/responses");
    let text = json!({"format": {"type": "text"}, "verbosity": "low"});
    assert_eq!(
        body,
        json!({"model": "gpt-4o-mini", "input": "Hi", "text": text, "stream": false})
    );
    assert!(spliced(&plain, json!({"use_responses_api": false})).is_none());
    // Another endpoint may know nothing but chat completions, unless told otherwise.
    let elsewhere = json!({"base_url": "https://example.com/v1"});
    assert!(spliced(&plain, elsewhere.clone()).is_none());
    let search = scan(r#"{"model":"x","input":"Hi","tools":[{"type":"web_search"}]}"#);
    let (uri, _) = spliced(&search, elsewhere).unwrap();
    assert_eq!(uri, "https://example.com/v1/responses");
    // Ids of ours mean nothing to a provider.
    let own = r#"{"model":"x","input":[{"type":"reasoning","id":"rs_qm_1_0","summary":[]}]}"#;
    assert!(spliced(&scan(own), json!({})).is_none());
}

#[test]
fn what_asks_for_kept_answers_is_refused_before_anything_is_sent() {
    for body in [
        r#"{"model":"x","input":"Hi","previous_response_id":"resp_1"}"#,
        r#"{"model":"x","input":"Hi","store":true}"#,
        r#"{"model":"x","input":"Hi","background":true}"#,
        r#"{"model":"x","input":"Hi","conversation":"conv_1"}"#,
        r#"{"model":"x","input":"Hi","prompt":{"id":"pmpt_1"}}"#,
    ] {
        let bytes = Bytes::from_static(body.as_bytes());
        let scanned = Envelope::scan(WireFormat::OpenAiResponses, bytes).unwrap_err();
        let parsed = parse(WireFormat::OpenAiResponses, body.as_bytes()).unwrap_err();
        assert_eq!(scanned, parsed, "{body}");
        assert!(scanned.message.contains("kept here"), "{scanned}");
    }
}

#[test]
fn no_other_format_walks_round_that() {
    let responses = json!({"use_responses_api": true});
    let settings = ModelSettings {
        additional_params: responses.as_object().cloned(),
        ..openai()
    };
    for (name, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!({"id": "conv_1"})),
        ("prompt", json!({"id": "pmpt_1"})),
        ("background", json!(true)),
        ("store", json!(true)),
    ] {
        let mut body = json!({"model": "x", "max_tokens": 9,
            "messages": [{"role": "user", "content": "Hi"}]});
        body[name] = value;
        let body = body.to_string();
        for dialect in [WireFormat::OpenAiChat, WireFormat::AnthropicMessages] {
            let scanned = Envelope::scan(dialect, body.clone().into()).unwrap_err();
            assert_eq!(scanned.parameter.as_deref(), Some(name));
            // Whoever encodes without a scan meets the same.
            let call = parse(dialect, body.as_bytes()).unwrap();
            let target = Target::new(&settings).unwrap();
            assert_eq!(encode(&call, &target).unwrap_err(), scanned);
        }
    }
}

/// Bodies as clients write them; nothing in them is null, since `encode` leaves nulls out.
fn openai_bodies() -> Vec<Value> {
    let function = json!({"name": "f", "description": "d", "strict": true,
        "parameters": {"type": "object", "properties": {}}});
    let call = json!({"id": "c1", "type": "function",
        "function": {"name": "f", "arguments": "{\"a\": 1}"}});
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    vec![
        json!({"model": "m", "messages": user("Hi".into())}),
        json!({"model": "m", "messages": user("Hi".into()), "stream": true, "max_tokens": 9,
            "temperature": 1.5, "top_p": 0.5, "stop": "x", "seed": 3, "n": 1, "user": "u"}),
        json!({"model": "m", "messages": user("Hi".into()), "stream": true,
            "stream_options": {"include_usage": true}, "stop": ["a", "b"], "logprobs": true}),
        json!({"models": ["a", "b"], "max_completion_tokens": 4, "reasoning_effort": "low",
            "messages": user("Hi".into()), "metadata": {"k": "v"}, "store": false,
            "logit_bias": {"50256": -100}, "service_tier": "flex", "new_member": [1, {"a": "b"}]}),
        json!({"model": "m", "tools": [{"type": "function", "function": function}],
            "tool_choice": "auto", "parallel_tool_calls": false, "messages": [
            {"role": "system", "content": "s"},
            {"role": "developer", "content": [{"type": "text", "text": "t"}]},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]},
            {"role": "assistant", "content": "x", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
            {"role": "assistant", "refusal": "no", "content": "y"}]}),
        json!({"model": "m", "messages": user("Hi".into()), "tool_choice":
            {"type": "function", "function": {"name": "f"}}, "response_format":
            {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
            "tools": [{"type": "function", "function": function}], "presence_penalty": 0.5}),
    ]
}

/// Holds a spliced request to the encoded one, headers and address included.
fn check_same_request(dialect: WireFormat, target: &Target, body: &Value) {
    let body = Bytes::from(body.to_string());
    let envelope = Envelope::scan(dialect, body.clone()).unwrap();
    let spliced = splice(&envelope, target).unwrap().unwrap();
    let call = parse(dialect, &body).unwrap();
    let encoded = encode(&call, target).unwrap();
    assert_eq!(encoded.losses, []);
    let tree = |body: &Bytes| -> Value { serde_json::from_slice(body).unwrap() };
    let text = String::from_utf8_lossy(&body);
    assert_eq!(tree(&spliced.body), tree(&encoded.request.body), "{text}");
    assert_eq!(spliced.headers, encoded.request.headers, "{text}");
    assert_eq!(spliced.uri, encoded.request.uri, "{text}");
    assert_eq!(spliced.method, encoded.request.method);
}

#[test]
fn splicing_and_encoding_make_the_same_openai_request() {
    let parameters = [
        json!({}),
        json!({"top_p": 0.1, "frequency_penalty": 0.5, "extra_body": {"z": 1}}),
    ];
    for parameters in parameters {
        let settings = ModelSettings {
            temperature: Some(0.5),
            max_tokens: Some(77),
            additional_params: parameters.as_object().cloned(),
            ..openai()
        };
        let target = Target::new(&settings).unwrap();
        for body in openai_bodies() {
            check_same_request(WireFormat::OpenAiChat, &target, &body);
        }
    }
}

fn anthropic_bodies() -> Vec<Value> {
    let tool = json!({"name": "f", "input_schema": {"type": "object"},
        "cache_control": {"type": "ephemeral"}});
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    vec![
        json!({"model": "m", "max_tokens": 9, "messages": user("Hi".into())}),
        json!({"model": "m", "messages": user("Hi".into()), "stream": true, "temperature": 0.5,
            "system": "s", "stop_sequences": ["x"], "top_k": 3, "metadata": {"user_id": "u"}}),
        json!({"models": ["a"], "max_tokens": 2000, "messages": user("Hi".into()),
            "thinking": {"type": "enabled", "budget_tokens": 1024}, "service_tier": "auto",
            "new_member": {"a": [1]}, "context_management": {"edits": [{"type": "x"}]}}),
        json!({"model": "m", "max_tokens": 9, "tools": [tool, {"type": "computer_20250124",
            "name": "computer", "display_width_px": 1, "display_height_px": 1}],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source":
                    {"type": "base64", "media_type": "image/png", "data": "AA=="}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1.5}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "", "is_error": true}]}]}),
        json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Ho"},
            {"role": "system", "content": [{"type": "tool_removal", "tool":
                {"type": "tool_reference", "name": "f"}}]},
            {"role": "user", "content": "Hu"}]}),
    ]
}

#[test]
fn splicing_and_encoding_make_the_same_anthropic_request() {
    for parameters in [json!({}), json!({"betas": ["b-1"], "top_p": 0.5})] {
        let settings = ModelSettings {
            provider: "anthropic".to_owned(),
            model: "claude-sonnet-4-5".to_owned(),
            max_tokens: Some(777),
            additional_params: parameters.as_object().cloned(),
            ..openai()
        };
        let target = Target::new(&settings).unwrap();
        for body in anthropic_bodies() {
            check_same_request(WireFormat::AnthropicMessages, &target, &body);
        }
    }
}

#[test]
fn usage_is_asked_for_beside_what_the_client_asks() {
    let target = Target::new(&openai()).unwrap();
    for (options, expected) in [
        (json!(null), json!({"include_usage": true})),
        (
            json!({"include_usage": false}),
            json!({"include_usage": true}),
        ),
        (
            json!({"include_obfuscation": false}),
            json!({"include_obfuscation": false, "include_usage": true}),
        ),
        (
            json!({"include_usage": true, "x": 1}),
            json!({"include_usage": true, "x": 1}),
        ),
    ] {
        let body = json!({"model": "m", "messages": [], "stream": true, "stream_options": options});
        let envelope = scan(body.to_string().as_bytes()).unwrap();
        let spliced = splice(&envelope, &target).unwrap().unwrap();
        let spliced: Value = serde_json::from_slice(&spliced.body).unwrap();
        assert_eq!(spliced["stream_options"], expected);
    }
}

// A quadratic scan would not end on these within any patience.

#[test]
fn long_strings_are_scanned_once() {
    for (piece, count) in [
        ("x", 16 << 20),
        ("\\n", 8 << 20),
        ("é", 8 << 20),
        ("\\u00e9", 2 << 20),
    ] {
        let body = format!("{{\"image\":\"{}\"}}", piece.repeat(count));
        assert!(scan(body.as_bytes()).is_ok());
        assert!(scan(&body.as_bytes()[..body.len() - 2]).is_err());
    }
}

#[test]
fn many_members_are_scanned_once() {
    let members = |count: usize| {
        let members: Vec<String> = (0..count)
            .map(|number| format!("\"m{number}\":[{{}}]"))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(scan(format!("{{\"metadata\":{}}}", members(100_000)).as_bytes()).is_ok());
    assert!(scan(members(1000).as_bytes()).is_ok());
    let invalid = scan(members(1001).as_bytes()).unwrap_err();
    assert!(
        invalid.message.contains("more than 1,000 members"),
        "{}",
        invalid.message
    );
    let tools = format!(
        "{{\"tools\":[{}1]}}",
        "{\"type\":\"function\"},".repeat(100_000)
    );
    assert!(scan(tools.as_bytes()).is_ok());
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let inner = if open == "[" { "" } else { "1" };
        let nested = |depth: usize| {
            format!(
                "{{\"x\":{}{inner}{}}}",
                open.repeat(depth),
                close.repeat(depth)
            )
        };
        assert!(scan(nested(127).as_bytes()).is_ok());
        let invalid = scan(nested(128).as_bytes()).unwrap_err();
        assert!(
            invalid.message.contains("nested more than 128 levels"),
            "{}",
            invalid.message
        );
        assert!(scan(format!("{{\"x\":{}", open.repeat(1 << 20)).as_bytes()).is_err());
    }
}
