//! OpenAI's chat completions, as its API reference and its official SDKs have them
//! (<https://platform.openai.com/docs/api-reference/chat>).

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Answer, Finish, ToolCall};
use super::question::{Question, Tool, ToolChoice, texts};

/// Reads a request's body.
///
/// # Errors
/// With a message for the client, when `model` or `messages` are missing.
pub fn parse(body: &Value) -> Result<Question, String> {
    let model = body["model"]
        .as_str()
        .ok_or("you must provide a model parameter")?;
    let messages = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty())
        .ok_or("Missing required parameter: 'messages'.")?;
    let last = messages.last().unwrap_or(&Value::Null);
    let ends_with_tool_result = last["role"] == "tool";
    let of_user = messages
        .iter()
        .rev()
        .find(|message| message["role"] == "user");
    let answered = if ends_with_tool_result {
        Some(last)
    } else {
        of_user
    };
    let last_texts = answered
        .map(|message| texts(&message["content"]))
        .unwrap_or_default();
    let bound = body["max_completion_tokens"]
        .as_u64()
        .or(body["max_tokens"].as_u64());
    let format = &body["response_format"];
    let response_schema = match format["type"].as_str() {
        Some("json_schema") => Some(format["json_schema"]["schema"].clone()),
        Some("json_object") => Some(json!({"type": "object"})),
        _ => None,
    };
    Ok(Question {
        model: model.to_owned(),
        is_stream: body["stream"] == true,
        wants_stream_usage: body["stream_options"]["include_usage"] == true,
        texts: messages
            .iter()
            .flat_map(|message| texts(&message["content"]))
            .collect(),
        last_text: last_texts.last().cloned().unwrap_or_default(),
        ends_with_tool_result,
        tools: tools(body),
        tool_choice: tool_choice(&body["tool_choice"]),
        max_tokens: bound,
        response_schema,
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
                name: tool["function"]["name"].as_str()?.to_owned(),
                schema: tool["function"]["parameters"].clone(),
            })
        })
        .collect()
}

fn tool_choice(choice: &Value) -> ToolChoice {
    match (choice.as_str(), choice["function"]["name"].as_str()) {
        (Some("none"), _) => ToolChoice::None,
        (Some("required"), _) => ToolChoice::Any,
        (_, Some(name)) => ToolChoice::Named(name.to_owned()),
        _ => ToolChoice::Auto,
    }
}

/// The answer as one body.
#[must_use]
pub fn whole(question: &Question, answer: &Answer) -> Value {
    let content = match answer.finish {
        Finish::ToolCalls => Value::Null,
        _ => json!(answer.text),
    };
    let mut message = json!({
        "role": "assistant", "content": content, "refusal": null, "annotations": [],
    });
    if !answer.tool_calls.is_empty() {
        let calls = answer.tool_calls.iter().enumerate();
        message["tool_calls"] = calls
            .map(|(index, call)| tool_call(answer, index, call))
            .collect();
    }
    json!({
        "id": format!("chatcmpl-{}", answer.id),
        "object": "chat.completion",
        "created": CREATED,
        "model": question.model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(answer.finish),
        }],
        "usage": usage(answer),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    })
}

/// The answer as the pieces of a stream, `data: [DONE]` included.
#[must_use]
pub fn stream(question: &Question, answer: &Answer) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let role = json!({"role": "assistant", "content": "", "refusal": null});
    chunks.push(chunk(question, answer, &choice(&role, None)));
    for piece in answer.pieces() {
        chunks.push(chunk(
            question,
            answer,
            &choice(&json!({"content": piece}), None),
        ));
    }
    for (index, call) in answer.tool_calls.iter().enumerate() {
        let mut opening = tool_call(answer, index, call);
        let arguments = opening["function"]["arguments"].take();
        opening["function"]["arguments"] = json!("");
        opening["index"] = json!(index);
        chunks.push(chunk(
            question,
            answer,
            &choice(&json!({"tool_calls": [opening]}), None),
        ));
        for half in halves(arguments.as_str().unwrap_or_default()) {
            let delta = json!({"tool_calls": [{"index": index, "function": {"arguments": half}}]});
            chunks.push(chunk(question, answer, &choice(&delta, None)));
        }
    }
    let finish = finish_reason(answer.finish);
    chunks.push(chunk(question, answer, &choice(&json!({}), Some(finish))));
    if question.wants_stream_usage {
        let mut last = chunk(question, answer, &json!([]));
        last["usage"] = usage(answer);
        chunks.push(last);
    }
    let events = chunks
        .iter()
        .map(|chunk| Bytes::from(format!("data: {chunk}\n\n")));
    events
        .chain([Bytes::from_static(b"data: [DONE]\n\n")])
        .collect()
}

/// An error's body.
#[must_use]
pub fn error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        403 => (
            "invalid_request_error",
            json!("unsupported_country_region_territory"),
        ),
        404 => ("invalid_request_error", json!("model_not_found")),
        429 => ("requests", json!("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", Value::Null),
        _ => ("server_error", Value::Null),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// An error inside a stream.
#[must_use]
pub fn error_event() -> Bytes {
    let error = error(
        500,
        "The server had an error while processing your request. Sorry about that!",
    );
    Bytes::from(format!("data: {error}\n\n"))
}

/// Answers carry a fixed time, so that they are the same on every run.
const CREATED: u64 = 1_767_323_045;

fn chunk(question: &Question, answer: &Answer, choices: &Value) -> Value {
    let mut chunk = json!({
        "id": format!("chatcmpl-{}", answer.id),
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": question.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
        "choices": choices,
    });
    if question.wants_stream_usage {
        chunk["usage"] = Value::Null;
    }
    chunk
}

fn choice(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}])
}

fn tool_call(answer: &Answer, index: usize, call: &ToolCall) -> Value {
    json!({
        "id": format!("call_{}_{index}", answer.id),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments.to_string()},
    })
}

/// A text in two pieces.
pub(super) fn halves(text: &str) -> [&str; 2] {
    let middle = (0..=text.len() / 2)
        .rev()
        .find(|index| text.is_char_boundary(*index));
    let (first, second) = text.split_at(middle.unwrap_or(0));
    [first, second]
}

const fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    let prompt = usage.input + usage.cache_read + usage.cache_write;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}
