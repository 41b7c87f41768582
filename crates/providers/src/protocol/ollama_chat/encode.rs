//! Requests as Ollama gets them: a canonical call into what LangChain's `ChatOllama`
//! would send. An answer is always fetched as a stream, as LangChain does.

use serde_json::{Map, Value, json};

use super::messages::messages_json;
use super::tools::tools_json;
use crate::catalog::Protocol;
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, ReasoningRequest, ResponseFormat, Sampling, ToolChoice};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::protocol::Encoded;
use crate::target::{HttpRequest, Target};

/// Members beside those that the types name which a client may use in its own format.
const MEMBERS: &[&str] = &["format", "keep_alive", "think"];

/// Canonical call → provider request.
pub(crate) fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    let mut losses = Losses::of(Protocol::OllamaChat);
    let mut body = target.configured()?;
    let mut options = match body.shift_remove("options") {
        Some(Value::Object(options)) => options,
        _ => Map::new(),
    };
    if let Some(temperature) = body.shift_remove("temperature") {
        options.insert("temperature".to_owned(), temperature);
    }
    if let Some(bound) = target.configured_max_tokens()? {
        options.insert("num_predict".to_owned(), bound);
    }
    write_sampling(&call.sampling, &mut options, &mut losses);
    write_extra(call, &mut body, &mut options, &mut losses);
    body.insert("model".to_owned(), target.model.as_str().into());
    body.insert("stream".to_owned(), true.into());
    let messages = messages_json(call, &mut losses)?;
    body.insert("messages".to_owned(), messages.into());
    write_tools(call, &mut body, &mut losses)?;
    write_format(call, &mut body);
    if let Some(think) = call.reasoning.as_ref().and_then(think) {
        body.insert("think".to_owned(), think);
    }
    write_logprobs(&call.sampling, &mut body);
    body.insert("options".to_owned(), options.into());
    let body = serde_json::to_vec(&body)
        .map_err(|error| invalid("", &format!("cannot be written as JSON: {error}")))?;
    Ok(Encoded {
        request: HttpRequest {
            method: http::Method::POST,
            uri: target.uri(true).clone(),
            headers: target.headers.clone(),
            body: body.into(),
        },
        losses: losses.into_vec(),
    })
}

fn write_sampling(sampling: &Sampling, options: &mut Map<String, Value>, losses: &mut Losses) {
    let mut write = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(name.to_owned(), value);
        }
    };
    write("temperature", sampling.temperature.map(Value::from));
    write("top_p", sampling.top_p.map(Value::from));
    write("top_k", sampling.top_k.map(Value::from));
    write("seed", sampling.seed.map(Value::from));
    write("num_predict", sampling.max_tokens.map(Value::from));
    write(
        "frequency_penalty",
        sampling.frequency_penalty.map(Value::from),
    );
    write(
        "presence_penalty",
        sampling.presence_penalty.map(Value::from),
    );
    if !sampling.stop.is_empty() {
        write("stop", Some(sampling.stop.as_slice().into()));
    }
    if sampling.candidates.is_some_and(|count| count > 1) {
        losses.add("n");
    }
}

/// Further members of the client's own format that Ollama knows; the others are lost.
fn write_extra(
    call: &ChatCall,
    body: &mut Map<String, Value>,
    options: &mut Map<String, Value>,
    losses: &mut Losses,
) {
    let is_own = call.dialect == WireFormat::OpenAiChat;
    for (name, value) in &call.extra {
        match value {
            Value::Object(more) if is_own && name == "options" => options.extend(more.clone()),
            _ if is_own && MEMBERS.contains(&name.as_str()) => {
                body.insert(name.clone(), value.clone());
            }
            _ if name == "stream_options" => {}
            _ => losses.add(name),
        }
    }
}

/// Ollama has no word for a choice of tools; without tools there is no choice.
fn write_tools(
    call: &ChatCall,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    let tools = match &call.tool_choice {
        Some(ToolChoice::None) => Vec::new(),
        choice => {
            if !matches!(choice, None | Some(ToolChoice::Auto)) {
                losses.add("tool_choice");
            }
            tools_json(&call.tools, losses)?
        }
    };
    if call.parallel_tool_calls == Some(false) {
        losses.add("parallel_tool_calls");
    }
    body.insert("tools".to_owned(), tools.into());
    Ok(())
}

fn write_format(call: &ChatCall, body: &mut Map<String, Value>) {
    let format = match &call.response_format {
        Some(ResponseFormat::JsonObject) => "json".into(),
        Some(ResponseFormat::JsonSchema { schema, .. }) => schema.clone(),
        Some(ResponseFormat::Text) | None => return,
    };
    body.insert("format".to_owned(), format);
}

/// Whether and how much to think: a flag, or one of three words that some models know.
fn think(reasoning: &ReasoningRequest) -> Option<Value> {
    match reasoning.native.as_ref() {
        Some(native @ (Value::Bool(_) | Value::String(_))) => return Some(native.clone()),
        Some(native) if native["type"] == "disabled" => return Some(false.into()),
        _ => {}
    }
    match reasoning.effort.as_deref() {
        Some("none") => Some(false.into()),
        Some("minimal" | "low") => Some("low".into()),
        Some("medium") => Some("medium".into()),
        Some(_) => Some("high".into()),
        None => Some(true.into()),
    }
}

fn write_logprobs(sampling: &Sampling, body: &mut Map<String, Value>) {
    if let Some(wanted) = sampling.logprobs {
        body.insert("logprobs".to_owned(), wanted.into());
    }
    if let Some(count) = sampling.top_logprobs {
        body.insert("top_logprobs".to_owned(), count.into());
    }
    if body.contains_key("top_logprobs") && !body.contains_key("logprobs") {
        body.insert("logprobs".to_owned(), json!(true));
    }
}
