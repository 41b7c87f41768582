//! Canonical call → provider request: the one that LangChain sends.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::{Map, Value};

use super::parts::PartWriter;
use super::rules::{Form, is_fixed};
use super::types::{CALLING_MODES, camel_members, enumerated};
use super::{arguments, contents, generation, tools};
use crate::catalog::Protocol;
use crate::chat::call::ChatCall;
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::protocol::Encoded;
use crate::target::{HttpRequest, Target};

/// Tells Google's servers when to give up, in whole seconds.
const SERVER_TIMEOUT: HeaderName = HeaderName::from_static("x-server-timeout");
/// Tells Google's routers what a call is about.
const ROUTING: HeaderName = HeaderName::from_static("x-goog-request-params");

/// Writes the request.
pub(crate) fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    let mut losses = Losses::of(Protocol::GeminiGenerate);
    let mut arguments = arguments::of_call(call, target, &mut losses);
    let timeout = arguments.shift_remove("timeout");
    let body = body(call, target, arguments, &mut losses)?;
    let body = serde_json::to_vec(&body)
        .map_err(|error| invalid("", &format!("cannot be written as JSON: {error}")))?;
    let uri = target.uri(target.wants_stream(call.stream)).clone();
    let headers = headers(target, &uri, timeout.as_ref());
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

fn body(
    call: &ChatCall,
    target: &Target,
    mut arguments: Map<String, Value>,
    losses: &mut Losses,
) -> Result<Value, InvalidCall> {
    let form = target.provider.gemini_generate.form;
    let writer = PartWriter {
        form,
        model: &target.model,
        dialect: call.dialect,
    };
    let conversation = contents::written(call, &writer, losses)?;
    check_last_turn(form, &target.model, &conversation.contents)?;
    let mut written = tools::written(call, form, losses)?;
    if arguments.get("code_execution") == Some(&Value::Bool(true)) {
        written.tools.push(serde_json::json!({"codeExecution": {}}));
    }
    let choice = tools::choice(call, &written, form, losses);
    let config = generation::config(call, &mut arguments, target)?;
    let mut body = Map::new();
    body.insert("contents".to_owned(), conversation.contents.into());
    if let Some(safety) = generation::safety(&arguments, form)? {
        body.insert("safetySettings".to_owned(), safety);
    }
    body.insert("generationConfig".to_owned(), config);
    if let Some(labels) = arguments.get("labels").filter(|labels| labels.is_object()) {
        body.insert("labels".to_owned(), labels.clone());
    }
    let cache = arguments.get("cached_content").and_then(Value::as_str);
    if let Some(cache) = cache {
        let cache = cache_name(form, target, cache)?;
        body.insert("cachedContent".to_owned(), cache.into());
    }
    // What a cache holds already, `ChatVertexAI` does not send again.
    if form == Form::Vertexai && cache.is_some() {
        let is_repeated = conversation.system.is_some() || !written.tools.is_empty();
        if is_repeated {
            losses.add("cached_content");
        }
        return Ok(Value::Object(body));
    }
    if let Some(system) = conversation.system {
        body.insert("systemInstruction".to_owned(), system);
    }
    if !written.tools.is_empty() {
        body.insert("tools".to_owned(), written.tools.into());
    }
    if let Some(config) = tool_config(&arguments, choice, form) {
        body.insert("toolConfig".to_owned(), config);
    }
    Ok(Value::Object(body))
}

/// The choice of a tool, and what else `tool_config` says.
fn tool_config(arguments: &Map<String, Value>, choice: Option<Value>, form: Form) -> Option<Value> {
    let mut config = match arguments.get("tool_config") {
        Some(Value::Object(_)) => arguments.get("tool_config").map(camel_members)?,
        _ => return choice,
    };
    let mode = config["functionCallingConfig"]["mode"]
        .as_str()
        .map(str::to_owned);
    if let Some(mode) = mode {
        config["functionCallingConfig"]["mode"] = enumerated(form, &CALLING_MODES, &mode);
    }
    if let (Some(Value::Object(choice)), Value::Object(config)) = (choice, &mut config) {
        config.extend(choice);
    }
    Some(config)
}

/// Some models do not go on where a turn of their own breaks off.
fn check_last_turn(form: Form, model: &str, contents: &[Value]) -> Result<(), InvalidCall> {
    let is_models = contents.last().is_some_and(|last| last["role"] == "model");
    if form == Form::Genai && is_models && is_fixed(model) {
        let problem = format!("must not end with a turn of the model's: {model} continues none");
        return Err(invalid("messages", &problem));
    }
    Ok(())
}

fn cache_name(form: Form, target: &Target, name: &str) -> Result<String, InvalidCall> {
    Ok(match form {
        Form::Genai if name.starts_with("cachedContents/") => name.to_owned(),
        Form::Genai => format!("cachedContents/{name}"),
        Form::Vertexai if name.starts_with("projects/") || name.contains("/cachedContents/") => {
            name.to_owned()
        }
        Form::Vertexai => {
            let resource = resource(&target.uri).unwrap_or_default();
            let place = resource.split("/publishers/").next().unwrap_or_default();
            if !target.from_credential.is_empty() {
                let problem = "must be the full name, projects/…/cachedContents/…, where \
                               `project` is not said";
                return Err(invalid("cached_content", problem));
            }
            format!("{place}/cachedContents/{name}")
        }
    })
}

/// What a call to Vertex AI is about, by its address: `projects/…/models/…`.
fn resource(uri: &Uri) -> Option<&str> {
    let path = uri.path();
    let start = path.find("/projects/")? + 1;
    let end = path.rfind(':')?;
    path.get(start..end)
}

fn headers(target: &Target, uri: &Uri, timeout: Option<&Value>) -> HeaderMap {
    let mut headers = target.headers.clone();
    let form = target.provider.gemini_generate.form;
    if form == Form::Vertexai
        && let Some(resource) = resource(uri)
        && let Ok(value) = HeaderValue::try_from(format!("model={resource}"))
    {
        headers.insert(ROUTING, value);
    }
    let seconds = timeout.and_then(Value::as_f64);
    if let (Form::Genai, Some(seconds)) = (form, seconds)
        && let Ok(value) = HeaderValue::try_from(format!("{}", seconds.ceil()))
    {
        headers.insert(SERVER_TIMEOUT, value);
    }
    headers
}
