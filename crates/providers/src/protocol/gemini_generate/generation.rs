//! `generationConfig` and what else a call's arguments become.

use serde_json::{Map, Value, json};

use super::rules::{Form, major_version};
use super::schema_vertex;
use super::types::{
    HARM_CATEGORIES, MEDIA_RESOLUTIONS, MODALITIES, THRESHOLDS, camel, camel_members, enumerated,
    snake,
};
use crate::chat::call::{ChatCall, ResponseFormat};
use crate::error::InvalidCall;
use crate::json::invalid;
use crate::target::Target;

/// Arguments that go into `generationConfig` under their own names.
const PLAIN: [&str; 11] = [
    "temperature",
    "top_p",
    "top_k",
    "max_output_tokens",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "response_logprobs",
    "logprobs",
    "audio_timestamp",
    "response_mime_type",
];

/// Writes `generationConfig`.
///
/// # Errors
/// When the shape of the answer cannot be said.
pub(super) fn config(
    call: &ChatCall,
    arguments: &mut Map<String, Value>,
    target: &Target,
) -> Result<Value, InvalidCall> {
    let form = target.provider.gemini_generate.form;
    let model = target.model.as_str();
    let merged = arguments.shift_remove("generation_config");
    for (name, value) in merged
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let name = match snake(name).as_str() {
            "candidate_count" => "n".to_owned(),
            "stop_sequences" => "stop".to_owned(),
            other => other.to_owned(),
        };
        arguments.insert(name, value.clone());
    }
    let mut config = Map::new();
    let has_default_temperature =
        form == Form::Genai && major_version(model).is_none_or(|major| major < 3);
    if has_default_temperature && !super::rules::is_fixed(model) {
        config.insert("temperature".to_owned(), json!(0.7));
    }
    for name in PLAIN {
        if let Some(value) = arguments.get(name).filter(|value| !value.is_null()) {
            config.insert(camel(name), value.clone());
        }
    }
    // A `ChatVertexAI` that always streams says no number.
    if form == Form::Genai || !target.streaming.is_always() {
        let candidates = arguments.get("n").cloned().unwrap_or_else(|| json!(1));
        config.insert("candidateCount".to_owned(), candidates);
    }
    match arguments.get("stop") {
        Some(Value::String(text)) => {
            config.insert("stopSequences".to_owned(), json!([text]));
        }
        Some(Value::Array(stop)) if !stop.is_empty() => {
            config.insert("stopSequences".to_owned(), json!(stop));
        }
        _ => {}
    }
    put_format(call, arguments, form, &mut config)?;
    put_modalities(arguments, form, model, &mut config);
    if let Some(thinking) = thinking(arguments, form) {
        config.insert("thinkingConfig".to_owned(), thinking);
    }
    for name in ["image_config", "speech_config"] {
        if let Some(value) = arguments.get(name).filter(|value| value.is_object()) {
            let is_as_given = form == Form::Genai && name == "speech_config";
            let value = if is_as_given {
                value.clone()
            } else {
                camel_members(value)
            };
            config.insert(camel(name), value);
        }
    }
    if let Some(level) = arguments.get("media_resolution").and_then(Value::as_str) {
        let level = enumerated(form, &MEDIA_RESOLUTIONS, level);
        config.insert("mediaResolution".to_owned(), level);
    }
    Ok(Value::Object(config))
}

/// The shape of the answer: the request's, or else the arguments'.
fn put_format(
    call: &ChatCall,
    arguments: &Map<String, Value>,
    form: Form,
    config: &mut Map<String, Value>,
) -> Result<(), InvalidCall> {
    const JSON: &str = "application/json";
    let given = ["response_json_schema", "response_schema"];
    let given = given.iter().find_map(|name| arguments.get(*name));
    let mut schema = given.filter(|schema| !is_bare(schema));
    if schema.is_some() {
        let kind = arguments.get("response_mime_type").and_then(Value::as_str);
        let is_enum = form == Form::Vertexai && kind == Some("text/x.enum");
        if kind != Some(JSON) && !is_enum {
            let problem = "is only supported where `response_mime_type` is `application/json`";
            return Err(invalid("response_schema", problem));
        }
    }
    match &call.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) => {
            config
                .entry("responseMimeType")
                .or_insert_with(|| JSON.into());
        }
        Some(ResponseFormat::JsonSchema { schema: asked, .. }) => {
            config
                .entry("responseMimeType")
                .or_insert_with(|| JSON.into());
            schema = schema.or(Some(asked)).filter(|schema| !is_bare(schema));
        }
    }
    let Some(schema) = schema else { return Ok(()) };
    match form {
        Form::Genai => config.insert("responseJsonSchema".to_owned(), schema.clone()),
        Form::Vertexai => {
            let schema = schema_vertex::written(schema, "response_format")?;
            config.insert("responseSchema".to_owned(), schema)
        }
    };
    Ok(())
}

/// Whether a schema says nothing.
fn is_bare(schema: &Value) -> bool {
    schema.as_object().is_none_or(Map::is_empty)
}

fn put_modalities(
    arguments: &Map<String, Value>,
    form: Form,
    model: &str,
    config: &mut Map<String, Value>,
) {
    let modality = |value: &Value| match value.as_str() {
        Some(name) => enumerated(form, &MODALITIES, &name.to_uppercase()),
        None => value.clone(),
    };
    if let Some(Value::Array(wanted)) = arguments.get("response_modalities") {
        let wanted: Vec<Value> = wanted.iter().map(modality).collect();
        config.insert("responseModalities".to_owned(), wanted.into());
    }
    // Models that speak need to be told to, and in whose voice.
    let speaks = model.ends_with("-tts") || model.contains("-tts-");
    if speaks && form == Form::Genai {
        config
            .entry("responseModalities")
            .or_insert_with(|| json!(["AUDIO"]));
        if !arguments.contains_key("speech_config") {
            config.insert(
                "speechConfig".to_owned(),
                json!({"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}}),
            );
        }
    }
}

/// How much the model thinks. A level rules out a budget.
fn thinking(arguments: &Map<String, Value>, form: Form) -> Option<Value> {
    let mut thinking = Map::new();
    let whole = arguments.get("thinking_config").and_then(Value::as_object);
    for (name, value) in whole.into_iter().flatten() {
        thinking.insert(snake(name), value.clone());
    }
    let level = arguments.get("thinking_level");
    if let Some(level) = level
        .or(arguments.get("reasoning_effort"))
        .filter(|level| !level.is_null())
    {
        thinking.insert("thinking_level".to_owned(), level.clone());
    }
    for name in ["thinking_budget", "include_thoughts"] {
        if let Some(value) = arguments.get(name).filter(|value| !value.is_null()) {
            thinking.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(Value::String(level)) = thinking.get_mut("thinking_level") {
        *level = level.to_uppercase();
        thinking.shift_remove("thinking_budget");
    }
    if thinking.is_empty() {
        return None;
    }
    let thinking = Value::Object(thinking);
    Some(match form {
        Form::Genai => thinking,
        Form::Vertexai => camel_members(&thinking),
    })
}

/// `safetySettings`, of which `ChatGoogleGenerativeAI` always sends a list.
///
/// # Errors
/// When they are no object of categories and thresholds.
pub(super) fn safety(
    arguments: &Map<String, Value>,
    form: Form,
) -> Result<Option<Value>, InvalidCall> {
    let problem = "must be an object of categories and thresholds, such as \
                   {\"HARM_CATEGORY_HARASSMENT\": \"BLOCK_NONE\"}";
    let given = match arguments.get("safety_settings") {
        None | Some(Value::Null) => None,
        Some(Value::Object(given)) => Some(given),
        Some(_) => return Err(invalid("safety_settings", problem)),
    };
    let mut settings = Vec::new();
    for (category, threshold) in given.into_iter().flatten() {
        let Some(threshold) = threshold.as_str() else {
            return Err(invalid("safety_settings", problem));
        };
        settings.push(json!({
            "category": enumerated(form, &HARM_CATEGORIES, &category.to_uppercase()),
            "threshold": enumerated(form, &THRESHOLDS, &threshold.to_uppercase()),
        }));
    }
    let is_said = form == Form::Genai || !settings.is_empty();
    Ok(is_said.then(|| settings.into()))
}
