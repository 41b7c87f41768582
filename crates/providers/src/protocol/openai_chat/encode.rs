//! Requests as providers get them: a canonical call into what LangChain's `ChatOpenAI`
//! would send, or the provider's own form of it.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::messages::{foreign, messages_json};
use super::tools::tool_json;
use super::types::extend;
use crate::catalog::{Protocol, Quirk};
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, ResponseFormat, Tool, ToolChoice, ToolKind};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::pass_through::MessageWords;
use crate::protocol::Encoded;
use crate::protocol::openai_responses::request::is_immaterial;
use crate::rewrite::{Patch, Patches, Present, Rewrite};
use crate::target::{HttpRequest, Target};

/// Names under which a request may bound its output; the first given counts.
const BOUNDS: &[&str] = &["max_completion_tokens", OLDER_BOUND];
const OLDER_BOUND: &str = "max_tokens";

/// Members that mean the same in OpenAI's Responses API.
const SHARED: &[&str] = &[
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
];

/// How the top level is changed; see [`Target::top_level`].
pub(crate) fn top_level<'a>(
    target: &'a Target,
    present: Present<'_, 'a>,
) -> Result<Patches<'a>, InvalidCall> {
    let rules = &target.provider.openai_chat;
    let mut rewrite = Rewrite::new(present);
    rewrite.configure(target);
    if rules.model_member != "model" {
        rewrite.remove("model");
        rewrite.set(
            &rules.model_member,
            Value::from(target.model.as_str()).to_string(),
        );
    }
    if let Some(name) = chosen_tool_that_is_missing(&rewrite) {
        rewrite.set("tool_choice", name);
    }
    if rewrite.present("tools").as_deref() == Some("[]") {
        rewrite.remove("tools");
    }
    apply_quirks(target, &mut rewrite);
    if rules.stop_member != "stop"
        && let Some(stop) = rewrite.present("stop")
    {
        rewrite.remove("stop");
        rewrite.set(&rules.stop_member, stop);
    }
    let keeps_name = target.keeps_max_tokens()
        && rewrite.present(BOUNDS[0]).is_none()
        && rewrite.present(OLDER_BOUND).is_some();
    let member = if keeps_name {
        OLDER_BOUND
    } else {
        rules.max_tokens_member.as_str()
    };
    rewrite.bound_output(BOUNDS, member, target.max_tokens.as_deref());
    let client_wants_stream = rewrite.present("stream").as_deref() == Some("true");
    if target.provider.has_quirk(Quirk::StreamHasItsOwnAddress) {
        rewrite.remove("stream");
        rewrite.remove("stream_options");
    } else if target.wants_stream(client_wants_stream) {
        rewrite.set("stream", "true");
        if target.asks_stream_usage {
            ask_for_usage(&mut rewrite);
        }
    } else {
        rewrite.remove("stream_options");
        if rules.says_stream_false {
            rewrite.set("stream", "false");
        } else {
            rewrite.remove("stream");
        }
    }
    Ok(rewrite.into_patches())
}

/// Names and texts in messages that [`encode`] writes differently: those that only
/// LangChain and some providers know.
pub(crate) const REWRITTEN: &[&str] = &[
    "status",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "additional_kwargs",
    "artifact",
    "response_metadata",
    "usage_metadata",
    "tool_use",
    "thinking",
    "input_text",
    "input_image",
    "image",
    "base64",
    "mime_type",
    "source_type",
    "file_data",
    "file_id",
    "cache_control",
    "index",
    "transcript",
];

/// The deviations of a provider that concern the top level.
fn apply_quirks<'a>(target: &'a Target, rewrite: &mut Rewrite<'_, 'a>) {
    let provider = target.provider;
    for name in &provider.openai_chat.omits {
        rewrite.remove(name);
    }
    let is_any = provider.has_quirk(Quirk::RequiredToolChoiceIsAny);
    if is_any && rewrite.effective("tool_choice").as_deref() == Some("\"required\"") {
        rewrite.set("tool_choice", "\"any\"");
    }
    if provider.has_quirk(Quirk::ToolChoiceWordIsOption) {
        let choice = rewrite.effective("tool_choice");
        let word = choice.as_deref().filter(|choice| choice.starts_with('"'));
        let has_tools = rewrite.effective("tools").is_some();
        match (word, choice.is_some()) {
            (Some(word), _) => {
                let word = word.to_owned();
                rewrite.remove("tool_choice");
                rewrite.set("tool_choice_option", word);
            }
            (None, false) if has_tools => rewrite.set_default("tool_choice_option", "\"auto\""),
            (None, _) => {}
        }
    }
    if provider.has_quirk(Quirk::ZeroTemperatureIsTiny) {
        let temperature = rewrite.effective("temperature");
        if temperature.and_then(|text| text.trim().parse().ok()) == Some(0.0_f64) {
            rewrite.set("temperature", "1e-8");
        }
    }
}

/// Whether messages of this format hold something that [`encode`] writes differently:
/// one of those words, or an empty content, which becomes null.
pub(crate) const fn rewrites(messages: &MessageWords) -> bool {
    messages.has_empty_content() || messages.has_any()
}

/// Asks for usage at the end of a stream, which metering needs, beside whatever other
/// options the client gave. Who did not ask for it does not get to see it.
fn ask_for_usage(rewrite: &mut Rewrite<'_, '_>) {
    let written = rewrite.present("stream_options");
    let mut options: Map<String, Value> = written
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    if options.get("include_usage") != Some(&Value::Bool(true)) {
        options.insert("include_usage".to_owned(), true.into());
        rewrite.set("stream_options", Value::Object(options).to_string());
    }
}

/// LangChain sends the bare name of a chosen tool that is not among the tools.
fn chosen_tool_that_is_missing(rewrite: &Rewrite<'_, '_>) -> Option<String> {
    let choice = rewrite.present("tool_choice")?;
    if !choice.starts_with('{') {
        return None;
    }
    let choice: Value = serde_json::from_str(&choice).ok()?;
    let name = &choice["function"]["name"];
    let written = name.as_str().map(|_| name.to_string())?;
    let tools = rewrite.present("tools").unwrap_or_default();
    (!tools.contains(&written)).then_some(written)
}

/// Canonical call → provider request.
pub(crate) fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    let mut losses = Losses::of(Protocol::OpenaiChat);
    let mut body = Map::new();
    body.insert("model".to_owned(), Value::Null);
    let messages = messages_json(call, target, &mut losses)?;
    body.insert("messages".to_owned(), messages.into());
    write_tools(call, &mut body, &mut losses)?;
    write_sampling(call, &mut body, &mut losses);
    write_rest(call, &mut body, &mut losses);
    let present = |name: &str| body.get(name).map(|value| Cow::Owned(value.to_string()));
    let patches = target.top_level(&present)?;
    let (uri, headers) = target.address(&present, target.wants_stream(call.stream));
    apply(&mut body, patches)?;
    let body = serde_json::to_vec(&body)
        .map_err(|error| invalid("", &format!("cannot be written as JSON: {error}")))?;
    Ok(Encoded {
        request: HttpRequest {
            method: http::Method::POST,
            uri,
            headers,
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

fn write_tools(
    call: &ChatCall,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    let mut tools = Vec::with_capacity(call.tools.len());
    for tool in &call.tools {
        if tool.cache.is_some() && call.dialect != WireFormat::OpenAiChat {
            losses.add("tools.cache_control");
        }
        match tool_json(tool, foreign(call)) {
            Some(value) => tools.push(value),
            None => tools.extend(provider_tool(tool, call, losses)?),
        }
    }
    if !tools.is_empty() {
        body.insert("tools".to_owned(), tools.into());
    }
    if let Some(choice) = tool_choice_json(call, losses) {
        body.insert("tool_choice".to_owned(), choice);
    }
    if let Some(parallel) = call.parallel_tool_calls {
        body.insert("parallel_tool_calls".to_owned(), parallel.into());
    }
    Ok(())
}

/// A tool that a provider runs or defines: chat completions of its own dialect may
/// know it, any other loses it. A computer-use tool is never lost in silence.
fn provider_tool(
    tool: &Tool,
    call: &ChatCall,
    losses: &mut Losses,
) -> Result<Option<Value>, InvalidCall> {
    match &tool.kind {
        ToolKind::ComputerUse { .. } => Err(invalid(
            "tools",
            "hold a computer-use tool, which chat completions cannot say",
        )),
        // As LangChain does: a tool that the client runs is a function of its name.
        ToolKind::Native { declaration } if call.dialect == WireFormat::OpenAiChat => {
            if let Some(name) = tool.anthropic_name() {
                return Ok(Some(
                    json!({"type": "function", "function": {"name": name}}),
                ));
            }
            Ok(Some(Value::Object(declaration.clone())))
        }
        _ => {
            losses.add("tools.native");
            Ok(None)
        }
    }
}

fn tool_choice_json(call: &ChatCall, losses: &mut Losses) -> Option<Value> {
    Some(match call.tool_choice.as_ref()? {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Named(name) => {
            let tool = call.tools.iter().find(|tool| tool.name() == Some(name));
            match tool.map(|tool| &tool.kind) {
                Some(ToolKind::Custom { .. }) => {
                    json!({"type": "custom", "custom": {"name": name}})
                }
                _ => json!({"type": "function", "function": {"name": name}}),
            }
        }
        ToolChoice::Native(value) if call.dialect == WireFormat::OpenAiChat => value.clone(),
        ToolChoice::Native(_) => {
            losses.add("tool_choice");
            return None;
        }
    })
}

fn write_sampling(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    let sampling = &call.sampling;
    let mut write = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    write("temperature", sampling.temperature.map(Value::from));
    write("top_p", sampling.top_p.map(Value::from));
    let bound = usize::from(sampling.max_tokens_has_older_name);
    write(BOUNDS[bound], sampling.max_tokens.map(Value::from));
    write("seed", sampling.seed.map(Value::from));
    write(
        "frequency_penalty",
        sampling.frequency_penalty.map(Value::from),
    );
    write(
        "presence_penalty",
        sampling.presence_penalty.map(Value::from),
    );
    write("n", sampling.candidates.map(Value::from));
    write("logprobs", sampling.logprobs.map(Value::from));
    write("top_logprobs", sampling.top_logprobs.map(Value::from));
    write(
        "stop",
        match &sampling.stop[..] {
            [] => None,
            [only] if sampling.stop_is_bare_text => Some(only.as_str().into()),
            texts => Some(texts.into()),
        },
    );
    if call.dialect == WireFormat::OpenAiChat {
        write("top_k", sampling.top_k.map(Value::from));
    } else if sampling.top_k.is_some() {
        losses.add("top_k");
    }
}

fn write_rest(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    if call.stream {
        body.insert("stream".to_owned(), true.into());
    }
    if let Some(format) = &call.response_format {
        body.insert("response_format".to_owned(), response_format_json(format));
    }
    if let Some(include) = call.stream_usage {
        body.insert(
            "stream_options".to_owned(),
            json!({"include_usage": include}),
        );
    }
    if call.dialect != WireFormat::OpenAiChat {
        write_foreign(call, body, losses);
        return;
    }
    if let Some(reasoning) = &call.reasoning {
        let inner = reasoning
            .native
            .as_ref()
            .and_then(|native| native["effort"].as_str());
        if let Some(effort) = reasoning
            .effort
            .as_deref()
            .filter(|effort| inner != Some(effort))
        {
            body.insert("reasoning_effort".to_owned(), effort.into());
        }
        if let Some(native) = &reasoning.native {
            body.insert("reasoning".to_owned(), native.clone());
        }
    }
    extend(body, &call.extra);
}

/// What of another format's members chat completions can say: of the Responses API,
/// the effort and what OpenAI's two formats share.
fn write_foreign(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    let is_openai = call.dialect == WireFormat::OpenAiResponses;
    if let Some(reasoning) = &call.reasoning {
        match &reasoning.effort {
            Some(effort) if is_openai => {
                body.insert("reasoning_effort".to_owned(), effort.as_str().into());
            }
            _ => losses.add("reasoning"),
        }
    }
    for (name, value) in &call.extra {
        match name.as_str() {
            _ if is_openai && is_immaterial(name, value) => {}
            _ if is_openai && SHARED.contains(&name.as_str()) => {
                body.insert(name.clone(), value.clone());
            }
            "text" if is_openai && value["verbosity"].is_string() => {
                body.insert("verbosity".to_owned(), value["verbosity"].clone());
            }
            _ => losses.add(name),
        }
    }
}

fn response_format_json(format: &ResponseFormat) -> Value {
    match format {
        ResponseFormat::Text => json!({"type": "text"}),
        ResponseFormat::JsonObject => json!({"type": "json_object"}),
        ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut inner = Map::new();
            inner.insert("name".to_owned(), name.as_str().into());
            if let Some(description) = description {
                inner.insert("description".to_owned(), description.as_str().into());
            }
            if let Some(strict) = strict {
                inner.insert("strict".to_owned(), (*strict).into());
            }
            inner.insert("schema".to_owned(), schema.clone());
            json!({"type": "json_schema", "json_schema": inner})
        }
    }
}
