//! Streams of Ollama and Cohere: cut anywhere, cut off, random; requests in general.

use http::HeaderMap;
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

use crate::vectors::record::Record;
use crate::vectors::responses::stream_bytes;

fn target(provider: &str) -> Target {
    let record: Record = serde_json::from_value(json!({
        "id": "x", "kind": "request", "config": {"provider": provider, "model": "m"},
    }))
    .unwrap();
    Target::new(&record.settings()).unwrap()
}

fn events<'a>(
    provider: &str,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<ChatEvent>, ProviderError> {
    let mut decoder = Decoder::new(&target(provider), Timestamp::UNIX_EPOCH);
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

/// The answer of a whole stream, whose every cut must give the same events and whose
/// every beginning must be an error.
fn checked(provider: &str, bytes: &[u8]) -> ChatReply {
    let whole = events(provider, [bytes]).unwrap();
    for cut in 0..=bytes.len() {
        let (left, right) = bytes.split_at(cut);
        assert_eq!(
            events(provider, [left, right]).unwrap(),
            whole,
            "cut at {cut}"
        );
    }
    assert_eq!(events(provider, bytes.chunks(1)).unwrap(), whole);
    let end = bytes.windows(10).rposition(|window| {
        window.starts_with(b"\"done\":tru") || window.starts_with(b"message-en")
    });
    for end in 0..end.unwrap() {
        let error = events(provider, [&bytes[..end]]).err();
        let kind = error.map(|error| error.kind);
        assert_eq!(kind, Some(ErrorKind::Malformed), "{provider} ends at {end}");
    }
    for dialect in [WireFormat::OpenAiChat, WireFormat::AnthropicMessages] {
        let mut renderer = Renderer::new(dialect, "m", Some(true));
        let mut rendered = Vec::new();
        for event in &whole {
            renderer.push(event, &mut rendered);
        }
        assert!(!rendered.is_empty());
    }
    reply(whole)
}

/// The parts of an answer in short.
fn said(reply: &ChatReply) -> Vec<String> {
    let parts = reply.choices[0].parts.iter();
    parts
        .map(|part| match &part.content {
            PartContent::Text { text, citations } => format!("text {text} {}", citations.len()),
            PartContent::Reasoning(reasoning) => format!("thought {}", reasoning.text),
            PartContent::ToolCall(call) => {
                format!("call {} {} {}", call.id, call.name, call.arguments)
            }
            other => format!("{other:?}"),
        })
        .collect()
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn named_events(values: &[Value]) -> String {
    let event = |value: &Value| {
        let name = value["type"].as_str().unwrap();
        format!("event: {name}\ndata: {value}\n\n")
    };
    values.iter().map(event).collect()
}

#[test]
fn the_captured_streams_read_alike_however_they_are_cut() {
    let text = include_str!("../vectors/ollama.jsonl");
    let mut count = 0;
    for record in Record::all(text) {
        if record.provider_stream.is_some() && record.error.is_none() {
            checked("ollama", &stream_bytes(&record));
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} streams");
}

#[test]
fn ollamas_thinking_text_and_calls_are_parts() {
    let call = json!({"function": {"name": "f", "arguments": {
        "functionName": "f", "list": "[1]", "text": "x", "n": 1.5,
    }}});
    let stream = lines(&[
        json!({"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": false,
            "message": {"role": "assistant", "content": "", "thinking": "hm"}}),
        json!({"model": "m", "done": false, "message": {"content": "é", "thinking": ""}}),
        json!({"model": "m", "done": false, "message": {"content": "", "tool_calls": [call]},
            "logprobs": [{"token": "a", "logprob": -1.0}]}),
        json!({"model": "m", "done": false, "message": {"tool_calls": [call]}}),
        json!({"model": "m", "done": true, "done_reason": "stop", "message": {"content": ""},
            "prompt_eval_count": 4, "eval_count": 2}),
    ]);
    let reply = checked("ollama", stream.as_bytes());
    let said = said(&reply);
    assert_eq!(said[..2], ["thought hm", "text é 0"]);
    for call in &said[2..] {
        assert!(call.starts_with("call call_"), "{call}");
        assert!(
            call.ends_with(r#" f {"list":[1],"text":"x","n":1.5}"#),
            "{call}"
        );
    }
    assert_ne!(said[2], said[3], "two calls have two names");
    let choice = &reply.choices[0];
    assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
    assert_eq!(choice.native_finish_reason.as_deref(), Some("stop"));
    assert!(choice.logprobs.is_some());
    assert_eq!(reply.usage.unwrap().input_tokens(), 4);
    assert_eq!(reply.created, Some(1_767_225_600));
}

#[test]
fn ollamas_failure_inside_a_stream_is_one() {
    let stream = lines(&[
        json!({"model": "m", "message": {"content": "a"}, "done": false}),
        json!({"error": "the runner has died"}),
    ]);
    let events = events("ollama", [stream.as_bytes()]).unwrap();
    let Some(ChatEvent::Error(error)) = events.last() else {
        panic!("{events:?}");
    };
    assert_eq!(error.message, "the runner has died");
}

#[test]
fn coheres_plan_calls_and_citations_are_parts() {
    let message = |message: Value| json!({ "message": message });
    let mut plan = vec![json!({"type": "message-start", "id": "c1",
        "delta": message(json!({"role": "assistant"}))})];
    plan.extend([
        json!({"type": "tool-plan-delta", "delta": message(json!({"tool_plan": "I "}))}),
        json!({"type": "tool-plan-delta", "delta": message(json!({"tool_plan": "look."}))}),
        json!({"type": "tool-call-start", "index": 0, "delta": message(json!({"tool_calls":
            {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": ""}}}))}),
        json!({"type": "tool-call-delta", "index": 0, "delta": message(json!({"tool_calls":
            {"function": {"arguments": "{\"a\""}}}))}),
        json!({"type": "tool-call-delta", "index": 0, "delta": message(json!({"tool_calls":
            {"function": {"arguments": ":1}"}}}))}),
        json!({"type": "tool-call-end", "index": 0}),
        json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {
            "billed_units": {"input_tokens": 5.0, "output_tokens": 2.0},
            "tokens": {"input_tokens": 10.0, "output_tokens": 4.0}, "cached_tokens": 6.0}}}),
    ]);
    let reply = checked("cohere", named_events(&plan).as_bytes());
    assert_eq!(said(&reply), ["text I look. 0", "call f_1 f {\"a\":1}"]);
    let usage = reply.usage.unwrap();
    assert_eq!(
        (usage.uncached_input_tokens, usage.cache_read_tokens),
        (4, 6)
    );
    assert_eq!(
        reply.choices[0].finish_reason,
        Some(FinishReason::ToolCalls)
    );

    let citation = json!({"start": 0, "end": 2, "text": "No", "sources": [{"type": "document"}]});
    let answer = [
        json!({"type": "message-start", "id": "c2"}),
        json!({"type": "content-start", "index": 0,
            "delta": message(json!({"content": {"type": "thinking", "thinking": ""}}))}),
        json!({"type": "content-delta", "index": 0,
            "delta": message(json!({"content": {"thinking": "hm"}}))}),
        json!({"type": "content-end", "index": 0}),
        json!({"type": "content-start", "index": 1,
            "delta": message(json!({"content": {"type": "text", "text": ""}}))}),
        json!({"type": "content-delta", "index": 1,
            "delta": message(json!({"content": {"text": "No."}}))}),
        json!({"type": "citation-start", "index": 0,
            "delta": message(json!({"citations": citation}))}),
        json!({"type": "citation-end", "index": 0}),
        json!({"type": "content-end", "index": 1}),
        json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
    ];
    let reply = checked("cohere", named_events(&answer).as_bytes());
    assert_eq!(said(&reply), ["thought hm", "text No. 1"]);
    assert_eq!(reply.id.as_deref(), Some("c2"));
}

#[test]
fn coheres_failure_at_the_end_of_a_stream_is_one() {
    let end = json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "gone"}});
    let events = events("cohere", [named_events(&[end]).as_bytes()]).unwrap();
    assert!(
        matches!(events.last(), Some(ChatEvent::Error(error)) if error.message == "gone"),
        "{events:?}"
    );
}

#[test]
fn what_neither_can_say_is_a_named_loss() {
    let body = json!({
        "model": "x", "n": 2, "parallel_tool_calls": false, "tool_choice": "required",
        "messages": [{"role": "user", "content": "a"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {
            "type": "object", "properties": {"a": {"type": "string", "pattern": "x"}},
        }}}],
    });
    let call = protocol::parse(WireFormat::OpenAiChat, body.to_string().as_bytes()).unwrap();
    for (provider, expected) in [
        (
            "ollama",
            &[
                "n",
                "tool_choice",
                "tools.parameters.pattern",
                "parallel_tool_calls",
            ][..],
        ),
        (
            "cohere",
            &["tools.parameters.pattern", "parallel_tool_calls", "n"],
        ),
    ] {
        let losses = protocol::encode(&call, &target(provider)).unwrap().losses;
        let what: Vec<&str> = losses.iter().map(|loss| loss.what.as_str()).collect();
        assert_eq!(what, expected, "{provider}");
    }
}

#[test]
fn a_picture_that_is_a_link_is_refused_by_ollama_and_sent_to_cohere() {
    let body = json!({"model": "x", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]}]});
    let call = protocol::parse(WireFormat::OpenAiChat, body.to_string().as_bytes()).unwrap();
    let error = protocol::encode(&call, &target("ollama")).unwrap_err();
    assert_eq!(error.parameter.as_deref(), Some("messages[0].content"));
    assert!(protocol::encode(&call, &target("cohere")).is_ok());
}

/// JSON values that could stand anywhere in a message of either.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(content-start|content-delta|tool-call-start|tool-call-delta|citation-start|message-end|text|thinking|.{0,8})"
            .prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "type",
        "delta",
        "message",
        "content",
        "text",
        "thinking",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "tool_plan",
        "citations",
        "finish_reason",
        "usage",
        "tokens",
        "input_tokens",
        "done",
        "done_reason",
        "error",
        "logprobs",
        "created_at",
        "eval_count",
        "prompt_eval_count",
        "id",
        "index",
    ]);
    leaf.prop_recursive(5, 40, 6, move |inner| {
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
        for provider in ["ollama", "cohere"] {
            let _ = events(provider, [&bytes[..]]);
            for status in [200, 404, 500] {
                let (headers, now) = (HeaderMap::new(), Timestamp::UNIX_EPOCH);
                let _ = protocol::decode(&target(provider), status, &headers, &bytes, now);
            }
        }
    }

    #[test]
    fn no_json_makes_a_codec_panic(values in prop::collection::vec(any_json(), 1..6)) {
        let lines = lines(&values);
        let stream: String = values.iter().map(|value| format!("data: {value}\n\n")).collect();
        for (provider, bytes) in [("ollama", &lines), ("cohere", &stream)] {
            if let Ok(events) = events(provider, [bytes.as_bytes()]) {
                let mut accumulator = Accumulator::new();
                for event in events {
                    let _ = accumulator.push(event);
                }
            }
            for value in &values {
                let (headers, now) = (HeaderMap::new(), Timestamp::UNIX_EPOCH);
                let body = value.to_string();
                let _ = protocol::decode(&target(provider), 200, &headers, body.as_bytes(), now);
            }
        }
    }
}
