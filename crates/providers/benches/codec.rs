//! Encode and decode, time and allocations: a whole call, and a streamed answer of a hundred
//! pieces. The rival parses the same bodies into a tree and writes them again.
//!
//! `cargo bench -p quartermaster-providers --bench codec`

#![expect(clippy::unwrap_used, reason = "what fails here fails the measurement")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use domain::model_configuration::ModelSettings;
use jiff::Timestamp;
use providers::chat::WireFormat;
use providers::chat::call::ChatCall;
use providers::framing::event_stream::write_event;
use providers::protocol::{Decoder, encode as encode_call, parse};
use providers::target::Target;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const PIECES: usize = 100;

/// A provider for each protocol, and a model of its.
const PROTOCOLS: [(&str, &str); 7] = [
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("ollama", "llama3.1"),
    ("cohere", "command-a-03-2025"),
    (
        "bedrock_converse",
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
    ),
    (
        "anthropic_bedrock",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
    ("google_genai", "gemini-2.5-flash"),
];

fn main() {
    divan::main();
}

fn target((provider, model): (&str, &str)) -> Target {
    let region = provider
        .contains("bedrock")
        .then(|| json!({"region_name": "us-east-1"}));
    let settings = json!({
        "name": "support-agent", "provider": provider, "model": model, "temperature": 0.5,
        "max_tokens": 512, "additional_params": region, "is_computer_use_model": false,
        "is_archived": false,
    });
    let settings: ModelSettings = serde_json::from_value(settings).unwrap();
    Target::new(&settings).unwrap()
}

/// Twenty turns with tools: what an agent sends.
fn call() -> ChatCall {
    let prose = "The agent reads the screen, decides on one step, and reports. ".repeat(10);
    let tool = json!({"type": "function", "function": {"name": "look", "description": prose,
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}});
    let mut messages = vec![
        json!({"role": "system", "content": prose}),
        json!({"role": "user", "content": "Begin."}),
    ];
    for turn in 0..10 {
        let id = format!("call_{turn:04}");
        let function = json!({"name": "look", "arguments": "{\"at\":\"left\"}"});
        let calls = json!([{"id": id, "type": "function", "function": function}]);
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": calls}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": prose}));
    }
    messages.push(json!({"role": "user", "content": "What next?"}));
    let body = json!({"model": "x", "messages": messages, "tools": [tool]});
    parse(WireFormat::OpenAiChat, body.to_string().as_bytes()).unwrap()
}

#[divan::bench(args = PROTOCOLS)]
fn encode(bencher: Bencher<'_, '_>, protocol: (&str, &str)) {
    let (call, target) = (call(), target(protocol));
    bencher.bench_local(|| encode_call(black_box(&call), &target).unwrap());
}

#[divan::bench(args = PROTOCOLS)]
fn encode_rival(bencher: Bencher<'_, '_>, protocol: (&str, &str)) {
    let body = encode_call(&call(), &target(protocol))
        .unwrap()
        .request
        .body;
    bencher.bench_local(|| parse_and_write(black_box(&body)));
}

fn parse_and_write(body: &[u8]) -> Vec<u8> {
    let tree: Value = serde_json::from_slice(body).unwrap();
    serde_json::to_vec(&tree).unwrap()
}

/// Anthropic's events, which Bedrock wraps.
fn anthropic_events() -> Vec<Value> {
    let usage = json!({"input_tokens": 9, "output_tokens": 1});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude", "content": [], "stop_reason": null, "usage": usage});
    let mut events = vec![
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}),
    ];
    events.extend((0..PIECES).map(|_| {
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": " reading"}})
    }));
    events.push(json!({"type": "content_block_stop", "index": 0}));
    events.push(
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 100}}),
    );
    events.push(json!({"type": "message_stop"}));
    events
}

/// The messages of a stream, with the name that AWS frames give each.
fn events(provider: &str) -> Vec<(&'static str, Value)> {
    let named = |name: &'static str, value: Value| (name, value);
    let many = |event: (&'static str, Value)| std::iter::repeat_n(event, PIECES);
    let mut events = Vec::new();
    match provider {
        "openai" => {
            let chunk = |delta: Value, finish: Value| {
                named(
                    "",
                    json!({"id": "c", "object": "chat.completion.chunk", "created": 1,
                    "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}),
                )
            };
            events.extend(many(chunk(json!({"content": " reading"}), Value::Null)));
            events.push(chunk(json!({}), "stop".into()));
        }
        "ollama" => {
            let line = |text: &str, done: bool| {
                named(
                    "",
                    json!({"model": "m", "created_at": "2024-01-01T00:00:00Z", "done": done,
                    "message": {"role": "assistant", "content": text}, "done_reason": done.then_some("stop")}),
                )
            };
            events.extend(many(line(" reading", false)));
            events.push(line("", true));
        }
        "cohere" => {
            events.push(named(
                "",
                json!({"type": "message-start", "id": "c1",
                "delta": {"message": {"role": "assistant"}}}),
            ));
            events.push(named(
                "",
                json!({"type": "content-start", "index": 0,
                "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
            ));
            events.extend(many(named(
                "",
                json!({"type": "content-delta", "index": 0,
                "delta": {"message": {"content": {"text": " reading"}}}}),
            )));
            events.push(named("", json!({"type": "content-end", "index": 0})));
            events.push(named(
                "",
                json!({"type": "message-end",
                "delta": {"finish_reason": "COMPLETE", "usage": {}}}),
            ));
        }
        "bedrock_converse" => {
            events.push(named("messageStart", json!({"role": "assistant"})));
            events.extend(many(named(
                "contentBlockDelta",
                json!({"contentBlockIndex": 0, "delta": {"text": " reading"}}),
            )));
            events.push(named("contentBlockStop", json!({"contentBlockIndex": 0})));
            events.push(named("messageStop", json!({"stopReason": "end_turn"})));
            events.push(named(
                "metadata",
                json!({"metrics": {"latencyMs": 1},
                "usage": {"inputTokens": 9, "outputTokens": 100, "totalTokens": 109}}),
            ));
        }
        "google_genai" => {
            let chunk = |finish: Value| {
                let content = json!({"role": "model", "parts": [{"text": " reading"}]});
                named(
                    "",
                    json!({"candidates": [{"content": content, "index": 0, "finishReason": finish}]}),
                )
            };
            events.extend(many(chunk(Value::Null)));
            events.push(chunk("STOP".into()));
        }
        _ => events.extend(
            anthropic_events()
                .into_iter()
                .map(|event| named("chunk", event)),
        ),
    }
    events
}

/// The same as bytes of the wire, one piece a message.
fn pieces(provider: &str) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = events(provider)
        .into_iter()
        .map(|(name, event)| match provider {
            "bedrock_converse" => frame(name, &event),
            "anthropic_bedrock" => {
                frame(name, &json!({"bytes": STANDARD.encode(event.to_string())}))
            }
            "ollama" => format!("{event}\n").into_bytes(),
            "anthropic" => format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap()
            )
            .into_bytes(),
            _ => format!("data: {event}\n\n").into_bytes(),
        })
        .collect();
    if provider == "openai" {
        pieces.push(b"data: [DONE]\n\n".to_vec());
    }
    pieces
}

fn frame(name: &str, payload: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_event(name, payload.to_string().as_bytes(), &mut bytes);
    bytes
}

/// Time and allocations are of the whole stream; items are its pieces.
#[divan::bench(args = PROTOCOLS)]
fn decode_stream(bencher: Bencher<'_, '_>, protocol: (&str, &str)) {
    let (target, pieces) = (target(protocol), pieces(protocol.0));
    bencher
        .counter(ItemsCount::new(pieces.len()))
        .bench_local(|| {
            let mut decoder = Decoder::new(&target, Timestamp::UNIX_EPOCH);
            let mut events = Vec::with_capacity(8);
            for piece in &pieces {
                decoder.push(black_box(piece), &mut events).unwrap();
                black_box(&events);
                events.clear();
            }
            decoder.finish(&mut events).unwrap();
        });
}

/// Without any framing: only the JSON in the pieces.
#[divan::bench(args = PROTOCOLS)]
fn decode_stream_rival(bencher: Bencher<'_, '_>, protocol: (&str, &str)) {
    let texts: Vec<String> = events(protocol.0)
        .iter()
        .map(|(_, event)| event.to_string())
        .collect();
    bencher
        .counter(ItemsCount::new(texts.len()))
        .bench_local(|| {
            for text in &texts {
                black_box(parse_and_write(black_box(text.as_bytes())));
            }
        });
}
