//! Bedrock's streams: read in any pieces, cut off, damaged, and out of order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::model_configuration::ModelSettings;
use jiff::Timestamp;
use proptest::prelude::*;
use providers::chat::WireFormat;
use providers::chat::accumulator::Accumulator;
use providers::chat::event::ChatEvent;
use providers::chat::part::PartContent;
use providers::chat::reply::{ChatReply, FinishReason};
use providers::chat::usage::Usage;
use providers::error::{ErrorKind, ProviderError};
use providers::framing::event_stream;
use providers::protocol::{self, Decoder};
use providers::target::Target;
use serde_json::{Value, json};

use crate::anthropic_streams::check_order;

fn target_of(provider: &str, model: &str) -> Target {
    Target::new(&ModelSettings {
        name: "c".to_owned(),
        description: None,
        provider: provider.to_owned(),
        model: model.to_owned(),
        temperature: None,
        max_tokens: None,
        timeout_seconds: None,
        max_retries: None,
        additional_params: None,
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    })
    .unwrap()
}

fn converse() -> Target {
    target_of(
        "bedrock_converse",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
    )
}

fn invoke() -> Target {
    target_of(
        "anthropic_bedrock",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
    )
}

fn frames(events: &[(&str, Value)]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (kind, payload) in events {
        event_stream::write_event(kind, payload.to_string().as_bytes(), &mut stream);
    }
    stream
}

/// Converse with every kind of block.
fn rich_events() -> Vec<(&'static str, Value)> {
    let delta = |index: u32, delta: Value| {
        let payload = json!({"contentBlockIndex": index, "delta": delta, "p": "abc"});
        ("contentBlockDelta", payload)
    };
    let stop = |index: u32| ("contentBlockStop", json!({"contentBlockIndex": index}));
    let start = |index: u32, id: &str| {
        let call = json!({"toolUse": {"toolUseId": id, "name": "n"}});
        (
            "contentBlockStart",
            json!({"contentBlockIndex": index, "start": call}),
        )
    };
    let cited = json!({"title": "T", "sourceContent": [{"text": "c"}],
        "location": {"documentChar": {"documentIndex": 0, "start": 1, "end": 2}}});
    vec![
        ("messageStart", json!({"role": "assistant"})),
        delta(0, json!({"reasoningContent": {"text": "Hm 🤔."}})),
        delta(0, json!({"reasoningContent": {"signature": "c2ln"}})),
        stop(0),
        delta(
            1,
            json!({"reasoningContent": {"redactedContent": "aGlkZGVu"}}),
        ),
        stop(1),
        delta(2, json!({"text": "Grü"})),
        delta(2, json!({"text": "ße\n\u{2028}"})),
        delta(2, json!({"citation": cited})),
        stop(2),
        ("somethingNew", json!({"x": 1})),
        start(3, "t1"),
        delta(3, json!({"toolUse": {"input": "{\"x\":"}})),
        delta(3, json!({"toolUse": {"input": " 1}"}})),
        stop(3),
        start(4, "t2"),
        stop(4),
        ("messageStop", json!({"stopReason": "tool_use"})),
        (
            "metadata",
            json!({"usage": {"inputTokens": 7, "outputTokens": 40, "totalTokens": 86,
                "cacheReadInputTokens": 30, "cacheWriteInputTokens": 9,
                "cacheDetails": [{"ttl": "5m", "inputTokens": 4}, {"ttl": "1h", "inputTokens": 5}]},
                "metrics": {"latencyMs": 1}}),
        ),
    ]
}

/// Anthropic's events in AWS's frames.
fn invoke_stream() -> Vec<u8> {
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "model": "claude", "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "Grüße"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop",
            "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}}),
    ];
    let chunks: Vec<(&str, Value)> = events
        .iter()
        .map(|event| {
            (
                "chunk",
                json!({"bytes": STANDARD.encode(event.to_string())}),
            )
        })
        .collect();
    frames(&chunks)
}

fn decode<'a>(
    target: &Target,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<ChatEvent>, ProviderError> {
    let mut decoder = Decoder::new(target, Timestamp::UNIX_EPOCH);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events)?;
    }
    decoder.finish(&mut events)?;
    Ok(events)
}

fn gather(target: &Target, stream: &[u8]) -> ChatReply {
    let mut accumulator = Accumulator::new();
    for event in decode(target, [stream]).unwrap() {
        accumulator.push(event).unwrap();
    }
    accumulator.finish().unwrap()
}

#[test]
fn a_stream_means_the_same_however_it_is_cut() {
    for (target, stream) in [
        (converse(), frames(&rich_events())),
        (invoke(), invoke_stream()),
    ] {
        let whole = decode(&target, [&stream[..]]).unwrap();
        for cut in 0..=stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(
                decode(&target, [left, right]).unwrap(),
                whole,
                "cut at {cut}"
            );
        }
        assert_eq!(decode(&target, stream.chunks(1)).unwrap(), whole);
    }
}

#[test]
fn a_gathered_stream_is_the_whole_answer() {
    let reply = gather(&converse(), &frames(&rich_events()));
    let usage = Usage {
        uncached_input_tokens: 7,
        cache_read_tokens: 30,
        cache_write_5m_tokens: 4,
        cache_write_1h_tokens: 5,
        output_tokens: 40,
        reasoning_tokens: 0,
    };
    assert_eq!(reply.usage, Some(usage));
    assert_eq!(
        reply.choices[0].finish_reason,
        Some(FinishReason::ToolCalls)
    );
    let body = json!({
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "Hm 🤔.", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
            {"citationsContent": {"content": [{"text": "Grüße\n\u{2028}"}], "citations": [{
                "title": "T", "sourceContent": [{"text": "c"}],
                "location": {"documentChar": {"documentIndex": 0, "start": 1, "end": 2}}}]}},
            {"toolUse": {"toolUseId": "t1", "name": "n", "input": {"x": 1}}},
            {"toolUse": {"toolUseId": "t2", "name": "n", "input": {}}},
        ]}},
        "stopReason": "tool_use",
    });
    let headers = http::HeaderMap::new();
    let now = Timestamp::UNIX_EPOCH;
    let body = body.to_string();
    let whole = protocol::decode(&converse(), 200, &headers, body.as_bytes(), now).unwrap();
    let parts = |reply: &ChatReply| -> Vec<PartContent> {
        let parts = reply.choices[0].parts.iter();
        let spaceless = |content: &PartContent| match content.clone() {
            PartContent::ToolCall(mut call) => {
                call.arguments.retain(|letter| letter != ' ');
                PartContent::ToolCall(call)
            }
            other => other,
        };
        parts.map(|part| spaceless(&part.content)).collect()
    };
    assert_eq!(parts(&reply), parts(&whole));
}

#[test]
fn a_stream_reaches_clients_of_both_dialects() {
    let events = decode(&converse(), [&frames(&rich_events())[..]]).unwrap();
    for dialect in [WireFormat::AnthropicMessages, WireFormat::OpenAiChat] {
        let mut renderer = protocol::Renderer::new(dialect, "m", Some(true));
        let mut out = Vec::new();
        for event in &events {
            renderer.push(event, &mut out);
        }
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(text.contains("Gr\u{fc}") && text.contains("c2ln") && text.contains("t2"));
        if dialect == WireFormat::AnthropicMessages {
            check_order(&out);
            assert!(text.contains("char_location"));
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_is_a_failure() {
    let events = rich_events();
    let without_usage = frames(&events[..events.len() - 1]);
    // The answer is whole once it has stopped; only its usage may be missing.
    assert!(decode(&converse(), [&without_usage[..]]).is_ok());
    let stop = frames(&events[..events.len() - 2]).len();
    for (target, stream, end) in [
        (converse(), without_usage, stop),
        (invoke(), invoke_stream(), invoke_stream().len() - 1),
    ] {
        for length in (0..=end).step_by(3).chain([end]) {
            let error = decode(&target, [&stream[..length]]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Malformed, "after {length} bytes");
        }
    }
}

#[test]
fn a_failure_inside_a_stream_has_its_kind_and_ends_it() {
    for (code, kind) in [
        ("throttlingException", ErrorKind::RateLimit),
        ("serviceUnavailableException", ErrorKind::Overloaded),
        ("modelStreamErrorException", ErrorKind::Server),
        ("internalServerException", ErrorKind::Server),
        ("validationException", ErrorKind::InvalidRequest),
        ("modelTimeoutException", ErrorKind::Timeout),
    ] {
        for target in [converse(), invoke()] {
            let mut stream = Vec::new();
            event_stream::write_exception(code, br#"{"message":"m"}"#, &mut stream);
            let events = decode(&target, [&stream[..]]).unwrap();
            let [ChatEvent::Error(error)] = &events[..] else {
                panic!("{events:?}");
            };
            assert_eq!((error.kind, error.code.as_deref()), (kind, Some(code)));
            assert_eq!(error.message, "m");
        }
    }
    let mut stream = Vec::new();
    let headers = [
        (":message-type", "error"),
        (":error-code", "InternalFailure"),
        (":error-message", "broken"),
    ];
    event_stream::write(&headers, b"", &mut stream);
    let events = decode(&converse(), [&stream[..]]).unwrap();
    assert!(matches!(&events[..], [ChatEvent::Error(error)] if error.message == "broken"));
}

#[test]
fn streams_out_of_order_are_refused() {
    let start = ("messageStart", json!({"role": "assistant"}));
    let text = (
        "contentBlockDelta",
        json!({"contentBlockIndex": 0, "delta": {"text": "x"}}),
    );
    let call = (
        "contentBlockDelta",
        json!({"contentBlockIndex": 0,
        "delta": {"toolUse": {"input": "{"}}}),
    );
    let stop = ("messageStop", json!({"stopReason": "end_turn"}));
    let end = ("contentBlockStop", json!({"contentBlockIndex": 0}));
    let usage = ("metadata", json!({"usage": {}}));
    for events in [
        vec![&start, &start],
        vec![&text],
        vec![&start, &call],
        vec![&start, &text, &call],
        vec![&start, &text, &stop],
        vec![&start, &stop, &text],
        vec![&start, &text, &end, &usage],
        vec![&start, &stop, &stop],
        vec![&("messageStop", json!([1]))],
        vec![
            &start,
            &("contentBlockDelta", json!({"contentBlockIndex": -1})),
        ],
    ] {
        let events: Vec<(&str, Value)> = events.into_iter().cloned().collect();
        let error = decode(&converse(), [&frames(&events)[..]]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{events:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_stream_never_looks_whole(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        for (target, stream) in [
            (converse(), frames(&rich_events())),
            (invoke(), invoke_stream()),
        ] {
            let mut damaged = stream.clone();
            damaged[at.index(stream.len())] ^= 1 << bit;
            prop_assert!(decode(&target, [&damaged[..]]).is_err());
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for target in [converse(), invoke()] {
            let decoded = decode(&target, bytes.chunks(7));
            prop_assert!(decoded.is_err());
        }
    }

    #[test]
    fn no_events_make_a_decoder_panic(
        kinds in prop::collection::vec((0..8_usize, "[ -~]{0,40}", 0..4_u32), 0..12),
    ) {
        let names = ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop",
            "messageStop", "metadata", "chunk", "new"];
        let mut stream = Vec::new();
        for (kind, text, index) in kinds {
            let payload = match kind {
                7 => text.clone(),
                _ => json!({"contentBlockIndex": index, "role": "assistant", "bytes": text,
                    "delta": {"text": text}, "start": {"toolUse": {"name": text}},
                    "stopReason": text, "usage": {"inputTokens": index}}).to_string(),
            };
            event_stream::write_event(names[kind], payload.as_bytes(), &mut stream);
        }
        for target in [converse(), invoke()] {
            let whole = decode(&target, [&stream[..]]);
            let pieces = decode(&target, stream.chunks(13));
            prop_assert_eq!(whole.is_ok(), pieces.is_ok());
        }
    }
}
