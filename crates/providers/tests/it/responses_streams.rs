//! The Responses API in general: streams cut anywhere, cut off, random, there and back.

use jiff::Timestamp;
use proptest::prelude::*;
use providers::chat::WireFormat;
use providers::chat::accumulator::Accumulator;
use providers::chat::event::ChatEvent;
use providers::chat::part::PartContent;
use providers::chat::reply::{ChatReply, FinishReason};
use providers::error::{ErrorKind, ProviderError};
use providers::protocol::{self, Decoder, Renderer};
use providers::target::Target;
use serde_json::{Value, json};

use crate::vectors::compare::difference;
use crate::vectors::record::Record;
use crate::vectors::responses::stream_bytes;

const DIALECT: WireFormat = WireFormat::OpenAiResponses;

pub(crate) fn target_of(parameters: &Value) -> Target {
    let record: Record = serde_json::from_value(json!({
        "id": "x", "kind": "request",
        "config": {"provider": "openai", "model": "gpt-4o", "additional_params": parameters},
    }))
    .unwrap();
    Target::new(&record.settings()).unwrap()
}

fn target() -> Target {
    target_of(&json!({"use_responses_api": true}))
}

fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ChatEvent>, ProviderError> {
    let mut decoder = Decoder::new(&target(), Timestamp::UNIX_EPOCH);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events)?;
    }
    decoder.finish(&mut events)?;
    Ok(events)
}

fn reply(events: Vec<ChatEvent>) -> ChatReply {
    let mut accumulator = Accumulator::new();
    for event in events {
        accumulator.push(event).unwrap();
    }
    accumulator.finish().unwrap()
}

fn sse(events: &[Value]) -> String {
    let mut text = String::new();
    for (number, event) in events.iter().enumerate() {
        let mut event = event.clone();
        event["sequence_number"] = number.into();
        let kind = event["type"].as_str().unwrap();
        text.push_str(&format!("event: {kind}\ndata: {event}\n\n"));
    }
    text
}

/// A stream of everything that can stand in one.
fn everything() -> String {
    let response = json!({"id": "resp_1", "created_at": 7, "model": "m", "status": "in_progress",
        "output": [], "tools": [], "metadata": {"a": "b"}});
    let mut finished = response.clone();
    finished["status"] = "completed".into();
    finished["usage"] = json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 14});
    let at = |kind: &str, more: Value| {
        let mut event = more;
        event["type"] = format!("response.{kind}").into();
        event
    };
    let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let citation = json!({"type": "url_citation", "url": "https://e.com", "title": "E",
        "start_index": 0, "end_index": 2});
    sse(&[
        at("created", json!({"response": response})),
        at("in_progress", json!({"response": response})),
        at(
            "output_item.added",
            json!({"output_index": 0, "item":
            {"type": "reasoning", "id": "rs_1", "summary": []}}),
        ),
        at(
            "reasoning_summary_part.added",
            json!({"item_id": "rs_1", "output_index": 0,
            "summary_index": 0, "part": {"type": "summary_text", "text": ""}}),
        ),
        at(
            "reasoning_summary_text.delta",
            json!({"item_id": "rs_1", "output_index": 0,
            "summary_index": 0, "delta": "One é"}),
        ),
        at(
            "reasoning_summary_part.added",
            json!({"item_id": "rs_1", "output_index": 0,
            "summary_index": 1, "part": {"type": "summary_text", "text": ""}}),
        ),
        at(
            "reasoning_summary_text.delta",
            json!({"item_id": "rs_1", "output_index": 0,
            "summary_index": 1, "delta": "Two"}),
        ),
        at(
            "output_item.done",
            json!({"output_index": 0, "item": {"type": "reasoning",
            "id": "rs_1", "encrypted_content": "ENC", "summary": [
                {"type": "summary_text", "text": "One é"}, {"type": "summary_text", "text": "Two"}]}}),
        ),
        at(
            "output_item.added",
            json!({"output_index": 1, "item":
            {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}}),
        ),
        at(
            "web_search_call.searching",
            json!({"output_index": 1, "item_id": "ws_1"}),
        ),
        at(
            "output_item.done",
            json!({"output_index": 1, "item": {"type": "web_search_call",
            "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}}),
        ),
        at(
            "output_item.added",
            json!({"output_index": 2, "item": {"type": "message",
            "id": "msg_1", "status": "in_progress", "role": "assistant", "content": []}}),
        ),
        at(
            "content_part.added",
            json!({"item_id": "msg_1", "output_index": 2, "content_index": 0,
            "part": text("")}),
        ),
        at(
            "output_text.delta",
            json!({"item_id": "msg_1", "output_index": 2, "content_index": 0,
            "delta": "Hi", "logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105],
            "top_logprobs": []}]}),
        ),
        at(
            "output_text.annotation.added",
            json!({"item_id": "msg_1", "output_index": 2,
            "content_index": 0, "annotation_index": 0, "annotation": citation}),
        ),
        at(
            "output_text.done",
            json!({"item_id": "msg_1", "output_index": 2, "content_index": 0,
            "text": "Hi"}),
        ),
        at(
            "content_part.added",
            json!({"item_id": "msg_1", "output_index": 2, "content_index": 1,
            "part": {"type": "refusal", "refusal": ""}}),
        ),
        at(
            "refusal.delta",
            json!({"item_id": "msg_1", "output_index": 2, "content_index": 1,
            "delta": "No."}),
        ),
        at(
            "output_item.done",
            json!({"output_index": 2, "item": {"type": "message",
            "id": "msg_1", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "text": "Hi", "annotations": [citation]},
                {"type": "refusal", "refusal": "No."}]}}),
        ),
        at(
            "output_item.added",
            json!({"output_index": 3, "item": {"type": "function_call",
            "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "",
            "status": "in_progress"}}),
        ),
        at(
            "function_call_arguments.delta",
            json!({"item_id": "fc_1", "output_index": 3,
            "delta": "{\"a\":"}),
        ),
        at(
            "function_call_arguments.delta",
            json!({"item_id": "fc_1", "output_index": 3,
            "delta": "1}"}),
        ),
        at(
            "output_item.done",
            json!({"output_index": 3, "item": {"type": "function_call",
            "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}",
            "status": "completed"}}),
        ),
        at(
            "output_item.done",
            json!({"output_index": 4, "item": {"type": "custom_tool_call",
            "id": "ctc_1", "call_id": "call_2", "name": "c", "input": "free"}}),
        ),
        at(
            "output_item.done",
            json!({"output_index": 5, "item": {"type": "computer_call",
            "id": "cu_1", "call_id": "call_3", "action": {"type": "click", "x": 1, "y": 2},
            "pending_safety_checks": [{"id": "s"}], "status": "completed"}}),
        ),
        at("completed", json!({"response": finished})),
    ])
}

fn streams() -> Vec<(String, String)> {
    let text = include_str!("../vectors/openai.jsonl");
    Record::all(text)
        .filter(|record| record.provider_stream.is_some() && record.goes_through_responses())
        .map(|record| {
            (
                record.id.clone(),
                String::from_utf8(stream_bytes(&record)).unwrap(),
            )
        })
        .chain([("everything".to_owned(), everything())])
        .collect()
}

#[test]
fn a_stream_cut_at_any_byte_gives_the_same_events() {
    for (id, bytes) in streams() {
        let whole = events([bytes.as_bytes()]).unwrap();
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.as_bytes().split_at(cut);
            assert_eq!(events([left, right]).unwrap(), whole, "{id} cut at {cut}");
        }
        assert_eq!(events(bytes.as_bytes().chunks(1)).unwrap(), whole, "{id}");
    }
}

#[test]
fn a_stream_that_breaks_off_never_looks_whole() {
    for (id, bytes) in streams() {
        let last = bytes.rfind("event: ").unwrap();
        let end = bytes.len() - 2;
        for end in (0..last).chain([last + 7, end - 1]) {
            let result = events([&bytes.as_bytes()[..end]]);
            let error = result.err().unwrap_or_else(|| panic!("{id} ends at {end}"));
            assert_eq!(error.kind, ErrorKind::Malformed, "{id} ends at {end}");
        }
    }
}

#[test]
fn everything_of_a_stream_is_kept() {
    let reply = reply(events([everything().as_bytes()]).unwrap());
    let choice = &reply.choices[0];
    assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
    let usage = reply.usage.unwrap();
    assert_eq!((usage.input_tokens(), usage.cache_read_tokens), (9, 4));
    assert_eq!((usage.output_tokens, usage.reasoning_tokens), (5, 2));
    assert_eq!(
        choice.logprobs.as_ref().unwrap()["content"][0]["token"],
        "Hi"
    );
    let kinds: Vec<String> = choice
        .parts
        .iter()
        .map(|part| match &part.content {
            PartContent::Reasoning(reasoning) => {
                let id = reasoning.id.as_deref().unwrap();
                let hidden = reasoning.encrypted.as_deref().unwrap_or_default();
                format!("{id} {} {hidden}", reasoning.text)
            }
            PartContent::Text { text, citations } => format!("{text} {}", citations.len()),
            PartContent::Refusal { text } => text.clone(),
            PartContent::ToolCall(call) => format!("{} {} {}", call.id, call.name, call.arguments),
            PartContent::Native(item) => item["id"].to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        "rs_1 One é\n\nTwo ",
        "rs_1  ENC",
        "\"ws_1\"",
        "Hi 1",
        "No.",
        "call_1 f {\"a\":1}",
        "call_2 c free",
        "call_3 computer {\"type\":\"click\",\"x\":1,\"y\":2}",
    ];
    assert_eq!(kinds, expected);
}

/// What the Responses API says flat, chat completions nest.
#[test]
fn sources_are_told_in_the_clients_own_shape() {
    let events = events([everything().as_bytes()]).unwrap();
    let nested = json!({"type": "url_citation", "url_citation": {
        "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 2}});
    let reply = reply(events.clone());
    let rendered = protocol::render(WireFormat::OpenAiChat, &reply, "x");
    let rendered: Value = serde_json::from_slice(&rendered).unwrap();
    let annotations = &rendered["choices"][0]["message"]["annotations"];
    assert_eq!(*annotations, json!([nested]));
    let mut renderer = Renderer::new(WireFormat::OpenAiChat, "x", None);
    let mut streamed = Vec::new();
    for event in &events {
        renderer.push(event, &mut streamed);
    }
    let streamed = String::from_utf8(streamed).unwrap();
    assert!(
        streamed.contains(&json!({"annotations": [nested]}).to_string()),
        "{streamed}"
    );
}

/// Every event has its number and its place, and the last holds what the others said.
#[test]
fn a_rendered_stream_is_numbered_and_adds_up() {
    for (id, bytes) in streams() {
        let first = events([bytes.as_bytes()]).unwrap();
        let mut renderer = Renderer::new(DIALECT, "x", None);
        let mut rendered = Vec::new();
        for event in &first {
            renderer.push(event, &mut rendered);
        }
        let text = String::from_utf8(rendered).unwrap();
        let parsed: Vec<Value> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        for (number, event) in parsed.iter().enumerate() {
            assert_eq!(event["sequence_number"], number, "{id}");
        }
        assert_eq!(parsed[0]["type"], "response.created", "{id}");
        let last = parsed.last().unwrap();
        assert_eq!(last["type"], "response.completed", "{id}");
        let done: Vec<&Value> = parsed
            .iter()
            .filter(|event| event["type"] == "response.output_item.done")
            .map(|event| &event["item"])
            .collect();
        let output = last["response"]["output"].as_array().unwrap();
        assert_eq!(done.len(), output.len(), "{id}");
        assert!(done.iter().all(|item| output.contains(item)), "{id}");
        let again = events([text.as_bytes()]).unwrap();
        assert_eq!(without_ids(reply(again)), without_ids(reply(first)), "{id}");
    }
}

/// A reply without the places of its log probabilities, which a stream tells at the end.
fn without_ids(mut reply: ChatReply) -> ChatReply {
    for choice in &mut reply.choices {
        choice.logprobs = None;
    }
    reply.extra.clear();
    reply
}

#[test]
fn a_rendered_answer_decodes_to_the_same_reply() {
    let text = include_str!("../vectors/openai.jsonl");
    let mut checked = 0;
    for record in Record::all(text) {
        if !record.id.contains("/resp/responses_") || record.provider_stream.is_some() {
            continue;
        }
        let decode = |body: &[u8]| {
            let headers = http::HeaderMap::new();
            protocol::decode(&target(), 200, &headers, body, Timestamp::UNIX_EPOCH).unwrap()
        };
        let first = decode(record.provider_response.to_string().as_bytes());
        let second = decode(&protocol::render(DIALECT, &first, "x"));
        assert_eq!(without_ids(second), without_ids(first), "{}", record.id);
        checked += 1;
    }
    assert!(checked >= 5, "only {checked}");
}

#[test]
fn failures_inside_a_stream_have_a_kind() {
    let created = json!({"type": "response.created", "response": {"id": "resp_1"}});
    for (event, kind, message) in [
        (
            json!({"type": "response.failed", "response": {"id": "resp_1", "error":
                {"code": "rate_limit_exceeded", "message": "slow down"}}}),
            ErrorKind::RateLimit,
            "slow down",
        ),
        (
            json!({"type": "response.failed", "response": {"error":
                {"code": "invalid_prompt", "message": "no"}}}),
            ErrorKind::InvalidRequest,
            "no",
        ),
        (
            json!({"type": "error", "code": "server_error", "message": "oh", "param": null}),
            ErrorKind::Server,
            "oh",
        ),
        (
            json!({"type": "error", "error": {"type": "invalid_request_error",
                "code": "context_length_exceeded", "message": "long"}}),
            ErrorKind::InvalidRequest,
            "long",
        ),
    ] {
        let bytes = sse(&[created.clone(), event]);
        let events = events([bytes.as_bytes()]).unwrap();
        let Some(ChatEvent::Error(error)) = events.last() else {
            panic!("{events:?}");
        };
        assert_eq!((error.kind, error.message.as_str()), (kind, message));
    }
}

#[test]
fn an_answer_that_was_bounded_says_so() {
    for (reason, expected, finish) in [
        (
            "max_output_tokens",
            "max_output_tokens",
            FinishReason::Length,
        ),
        (
            "content_filter",
            "content_filter",
            FinishReason::ContentFilter,
        ),
    ] {
        let body = json!({"id": "resp_1", "status": "incomplete", "output": [],
            "incomplete_details": {"reason": reason}});
        let headers = http::HeaderMap::new();
        let bytes = body.to_string();
        let now = Timestamp::UNIX_EPOCH;
        let reply = protocol::decode(&target(), 200, &headers, bytes.as_bytes(), now).unwrap();
        assert_eq!(reply.choices[0].finish_reason, Some(finish));
        let rendered: Value =
            serde_json::from_slice(&protocol::render(DIALECT, &reply, "x")).unwrap();
        assert_eq!(rendered["status"], "incomplete");
        assert_eq!(rendered["incomplete_details"]["reason"], expected);
    }
}

/// JSON values that could stand anywhere in an event or a request.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..4).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(vec![
            "message",
            "reasoning",
            "function_call",
            "function_call_output",
            "custom_tool_call",
            "computer_call",
            "web_search_call",
            "output_text",
            "input_text",
            "input_image",
            "input_file",
            "refusal",
            "user",
            "assistant",
            "completed",
            "incomplete",
            "response.created",
            "response.output_item.added",
            "response.output_item.done",
            "response.content_part.added",
            "response.output_text.delta",
            "response.completed",
            "response.function_call_arguments.delta",
            "response.reasoning_summary_text.delta",
            "response.output_text.annotation.added",
            "rs_1",
            "json_schema",
        ])
        .prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "type",
        "item",
        "item_id",
        "output_index",
        "content_index",
        "delta",
        "part",
        "response",
        "output",
        "input",
        "content",
        "summary",
        "id",
        "call_id",
        "name",
        "arguments",
        "text",
        "role",
        "tools",
        "tool_choice",
        "reasoning",
        "usage",
        "error",
        "annotation",
        "logprobs",
        "encrypted_content",
        "image_url",
        "file_data",
        "status",
        "action",
        "refusal",
        "format",
    ]);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..7).prop_map(|members| {
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
    fn no_bytes_make_a_codec_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = events([&bytes[..]]);
        let headers = http::HeaderMap::new();
        for status in [200, 500] {
            let _ = protocol::decode(&target(), status, &headers, &bytes, Timestamp::UNIX_EPOCH);
        }
        let _ = protocol::parse(DIALECT, &bytes);
    }

    #[test]
    fn no_json_makes_a_codec_panic(values in prop::collection::vec(any_json(), 1..6)) {
        let stream: String = values.iter().map(|value| format!("data: {value}\n\n")).collect();
        let mut decoder = Decoder::new(&target(), Timestamp::UNIX_EPOCH);
        let mut events = Vec::new();
        let _ = decoder.push(stream.as_bytes(), &mut events);
        for dialect in WireFormat::ALL {
            let mut renderer = Renderer::new(dialect, "x", None);
            for event in &events {
                renderer.push(event, &mut Vec::new());
            }
            renderer.push(&ChatEvent::End, &mut Vec::new());
        }
        for value in &values {
            let text = value.to_string();
            let headers = http::HeaderMap::new();
            let now = Timestamp::UNIX_EPOCH;
            if let Ok(reply) = protocol::decode(&target(), 200, &headers, text.as_bytes(), now) {
                for dialect in WireFormat::ALL {
                    let _ = protocol::render(dialect, &reply, "x");
                }
            }
            for body in [text, json!({"input": value}).to_string()] {
                if let Ok(call) = protocol::parse(DIALECT, body.as_bytes()) {
                    let _ = protocol::encode(&call, &target());
                    let _ = protocol::encode(&call, &target_of(&json!({"use_responses_api": false})));
                }
            }
        }
    }
}

#[test]
fn a_request_of_the_same_format_keeps_everything_the_types_can_say() {
    let tools = json!([
            {"type": "function", "name": "f", "description": "d", "strict": true,
                "parameters": {"type": "object"}, "newer": 1},
            {"type": "custom", "name": "c", "description": "d", "format":
                {"type": "grammar", "syntax": "lark", "definition": "x"}},
            {"type": "web_search", "search_context_size": "low"},
            {"type": "computer", "display_width": 10},
    ]);
    let items = json!([
            {"type": "message", "role": "developer", "content": "a"},
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "a", "newer": 1},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                {"type": "input_image", "image_url": "https://example.com/a.png"},
                {"type": "input_image", "file_id": "file-1"},
                {"type": "input_file", "filename": "a.pdf",
                    "file_data": "data:application/pdf;base64,AA=="},
                {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                {"type": "input_file", "file_id": "file-2"},
                {"type": "input_newer", "a": 1},
            ]},
            {"type": "reasoning", "id": "rs_1", "encrypted_content": "ENC", "summary": [
                {"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
            {"type": "reasoning", "id": "rs_2", "summary": []},
            {"type": "web_search_call", "id": "ws_1", "status": "completed",
                "action": {"type": "search", "query": "q"}},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
                "phase": "commentary", "content": [
                {"type": "output_text", "text": "a", "annotations": [{"type": "url_citation",
                    "url": "u", "title": "t", "start_index": 0, "end_index": 1}]},
                {"type": "refusal", "refusal": "no"},
            ]},
            {"type": "function_call", "id": "fc_1", "call_id": "1", "name": "f",
                "arguments": "{\"a\": 1.0", "status": "completed"},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "2", "name": "c", "input": "t"},
            {"type": "computer_call", "id": "cu_1", "call_id": "3", "status": "completed",
                "action": {"type": "screenshot"}, "pending_safety_checks": []},
            {"type": "function_call_output", "call_id": "1", "output": "r", "id": "fco_1"},
            {"type": "custom_tool_call_output", "call_id": "2", "output": [
                {"type": "input_text", "text": "r"}]},
            {"type": "computer_call_output", "call_id": "3", "acknowledged_safety_checks": [],
                "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AA=="}},
            {"type": "mcp_approval_response", "approval_request_id": "a", "approve": true},
            {"type": "message", "role": "assistant", "content": "bare"},
            {"type": "message", "role": "user", "content": "go on"},
    ]);
    let body = json!({
        "model": "x", "stream": true, "temperature": 0.5, "top_p": 0.25, "max_output_tokens": 9,
        "top_logprobs": 2, "parallel_tool_calls": true, "instructions": "Be brief.",
        "reasoning": {"effort": "low", "summary": "auto"}, "user": "u", "store": false,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "a",
            "description": "b", "strict": true, "schema": {"type": "object"}}},
        "truncation": "auto", "metadata": {"k": "v"}, "newer": {"a": [1, 2.5]},
        "tools": tools, "tool_choice": {"type": "custom", "name": "c"}, "input": items,
    });
    let target = target();
    let call = protocol::parse(DIALECT, body.to_string().as_bytes()).unwrap();
    let encoded = protocol::encode(&call, &target).unwrap();
    let written: Value = serde_json::from_slice(&encoded.request.body).unwrap();
    let mut expected = body;
    expected["model"] = "gpt-4o".into();
    assert_eq!(difference(&expected, &written, "body"), None);
    assert_eq!(encoded.losses, []);
    // What it is grouped by elsewhere stays together: one turn of calls, then their results.
    let chat = target_of(&json!({"use_responses_api": false}));
    let mut portable = expected;
    portable["tools"] = json!([portable["tools"][0]]);
    portable["tool_choice"] = "auto".into();
    let call = protocol::parse(DIALECT, portable.to_string().as_bytes()).unwrap();
    let encoded = protocol::encode(&call, &chat).unwrap();
    let written: Value = serde_json::from_slice(&encoded.request.body).unwrap();
    let roles: Vec<&str> = written["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    let expected = [
        "system",
        "developer",
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "tool",
        "user",
        "user",
        "assistant",
        "user",
    ];
    assert_eq!(roles, expected);
    assert_eq!(
        written["messages"][4]["tool_calls"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(written["reasoning_effort"], "low");
    assert_eq!(written["verbosity"], "low");
    assert_eq!(written["response_format"]["json_schema"]["name"], "a");
}

/// Thinking that another vendor has signed travels through the format and back.
#[test]
fn signed_thinking_survives_a_client_of_this_format() {
    let record: Record = serde_json::from_value(json!({
        "id": "x", "kind": "request",
        "config": {"provider": "anthropic", "model": "claude-sonnet-4-5"},
    }))
    .unwrap();
    let anthropic = Target::new(&record.settings()).unwrap();
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "c",
        "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}, "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "SIG"},
            {"type": "redacted_thinking", "data": "HIDDEN"},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}]});
    let headers = http::HeaderMap::new();
    let now = Timestamp::UNIX_EPOCH;
    let bytes = answer.to_string();
    let reply = protocol::decode(&anthropic, 200, &headers, bytes.as_bytes(), now).unwrap();
    let rendered: Value = serde_json::from_slice(&protocol::render(DIALECT, &reply, "x")).unwrap();
    let mut input = vec![json!({"role": "user", "content": "Go"})];
    input.extend(rendered["output"].as_array().unwrap().iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": "toolu_1", "output": "done"}));
    let body = json!({"model": "x", "input": input}).to_string();
    let call = protocol::parse(DIALECT, body.as_bytes()).unwrap();
    let encoded = protocol::encode(&call, &anthropic).unwrap();
    assert_eq!(encoded.losses, []);
    let written: Value = serde_json::from_slice(&encoded.request.body).unwrap();
    assert_eq!(written["messages"][1]["content"], answer["content"]);
    // OpenAI cannot read it, and never sees the ids that stood in for its own.
    let encoded = protocol::encode(&call, &target()).unwrap();
    let written = String::from_utf8(encoded.request.body.to_vec()).unwrap();
    assert!(
        !written.contains("_qm_") && !written.contains("SIG"),
        "{written}"
    );
    assert_eq!(encoded.losses[0].what, "messages.reasoning");
}
