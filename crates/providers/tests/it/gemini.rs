//! Google's generateContent: streams cut anywhere, random and cut off; calls of other
//! formats, and what comes back to them.

use http::HeaderMap;
use jiff::Timestamp;
use proptest::prelude::*;
use providers::chat::WireFormat;
use providers::chat::event::ChatEvent;
use providers::chat::part::PartContent;
use providers::chat::reply::{ChatReply, FinishReason};
use providers::error::{ErrorKind, ProviderError};
use providers::protocol::{self, Decoder, Encoded, Renderer};
use providers::target::Target;
use serde_json::{Value, json};

use crate::anthropic::{gather, settings};
use crate::vectors::record::Record;

fn target(model: &str) -> Target {
    Target::new(&settings(
        &json!({"provider": "google_genai", "model": model}),
    ))
    .unwrap()
}

/// The events of a stream whose bytes come in these pieces.
fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ChatEvent>, ProviderError> {
    let mut decoder = Decoder::new(&target("gemini-2.5-flash"), Timestamp::UNIX_EPOCH);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events)?;
    }
    decoder.finish(&mut events)?;
    Ok(events)
}

/// Each stream of the vectors as server-sent events and as one array, and one that holds
/// everything an answer can.
fn streams() -> Vec<Vec<u8>> {
    let text = include_str!("../vectors/google_genai.jsonl");
    let mut chunks: Vec<Value> = Record::all(text)
        .filter_map(|record| record.provider_stream)
        .collect();
    chunks.push(json!([
        {"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}]}}], "responseId": "r"},
        {"candidates": [{"content": {"parts": [{"text": "é🙂"}, {"functionCall": {"name": "f", "args": {"a": "]}"}}, "thoughtSignature": "U0lH"}]}}]},
        {"candidates": [{"content": {"parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}]}}]},
        {"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}, "finishReason": "STOP"}],
         "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}},
    ]));
    let mut streams = Vec::new();
    for chunks in &chunks {
        let items = chunks.as_array().unwrap();
        let as_events: String = items
            .iter()
            .map(|item| format!("data: {item}\r\n\r\n"))
            .collect();
        streams.push(as_events.into_bytes());
        streams.push(chunks.to_string().into_bytes());
    }
    streams
}

#[test]
fn a_stream_cut_at_any_byte_gives_the_same_events() {
    for bytes in streams() {
        let whole = events([&bytes[..]]).unwrap();
        assert_eq!(whole.last(), Some(&ChatEvent::End));
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(events([left, right]).unwrap(), whole, "cut at {cut}");
        }
        assert_eq!(events(bytes.chunks(1)).unwrap(), whole, "byte by byte");
    }
}

#[test]
fn a_stream_that_breaks_off_never_looks_whole() {
    for bytes in streams() {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let finish = text.rfind("\"finishReason\":\"STOP\"").unwrap();
        for end in 0..finish {
            let error = events([&bytes[..end]]).err();
            let error = error.unwrap_or_else(|| panic!("{text} ends at {end}"));
            assert_eq!(error.kind, ErrorKind::Malformed, "ends at {end}");
        }
    }
}

#[test]
fn both_framings_say_the_same() {
    for pair in streams().chunks(2) {
        // Ids are made from the first piece's bytes, which are the same.
        assert_eq!(
            events([&pair[0][..]]).unwrap(),
            events([&pair[1][..]]).unwrap()
        );
    }
}

#[test]
fn a_failure_inside_a_stream_is_one() {
    let failure = json!({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}});
    for text in [
        format!("data: {failure}\n\n"),
        format!("[{failure}"),
        failure.to_string(),
    ] {
        let mut decoder = Decoder::new(&target("gemini-2.5-flash"), Timestamp::UNIX_EPOCH);
        let mut events = Vec::new();
        decoder.push(text.as_bytes(), &mut events).unwrap();
        let Some(ChatEvent::Error(error)) = events.last() else {
            panic!("{text}: {events:?}")
        };
        assert_eq!(error.kind, ErrorKind::Overloaded);
    }
}

fn decode(body: &Value) -> Result<ChatReply, ProviderError> {
    let target = target("gemini-2.5-flash");
    let body = body.to_string();
    protocol::decode(
        &target,
        200,
        &HeaderMap::new(),
        body.as_bytes(),
        Timestamp::UNIX_EPOCH,
    )
}

#[test]
fn reasons_are_normalised() {
    let call = json!([{"functionCall": {"name": "f"}}]);
    let cases = [
        (json!("STOP"), json!([]), FinishReason::Stop),
        (json!(1), json!([]), FinishReason::Stop),
        (json!("STOP"), call.clone(), FinishReason::ToolCalls),
        (json!("MAX_TOKENS"), call, FinishReason::Length),
        (json!("SAFETY"), json!([]), FinishReason::ContentFilter),
        (json!("RECITATION"), json!([]), FinishReason::ContentFilter),
        (json!(9), json!([]), FinishReason::Error),
        (
            json!("MALFORMED_FUNCTION_CALL"),
            json!([]),
            FinishReason::Error,
        ),
        (json!("SOMETHING_NEW"), json!([]), FinishReason::Error),
    ];
    for (native, parts, reason) in cases {
        let body = json!({"candidates": [{"content": {"parts": parts}, "finishReason": native}]});
        assert_eq!(
            decode(&body).unwrap().choices[0].finish_reason,
            Some(reason),
            "{native}"
        );
    }
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}});
    let reason = decode(&blocked).unwrap().choices[0].finish_reason;
    assert_eq!(reason, Some(FinishReason::ContentFilter));
    assert_eq!(decode(&json!({})).unwrap_err().kind, ErrorKind::Malformed);
}

fn encode(dialect: WireFormat, body: &Value, model: &str) -> Encoded {
    let call = protocol::parse(dialect, body.to_string().as_bytes()).unwrap();
    protocol::encode(&call, &target(model)).unwrap()
}

fn body(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.request.body).unwrap()
}

/// An answer that calls a tool and signs the call.
fn signed_call() -> Value {
    json!({"candidates": [{"finishReason": "STOP", "content": {"parts": [
        {"text": "Looking."},
        {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "U0lH"},
        {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
    ]}}]})
}

#[test]
fn a_signature_comes_back_through_either_dialect() {
    let reply = decode(&signed_call()).unwrap();
    let rendered = |dialect| -> Value {
        serde_json::from_slice(&protocol::render(dialect, &reply, "m")).unwrap()
    };
    let openai = rendered(WireFormat::OpenAiChat);
    let message = &openai["choices"][0]["message"];
    let calls = message["tool_calls"].as_array().unwrap();
    let results = calls
        .iter()
        .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "4C"}));
    let mut messages = vec![json!({"role": "user", "content": "W?"}), message.clone()];
    messages.extend(results);
    let sent = body(&encode(
        WireFormat::OpenAiChat,
        &json!({"messages": messages}),
        "gemini-3-pro",
    ));
    check_signed(&sent["contents"]);

    let anthropic = rendered(WireFormat::AnthropicMessages);
    let blocks = anthropic["content"].as_array().unwrap();
    let results: Vec<Value> = blocks
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| json!({"type": "tool_result", "tool_use_id": block["id"], "content": "4C"}))
        .collect();
    assert_eq!(results.len(), 2);
    let messages = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "W?"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": results},
    ]});
    let encoded = encode(WireFormat::AnthropicMessages, &messages, "gemini-3-pro");
    check_signed(&body(&encoded)["contents"]);
    assert_eq!(encoded.losses, []);
}

fn check_signed(contents: &Value) {
    assert_eq!(
        contents[1]["parts"],
        json!([
            {"text": "Looking."},
            {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "U0lH"},
            {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
        ])
    );
    assert_eq!(
        contents[2]["parts"][1]["functionResponse"]["name"],
        "weather"
    );
}

#[test]
fn no_other_provider_is_shown_a_signature_of_geminis() {
    let reply = decode(&signed_call()).unwrap();
    let rendered = protocol::render(WireFormat::AnthropicMessages, &reply, "m");
    let rendered: Value = serde_json::from_slice(&rendered).unwrap();
    let request = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "W?"},
        {"role": "assistant", "content": rendered["content"]},
        {"role": "user", "content": "And?"},
    ]});
    assert!(request.to_string().contains("gemini:"));
    let config = json!({"provider": "anthropic", "model": "claude-opus-4-6"});
    let target = Target::new(&settings(&config)).unwrap();
    let bytes = bytes::Bytes::from(request.to_string());
    let call = protocol::parse(WireFormat::AnthropicMessages, &bytes).unwrap();
    let encoded = protocol::encode(&call, &target).unwrap();
    assert!(!String::from_utf8_lossy(&encoded.request.body).contains("gemini:"));
    let envelope = providers::pass_through::Envelope::scan(WireFormat::AnthropicMessages, bytes);
    assert!(providers::pass_through::splice(&envelope.unwrap(), &target).is_none());
}

#[test]
fn what_gemini_cannot_say_is_a_named_loss() {
    let request = json!({"max_tokens": 9, "metadata": {"user_id": "u"}, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "nope", "content": "x"}]},
        {"role": "user", "content": "b"},
    ], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
       "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
    let encoded = encode(WireFormat::AnthropicMessages, &request, "gemini-2.5-flash");
    let mut lost: Vec<&str> = encoded
        .losses
        .iter()
        .map(|loss| loss.what.as_str())
        .collect();
    lost.sort_unstable();
    assert_eq!(
        lost,
        [
            "messages.cache_control",
            "messages.reasoning",
            "messages.tool_result",
            "metadata",
            "parallel_tool_calls"
        ]
    );
}

#[test]
fn anthropics_thinking_and_errors_of_tools_are_said() {
    let request = json!({"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": "no"},
            {"type": "text", "text": "try again"},
        ]},
    ]});
    let sent = body(&encode(
        WireFormat::AnthropicMessages,
        &request,
        "gemini-2.5-flash",
    ));
    assert_eq!(
        sent["generationConfig"]["thinkingConfig"],
        json!({"thinking_budget": 1024, "include_thoughts": true})
    );
    assert_eq!(sent["generationConfig"]["maxOutputTokens"], 2000);
    let answered = &sent["contents"][2]["parts"][0]["functionResponse"];
    assert_eq!(answered, &json!({"name": "f", "response": {"error": "no"}}));
    assert_eq!(sent["contents"][3]["parts"], json!([{"text": "try again"}]));
}

#[test]
fn a_project_of_the_key_alone_is_filled_into_address_and_header() {
    let config = json!({"provider": "google_vertexai", "model": "gemini-2.5-flash"});
    let target = Target::new(&settings(&config)).unwrap();
    let secret = json!({"access_token": "t", "project_id": "my-project"}).to_string();
    let secret = domain::secret::Secret::new(secret);
    let credential = providers::auth::Credential::parse(target.provider, &secret).unwrap();
    let request = json!({"messages": [{"role": "user", "content": "a"}]}).to_string();
    let call = protocol::parse(WireFormat::OpenAiChat, request.as_bytes()).unwrap();
    let mut request = protocol::encode(&call, &target).unwrap().request;
    let now = Timestamp::UNIX_EPOCH;
    providers::auth::apply(&target, &credential, &mut request, now).unwrap();
    let resource =
        "projects/my-project/locations/us-central1/publishers/google/models/gemini-2.5-flash";
    assert_eq!(
        request.uri.path(),
        format!("/v1beta1/{resource}:generateContent")
    );
    assert_eq!(
        request.headers["x-goog-request-params"],
        format!("model={resource}")
    );
}

#[test]
fn a_rendered_answer_keeps_text_calls_and_thoughts() {
    let body = json!({"candidates": [{"finishReason": "STOP", "content": {"parts": [
        {"text": "hm", "thought": true}, {"text": "4"},
    ]}}], "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}});
    let reply = decode(&body).unwrap();
    let rendered = protocol::render(WireFormat::OpenAiChat, &reply, "m");
    let rendered: Value = serde_json::from_slice(&rendered).unwrap();
    let message = &rendered["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["reasoning_content"]),
        (&json!("4"), &json!("hm"))
    );
    let thought = &reply.choices[0].parts[0].content;
    assert!(matches!(thought, PartContent::Reasoning(reasoning) if reasoning.text == "hm"));
}

/// JSON values that could stand anywhere in an answer.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "name",
        "args",
        "id",
        "executableCode",
        "codeExecutionResult",
        "inlineData",
        "mimeType",
        "data",
        "finishReason",
        "index",
        "usageMetadata",
        "promptTokenCount",
        "promptFeedback",
        "blockReason",
        "groundingMetadata",
        "groundingChunks",
        "groundingSupports",
        "segment",
        "startIndex",
        "groundingChunkIndices",
        "web",
        "uri",
        "citationMetadata",
        "citationSources",
        "logprobsResult",
        "chosenCandidates",
        "error",
        "details",
        "retryDelay",
        "code",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                let members = members.into_iter();
                Value::Object(
                    members
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = events([&bytes[..]]);
        let _ = gather(&target("gemini-2.5-flash"), &bytes);
        let headers = HeaderMap::new();
        let now = Timestamp::UNIX_EPOCH;
        for status in [200, 500] {
            let _ = protocol::decode(&target("gemini-2.5-flash"), status, &headers, &bytes, now);
        }
    }

    #[test]
    fn no_json_makes_a_codec_panic(values in prop::collection::vec(any_json(), 1..4)) {
        let stream: String = values.iter().map(|value| format!("data: {value}\n\n")).collect();
        for bytes in [stream, Value::from(values.clone()).to_string()] {
            if let Ok(events) = events([bytes.as_bytes()]) {
                for dialect in [WireFormat::OpenAiChat, WireFormat::AnthropicMessages] {
                    let mut renderer = Renderer::new(dialect, "x", None);
                    for event in &events {
                        renderer.push(event, &mut Vec::new());
                    }
                }
            }
        }
        for value in &values {
            if let Ok(reply) = decode(value) {
                let _ = protocol::render(WireFormat::OpenAiChat, &reply, "x");
                let _ = protocol::render(WireFormat::AnthropicMessages, &reply, "x");
            }
            let _ = protocol::decode_error(
                &target("gemini-2.5-flash"), 429, &HeaderMap::new(),
                value.to_string().as_bytes(), Timestamp::UNIX_EPOCH,
            );
        }
    }

    #[test]
    fn no_schema_makes_the_encoder_panic(schema in any_schema()) {
        for provider in ["google_genai", "google_vertexai"] {
            let config = json!({
                "provider": provider, "model": "m", "additional_params": {"project": "p"},
            });
            let mut config = config;
            if provider == "google_genai" {
                config["additional_params"] = json!({});
            }
            let target = Target::new(&settings(&config)).unwrap();
            let request = json!({
                "messages": [{"role": "user", "content": "a"}],
                "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
            });
            let call = protocol::parse(WireFormat::OpenAiChat, request.to_string().as_bytes());
            let _ = protocol::encode(&call.unwrap(), &target);
        }
    }
}

/// Schemas, mostly wrong.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!("string")),
        Just(json!("null")),
        Just(json!(["string", "null"])),
        Just(json!(1)),
        Just(Value::Null),
        Just(json!("#/properties")),
        Just(json!("#")),
    ];
    let name = prop::sample::select(vec![
        "type",
        "properties",
        "items",
        "anyOf",
        "allOf",
        "enum",
        "required",
        "$ref",
        "title",
        "description",
        "default",
        "additionalProperties",
        "a",
    ]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..5).prop_map(|members| {
                let members = members.into_iter();
                Value::Object(
                    members
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}
