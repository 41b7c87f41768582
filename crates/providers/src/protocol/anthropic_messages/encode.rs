//! Canonical call → provider request: the one that LangChain's `ChatAnthropic` sends.

use std::borrow::Cow;

use http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};

use super::{configuration, conversation, schema, tools};
use crate::catalog::Protocol;
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, ReasoningRequest, ResponseFormat};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::protocol::Encoded;
use crate::protocol::openai_responses::request::is_immaterial;
use crate::rewrite::{Patch, Patches};
use crate::target::{HttpRequest, Target};

/// Members of Anthropic's that a client may send along in another format, as OpenAI's
/// SDKs allow in their `extra_body`.
const OWN_MEMBERS: [&str; 16] = [
    "betas",
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "effort",
    "fallbacks",
    "inference_geo",
    "mcp_servers",
    "output_config",
    "output_format",
    "speed",
    "system",
    "thinking",
    "user_profile_id",
];

/// Members of other formats that ask for nothing Anthropic could do or leave undone.
const MEANINGLESS: [&str; 2] = ["stream_options", "models"];

/// A request before its body is text.
pub(crate) struct Parts {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Map<String, Value>,
    pub(crate) losses: Losses,
}

impl Parts {
    /// The request.
    pub(crate) fn into_encoded(self) -> Result<Encoded, InvalidCall> {
        let body = serde_json::to_vec(&self.body)
            .map_err(|error| invalid("", &format!("cannot be written as JSON: {error}")))?;
        Ok(Encoded {
            request: HttpRequest {
                method: http::Method::POST,
                uri: self.uri,
                headers: self.headers,
                body: body.into(),
            },
            losses: self.losses.into_vec(),
        })
    }
}

/// Writes the request.
pub(crate) fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    parts(call, target)?.into_encoded()
}

/// Forms the request; its body may still be put into an envelope.
pub(crate) fn parts(call: &ChatCall, target: &Target) -> Result<Parts, InvalidCall> {
    let mut losses = Losses::of(Protocol::AnthropicMessages);
    let mut body = body(call, target, &mut losses)?;
    let is_forced = is_forced_choice(&body);
    let sampling: Vec<&str> = configuration::SAMPLING
        .into_iter()
        .filter(|name| body.contains_key(*name))
        .collect();
    let changes_tools = conversation::changes_tools(&body);
    let present = |name: &str| {
        // Only changes of the tools are looked for in the messages, which can be long.
        let value = body
            .get(name)
            .filter(|_| name != "messages" || changes_tools);
        value.map(|value| Cow::Owned(value.to_string()))
    };
    let (uri, headers) = target.address(&present, target.wants_stream(call.stream));
    let patches = target.top_level(&present)?;
    apply(&mut body, patches)?;
    if is_forced && !is_forced_choice(&body) {
        losses.add("tool_choice");
    }
    for name in sampling
        .into_iter()
        .filter(|name| !body.contains_key(*name))
    {
        losses.add(name);
    }
    Ok(Parts {
        uri,
        headers,
        body,
        losses,
    })
}

/// What the call itself says; the configuration comes on top.
fn body(
    call: &ChatCall,
    target: &Target,
    losses: &mut Losses,
) -> Result<Map<String, Value>, InvalidCall> {
    let rules = &target.provider.anthropic_messages;
    let model = rules.model(&target.model);
    let form = conversation::Form {
        takes_system_in_place: model.is_some_and(|model| model.takes_system_in_place),
        texts_are_blocks: rules.texts_are_blocks,
        leaves_success_unsaid: rules.leaves_success_unsaid,
    };
    if rules.refuses_links {
        conversation::refuse_links(call)?;
    }
    let conversation = conversation::encode(call, form, losses)?;
    let mut body = Map::new();
    body.insert("model".to_owned(), Value::Null);
    body.insert("messages".to_owned(), Value::Array(conversation.messages));
    if let Some(system) = conversation.system {
        body.insert("system".to_owned(), system);
    }
    tools::encode(call, &mut body, losses)?;
    if call.dialect != WireFormat::AnthropicMessages {
        release_forced_choice(target, &mut body, losses);
    }
    write_sampling(call, &mut body, losses);
    write_output(call, &mut body, losses)?;
    write_extra(call, &mut body, losses);
    if let Some(reasoning) = &call.reasoning {
        write_reasoning(call, reasoning, &mut body, losses);
    }
    if call.stream {
        body.insert("stream".to_owned(), json!(true));
    }
    Ok(body)
}

fn write_sampling(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    let sampling = &call.sampling;
    let members = [
        ("temperature", sampling.temperature.map(Value::from)),
        ("top_p", sampling.top_p.map(Value::from)),
        ("top_k", sampling.top_k.map(Value::from)),
        ("max_tokens", sampling.max_tokens.map(Value::from)),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    if !sampling.stop.is_empty() {
        body.insert("stop_sequences".to_owned(), json!(sampling.stop));
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
    ];
    for (name, _) in unsayable.into_iter().filter(|(_, is_said)| *is_said) {
        losses.add(name);
    }
}

fn write_output(
    call: &ChatCall,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    let schema = match &call.response_format {
        None | Some(ResponseFormat::Text) => return Ok(()),
        Some(ResponseFormat::JsonObject) => {
            return Err(invalid(
                "response_format",
                "cannot be `json_object`: Anthropic has no JSON without a schema, so send \
                 `json_schema`, or ask for JSON in words",
            ));
        }
        Some(ResponseFormat::JsonSchema {
            schema,
            description,
            ..
        }) => {
            if description.is_some() {
                losses.add("response_format.description");
            }
            schema
        }
    };
    let schema = match call.dialect {
        WireFormat::AnthropicMessages => schema.clone(),
        WireFormat::OpenAiChat | WireFormat::OpenAiResponses => schema::transform(schema)?,
    };
    let format = json!({"type": "json_schema", "schema": schema});
    body.insert("output_config".to_owned(), json!({"format": format}));
    Ok(())
}

fn write_extra(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    let is_own = call.dialect == WireFormat::AnthropicMessages;
    for (key, value) in &call.extra {
        match key.as_str() {
            "output_config" => merge_object(body, key, value),
            _ if is_own || OWN_MEMBERS.contains(&key.as_str()) => {
                body.insert(key.clone(), value.clone());
            }
            "service_tier" if value == "auto" || value == "standard_only" => {
                body.insert(key.clone(), value.clone());
            }
            "user" | "safety_identifier" if value.is_string() => {
                merge_object(body, "metadata", &json!({"user_id": value}));
            }
            "store" if value == false => {}
            _ if call.dialect == WireFormat::OpenAiResponses && is_immaterial(key, value) => {}
            _ if MEANINGLESS.contains(&key.as_str()) => {}
            _ => losses.add(key),
        }
    }
}

/// Adds members to an object of the body; what is there already stays.
fn merge_object(body: &mut Map<String, Value>, key: &str, value: &Value) {
    match (body.get_mut(key), value) {
        (Some(Value::Object(there)), Value::Object(more)) => {
            for (name, value) in more {
                there.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        (Some(_), _) => {}
        (None, value) => {
            body.insert(key.to_owned(), value.clone());
        }
    }
}

fn write_reasoning(
    call: &ChatCall,
    reasoning: &ReasoningRequest,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) {
    if call.dialect == WireFormat::AnthropicMessages {
        if let Some(thinking) = &reasoning.native {
            body.insert("thinking".to_owned(), thinking.clone());
        }
        if let Some(effort) = &reasoning.effort {
            merge_object(body, "output_config", &json!({"effort": effort}));
        }
        return;
    }
    match reasoning.effort.as_deref() {
        // Anthropic's lowest is `low`; how to think less differs between its models.
        Some("none") => losses.add("reasoning_effort"),
        Some("minimal") => {
            losses.add("reasoning_effort");
            body.insert("reasoning_effort".to_owned(), json!("low"));
        }
        Some(effort) => {
            body.insert("reasoning_effort".to_owned(), json!(effort));
        }
        None => {}
    }
    if let Some(budget) = reasoning.budget_tokens {
        let budget = budget.max(configuration::MIN_THINKING_BUDGET);
        body.entry("thinking")
            .or_insert_with(|| json!({"type": "enabled", "budget_tokens": budget}));
    } else if reasoning.effort.is_none() && reasoning.native.is_some() {
        losses.add("reasoning");
    }
}

/// Leaves the choice to a model that cannot be made to call a tool.
fn release_forced_choice(target: &Target, body: &mut Map<String, Value>, losses: &mut Losses) {
    let rules = &target.provider.anthropic_messages;
    let mut families = rules.families(&target.model);
    if !is_forced_choice(body) || !families.any(|family| family.refuses_forced_tools) {
        return;
    }
    losses.add("tool_choice");
    let choice = body.shift_remove("tool_choice").unwrap_or_default();
    if let Some(is_disabled) = choice.get("disable_parallel_tool_use") {
        let choice = json!({"type": "auto", "disable_parallel_tool_use": is_disabled});
        body.insert("tool_choice".to_owned(), choice);
    }
}

fn is_forced_choice(body: &Map<String, Value>) -> bool {
    body.get("tool_choice")
        .is_some_and(configuration::is_forced)
}

/// Applies patches to a body that is a tree.
fn apply(body: &mut Map<String, Value>, patches: Patches<'_>) -> Result<(), InvalidCall> {
    for (name, patch) in patches {
        match patch {
            Patch::Set(text) => {
                let value = serde_json::from_str(&text)
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
