//! The hot path beside what it replaces: bodies that are scanned and spliced beside bodies
//! that are parsed into a tree, patched and written again; streams that are watched
//! beside streams whose every event is parsed.
//!
//! `cargo bench -p quartermaster-providers`

#![expect(clippy::unwrap_used, reason = "what fails here fails the measurement")]

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use domain::model_configuration::ModelSettings;
use providers::chat::WireFormat;
use providers::framing::sse::Parser;
use providers::pass_through::{Envelope, StreamObserver, splice};
use providers::target::Target;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

fn main() {
    divan::main();
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// About 200 bytes: one question.
    Small,
    /// About 60 KB: a system prompt, twelve tools, twenty turns and one image.
    Agent,
}

const BODIES: [Body; 2] = [Body::Small, Body::Agent];

impl Body {
    fn bytes(self) -> Bytes {
        Bytes::from(match self {
            Self::Small => small_body().to_string(),
            Self::Agent => agent_body().to_string(),
        })
    }
}

impl Body {
    /// The same in Anthropic's format.
    fn anthropic_bytes(self) -> Bytes {
        let body = match self {
            Self::Small => small_body(),
            Self::Agent => anthropic_agent_body(),
        };
        Bytes::from(body.to_string())
    }
}

fn anthropic_agent_body() -> Value {
    let mut body = agent_body();
    for tool in body["tools"].as_array_mut().into_iter().flatten() {
        let function = tool["function"].take();
        *tool = json!({
            "name": function["name"], "description": function["description"],
            "input_schema": function["parameters"],
        });
    }
    let system = body["messages"][0]["content"].take();
    body["messages"]
        .as_array_mut()
        .map(|messages| messages.remove(0));
    body["system"] = system;
    for message in body["messages"].as_array_mut().into_iter().flatten() {
        let call = message["tool_calls"].get_mut(0).map(Value::take);
        if let Some(call) = call {
            let input = json!({"type": "tool_use", "id": call["id"], "name": "tool_1",
                "input": {"field_0": call["function"]["arguments"]}});
            *message = json!({"role": "assistant", "content": [input]});
        } else if message["role"] == "tool" {
            let result = json!({"type": "tool_result", "tool_use_id": message["tool_call_id"],
                "content": message["content"]});
            *message = json!({"role": "user", "content": [result]});
        }
    }
    body
}

fn small_body() -> Value {
    let question =
        "Name three colours that suit a quiet reading room, one word each, without prose.";
    json!({
        "model": "support-agent",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0.2,
        "max_tokens": 32,
    })
}

fn agent_body() -> Value {
    let prose = "The agent reads the screen, decides on one step, and reports what changed. ";
    let field = json!({"type": "string", "description": prose});
    let fields = json!({"field_0": field, "field_1": field, "field_2": field, "field_3": field});
    let tool = |number: u32| {
        json!({"type": "function", "function": {
            "name": format!("tool_{number}"),
            "description": prose.repeat(2),
            "parameters": {"type": "object", "properties": fields, "required": ["field_0"]},
        }})
    };
    let arguments = json!({"field_0": prose, "text": "a \"quoted\" line\n"}).to_string();
    let mut messages = vec![json!({"role": "system", "content": prose.repeat(40)})];
    for turn in 0..10 {
        let id = format!("call_{turn:04}");
        let function = json!({"name": "tool_1", "arguments": arguments});
        let calls = json!([{"id": id, "type": "function", "function": function}]);
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": calls}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": prose.repeat(10)}));
    }
    let image = format!(
        "data:image/png;base64,{}",
        "iVBORw0KGgoAAAANSUhE".repeat(1800)
    );
    messages.push(json!({"role": "user", "content": [
        {"type": "text", "text": "What next?"},
        {"type": "image_url", "image_url": {"url": image}},
    ]}));
    let tools: Vec<Value> = (0..12).map(tool).collect();
    json!({"model": "support-agent", "messages": messages, "tools": tools, "max_tokens": 512})
}

#[divan::bench(args = BODIES)]
fn scan(bencher: Bencher<'_, '_>, body: Body) {
    let body = body.bytes();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| Envelope::scan(WireFormat::OpenAiChat, black_box(body.clone())));
}

/// What the gateway does with a body on the hot path.
#[divan::bench(args = BODIES)]
fn scan_and_splice(bencher: Bencher<'_, '_>, body: Body) {
    let body = body.bytes();
    let target = target("openai", "gpt-4o-mini");
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| {
            let envelope = Envelope::scan(WireFormat::OpenAiChat, black_box(body.clone())).unwrap();
            splice(&envelope, &target).unwrap().unwrap()
        });
}

/// The same for Anthropic's messages.
#[divan::bench(args = BODIES)]
fn scan_and_splice_anthropic(bencher: Bencher<'_, '_>, body: Body) {
    let body = body.anthropic_bytes();
    let target = target("anthropic", "claude-sonnet-4-5");
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| {
            let body = black_box(body.clone());
            let envelope = Envelope::scan(WireFormat::AnthropicMessages, body).unwrap();
            splice(&envelope, &target).unwrap().unwrap()
        });
}

/// A configuration that sets temperature and length.
fn target(provider: &str, model: &str) -> Target {
    let settings = ModelSettings {
        name: "support-agent".to_owned(),
        description: None,
        provider: provider.to_owned(),
        model: model.to_owned(),
        temperature: Some(0.5),
        max_tokens: Some(512),
        timeout_seconds: None,
        max_retries: None,
        additional_params: None,
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    };
    Target::new(&settings).unwrap()
}

/// The least that serde_json can do: check the text and build nothing.
#[divan::bench(args = BODIES)]
fn rival_ignored_any(bencher: Bencher<'_, '_>, body: Body) {
    let body = body.bytes();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| serde_json::from_slice::<IgnoredAny>(black_box(&body)).unwrap());
}

/// The top-level members as raw values: what a scan without our own cursor would be.
#[divan::bench(args = BODIES)]
fn rival_raw_values(bencher: Bencher<'_, '_>, body: Body) {
    type Members<'a> = std::collections::BTreeMap<&'a str, &'a serde_json::value::RawValue>;
    let body = body.bytes();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| {
            serde_json::from_slice::<Members<'_>>(black_box(&body))
                .unwrap()
                .len()
        });
}

/// Checking alone that the body is UTF-8.
#[divan::bench(args = BODIES)]
fn floor_utf8(bencher: Bencher<'_, '_>, body: Body) {
    let body = body.bytes();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| std::str::from_utf8(black_box(&body)).is_ok());
}

/// Parse into a tree, set `model`, write again: what other gateways do.
#[divan::bench(args = BODIES)]
fn rival_tree(bencher: Bencher<'_, '_>, body: Body) {
    let body = body.bytes();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| {
            let mut tree: Value = serde_json::from_slice(black_box(&body)).unwrap();
            tree["model"] = "gpt-4o-mini".into();
            serde_json::to_vec(&tree).unwrap()
        });
}

/// A stream of chat completion chunks, one piece each.
fn openai_stream() -> Vec<Bytes> {
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({
            "id": "chatcmpl-C1a2b3c4d5e6f7g8h9i0", "object": "chat.completion.chunk",
            "created": 1_763_000_000, "model": "gpt-4o-mini-2024-07-18",
            "service_tier": "default", "system_fingerprint": "fp_560af6e559",
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
            "usage": null, "obfuscation": "Yx3kPq",
        });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut stream = vec![chunk(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    stream.extend((0..100).map(|_| chunk(json!({"content": " reading"}), Value::Null)));
    stream.push(chunk(json!({}), "stop".into()));
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 100}});
    stream.push(Bytes::from(format!("data: {usage}\n\n")));
    stream.push(Bytes::from("data: [DONE]\n\n"));
    stream
}

/// A stream of Anthropic's messages, one event a piece.
fn anthropic_stream() -> Vec<Bytes> {
    let event = |name: &str, data: Value| Bytes::from(format!("event: {name}\ndata: {data}\n\n"));
    let usage = json!({"input_tokens": 9, "cache_read_input_tokens": 0, "output_tokens": 1});
    let text = json!({"type": "text_delta", "text": " reading"});
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": text});
    let mut stream = vec![
        event(
            "message_start",
            json!({"type": "message_start", "message": {"usage": usage}}),
        ),
        event(
            "content_block_start",
            json!({"content_block": {"type": "text", "text": ""}}),
        ),
    ];
    stream.extend((0..100).map(|_| event("content_block_delta", delta.clone())));
    stream.push(event(
        "message_delta",
        json!({"usage": {"output_tokens": 100}}),
    ));
    stream.push(event("message_stop", json!({"type": "message_stop"})));
    stream
}

fn watch(bencher: Bencher<'_, '_>, dialect: WireFormat, stream: &[Bytes]) {
    let envelope = Envelope::scan(dialect, Bytes::from_static(b"{\"stream\":true}")).unwrap();
    bencher
        .counter(divan::counter::ItemsCount::new(stream.len()))
        .bench_local(|| {
            let mut observer = StreamObserver::new(&envelope);
            let mut forward = Vec::new();
            for piece in stream {
                black_box(observer.push(piece, &mut forward).unwrap());
                forward.clear();
            }
            observer.usage()
        });
}

fn parse_each(bencher: Bencher<'_, '_>, stream: &[Bytes]) {
    bencher
        .counter(divan::counter::ItemsCount::new(stream.len()))
        .bench_local(|| {
            let mut parser = Parser::new();
            let mut parsed = 0;
            for piece in stream {
                let mut feed = parser.feed(piece);
                while let Some(event) = feed.next().unwrap() {
                    parsed += usize::from(serde_json::from_str::<Value>(event.data).is_ok());
                }
            }
            parsed
        });
}

#[divan::bench]
fn stream_openai_watch(bencher: Bencher<'_, '_>) {
    watch(bencher, WireFormat::OpenAiChat, &openai_stream());
}

#[divan::bench]
fn stream_openai_rival_parse_each(bencher: Bencher<'_, '_>) {
    parse_each(bencher, &openai_stream());
}

#[divan::bench]
fn stream_anthropic_watch(bencher: Bencher<'_, '_>) {
    watch(bencher, WireFormat::AnthropicMessages, &anthropic_stream());
}

#[divan::bench]
fn stream_anthropic_rival_parse_each(bencher: Bencher<'_, '_>) {
    parse_each(bencher, &anthropic_stream());
}
