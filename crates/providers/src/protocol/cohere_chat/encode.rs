//! Requests as Cohere gets them: a canonical call into what LangChain's `ChatCohere`
//! would send.

use serde_json::{Map, Value, json};

use super::messages::messages_json;
use super::tools::write_tools;
use crate::catalog::Protocol;
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, ReasoningRequest, ResponseFormat, Sampling};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::protocol::Encoded;
use crate::target::{HttpRequest, Target};

/// Canonical call → provider request.
pub(crate) fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    let mut losses = Losses::of(Protocol::CohereChat);
    let mut body = target.configured()?;
    let preamble = body.shift_remove("preamble");
    body.insert("model".to_owned(), target.model.as_str().into());
    let messages = messages_json(call, preamble.as_ref(), &mut losses)?;
    body.insert("messages".to_owned(), messages.into());
    write_tools(call, &mut body, &mut losses)?;
    if let Some(bound) = target.configured_max_tokens()? {
        body.insert("max_tokens".to_owned(), bound);
    }
    write_sampling(&call.sampling, &mut body, &mut losses);
    if let Some(format) = &call.response_format {
        body.insert("response_format".to_owned(), response_format_json(format));
    }
    if let Some(reasoning) = &call.reasoning {
        body.insert("thinking".to_owned(), thinking_json(reasoning));
    }
    write_extra(call, &mut body, &mut losses)?;
    let is_stream = target.wants_stream(call.stream);
    body.insert("stream".to_owned(), is_stream.into());
    let body = serde_json::to_vec(&body)
        .map_err(|error| invalid("", &format!("cannot be written as JSON: {error}")))?;
    Ok(Encoded {
        request: HttpRequest {
            method: http::Method::POST,
            uri: target.uri(is_stream).clone(),
            headers: target.headers.clone(),
            body: body.into(),
        },
        losses: losses.into_vec(),
    })
}

fn write_sampling(sampling: &Sampling, body: &mut Map<String, Value>, losses: &mut Losses) {
    let stop = (!sampling.stop.is_empty()).then(|| sampling.stop.as_slice().into());
    let members = [
        ("temperature", sampling.temperature.map(Value::from)),
        ("p", sampling.top_p.map(Value::from)),
        ("k", sampling.top_k.map(Value::from)),
        ("seed", sampling.seed.map(Value::from)),
        ("max_tokens", sampling.max_tokens.map(Value::from)),
        ("logprobs", sampling.logprobs.map(Value::from)),
        (
            "frequency_penalty",
            sampling.frequency_penalty.map(Value::from),
        ),
        (
            "presence_penalty",
            sampling.presence_penalty.map(Value::from),
        ),
        ("stop_sequences", stop),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    if sampling.candidates.is_some_and(|count| count > 1) {
        losses.add("n");
    }
    if sampling.top_logprobs.is_some() {
        losses.add("top_logprobs");
    }
}

/// Cohere has no type for a schema: it stands beside the type for JSON.
fn response_format_json(format: &ResponseFormat) -> Value {
    match format {
        ResponseFormat::Text => json!({"type": "text"}),
        ResponseFormat::JsonObject => json!({"type": "json_object"}),
        ResponseFormat::JsonSchema { schema, .. } => {
            json!({"type": "json_object", "schema": schema})
        }
    }
}

/// Cohere knows whether to think, and a budget; it has no words for an effort.
fn thinking_json(reasoning: &ReasoningRequest) -> Value {
    let native = reasoning.native.as_ref();
    let is_off = reasoning.effort.as_deref() == Some("none")
        || native.is_some_and(|native| native["type"] == "disabled");
    match reasoning.budget_tokens {
        _ if is_off => json!({"type": "disabled"}),
        Some(budget) => json!({"type": "enabled", "token_budget": budget}),
        None => json!({"type": "enabled"}),
    }
}

/// Further members go as they are where the client wrote them in its own format; there
/// documents get the shape that LangChain gives them.
fn write_extra(
    call: &ChatCall,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    for (name, value) in &call.extra {
        match name.as_str() {
            "stream_options" => {}
            // What the types did not take of a format that has been written.
            "response_format" if call.response_format.is_some() => losses.add(name),
            _ if call.dialect != WireFormat::OpenAiChat => losses.add(name),
            "documents" => {
                let documents = value.as_array();
                let documents =
                    documents.ok_or_else(|| invalid("documents", "must be an array"))?;
                let documents = documents.iter().enumerate().map(document_json);
                body.insert(name.clone(), Value::Array(documents.collect()));
            }
            _ => {
                body.insert(name.clone(), value.clone());
            }
        }
    }
    Ok(())
}

fn document_json((index, document): (usize, &Value)) -> Value {
    match document {
        Value::String(_) => document.clone(),
        Value::Object(members) if members.contains_key("data") => document.clone(),
        Value::Object(members) => {
            let id = members.get("id").and_then(Value::as_str);
            let id = id.filter(|id| !id.is_empty()).map(str::to_owned);
            let id = id.unwrap_or_else(|| format!("doc-{index}"));
            json!({"id": id, "data": document})
        }
        other => json!({ "data": other }),
    }
}
