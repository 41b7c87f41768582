//! Requests as providers get them: a canonical call into what LangChain's `ChatOpenAI`
//! sends through the Responses API.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{input, state, tools};
use crate::catalog::Protocol;
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, ReasoningRequest, ResponseFormat};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::pass_through::MessageWords;
use crate::protocol::Encoded;
use crate::rewrite::{Patch, Patches, Present, Rewrite};
use crate::target::{HttpRequest, Target};

/// The member that says how texts look: their format, and how long they are.
pub(super) const TEXT: &str = "text";
/// What asks for log probabilities.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";
const BOUND: &str = "max_output_tokens";

/// Members of chat completions that the Responses API does not know.
const CHAT_ONLY: [&str; 9] = [
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "modalities",
    "prediction",
    "response_format",
    "stream_options",
    "web_search_options",
];

/// Members of a client's request that mean the same to every provider of the API.
const META: [&str; 3] = ["stream_options", "models", "model"];

/// How the top level is changed; see [`Target::top_level`].
pub(crate) fn top_level<'a>(
    target: &'a Target,
    present: Present<'_, 'a>,
) -> Result<Patches<'a>, InvalidCall> {
    let mut rewrite = Rewrite::new(present);
    rewrite.configure(target);
    if let (Some(asked), Some(configured)) = (rewrite.present(TEXT), target.configured_value(TEXT))
    {
        let asked: Value = serde_json::from_str(&asked).unwrap_or_default();
        rewrite.set(TEXT, merged(configured, &asked).to_string());
    }
    let tools = rewrite.present("tools");
    if tools.is_some_and(|tools| is_empty_list(&tools)) {
        rewrite.remove("tools");
    }
    if is_without_temperature(target, &rewrite) {
        rewrite.remove("temperature");
    }
    rewrite.bound_output(&[BOUND], BOUND, target.max_tokens.as_deref());
    let client_wants_stream = rewrite.present("stream").as_deref() == Some("true");
    if target.wants_stream(client_wants_stream) {
        rewrite.set("stream", "true");
    } else {
        rewrite.remove("stream_options");
        if target.provider.responses.says_stream_false {
            rewrite.set("stream", "false");
        } else {
            rewrite.remove("stream");
        }
    }
    Ok(rewrite.into_patches())
}

fn is_empty_list(json: &str) -> bool {
    let inside = json.trim().strip_prefix('[');
    inside.is_some_and(|rest| rest.trim() == "]")
}

/// Models `gpt-5…` other than chat ones take no temperature, unless they do not reason.
fn is_without_temperature(target: &Target, rewrite: &Rewrite<'_, '_>) -> bool {
    if !target.model.starts_with("gpt-5") || target.model.contains("chat") {
        return false;
    }
    let reasoning = rewrite.effective("reasoning");
    let reasoning: Value = reasoning
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default();
    reasoning["effort"] != "none"
}

/// Whether a conversation of this format holds something that [`encode`] writes
/// differently: an id of ours, which no provider knows, or a reference that is refused.
pub(crate) const fn rewrites(_: &Target, messages: &MessageWords) -> bool {
    messages.has_any()
}

/// Texts in a conversation that must be looked at: references to what is kept elsewhere,
/// and tools that a conversation brings along.
pub(crate) const WATCHED: &[&str] = &["item_reference", "additional_tools"];

/// Canonical call → provider request.
pub(crate) fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    // Whatever format they came in: only a configuration may set these members.
    state::refuse(&|name| {
        let value = call.extra.get(name)?;
        Some(Cow::Owned(value.to_string()))
    })?;
    let mut losses = Losses::of(Protocol::OpenaiResponses);
    let mut body = body(call, target, &mut losses)?;
    let has_temperature = body.contains_key("temperature");
    let present = |name: &str| {
        let value = body.get(name).filter(|_| name != "input");
        value.map(|value| Cow::Owned(value.to_string()))
    };
    let patches = target.top_level(&present)?;
    apply(&mut body, patches)?;
    if has_temperature && !body.contains_key("temperature") {
        losses.add("temperature");
    }
    let body = serde_json::to_vec(&body)
        .map_err(|error| invalid("", &format!("cannot be written as JSON: {error}")))?;
    Ok(Encoded {
        request: HttpRequest {
            method: http::Method::POST,
            uri: target.uri(target.wants_stream(call.stream)).clone(),
            headers: target.headers.clone(),
            body: body.into(),
        },
        losses: losses.into_vec(),
    })
}

/// Applies patches to a body that is a tree.
fn apply(body: &mut Map<String, Value>, patches: Patches<'_>) -> Result<(), InvalidCall> {
    for (name, patch) in patches {
        match patch {
            Patch::Set(json) => {
                let value = serde_json::from_str(&json)
                    .map_err(|error| invalid(&name, &format!("is not JSON: {error}")))?;
                body.insert(name.into_owned(), value);
            }
            Patch::Remove => {
                body.shift_remove(name.as_ref());
            }
        }
    }
    Ok(())
}

/// What the call itself says; the configuration comes on top.
fn body(
    call: &ChatCall,
    target: &Target,
    losses: &mut Losses,
) -> Result<Map<String, Value>, InvalidCall> {
    let mut body = Map::new();
    body.insert("model".to_owned(), Value::Null);
    let configured = target.configured_value("store");
    let store = call.extra.get("store").or(configured.as_ref());
    let keeps_items = store != Some(&Value::Bool(false));
    let written = input::encode(call, keeps_items, target.continues_answers, losses);
    if let Some(text) = super::request::instructions(call) {
        body.insert("instructions".to_owned(), text.into());
    }
    body.insert("input".to_owned(), written.items.into());
    if let Some(id) = written.previous_response_id {
        body.insert("previous_response_id".to_owned(), id.into());
    }
    tools::write(call, &mut body, losses)?;
    write_sampling(call, &mut body, losses);
    write_extra(call, &mut body, losses);
    if let Some(reasoning) = &call.reasoning {
        write_reasoning(call, reasoning, target, &mut body, losses);
    }
    if let Some(format) = &call.response_format {
        let format = json!({ "format": text_format(format) });
        let text = body.shift_remove(TEXT).unwrap_or_default();
        body.insert(TEXT.to_owned(), merged(text, &format));
    }
    if call.stream {
        body.insert("stream".to_owned(), true.into());
    }
    Ok(body)
}

fn write_sampling(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    let sampling = &call.sampling;
    let members = [
        ("temperature", sampling.temperature.map(Value::from)),
        ("top_p", sampling.top_p.map(Value::from)),
        (BOUND, sampling.max_tokens.map(Value::from)),
        ("top_logprobs", sampling.top_logprobs.map(Value::from)),
    ];
    for (name, value) in members {
        body.extend(value.map(|value| (name.to_owned(), value)));
    }
    if sampling.logprobs == Some(true) && call.dialect != WireFormat::OpenAiResponses {
        body.insert("include".to_owned(), json!([LOGPROBS]));
    }
    let is_asked = |number: Option<f64>| number.is_some_and(|number| number != 0.0);
    let unsayable = [
        ("stop", !sampling.stop.is_empty()),
        ("seed", sampling.seed.is_some()),
        ("frequency_penalty", is_asked(sampling.frequency_penalty)),
        ("presence_penalty", is_asked(sampling.presence_penalty)),
        ("n", sampling.candidates.is_some_and(|number| number != 1)),
        ("top_k", sampling.top_k.is_some()),
    ];
    for (name, _) in unsayable.into_iter().filter(|(_, is_said)| *is_said) {
        losses.add(name);
    }
}

/// Members that no type names: all of this very format, and of chat completions what is
/// not theirs alone.
fn write_extra(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    for (name, value) in &call.extra {
        match call.dialect {
            WireFormat::OpenAiResponses => {
                body.insert(name.clone(), value.clone());
            }
            _ if META.contains(&name.as_str()) => {}
            WireFormat::OpenAiChat if name == "include" && body.contains_key(name) => {
                let mut include = value.as_array().cloned().unwrap_or_default();
                include.push(LOGPROBS.into());
                body.insert(name.clone(), include.into());
            }
            WireFormat::OpenAiChat if name == "verbosity" => {
                let text = body.shift_remove(TEXT).unwrap_or_default();
                let text = merged(text, &json!({ "verbosity": value }));
                body.insert(TEXT.to_owned(), text);
            }
            WireFormat::OpenAiChat if name == TEXT => {
                let text = body.shift_remove(TEXT).unwrap_or_default();
                body.insert(TEXT.to_owned(), merged(value.clone(), &text));
            }
            WireFormat::OpenAiChat if !CHAT_ONLY.contains(&name.as_str()) => {
                body.insert(name.clone(), value.clone());
            }
            _ => losses.add(name),
        }
    }
}

fn write_reasoning(
    call: &ChatCall,
    asked: &ReasoningRequest,
    target: &Target,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) {
    let is_openai = call.dialect != WireFormat::AnthropicMessages;
    let mut reasoning = match &asked.native {
        Some(native) if is_openai => native.clone(),
        // An effort alone leaves what else the configuration asks for.
        _ => target.configured_value("reasoning").unwrap_or_default(),
    };
    match &asked.effort {
        Some(effort) if reasoning["effort"] != effort.as_str() => {
            reasoning = merged(reasoning, &json!({ "effort": effort }));
        }
        Some(_) => {}
        None if is_openai => {}
        None => return losses.add("reasoning"),
    }
    body.insert("reasoning".to_owned(), reasoning);
}

/// How texts must be formed, as the member `format` of `text` says it.
pub(super) fn text_format(format: &ResponseFormat) -> Value {
    match format {
        ResponseFormat::Text => json!({"type": "text"}),
        ResponseFormat::JsonObject => json!({"type": "json_object"}),
        ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut written = json!({"type": "json_schema", "name": name, "schema": schema});
            if let Some(description) = description {
                written["description"] = description.as_str().into();
            }
            if let Some(strict) = strict {
                written["strict"] = (*strict).into();
            }
            written
        }
    }
}

/// An object with the members of another, which win.
pub(super) fn merged(object: Value, more: &Value) -> Value {
    let mut members = match object {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (name, value) in more.as_object().into_iter().flatten() {
        members.insert(name.clone(), value.clone());
    }
    Value::Object(members)
}
