//! LangChain's arguments of a call: what the configuration says, under what the request
//! says. They are named as `ChatGoogleGenerativeAI` and `ChatVertexAI` name them.

use serde_json::{Map, Value, json};

use super::rules::{Form, is_fixed, major_version};
use super::types::snake;
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, ReasoningRequest};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::target::Target;

/// Arguments that a client may send along in its request, as OpenAI's SDKs allow in their
/// `extra_body`.
const OF_REQUESTS: [&str; 29] = [
    "audio_timestamp",
    "cached_content",
    "candidate_count",
    "code_execution",
    "frequency_penalty",
    "generation_config",
    "image_config",
    "include_thoughts",
    "labels",
    "logprobs",
    "max_output_tokens",
    "media_resolution",
    "presence_penalty",
    "reasoning_effort",
    "response_json_schema",
    "response_logprobs",
    "response_mime_type",
    "response_modalities",
    "response_schema",
    "safety_settings",
    "seed",
    "speech_config",
    "stop_sequences",
    "thinking_budget",
    "thinking_config",
    "thinking_level",
    "tool_config",
    "top_k",
    "top_p",
];

/// Members of other formats that ask for nothing Gemini could do or leave undone.
const MEANINGLESS: [&str; 3] = ["stream_options", "models", "store"];

/// What LangChain's models check of their arguments, which Google would refuse as well.
///
/// # Errors
/// When an argument is out of its range.
pub(crate) fn check(form: Form, arguments: &[(String, String)]) -> Result<(), InvalidCall> {
    let number = |name: &str| {
        let (_, text) = arguments.iter().find(|(known, _)| known == name)?;
        text.parse::<f64>().ok()
    };
    let ranges = [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("frequency_penalty", -2.0, 2.0),
        ("presence_penalty", -2.0, 2.0),
        ("top_k", f64::MIN_POSITIVE, f64::INFINITY),
    ];
    if form == Form::Vertexai {
        return Ok(());
    }
    if arguments.iter().any(|(name, _)| name == "project") {
        let problem = "belongs to Vertex AI: use the provider google_vertexai";
        return Err(invalid("additional_params.project", problem));
    }
    for (name, least, most) in ranges {
        if number(name).is_some_and(|number| !(least..=most).contains(&number)) {
            let problem = match name {
                "top_k" => "must be positive".to_owned(),
                _ => format!("must be in the range {least} to {most}"),
            };
            return Err(invalid(&format!("additional_params.{name}"), &problem));
        }
    }
    let level = arguments
        .iter()
        .find(|(name, _)| matches!(name.as_str(), "thinking_level" | "reasoning_effort"));
    let known = [r#""minimal""#, r#""low""#, r#""medium""#, r#""high""#];
    if let Some((name, level)) = level
        && !known.contains(&level.to_lowercase().as_str())
    {
        let problem = "must be minimal, low, medium or high";
        return Err(invalid(&format!("additional_params.{name}"), problem));
    }
    Ok(())
}

/// The arguments that count for a call.
pub(super) fn of_call(call: &ChatCall, target: &Target, losses: &mut Losses) -> Map<String, Value> {
    let form = target.provider.gemini_generate.form;
    let mut arguments = Map::new();
    for (name, text) in &target.members {
        if let Ok(value) = serde_json::from_str(text) {
            arguments.insert(name.clone(), value);
        }
    }
    if let Some(bound) = &target.max_tokens
        && let Ok(bound) = serde_json::from_str(bound)
    {
        arguments.insert("max_output_tokens".to_owned(), bound);
    }
    // A list of `logprobs` means something else than a request's flag.
    if form == Form::Vertexai
        && let Some(wanted) = arguments.shift_remove("logprobs")
    {
        put_logprobs(&mut arguments, &wanted);
    }
    put_sampling(call, &mut arguments, losses);
    for (name, value) in &call.extra {
        let name = snake(name);
        match name.as_str() {
            known if OF_REQUESTS.contains(&known) => {
                let name = match known {
                    "candidate_count" => "n",
                    "stop_sequences" => "stop",
                    other => other,
                };
                arguments.insert(name.to_owned(), value.clone());
            }
            known if MEANINGLESS.contains(&known) => {}
            // Anthropic's word for how hard to think comes through `reasoning`.
            "output_config" => {}
            _ => losses.add(name),
        }
    }
    if let Some(reasoning) = &call.reasoning {
        put_reasoning(call, reasoning, target, &mut arguments, losses);
    }
    if form == Form::Genai && is_fixed(&target.model) {
        for name in ["temperature", "top_k", "top_p"] {
            if arguments.shift_remove(name).is_some() {
                losses.add(name);
            }
        }
    }
    arguments
}

fn put_sampling(call: &ChatCall, arguments: &mut Map<String, Value>, losses: &mut Losses) {
    let sampling = &call.sampling;
    let members = [
        ("temperature", sampling.temperature.map(Value::from)),
        ("top_p", sampling.top_p.map(Value::from)),
        ("top_k", sampling.top_k.map(Value::from)),
        ("max_output_tokens", sampling.max_tokens.map(Value::from)),
        ("seed", sampling.seed.map(Value::from)),
        (
            "frequency_penalty",
            sampling.frequency_penalty.map(Value::from),
        ),
        (
            "presence_penalty",
            sampling.presence_penalty.map(Value::from),
        ),
        ("n", sampling.candidates.map(Value::from)),
        (
            "stop",
            (!sampling.stop.is_empty()).then(|| json!(sampling.stop)),
        ),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            arguments.insert(name.to_owned(), value);
        }
    }
    if sampling.logprobs == Some(true) {
        let wanted = sampling.top_logprobs.map_or(Value::Bool(true), Value::from);
        put_logprobs(arguments, &wanted);
    } else if sampling.top_logprobs.is_some_and(|number| number > 0) {
        losses.add("top_logprobs");
    }
}

/// LangChain's `logprobs`: whether, or how many.
fn put_logprobs(arguments: &mut Map<String, Value>, wanted: &Value) {
    if matches!(wanted, Value::Bool(false) | Value::Null) || wanted == &json!(0) {
        return;
    }
    arguments.insert("response_logprobs".to_owned(), true.into());
    if wanted.is_number() {
        arguments.insert("logprobs".to_owned(), wanted.clone());
    }
}

/// How much to think, as the request says it: a budget in tokens, or a word.
fn put_reasoning(
    call: &ChatCall,
    reasoning: &ReasoningRequest,
    target: &Target,
    arguments: &mut Map<String, Value>,
    losses: &mut Losses,
) {
    let has_levels = major_version(&target.model).is_some_and(|major| major >= 3);
    let native = reasoning.native.as_ref();
    let kind = native.and_then(|native| native["type"].as_str());
    let mut put = |name: &str, value: Value| {
        for other in [
            "thinking_config",
            "thinking_level",
            "thinking_budget",
            "reasoning_effort",
        ] {
            arguments.shift_remove(other);
        }
        arguments.insert(name.to_owned(), value);
    };
    match (reasoning.budget_tokens, reasoning.effort.as_deref()) {
        (Some(budget), _) => put("thinking_budget", budget.into()),
        (None, Some("none")) if !has_levels => put("thinking_budget", 0.into()),
        (None, Some("none")) => {
            losses.add("reasoning_effort");
            put("thinking_level", "minimal".into());
        }
        (None, Some(effort)) => {
            let level = match effort {
                "minimal" | "low" | "medium" | "high" => effort,
                _ => {
                    losses.add("reasoning_effort");
                    "high"
                }
            };
            if has_levels {
                put("thinking_level", level.into());
            } else {
                // Google's own chat completions spell the words so for older models.
                let budget = match level {
                    "minimal" | "low" => 1024,
                    "medium" => 8192,
                    _ => 24_576,
                };
                put("thinking_budget", budget.into());
            }
        }
        (None, None)
            if kind == Some("adaptive") || native.is_none() || kind == Some("disabled") => {}
        (None, None) => losses.add("reasoning"),
    }
    // Whoever speaks Anthropic's format and asks for thinking wants to see it.
    let asks = matches!(kind, Some("enabled" | "adaptive"));
    if call.dialect == WireFormat::AnthropicMessages && asks {
        arguments.insert("include_thoughts".to_owned(), true.into());
    }
}
