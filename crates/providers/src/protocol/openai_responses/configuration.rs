//! What a configuration sets of a request, resolved once for a target.

use domain::model_configuration::ModelSettings;
use serde_json::{Map, Value, json};

use super::encode::{TEXT, merged};
use crate::parameters::Resolution;
use crate::target::Target;

/// Parameters, then `extra_body`, then the configuration's own fields: the later wins.
/// Names of chat completions become those of the Responses API, as LangChain makes them.
pub(crate) fn resolve(target: &mut Target, settings: &ModelSettings, resolution: &Resolution) {
    let mut members: Map<String, Value> = resolution.body.clone();
    members.extend(resolution.responses_parameters.iter().cloned());
    if let Some(temperature) = settings.temperature {
        members.insert("temperature".to_owned(), temperature.into());
    }
    target.apply_temperature_quirks(&mut members);
    rename(&mut members);
    if members
        .shift_remove("stop")
        .is_some_and(|stop| !stop.is_null())
    {
        // The Responses API has none.
        target.dropped_parameters.push("stop".to_owned());
    }
    for (name, value) in &resolution.extra_body {
        if name != "temperature" || settings.temperature.is_none() {
            members.insert(name.clone(), value.clone());
        }
    }
    let default_bound = members.shift_remove("max_output_tokens");
    target.max_tokens = settings
        .max_tokens
        .map(Value::from)
        .or(resolution.max_tokens.clone())
        .or(default_bound)
        .map(|bound| bound.to_string());
    members.retain(|_, value| !value.is_null());
    target.members = members
        .into_iter()
        .map(|(name, value)| (name, value.to_string()))
        .collect();
}

/// Settings of chat completions under their names in the Responses API.
fn rename(members: &mut Map<String, Value>) {
    if let Some(effort) = members.shift_remove("reasoning_effort") {
        let reasoning = members.entry("reasoning").or_insert_with(|| json!({}));
        if let Value::Object(reasoning) = reasoning {
            reasoning.entry("effort").or_insert(effort);
        }
    }
    if let Some(verbosity) = members.shift_remove("verbosity") {
        add_text(members, &json!({ "verbosity": verbosity }));
    }
    if let Some(mut format) = members.shift_remove("response_format") {
        if let Some(Value::Object(schema)) = format.get_mut("json_schema").map(Value::take) {
            format = Value::Object(schema);
            format["type"] = "json_schema".into();
        }
        add_text(members, &json!({ "format": format }));
    }
}

fn add_text(members: &mut Map<String, Value>, more: &Value) {
    let text = members.shift_remove(TEXT).unwrap_or_default();
    members.insert(TEXT.to_owned(), merged(text, more));
}
