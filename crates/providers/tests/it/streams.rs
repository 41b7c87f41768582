//! Streams and requests in general: cut anywhere, random, cut off, there and back.

use jiff::Timestamp;
use proptest::prelude::*;
use providers::chat::WireFormat;
use providers::chat::accumulator::Accumulator;
use providers::chat::event::ChatEvent;
use providers::error::{ErrorKind, ProviderError};
use providers::protocol::{self, Decoder, Renderer};
use providers::target::Target;
use serde_json::{Value, json};

use crate::vectors::record::Record;
use crate::vectors::responses::stream_text;

fn target() -> Target {
    let record: Record = serde_json::from_value(json!({
        "id": "x", "kind": "request", "config": {"provider": "openai", "model": "gpt-4o"},
    }))
    .unwrap();
    Target::new(&record.settings()).unwrap()
}

/// The events of a stream whose bytes come in these pieces.
fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ChatEvent>, ProviderError> {
    let mut decoder = Decoder::new(&target(), Timestamp::UNIX_EPOCH);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events)?;
    }
    decoder.finish(&mut events)?;
    Ok(events)
}

fn streams() -> impl Iterator<Item = (String, String)> {
    let text = include_str!("../vectors/openai.jsonl");
    Record::all(text)
        .filter(|record| record.provider_stream.is_some() && !record.goes_through_responses())
        .map(|record| (record.id.clone(), stream_text(&record)))
}

#[test]
fn a_stream_cut_at_any_byte_gives_the_same_events() {
    for (id, bytes) in streams() {
        let whole = events([bytes.as_bytes()]).unwrap();
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.as_bytes().split_at(cut);
            assert_eq!(events([left, right]).unwrap(), whole, "{id} cut at {cut}");
        }
        assert_eq!(
            events(bytes.as_bytes().chunks(1)).unwrap(),
            whole,
            "{id} byte by byte"
        );
    }
}

#[test]
fn a_stream_that_breaks_off_never_looks_whole() {
    for (id, bytes) in streams().filter(|(id, _)| !id.contains("error")) {
        let finish = bytes.find("\"finish_reason\":\"").unwrap();
        for end in 0..finish {
            let result = events([&bytes.as_bytes()[..end]]);
            let error = result.err().unwrap_or_else(|| panic!("{id} ends at {end}"));
            assert_eq!(error.kind, ErrorKind::Malformed, "{id} ends at {end}");
        }
    }
}

#[test]
fn a_rendered_stream_decodes_to_the_same_reply() {
    for (id, bytes) in streams().filter(|(id, _)| !id.contains("error")) {
        let first = events([bytes.as_bytes()]).unwrap();
        let mut renderer = Renderer::new(WireFormat::OpenAiChat, "x", Some(true));
        let mut rendered = Vec::new();
        for event in &first {
            renderer.push(event, &mut rendered);
        }
        let second = events([&rendered[..]]).unwrap();
        assert_eq!(reply(second), reply(first), "{id}");
    }
}

fn reply(events: Vec<ChatEvent>) -> providers::chat::reply::ChatReply {
    let mut accumulator = Accumulator::new();
    for event in events {
        accumulator.push(event).unwrap();
    }
    accumulator.finish().unwrap()
}

#[test]
fn providers_that_number_their_tool_calls_badly_are_understood() {
    let chunk = |calls: Value| json!({"choices": [{"delta": {"tool_calls": calls}}]});
    let first = json!({"id": "a", "function": {"name": "f", "arguments": "{\"x\":"}});
    let second = json!({"id": "b", "function": {"name": "g", "arguments": {"y": 2}}});
    let more = json!({"function": {"arguments": "1}"}});
    let with_index_0 = |call: &Value| {
        let mut call = call.clone();
        call["index"] = 0.into();
        call
    };
    let orders = [
        vec![chunk(json!([first, second]))],
        vec![
            chunk(json!([first])),
            chunk(json!([more])),
            chunk(json!([second])),
        ],
        vec![
            chunk(json!([with_index_0(&first)])),
            chunk(json!([with_index_0(&more)])),
            chunk(json!([with_index_0(&second)])),
        ],
    ];
    for chunks in orders {
        let mut bytes: String = chunks
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n"))
            .collect();
        bytes.push_str("data: [DONE]\n\n");
        let reply = reply(events([bytes.as_bytes()]).unwrap());
        let names: Vec<String> = reply.choices[0]
            .parts
            .iter()
            .map(|part| match &part.content {
                providers::chat::part::PartContent::ToolCall(call) => {
                    format!("{}{}{}", call.id, call.name, call.arguments)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        let begins = names[0].starts_with("af{\"x\":");
        assert!(begins && names[1..] == ["bg{\"y\":2}"], "{names:?}");
    }
}

/// JSON values that could stand anywhere in a chunk.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("choices"),
        Just("delta"),
        Just("index"),
        Just("content"),
        Just("tool_calls"),
        Just("function"),
        Just("name"),
        Just("arguments"),
        Just("finish_reason"),
        Just("usage"),
        Just("prompt_tokens"),
        Just("completion_tokens"),
        Just("error"),
        Just("message"),
        Just("type"),
        Just("text"),
        Just("reasoning_content"),
        Just("role"),
        Just("messages"),
        Just("tools"),
        Just("stop"),
        Just("image_url"),
        Just("url"),
        Just("id"),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                let members = members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = events([&bytes[..]]);
        let _ = protocol::decode(
            &target(), 200, &http::HeaderMap::new(), &bytes, Timestamp::UNIX_EPOCH,
        );
        let _ = protocol::decode(
            &target(), 500, &http::HeaderMap::new(), &bytes, Timestamp::UNIX_EPOCH,
        );
        let _ = protocol::parse(WireFormat::OpenAiChat, &bytes);
    }

    #[test]
    fn no_json_makes_a_codec_panic(values in prop::collection::vec(any_json(), 1..5)) {
        let stream: String = values.iter().map(|value| format!("data: {value}\n\n")).collect();
        if let Ok(events) = events([stream.as_bytes()]) {
            let mut renderer = Renderer::new(WireFormat::OpenAiChat, "x", None);
            let mut accumulator = Accumulator::new();
            for event in events {
                renderer.push(&event, &mut Vec::new());
                let _ = accumulator.push(event);
            }
        }
        for value in &values {
            let text = value.to_string();
            let headers = http::HeaderMap::new();
            let now = Timestamp::UNIX_EPOCH;
            if let Ok(reply) = protocol::decode(&target(), 200, &headers, text.as_bytes(), now) {
                let _ = protocol::render(WireFormat::OpenAiChat, &reply, "x");
            }
            if let Ok(call) = protocol::parse(WireFormat::OpenAiChat, text.as_bytes()) {
                let _ = protocol::encode(&call, &target());
            }
        }
    }
}

#[test]
fn a_request_of_the_same_format_keeps_everything_the_types_can_say() {
    let body = json!({
        "model": "x", "stream": false, "temperature": 0.5, "top_p": 0.25, "top_k": 3, "seed": 4, "n": 2,
        "max_completion_tokens": 9, "stop": "END", "frequency_penalty": 0.5, "presence_penalty": 0.5,
        "logprobs": true, "top_logprobs": 2, "parallel_tool_calls": true, "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "a", "description": "b", "strict": true, "schema": {"type": "object"},
        }},
        "user": "u", "logit_bias": {"1": 2}, "newer": {"a": [1, 2.5, null]},
        "tools": [
            {"type": "function", "function": {
                "name": "f", "description": "d", "strict": true, "parameters": {"type": "object"},
            }},
            {"type": "custom", "custom": {
                "name": "c", "description": "d", "format": {"type": "text"},
            }},
        ],
        "tool_choice": {"type": "custom", "custom": {"name": "c"}},
        "messages": [
            {"role": "developer", "content": "a", "name": "n"},
            {"role": "system", "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "a", "newer": 1},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "newer_part", "a": 1},
            ]},
            {"role": "assistant", "content": null, "audio": {"id": "audio_1"}, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1.0"}},
                {"id": "2", "type": "custom", "custom": {"name": "c", "input": "text"}},
            ]},
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "r"}]},
            {"role": "tool", "tool_call_id": "2", "content": "r"},
            {"role": "assistant", "content": [{"type": "text", "text": "a"}], "name": "n"},
            {"role": "assistant", "content": null, "refusal": "no"},
        ],
    });
    let call = protocol::parse(WireFormat::OpenAiChat, body.to_string().as_bytes()).unwrap();
    let encoded = protocol::encode(&call, &target()).unwrap();
    let written: Value = serde_json::from_slice(&encoded.request.body).unwrap();
    let mut expected = body;
    expected["model"] = "gpt-4o".into();
    assert_eq!(
        crate::vectors::compare::difference(&expected, &written, "body"),
        None
    );
    assert_eq!(encoded.losses, []);
}
