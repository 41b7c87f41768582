//! Everything of a request but the conversation and the tools: the configuration's
//! members, and what the call says instead.

use serde_json::{Map, Value, json};

use super::models::Model;
use super::types::{self, camel_case};
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, ReasoningRequest, ResponseFormat};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::target::Target;

/// Where whatever Converse has no member for reaches the model.
pub(super) const FIELDS: &str = "additionalModelRequestFields";
const INFERENCE: &str = "inferenceConfig";

/// Members of Converse that a client may send along, as LangChain lets its callers.
const OWN_MEMBERS: [&str; 8] = [
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "inferenceConfig",
    "outputConfig",
    "performanceConfig",
    "requestMetadata",
    "toolConfig",
    "promptVariables",
];

/// Members of OpenAI's requests that no model on Bedrock knows.
const OPENAI_ONLY: [&str; 16] = [
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "metadata",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "response_format",
    "safety_identifier",
    "store",
    "user",
    "verbosity",
    "web_search_options",
];

/// Members that ask for nothing Bedrock could do or leave undone.
const MEANINGLESS: [&str; 2] = ["stream_options", "models"];

/// What the configuration says to this protocol rather than to the provider.
pub(crate) fn setting<'a>(target: &'a Target, name: &str) -> Option<&'a Value> {
    target.settings.get(name).filter(|value| !value.is_null())
}

/// The target's model, with what the configuration tells of it.
pub(crate) fn model(target: &Target) -> Model<'_> {
    let text = |name: &str| setting(target, name).and_then(Value::as_str);
    let base = text("base_model").or_else(|| text("base_model_id"));
    Model::new(&target.model, text("provider"), base)
}

/// Checks what can be known before there is a call.
///
/// # Errors
/// When no call can be made with the configuration.
pub(crate) fn check(target: &Target) -> Result<(), InvalidCall> {
    let model = model(target);
    if model.vendor.is_empty() && target.model.starts_with("arn:") {
        return Err(invalid(
            "additional_params.provider",
            "must name the model's vendor, e.g. `anthropic`, where the model is an ARN",
        ));
    }
    let body = configured(target, &model)?;
    let guards = setting(target, "guard_last_turn_only") == Some(&Value::Bool(true));
    if guards && !body.contains_key("guardrailConfig") {
        return Err(invalid(
            "additional_params.guard_last_turn_only",
            "needs a guardrail: give `guardrails` too",
        ));
    }
    check_nova_reasoning(&model, &body)
}

/// Writes the members.
pub(super) fn body(
    call: &ChatCall,
    target: &Target,
    model: &Model<'_>,
    losses: &mut Losses,
) -> Result<Map<String, Value>, InvalidCall> {
    let mut body = configured(target, model)?;
    write_sampling(call, model, &mut body, losses);
    if let Some(format) = &call.response_format {
        write_format(format, &mut body)?;
    }
    write_extra(call, &mut body, losses);
    if let Some(reasoning) = &call.reasoning {
        write_reasoning(call, reasoning, model, &mut body, losses)?;
    }
    check_nova_reasoning(model, &body)?;
    settle_inference(call, model, &mut body, losses);
    if let Some(tier) = body.get("serviceTier").and_then(Value::as_str) {
        let tier = json!({"type": tier});
        body.insert("serviceTier".to_owned(), tier);
    }
    for name in ["guardrailConfig", "performanceConfig"] {
        if let Some(config) = body.get_mut(name) {
            *config = camel_case(config.take());
        }
    }
    Ok(body)
}

/// What the configuration alone sends.
fn configured(target: &Target, model: &Model<'_>) -> Result<Map<String, Value>, InvalidCall> {
    let mut body = Map::new();
    body.insert(INFERENCE.to_owned(), json!({}));
    for (name, text) in &target.members {
        let value = serde_json::from_str(text)
            .map_err(|error| invalid(name, &format!("is not JSON: {error}")))?;
        body.insert(name.clone(), value);
    }
    if let Some(temperature) = body.shift_remove("temperature") {
        set(&mut body, INFERENCE, "temperature", temperature);
    }
    if let Some(bound) = &target.max_tokens {
        let bound = serde_json::from_str(bound).unwrap_or_default();
        set(&mut body, INFERENCE, "maxTokens", bound);
    }
    let effort = setting(target, "reasoning_effort").and_then(Value::as_str);
    if let Some(effort) = effort
        && let Some(fields) = model.effort_fields(effort)?
    {
        with_object(&mut body, FIELDS, |there| add_missing(there, fields));
    }
    Ok(body)
}

/// Changes an object of the body, which is made where it is not there.
pub(super) fn with_object<R>(
    body: &mut Map<String, Value>,
    name: &str,
    change: impl FnOnce(&mut Map<String, Value>) -> R,
) -> R {
    let mut members = match body.get_mut(name).map(Value::take) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let result = change(&mut members);
    body.insert(name.to_owned(), Value::Object(members));
    result
}

/// Sets a member of an object of the body.
fn set(body: &mut Map<String, Value>, object: &str, name: &str, value: Value) {
    with_object(body, object, |members| {
        members.insert(name.to_owned(), value)
    });
}

fn add_missing(members: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        members.entry(name).or_insert(value);
    }
}

fn write_sampling(
    call: &ChatCall,
    model: &Model<'_>,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) {
    let sampling = &call.sampling;
    let members = [
        ("maxTokens", sampling.max_tokens.map(Value::from)),
        ("temperature", sampling.temperature.map(Value::from)),
        ("topP", sampling.top_p.map(Value::from)),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            set(body, INFERENCE, name, value);
        }
    }
    if !sampling.stop.is_empty() {
        set(body, INFERENCE, "stopSequences", json!(sampling.stop));
    }
    if let Some(top_k) = sampling.top_k {
        with_object(body, FIELDS, |fields| {
            if model.is_nova() {
                set(fields, INFERENCE, "topK", top_k.into());
            } else {
                fields.insert("top_k".to_owned(), top_k.into());
            }
        });
    }
    let is_asked = |number: Option<f64>| number.is_some_and(|number| number != 0.0);
    let unsayable = [
        ("seed", sampling.seed.is_some()),
        ("frequency_penalty", is_asked(sampling.frequency_penalty)),
        ("presence_penalty", is_asked(sampling.presence_penalty)),
        ("n", sampling.candidates.is_some_and(|number| number != 1)),
        ("logprobs", sampling.logprobs == Some(true)),
        (
            "top_logprobs",
            sampling.top_logprobs.is_some_and(|number| number > 0),
        ),
        (
            "parallel_tool_calls",
            call.parallel_tool_calls == Some(false),
        ),
    ];
    for (name, _) in unsayable.into_iter().filter(|(_, is_said)| *is_said) {
        losses.add(name);
    }
}

fn write_format(format: &ResponseFormat, body: &mut Map<String, Value>) -> Result<(), InvalidCall> {
    let ResponseFormat::JsonSchema {
        name,
        description,
        schema,
        ..
    } = format
    else {
        return match format {
            ResponseFormat::JsonObject => Err(invalid(
                "response_format",
                "cannot be `json_object`: Bedrock's Converse has no JSON without a schema, so \
                 send `json_schema`, or ask for JSON in words",
            )),
            _ => Ok(()),
        };
    };
    let mut schema = schema.clone();
    close_objects(&mut schema);
    let schema = json!({
        "schema": schema.to_string(),
        "name": name,
        "description": description.as_deref().unwrap_or(name),
    });
    let format = json!({"type": "json_schema", "structure": {"jsonSchema": schema}});
    body.insert("outputConfig".to_owned(), json!({"textFormat": format}));
    Ok(())
}

/// Every object of a schema must say that it has no further members.
fn close_objects(schema: &mut Value) {
    let Value::Object(members) = schema else {
        return;
    };
    let is_object = members.get("type").is_some_and(|kind| kind == "object");
    if is_object {
        members.insert("additionalProperties".to_owned(), json!(false));
    }
    for (name, value) in members.iter_mut() {
        match (name.as_str(), value) {
            ("properties", Value::Object(schemas)) if is_object => {
                schemas.values_mut().for_each(close_objects);
            }
            ("$defs" | "definitions", Value::Object(schemas)) => {
                schemas.values_mut().for_each(close_objects);
            }
            ("items", schema) => close_objects(schema),
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(close_objects);
            }
            _ => {}
        }
    }
}

fn write_extra(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    let is_openai = call.dialect == WireFormat::OpenAiChat;
    for (name, value) in &call.extra {
        let camel = camel_case(json!({ name.as_str(): null }));
        let camel = camel.as_object().and_then(|names| names.keys().next());
        let camel = camel.map_or(name.as_str(), String::as_str);
        match (name.as_str(), value) {
            // Cache points are set when the conversation is there.
            ("cache_control", _) => {}
            (name, _) if MEANINGLESS.contains(&name) => {}
            ("store", Value::Bool(false)) => {}
            ("service_tier" | "serviceTier", Value::String(tier)) => match tier.as_str() {
                "auto" => {}
                "standard_only" => losses.add("service_tier"),
                _ => {
                    body.insert("serviceTier".to_owned(), value.clone());
                }
            },
            ("output_config", _) if !is_openai => losses.add("output_config"),
            ("additional_model_request_fields" | FIELDS, Value::Object(fields)) => {
                with_object(body, FIELDS, |there| there.extend(fields.clone()));
            }
            _ if is_openai && OWN_MEMBERS.contains(&camel) => {
                body.insert(camel.to_owned(), value.clone());
            }
            (name, _) if !is_openai || OPENAI_ONLY.contains(&name) => losses.add(name),
            // A member that only some model may know.
            (name, value) => set(body, FIELDS, name, value.clone()),
        }
    }
}

fn write_reasoning(
    call: &ChatCall,
    reasoning: &ReasoningRequest,
    model: &Model<'_>,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    if call.dialect != WireFormat::OpenAiChat {
        if !model.is_claude() {
            losses.add("thinking");
            return Ok(());
        }
        if let Some(thinking) = &reasoning.native {
            set(body, FIELDS, "thinking", thinking.clone());
        }
        if let Some(effort) = &reasoning.effort {
            with_object(body, FIELDS, |fields| {
                set(fields, "output_config", "effort", json!(effort));
            });
        }
        return Ok(());
    }
    match (&reasoning.effort, reasoning.budget_tokens) {
        (_, Some(budget)) if model.is_claude() => {
            let thinking = json!({"type": "enabled", "budget_tokens": budget.max(1024)});
            set(body, FIELDS, "thinking", thinking);
        }
        (Some(effort), _) => match model.effort_fields(effort)? {
            Some(fields) => with_object(body, FIELDS, |there| there.extend(fields)),
            None => losses.add("reasoning_effort"),
        },
        (None, _) => losses.add("reasoning"),
    }
    Ok(())
}

/// Nova 2 thinks only with an effort that it knows.
fn check_nova_reasoning(model: &Model<'_>, body: &Map<String, Value>) -> Result<(), InvalidCall> {
    let path = "additional_params.additional_model_request_fields.reasoningConfig";
    let reasoning = body
        .get(FIELDS)
        .and_then(|fields| fields.get("reasoningConfig"));
    let Some(reasoning) = reasoning.filter(|reasoning| types::text(reasoning, "type") == "enabled")
    else {
        return Ok(());
    };
    let is_nova_2 = model.base.to_ascii_lowercase().starts_with("amazon.nova-2");
    let effort = types::text(reasoning, "maxReasoningEffort");
    if is_nova_2 && !matches!(effort, "low" | "medium" | "high") {
        return Err(invalid(
            path,
            "needs `maxReasoningEffort`: low, medium or high",
        ));
    }
    Ok(())
}

/// Leaves out what the model would refuse.
fn settle_inference(
    call: &ChatCall,
    model: &Model<'_>,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) {
    let reasoning = body
        .get(FIELDS)
        .and_then(|fields| fields.get("reasoningConfig"));
    let thinks_hard = reasoning.is_some_and(|reasoning| {
        types::text(reasoning, "type") == "enabled"
            && types::text(reasoning, "maxReasoningEffort") == "high"
    });
    let ignores_sampling = model.ignores_sampling();
    with_object(body, INFERENCE, |inference| {
        if thinks_hard && inference.shift_remove("maxTokens").is_some() {
            losses.add("max_tokens");
        }
        for (member, name, is_asked) in [
            (
                "temperature",
                "temperature",
                call.sampling.temperature.is_some(),
            ),
            ("topP", "top_p", call.sampling.top_p.is_some()),
        ] {
            if ignores_sampling && inference.shift_remove(member).is_some() && is_asked {
                losses.add(name);
            }
        }
        let is_nothing =
            |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        inference.retain(|_, value| !is_nothing(value));
    });
}
