//! Anthropic's streams: read in any pieces, cut off, malformed, and written again.

use proptest::prelude::*;
use providers::chat::WireFormat;
use providers::chat::event::{ChatEvent, Delta};
use providers::chat::part::{Part, PartContent, Reasoning, ToolCall, ToolCallKind};
use providers::chat::reply::FinishReason;
use providers::chat::usage::Usage;
use providers::error::{ErrorKind, ProviderError};
use providers::protocol::{Decoder, Renderer};
use providers::target::Target;
use serde_json::{Value, json};

use crate::anthropic::{gather, settings, stream_bytes, target};

/// The events of a stream that comes in pieces.
fn decode(pieces: &[&[u8]]) -> Result<Vec<ChatEvent>, ProviderError> {
    let mut decoder = Decoder::new(&target(), jiff::Timestamp::UNIX_EPOCH);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events)?;
    }
    decoder.finish(&mut events)?;
    Ok(events)
}

/// A stream with every kind of block.
fn rich_stream() -> Vec<Value> {
    vec![
        json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6",
            "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 7, "output_tokens": 1, "cache_read_input_tokens": 30,
                "cache_creation_input_tokens": 9, "service_tier": "standard",
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}},
        }}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "Hm 🤔."}}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "signature_delta", "signature": "c2ln"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1,
            "content_block": {"type": "redacted_thinking", "data": "hidden"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 2,
            "content_block": {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search",
                "input": {}}}),
        json!({"type": "content_block_delta", "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": "{\"query\":\"q\"}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "content_block_start", "index": 3, "content_block": {
            "type": "web_search_tool_result", "tool_use_id": "srvtoolu_1",
            "content": [{"type": "web_search_result", "url": "https://e.com", "title": "E"}]}}),
        json!({"type": "content_block_stop", "index": 3}),
        json!({"type": "content_block_start", "index": 4,
            "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 4,
            "delta": {"type": "text_delta", "text": "Grüße\n\u{2028}"}}),
        json!({"type": "content_block_delta", "index": 4, "delta": {"type": "citations_delta",
            "citation": {"type": "web_search_result_location", "url": "https://e.com"}}}),
        json!({"type": "content_block_stop", "index": 4}),
        json!({"type": "something_new", "index": 4}),
        json!({"type": "content_block_start", "index": 5,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "a", "input": {}}}),
        json!({"type": "content_block_delta", "index": 5,
            "delta": {"type": "input_json_delta", "partial_json": ""}}),
        json!({"type": "content_block_delta", "index": 5,
            "delta": {"type": "input_json_delta", "partial_json": "{\"x\":"}}),
        json!({"type": "content_block_delta", "index": 5,
            "delta": {"type": "input_json_delta", "partial_json": " 1}"}}),
        json!({"type": "content_block_stop", "index": 5}),
        json!({"type": "content_block_start", "index": 6,
            "content_block": {"type": "tool_use", "id": "toolu_2", "name": "b", "input": {}}}),
        json!({"type": "content_block_stop", "index": 6}),
        json!({"type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": null},
            "usage": {"output_tokens": 40, "output_tokens_details": {"thinking_tokens": 11},
                "server_tool_use": {"web_search_requests": 1}}}),
        json!({"type": "message_stop"}),
    ]
}

/// Reads a rendered stream back, checking that it is one a client of Anthropic's can read.
pub(crate) fn check_order(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    let events: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect();
    let mut open = None;
    let mut next = 0;
    let named: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] != "ping")
        .collect();
    for (position, event) in named.iter().enumerate() {
        let index = event["index"].as_u64();
        match event["type"].as_str().unwrap() {
            "message_start" => {
                assert_eq!(position, 0);
                assert!(event["message"]["usage"]["input_tokens"].is_u64());
                assert_eq!(event["message"]["content"], json!([]));
            }
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(next)), "{event}");
                open = index;
                next += 1;
            }
            "content_block_delta" => assert_eq!(index, open, "{event}"),
            "content_block_stop" => {
                assert_eq!(index, open, "{event}");
                open = None;
            }
            "message_delta" => {
                assert_eq!(open, None);
                assert_eq!(position, named.len() - 2);
                assert!(event["delta"]["stop_reason"].is_string());
            }
            "message_stop" => assert_eq!(position, named.len() - 1),
            other => assert_eq!(other, "an event that clients know"),
        }
    }
    assert_eq!(named.last().unwrap()["type"], "message_stop");
    events
}

fn render(dialect: WireFormat, events: &[ChatEvent]) -> Vec<u8> {
    let mut renderer = Renderer::new(dialect, "m", None);
    let mut out = Vec::new();
    for event in events {
        renderer.push(event, &mut out);
    }
    out
}

#[test]
fn a_stream_means_the_same_however_it_is_cut() {
    let bytes = stream_bytes(&rich_stream());
    let whole = decode(&[&bytes]).unwrap();
    for cut in 0..=bytes.len() {
        let (left, right) = bytes.split_at(cut);
        assert_eq!(decode(&[left, right]).unwrap(), whole, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(&single).unwrap(), whole);
}

#[test]
fn a_stream_that_is_cut_off_is_a_failure() {
    let bytes = stream_bytes(&rich_stream());
    let end = bytes.len() - "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".len();
    for length in (0..=end).step_by(7).chain([end]) {
        let error = decode(&[&bytes[..length]]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "after {length} bytes");
    }
}

#[test]
fn a_failure_inside_a_stream_has_its_kind_and_ends_it() {
    for (code, kind) in [
        ("overloaded_error", ErrorKind::Overloaded),
        ("rate_limit_error", ErrorKind::RateLimit),
        ("api_error", ErrorKind::Server),
        ("invalid_request_error", ErrorKind::InvalidRequest),
    ] {
        let mut stream = rich_stream();
        stream.truncate(3);
        stream.push(json!({"type": "error", "error": {"type": code, "message": "m"}}));
        stream.push(json!({"type": "message_stop"}));
        let events = decode(&[&stream_bytes(&stream)]).unwrap();
        let Some(ChatEvent::Error(error)) = events.last() else {
            panic!("{events:?}");
        };
        assert_eq!((error.kind, error.code.as_deref()), (kind, Some(code)));
    }
}

#[test]
fn streams_out_of_order_are_refused() {
    let start = &rich_stream()[0];
    let block = json!({"type": "content_block_start", "index": 0,
        "content_block": {"type": "text", "text": ""}});
    let delta = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": "x"}});
    let stop = json!({"type": "content_block_stop", "index": 0});
    let end = json!({"type": "message_stop"});
    for stream in [
        vec![start, start],
        vec![&block],
        vec![start, &delta],
        vec![start, &block, &block],
        vec![start, &block, &stop, &stop],
        vec![start, &block, &stop, &delta],
        vec![start, &block, &end],
        vec![&end],
        vec![&json!({"type": "message_start"})],
        vec![&json!([1])],
    ] {
        let stream: Vec<Value> = stream.into_iter().cloned().collect();
        let bytes: String = stream
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        let error = decode(&[bytes.as_bytes()]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{stream:?}");
    }
}

#[test]
fn a_stream_and_its_rendering_are_the_same_answer() {
    let bytes = stream_bytes(&rich_stream());
    let events = decode(&[&bytes]).unwrap();
    let rendered = render(WireFormat::AnthropicMessages, &events);
    check_order(&rendered);
    let (first, second) = (gather(&target(), &bytes), gather(&target(), &rendered));
    assert_eq!(first.unwrap(), second.unwrap());
}

#[test]
fn a_gathered_stream_is_the_whole_answer() {
    let reply = gather(&target(), &stream_bytes(&rich_stream())).unwrap();
    let usage = Usage {
        uncached_input_tokens: 7,
        cache_read_tokens: 30,
        cache_write_5m_tokens: 4,
        cache_write_1h_tokens: 5,
        output_tokens: 40,
        reasoning_tokens: 11,
    };
    assert_eq!(reply.usage, Some(usage));
    let answer = providers::protocol::render(WireFormat::AnthropicMessages, &reply, "m");
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let expected = json!([
        {"type": "thinking", "thinking": "Hm 🤔.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "hidden"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search",
            "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1",
            "content": [{"type": "web_search_result", "url": "https://e.com", "title": "E"}]},
        {"type": "text", "text": "Grüße\n\u{2028}",
            "citations": [{"type": "web_search_result_location", "url": "https://e.com"}]},
        {"type": "tool_use", "id": "toolu_1", "name": "a", "input": {"x": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "b", "input": {}},
    ]);
    assert_eq!(answer["content"], expected);
    assert_eq!(answer["stop_reason"], "tool_use");
    assert_eq!(
        answer["usage"]["server_tool_use"],
        json!({"web_search_requests": 1})
    );
    assert_eq!(
        answer["usage"]["cache_creation"]["ephemeral_1h_input_tokens"],
        5
    );
}

/// A tool call as another provider's stream begins it.
fn call(id: &str) -> Part {
    Part::new(PartContent::ToolCall(ToolCall {
        id: id.to_owned(),
        name: id.to_owned(),
        arguments: String::new(),
        kind: ToolCallKind::Function,
    }))
}

fn start(index: u32, part: Part) -> ChatEvent {
    ChatEvent::PartStart {
        choice: 0,
        index,
        part,
    }
}

fn delta(index: u32, delta: Delta) -> ChatEvent {
    ChatEvent::PartDelta {
        choice: 0,
        index,
        delta,
    }
}

fn finish(reason: FinishReason) -> ChatEvent {
    ChatEvent::Finish {
        choice: 0,
        reason,
        native_reason: None,
        stop_sequence: None,
        extra: serde_json::Map::new(),
    }
}

#[test]
fn interleaved_calls_are_put_in_order() {
    let arguments = |text: &str| Delta::Arguments(text.to_owned());
    let events = [
        start(0, Part::text("Let me")),
        start(1, call("a")),
        delta(1, arguments("{\"x\"")),
        ChatEvent::PartEnd {
            choice: 0,
            index: 1,
        },
        start(2, call("b")),
        delta(2, arguments("{\"y\"")),
        delta(1, arguments(":1}")),
        delta(0, Delta::Text(" see".to_owned())),
        delta(2, arguments(":2}")),
        start(0, Part::text("")),
        finish(FinishReason::ToolCalls),
        ChatEvent::Usage(Usage {
            output_tokens: 3,
            ..Usage::default()
        }),
        ChatEvent::End,
    ];
    let rendered = render(WireFormat::AnthropicMessages, &events);
    check_order(&rendered);
    let reply = gather(&target(), &rendered).unwrap();
    let texts: Vec<String> = reply.choices[0].parts.iter().map(describe).collect();
    assert_eq!(texts[..3], ["Let me", "a{\"x\":1}", "b{\"y\":2}"]);
    assert_eq!(texts[3..].concat(), " see");
    assert_eq!(reply.usage.unwrap().output_tokens, 3);
    assert_eq!(
        reply.choices[0].finish_reason,
        Some(FinishReason::ToolCalls)
    );
}

fn describe(part: &Part) -> String {
    match &part.content {
        PartContent::Text { text, .. } => text.clone(),
        PartContent::ToolCall(call) => format!("{}{}", call.name, call.arguments),
        other => format!("{other:?}"),
    }
}

#[test]
fn refusals_and_unsigned_thinking_have_a_form() {
    let thinking = Part::new(PartContent::Reasoning(Reasoning {
        text: "hm".to_owned(),
        ..Reasoning::default()
    }));
    let refusal = Part::new(PartContent::Refusal {
        text: String::new(),
    });
    let events = [
        start(0, thinking),
        ChatEvent::PartEnd {
            choice: 0,
            index: 0,
        },
        start(1, refusal),
        delta(1, Delta::Text("No.".to_owned())),
        finish(FinishReason::Stop),
        ChatEvent::End,
    ];
    let events = check_order(&render(WireFormat::AnthropicMessages, &events));
    let blocks: Vec<&Value> = events
        .iter()
        .filter_map(|event| event.get("content_block"))
        .collect();
    assert_eq!(
        *blocks[0],
        json!({"type": "thinking", "thinking": "", "signature": ""})
    );
    assert_eq!(*blocks[1], json!({"type": "text", "text": ""}));
    let delta = &events[events.len() - 2]["delta"];
    assert_eq!(delta["stop_reason"], "refusal");
}

#[test]
fn openais_clients_read_a_stream_of_anthropics() {
    let events = decode(&[&stream_bytes(&rich_stream())]).unwrap();
    let rendered = render(WireFormat::OpenAiChat, &events);
    let config = json!({"provider": "openai", "model": "gpt-4.1"});
    let openai = Target::new(&settings(&config)).unwrap();
    let reply = gather(&openai, &rendered).unwrap();
    let choice = &reply.choices[0];
    let said: Vec<String> = choice
        .parts
        .iter()
        .filter(|part| !matches!(part.content, PartContent::Reasoning(_)))
        .map(describe)
        .collect();
    // The tool that the provider ran itself is not among them.
    assert_eq!(said, ["Grüße\n\u{2028}", "a{\"x\": 1}", "b{}"]);
    assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
    let signatures: String = choice
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            PartContent::Reasoning(reasoning) => reasoning.signature.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(signatures, "c2ln");
}

/// Any canonical event, in any order.
fn any_event() -> impl Strategy<Value = ChatEvent> {
    let part = prop_oneof![
        Just(Part::text("t")),
        Just(Part::text("")),
        Just(call("c")),
        Just(Part::new(PartContent::Refusal {
            text: "r".to_owned()
        })),
        Just(Part::new(PartContent::Reasoning(Reasoning::default()))),
        Just(Part::new(PartContent::Native(
            json!({"type": "of another vendor"})
        ))),
    ];
    let grown = prop_oneof![
        Just(Delta::Text("x".to_owned())),
        Just(Delta::Arguments("{".to_owned())),
        Just(Delta::Reasoning("y".to_owned())),
        Just(Delta::Citation(json!({"type": "of another vendor"}))),
        Just(Delta::Native(json!(1))),
    ];
    prop_oneof![
        (0..4_u32, part).prop_map(|(index, part)| start(index, part)),
        (0..4_u32, grown).prop_map(|(index, grown)| delta(index, grown)),
        (0..4_u32).prop_map(|index| ChatEvent::PartEnd { choice: 0, index }),
        Just(ChatEvent::Ping),
        Just(ChatEvent::Usage(Usage::default())),
        Just(finish(FinishReason::Length)),
        Just(ChatEvent::PartEnd {
            choice: 1,
            index: 0
        }),
    ]
}

proptest! {
    #[test]
    fn any_events_are_rendered_in_a_valid_order(
        events in proptest::collection::vec(any_event(), 0..40),
    ) {
        let mut events = events;
        events.push(ChatEvent::End);
        check_order(&render(WireFormat::AnthropicMessages, &events));
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        at in 0..30_usize,
    ) {
        let mut stream = stream_bytes(&rich_stream()[..at.min(rich_stream().len())]);
        stream.extend(bytes);
        stream.extend(b"\n\n");
        let _ = decode(&[&stream]);
    }

    #[test]
    fn a_damaged_stream_is_read_without_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut stream = stream_bytes(&rich_stream());
        for (index, byte) in damage {
            let index = index.index(stream.len());
            stream[index] = byte;
        }
        let _ = decode(&[&stream]);
    }
}
