//! Amazon Bedrock's Converse, as its API reference and botocore have it
//! (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>).

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Answer, Finish, ToolCall};
use super::event_stream;
use super::question::{Question, Tool, ToolChoice};

/// Reads a request's body, to which `model` and `stream` have been added.
///
/// # Errors
/// With a message for the client, when `messages` are missing or not what AWS takes.
pub fn parse(body: &Value) -> Result<Question, String> {
    let model = body["model"].as_str().ok_or("the model is missing")?;
    let messages = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty())
        .ok_or("messages: at least one message is required")?;
    let mut texts: Vec<String> = texts(&body["system"]);
    let mut last_text = String::new();
    let mut ends_with_tool_result = false;
    for message in messages {
        let content = message["content"]
            .as_array()
            .filter(|content| !content.is_empty());
        let content = content.ok_or("messages: a message needs a list of content")?;
        let has_tools = content.iter().any(|block| !block["toolUse"].is_null());
        if has_tools && body["toolConfig"]["tools"].is_null() {
            return Err("The toolConfig field must be defined when using toolUse".to_owned());
        }
        let said = self::texts(&message["content"]);
        if message["role"] == "user" {
            last_text = said.last().cloned().unwrap_or_default();
        }
        texts.extend(said);
        ends_with_tool_result = content.iter().any(|block| !block["toolResult"].is_null());
    }
    let format = &body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"];
    Ok(Question {
        model: model.to_owned(),
        is_stream: body["stream"] == true,
        wants_stream_usage: true,
        texts,
        last_text,
        ends_with_tool_result,
        tools: tools(body),
        tool_choice: tool_choice(&body["toolConfig"]["toolChoice"]),
        max_tokens: body["inferenceConfig"]["maxTokens"].as_u64(),
        response_schema: format
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok()),
        fingerprint: 0,
    })
}

fn texts(content: &Value) -> Vec<String> {
    let blocks = content.as_array().into_iter().flatten();
    blocks
        .flat_map(|block| match &block["text"] {
            Value::String(text) => vec![text.clone()],
            _ => texts(&block["toolResult"]["content"]),
        })
        .collect()
}

fn tools(body: &Value) -> Vec<Tool> {
    let declared = body["toolConfig"]["tools"].as_array().into_iter().flatten();
    declared
        .filter_map(|tool| {
            let spec = &tool["toolSpec"];
            Some(Tool {
                name: spec["name"].as_str()?.to_owned(),
                schema: spec["inputSchema"]["json"].clone(),
            })
        })
        .collect()
}

fn tool_choice(choice: &Value) -> ToolChoice {
    match choice["tool"]["name"].as_str() {
        Some(name) => ToolChoice::Named(name.to_owned()),
        None if choice["any"].is_object() => ToolChoice::Any,
        None => ToolChoice::Auto,
    }
}

/// The answer as one body.
#[must_use]
pub fn whole(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if answer.usage.reasoning > 0 {
        content.push(json!({"reasoningContent": {"reasoningText": {
            "text": thoughts(answer), "signature": SIGNATURE,
        }}}));
    }
    if answer.finish != Finish::ToolCalls {
        content.push(json!({"text": answer.text}));
    }
    let calls = answer.tool_calls.iter().enumerate();
    content.extend(calls.map(|(index, call)| {
        let mut block = tool_use(answer, index, call);
        block["input"] = call.arguments.clone();
        json!({ "toolUse": block })
    }));
    json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(answer.finish),
        "usage": usage(answer),
        "metrics": {"latencyMs": 1},
    })
}

/// The answer as the frames of a stream.
#[must_use]
pub fn stream(answer: &Answer) -> Vec<Bytes> {
    let mut events = Events::default();
    events.push("messageStart", &json!({"role": "assistant"}));
    if answer.usage.reasoning > 0 {
        let text = json!({"reasoningContent": {"text": thoughts(answer)}});
        let signature = json!({"reasoningContent": {"signature": SIGNATURE}});
        events.block(None, [text, signature]);
    }
    if answer.finish != Finish::ToolCalls {
        let pieces = answer.pieces().map(|piece| json!({ "text": piece }));
        events.block(None, pieces);
    }
    for (index, call) in answer.tool_calls.iter().enumerate() {
        let start = json!({"toolUse": tool_use(answer, index, call)});
        let arguments = call.arguments.to_string();
        let (left, right) = arguments.split_at(arguments.len() / 2);
        let delta = |input: &str| json!({"toolUse": { "input": input }});
        events.block(Some(&start), [delta(left), delta(right)]);
    }
    events.push(
        "messageStop",
        &json!({"stopReason": stop_reason(answer.finish)}),
    );
    let metadata = json!({"usage": usage(answer), "metrics": {"latencyMs": 1}});
    events.push("metadata", &metadata);
    events.pieces
}

/// An error's body.
#[must_use]
pub fn error(message: &str) -> Value {
    json!({ "message": message })
}

/// What AWS calls an error of this status.
#[must_use]
pub const fn error_type(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        429 => "ThrottlingException",
        503 | 529 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    }
}

/// An error inside a stream.
#[must_use]
pub fn error_event() -> Bytes {
    event_stream::exception("serviceUnavailableException", &error("Overloaded"))
}

/// What stands in for the signature of a thought.
const SIGNATURE: &str = "c2ltdWxhdGVkLXNpZ25hdHVyZQ==";

#[derive(Default)]
struct Events {
    pieces: Vec<Bytes>,
    blocks: usize,
}

impl Events {
    fn push(&mut self, kind: &str, body: &Value) {
        self.pieces.push(event_stream::event(kind, body));
    }

    /// Only a tool's block is begun by an event of its own.
    fn block(&mut self, start: Option<&Value>, deltas: impl IntoIterator<Item = Value>) {
        let index = self.blocks;
        self.blocks += 1;
        if let Some(start) = start {
            let start = json!({"contentBlockIndex": index, "start": start});
            self.push("contentBlockStart", &start);
        }
        for delta in deltas {
            let delta = json!({"contentBlockIndex": index, "delta": delta});
            self.push("contentBlockDelta", &delta);
        }
        self.push("contentBlockStop", &json!({"contentBlockIndex": index}));
    }
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.cache_read + usage.cache_write + usage.output,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    })
}

fn tool_use(answer: &Answer, index: usize, call: &ToolCall) -> Value {
    json!({"toolUseId": format!("tooluse_{}_{index}", answer.id), "name": call.name})
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
