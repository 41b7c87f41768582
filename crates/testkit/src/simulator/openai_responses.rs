//! OpenAI's Responses API, as its API reference and its official SDKs have it
//! (<https://platform.openai.com/docs/api-reference/responses>).

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Answer, Finish, ToolCall};
use super::openai_chat;
use super::question::{Question, Tool, ToolChoice, texts};

/// Reads a request's body.
///
/// # Errors
/// With a message for the client, when `model` or `input` are missing.
pub fn parse(body: &Value) -> Result<Question, String> {
    let model = body["model"]
        .as_str()
        .ok_or("you must provide a model parameter")?;
    let items = match &body["input"] {
        Value::String(text) => vec![json!({"role": "user", "content": text})],
        Value::Array(items) if !items.is_empty() => items.clone(),
        _ => return Err("Missing required parameter: 'input'.".to_owned()),
    };
    let last = items.last().unwrap_or(&Value::Null);
    let ends_with_tool_result = is_tool_result(last);
    let of_user = items.iter().rev().find(|item| item["role"] == "user");
    let last_texts = if ends_with_tool_result {
        texts(&last["output"])
    } else {
        of_user
            .map(|item| texts(&item["content"]))
            .unwrap_or_default()
    };
    let said = items
        .iter()
        .flat_map(|item| [texts(&item["content"]), texts(&item["output"])].concat());
    let format = &body["text"]["format"];
    let response_schema = match format["type"].as_str() {
        Some("json_schema") => Some(format["schema"].clone()),
        Some("json_object") => Some(json!({"type": "object"})),
        _ => None,
    };
    Ok(Question {
        model: model.to_owned(),
        is_stream: body["stream"] == true,
        wants_stream_usage: true,
        texts: texts(&body["instructions"])
            .into_iter()
            .chain(said)
            .collect(),
        last_text: last_texts.last().cloned().unwrap_or_default(),
        ends_with_tool_result,
        tools: tools(body),
        tool_choice: tool_choice(&body["tool_choice"]),
        max_tokens: body["max_output_tokens"].as_u64(),
        response_schema,
        fingerprint: 0,
    })
}

fn is_tool_result(item: &Value) -> bool {
    let kind = item["type"].as_str();
    kind.is_some_and(|kind| kind.ends_with("_call_output"))
}

fn tools(body: &Value) -> Vec<Tool> {
    let declared = body["tools"].as_array().into_iter().flatten();
    declared
        .filter(|tool| tool["type"] == "function")
        .filter_map(|tool| {
            Some(Tool {
                name: tool["name"].as_str()?.to_owned(),
                schema: tool["parameters"].clone(),
            })
        })
        .collect()
}

fn tool_choice(choice: &Value) -> ToolChoice {
    match (choice.as_str(), choice["name"].as_str()) {
        (Some("none"), _) => ToolChoice::None,
        (Some("required"), _) => ToolChoice::Any,
        (_, Some(name)) => ToolChoice::Named(name.to_owned()),
        _ => ToolChoice::Auto,
    }
}

/// The answer as one body.
#[must_use]
pub fn whole(question: &Question, answer: &Answer) -> Value {
    let mut response = envelope(question, answer);
    let output: Vec<Value> = items(answer)
        .iter()
        .map(|item| done(item, answer))
        .collect();
    response["status"] = json!(status(answer.finish));
    if answer.finish == Finish::Length {
        response["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    response["output"] = json!(output);
    response["usage"] = usage(answer);
    response
}

/// The answer as the pieces of a stream.
#[must_use]
pub fn stream(question: &Question, answer: &Answer) -> Vec<Bytes> {
    let mut events = Events::default();
    for kind in ["response.created", "response.in_progress"] {
        events.push(kind, json!({"response": envelope(question, answer)}));
    }
    for (index, item) in items(answer).iter().enumerate() {
        let added = json!({"output_index": index, "item": begun(item)});
        events.push("response.output_item.added", added);
        match item["type"].as_str() {
            Some("message") => message_events(&mut events, index, item, answer),
            Some("reasoning") => reasoning_events(&mut events, index, item),
            _ => call_events(&mut events, index, item),
        }
        let done = json!({"output_index": index, "item": done(item, answer)});
        events.push("response.output_item.done", done);
    }
    let kind = format!("response.{}", status(answer.finish));
    events.push(&kind, json!({"response": whole(question, answer)}));
    events.pieces
}

/// An error inside a stream.
#[must_use]
pub fn error_event() -> Bytes {
    let event = json!({
        "type": "error",
        "code": "server_error",
        "message": "The server had an error while processing your request. Sorry about that!",
        "param": null,
        "sequence_number": 99,
    });
    Bytes::from(format!("event: error\ndata: {event}\n\n"))
}

/// An error's body.
#[must_use]
pub fn error(status: u16, message: &str) -> Value {
    openai_chat::error(status, message)
}

/// Answers carry a fixed time, so that they are the same on every run.
const CREATED: u64 = 1_767_323_045;

#[derive(Default)]
struct Events {
    pieces: Vec<Bytes>,
}

impl Events {
    fn push(&mut self, kind: &str, mut event: Value) {
        event["type"] = json!(kind);
        event["sequence_number"] = json!(self.pieces.len());
        let piece = format!("event: {kind}\ndata: {event}\n\n");
        self.pieces.push(Bytes::from(piece));
    }
}

fn message_events(events: &mut Events, index: usize, item: &Value, answer: &Answer) {
    let at = |more: Value| {
        let mut event = json!({"item_id": item["id"], "output_index": index, "content_index": 0});
        for (name, value) in more.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        event
    };
    let empty = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
    events.push("response.content_part.added", at(json!({ "part": empty })));
    for piece in answer.pieces() {
        let delta = at(json!({"delta": piece, "logprobs": []}));
        events.push("response.output_text.delta", delta);
    }
    let text = at(json!({"text": answer.text, "logprobs": []}));
    events.push("response.output_text.done", text);
    let part = at(json!({"part": item["content"][0]}));
    events.push("response.content_part.done", part);
}

fn reasoning_events(events: &mut Events, index: usize, item: &Value) {
    let part = &item["summary"][0];
    let at = |name: &str, value: &Value| {
        let mut event = json!({"item_id": item["id"], "output_index": index, "summary_index": 0});
        event[name] = value.clone();
        event
    };
    let empty = json!({"type": "summary_text", "text": ""});
    events.push("response.reasoning_summary_part.added", at("part", &empty));
    events.push(
        "response.reasoning_summary_text.delta",
        at("delta", &part["text"]),
    );
    events.push(
        "response.reasoning_summary_text.done",
        at("text", &part["text"]),
    );
    events.push("response.reasoning_summary_part.done", at("part", part));
}

fn call_events(events: &mut Events, index: usize, item: &Value) {
    let arguments = item["arguments"].as_str().unwrap_or_default();
    for half in openai_chat::halves(arguments) {
        let delta = json!({"item_id": item["id"], "output_index": index, "delta": half});
        events.push("response.function_call_arguments.delta", delta);
    }
    let whole = json!({
        "item_id": item["id"], "output_index": index, "name": item["name"],
        "arguments": arguments,
    });
    events.push("response.function_call_arguments.done", whole);
}

/// What the answer consists of, in order.
fn items(answer: &Answer) -> Vec<Value> {
    let mut items = Vec::new();
    if answer.usage.reasoning > 0 {
        let words: Vec<String> = (1..=answer.usage.reasoning)
            .map(|number| format!("thought-{number}"))
            .collect();
        items.push(json!({
            "id": format!("rs_{}", answer.id), "type": "reasoning",
            "summary": [{"type": "summary_text", "text": words.join(" ")}],
            "encrypted_content": ENCRYPTED,
        }));
    }
    if answer.finish != Finish::ToolCalls {
        items.push(json!({
            "id": format!("msg_{}", answer.id), "type": "message", "role": "assistant",
            "status": "completed",
            "content": [{
                "type": "output_text", "text": answer.text, "annotations": [], "logprobs": [],
            }],
        }));
    }
    let calls = answer.tool_calls.iter().enumerate();
    items.extend(calls.map(|(index, call)| function_call(answer, index, call)));
    items
}

/// What stands in for the hidden form of a thought.
const ENCRYPTED: &str = "gAAAAABsimulated";

fn function_call(answer: &Answer, index: usize, call: &ToolCall) -> Value {
    json!({
        "id": format!("fc_{}_{index}", answer.id), "type": "function_call",
        "status": "completed", "call_id": format!("call_{}_{index}", answer.id),
        "name": call.name, "arguments": call.arguments.to_string(),
    })
}

/// An item as it is when it begins.
fn begun(item: &Value) -> Value {
    let mut item = item.clone();
    for (name, empty) in [
        ("content", json!([])),
        ("summary", json!([])),
        ("arguments", json!("")),
        ("status", json!("in_progress")),
        ("encrypted_content", Value::Null),
    ] {
        if item.get(name).is_some() {
            item[name] = empty;
        }
    }
    item
}

fn done(item: &Value, answer: &Answer) -> Value {
    let mut item = item.clone();
    if item["type"] == "message" {
        item["status"] = json!(status(answer.finish));
    }
    item
}

fn envelope(question: &Question, answer: &Answer) -> Value {
    json!({
        "id": format!("resp_{}", answer.id),
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": question.max_tokens,
        "metadata": {},
        "model": question.model,
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "service_tier": "default",
        "store": true,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": null,
        "user": null,
    })
}

const fn status(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls => "completed",
        Finish::Length => "incomplete",
    }
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    let input = usage.input + usage.cache_read + usage.cache_write;
    json!({
        "input_tokens": input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": input + usage.output,
    })
}
