//! Anthropic's messages, as its API reference and its official SDKs have them
//! (<https://docs.anthropic.com/en/api/messages>).

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Answer, Finish, ToolCall};
use super::question::{Question, Tool, ToolChoice, texts};

/// Reads a request's body.
///
/// # Errors
/// With a message for the client, when `model`, `messages` or `max_tokens` are missing.
pub fn parse(body: &Value) -> Result<Question, String> {
    let model = body["model"].as_str().ok_or("model: Field required")?;
    let max_tokens = body["max_tokens"]
        .as_u64()
        .ok_or("max_tokens: Field required")?;
    let messages = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty())
        .ok_or("messages: at least one message is required")?;
    let last = messages.last().unwrap_or(&Value::Null);
    let ends_with_tool_result = last["content"]
        .as_array()
        .is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"));
    let of_user = messages
        .iter()
        .rev()
        .find(|message| message["role"] == "user");
    let last_texts = of_user
        .map(|message| texts(&message["content"]))
        .unwrap_or_default();
    let system = texts(&body["system"]).into_iter();
    let said = messages
        .iter()
        .flat_map(|message| texts(&message["content"]));
    Ok(Question {
        model: model.to_owned(),
        is_stream: body["stream"] == true,
        wants_stream_usage: true,
        texts: system.chain(said).collect(),
        last_text: last_texts.last().cloned().unwrap_or_default(),
        ends_with_tool_result,
        tools: tools(body),
        tool_choice: tool_choice(&body["tool_choice"]),
        max_tokens: Some(max_tokens),
        response_schema: body["output_config"]["format"].get("schema").cloned(),
        fingerprint: 0,
    })
}

fn tools(body: &Value) -> Vec<Tool> {
    let declared = body["tools"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    declared
        .iter()
        .filter_map(|tool| {
            Some(Tool {
                name: tool["name"].as_str()?.to_owned(),
                schema: tool["input_schema"].clone(),
            })
        })
        .collect()
}

fn tool_choice(choice: &Value) -> ToolChoice {
    match (choice["type"].as_str(), choice["name"].as_str()) {
        (Some("none"), _) => ToolChoice::None,
        (Some("any"), _) => ToolChoice::Any,
        (Some("tool"), Some(name)) => ToolChoice::Named(name.to_owned()),
        _ => ToolChoice::Auto,
    }
}

/// The answer as one body.
#[must_use]
pub fn whole(question: &Question, answer: &Answer) -> Value {
    let mut content = Vec::new();
    if answer.usage.reasoning > 0 {
        content.push(json!({
            "type": "thinking", "thinking": thoughts(answer), "signature": SIGNATURE,
        }));
    }
    if answer.finish != Finish::ToolCalls {
        content.push(json!({"type": "text", "text": answer.text, "citations": null}));
    }
    let calls = answer.tool_calls.iter().enumerate();
    content.extend(calls.map(|(index, call)| tool_use(answer, index, call)));
    let mut message = envelope(question, answer);
    message["content"] = Value::Array(content);
    message["stop_reason"] = json!(stop_reason(answer.finish));
    message["usage"]["output_tokens"] = json!(answer.usage.output);
    message
}

/// The answer as the pieces of a stream.
#[must_use]
pub fn stream(question: &Question, answer: &Answer) -> Vec<Bytes> {
    let mut events = Events::default();
    let mut message = envelope(question, answer);
    message["usage"]["output_tokens"] = json!(1);
    events.push(&json!({"type": "message_start", "message": message}));
    events.push(&json!({"type": "ping"}));
    if answer.usage.reasoning > 0 {
        let block = json!({"type": "thinking", "thinking": "", "signature": ""});
        let thinking = json!({"type": "thinking_delta", "thinking": thoughts(answer)});
        let signature = json!({"type": "signature_delta", "signature": SIGNATURE});
        events.block(&block, [thinking, signature]);
    }
    if answer.finish != Finish::ToolCalls {
        let pieces = answer
            .pieces()
            .map(|piece| json!({"type": "text_delta", "text": piece}));
        events.block(&json!({"type": "text", "text": ""}), pieces);
    }
    for (index, call) in answer.tool_calls.iter().enumerate() {
        let mut block = tool_use(answer, index, call);
        let arguments = block["input"].to_string();
        block["input"] = json!({});
        let middle = arguments.len() / 2;
        let middle = (0..=middle)
            .rev()
            .find(|index| arguments.is_char_boundary(*index));
        let (first, second) = arguments.split_at(middle.unwrap_or(0));
        let parts = ["", first, second];
        let deltas = parts.map(|part| json!({"type": "input_json_delta", "partial_json": part}));
        events.block(&block, deltas);
    }
    events.push(&json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(answer.finish), "stop_sequence": null},
        "usage": {"output_tokens": answer.usage.output},
    }));
    events.push(&json!({"type": "message_stop"}));
    events.pieces
}

/// An error's body.
#[must_use]
pub fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_simulated",
    })
}

/// An error inside a stream.
#[must_use]
pub fn error_event() -> Bytes {
    event(&error(529, "Overloaded"))
}

/// What stands in for the signature of a thought.
const SIGNATURE: &str = "c2ltdWxhdGVkLXNpZ25hdHVyZQ==";

#[derive(Default)]
struct Events {
    pieces: Vec<Bytes>,
    blocks: usize,
}

impl Events {
    fn push(&mut self, body: &Value) {
        self.pieces.push(event(body));
    }

    fn block(&mut self, block: &Value, deltas: impl IntoIterator<Item = Value>) {
        let index = self.blocks;
        self.blocks += 1;
        let start = json!({"type": "content_block_start", "index": index, "content_block": block});
        self.push(&start);
        for delta in deltas {
            let delta = json!({"type": "content_block_delta", "index": index, "delta": delta});
            self.push(&delta);
        }
        self.push(&json!({"type": "content_block_stop", "index": index}));
    }
}

fn event(body: &Value) -> Bytes {
    let name = body["type"].as_str().unwrap_or("error");
    Bytes::from(format!("event: {name}\ndata: {body}\n\n"))
}

fn envelope(question: &Question, answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "id": format!("msg_{}", answer.id),
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {
            "input_tokens": usage.input,
            "cache_creation_input_tokens": usage.cache_write,
            "cache_read_input_tokens": usage.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": usage.cache_write,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": 0,
            "service_tier": "standard",
        },
    })
}

fn tool_use(answer: &Answer, index: usize, call: &ToolCall) -> Value {
    json!({
        "type": "tool_use",
        "id": format!("toolu_{}_{index}", answer.id),
        "name": call.name,
        "input": call.arguments,
    })
}

fn thoughts(answer: &Answer) -> String {
    let words: Vec<String> = (1..=answer.usage.reasoning)
        .map(|number| format!("thought-{number}"))
        .collect();
    words.join(" ")
}

const fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
    }
}
