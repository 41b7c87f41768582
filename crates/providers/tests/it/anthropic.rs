//! Anthropic's messages: helpers, and what the vectors do not show of answers.

use domain::model_configuration::ModelSettings;
use http::HeaderMap;
use providers::chat::WireFormat;
use providers::chat::accumulator::Accumulator;
use providers::chat::reply::{ChatReply, FinishReason};
use providers::error::ProviderError;
use providers::protocol::{self, Decoder};
use providers::target::Target;
use serde_json::{Value, json};

use crate::vectors::record::Record;

/// A configuration of which only some members are given.
pub(crate) fn settings(config: &Value) -> ModelSettings {
    ModelSettings {
        name: "test".to_owned(),
        description: None,
        provider: config["provider"].as_str().unwrap().to_owned(),
        model: config["model"].as_str().unwrap().to_owned(),
        temperature: config["temperature"].as_f64(),
        max_tokens: config["max_tokens"].as_i64(),
        timeout_seconds: None,
        max_retries: None,
        additional_params: config["additional_params"].as_object().cloned(),
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    }
}

pub(crate) fn target() -> Target {
    let config = json!({"provider": "anthropic", "model": "claude-opus-4-6"});
    Target::new(&settings(&config)).unwrap()
}

/// A stream of named events as its bytes.
pub(crate) fn stream_bytes(events: &[Value]) -> Vec<u8> {
    let event = |event: &Value| {
        let name = event["type"].as_str().unwrap();
        format!("event: {name}\ndata: {event}\n\n")
    };
    events.iter().map(event).collect::<String>().into_bytes()
}

/// The reply that a stream describes.
pub(crate) fn gather(target: &Target, bytes: &[u8]) -> Result<ChatReply, ProviderError> {
    let mut decoder = Decoder::new(target, jiff::Timestamp::UNIX_EPOCH);
    let mut events = Vec::new();
    decoder.push(bytes, &mut events)?;
    decoder.finish(&mut events)?;
    let mut accumulator = Accumulator::new();
    for event in events {
        accumulator.push(event)?;
    }
    accumulator.finish()
}

fn decode(body: &Value) -> Result<ChatReply, ProviderError> {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let body = body.to_string();
    protocol::decode(&target(), 200, &HeaderMap::new(), body.as_bytes(), now)
}

#[test]
fn every_answer_is_rendered_as_it_was() {
    let text = include_str!("../vectors/anthropic.jsonl");
    let mut count = 0;
    for record in Record::all(text).filter(|record| record.ai_message.is_some()) {
        let answer = &record.provider_response;
        if answer["content"].is_null() {
            continue;
        }
        let reply = decode(answer).unwrap();
        let rendered = protocol::render(WireFormat::AnthropicMessages, &reply, "m");
        let rendered: Value = serde_json::from_slice(&rendered).unwrap();
        for member in [
            "id",
            "type",
            "role",
            "model",
            "content",
            "stop_reason",
            "stop_sequence",
        ] {
            assert_eq!(rendered[member], answer[member], "{} {member}", record.id);
        }
        for (name, count) in answer["usage"].as_object().unwrap() {
            assert_eq!(&rendered["usage"][name], count, "{} {name}", record.id);
        }
        count += 1;
    }
    assert!(count > 8, "{count}");
}

#[test]
fn stop_reasons_are_normalised() {
    let cases = [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("pause_turn", FinishReason::Stop),
        ("refusal", FinishReason::Refusal),
        ("something_new", FinishReason::Stop),
    ];
    for (native, reason) in cases {
        let reply = decode(&json!({"content": [], "stop_reason": native})).unwrap();
        let choice = &reply.choices[0];
        assert_eq!(choice.finish_reason, Some(reason));
        assert_eq!(choice.native_finish_reason.as_deref(), Some(native));
    }
}
