//! Betas: features that Anthropic wants to be asked for by name, in a header and with
//! `?beta=true` in the address. Those that a request needs are added to those asked for.

use http::{HeaderMap, HeaderValue, Uri};
use serde::Deserialize;
use serde_json::Value;

use super::configuration::Given;
use super::rules::AnthropicMessagesRules;
use crate::rewrite::Present;
use crate::target::{HttpRequest, Target};

/// Where a call goes and with which headers; see [`Target::address`].
pub(crate) fn address<'a>(
    target: &'a Target,
    uri: &Uri,
    present: Present<'_, 'a>,
) -> (Uri, HeaderMap) {
    let given = Given { target, present };
    let mut headers = target.headers.clone();
    if let Some(Value::String(profile)) = given.value("user_profile_id")
        && let Ok(profile) = HeaderValue::from_str(&profile)
    {
        headers.insert("anthropic-user-profile-id", profile);
    }
    let rules = &target.provider.anthropic_messages;
    if rules.betas_in_body {
        return (uri.clone(), headers);
    }
    let betas = given.betas(rules);
    let Ok(value) = HeaderValue::from_str(&betas.join(",")) else {
        return (uri.clone(), headers);
    };
    if betas.is_empty() {
        return (uri.clone(), headers);
    }
    headers.insert("anthropic-beta", value);
    (with_beta_query(uri), headers)
}

/// Adds the betas that a client asked for in its own header to a request.
pub(crate) fn add_betas(request: &mut HttpRequest, asked: &str) {
    let there = request.headers.get("anthropic-beta");
    let there = there
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut betas: Vec<&str> = Vec::new();
    for beta in there.split(',').chain(asked.split(',')) {
        let beta = beta.trim();
        if !beta.is_empty() && !betas.contains(&beta) {
            betas.push(beta);
        }
    }
    let Ok(value) = HeaderValue::from_str(&betas.join(",")) else {
        return;
    };
    if !betas.is_empty() {
        request.headers.insert("anthropic-beta", value);
        request.uri = with_beta_query(&request.uri);
    }
}

/// The address of Anthropic's beta interface.
fn with_beta_query(uri: &Uri) -> Uri {
    let path = uri.path();
    let query = match uri.query() {
        Some(query) if query.split('&').any(|pair| pair == "beta=true") => return uri.clone(),
        Some(query) if !query.is_empty() => format!("{path}?{query}&beta=true"),
        _ => format!("{path}?beta=true"),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = query.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// As much of a tool's declaration as betas depend on.
#[derive(Deserialize)]
struct ToolHead {
    r#type: Option<String>,
    input_examples: Option<Value>,
}

impl Given<'_, '_> {
    /// The betas asked for by name, then those that what is sent needs.
    fn betas(&self, rules: &AnthropicMessagesRules) -> Vec<String> {
        let mut betas: Vec<String> = match self.value("betas") {
            Some(Value::Array(names)) => {
                let names = names.iter().filter_map(Value::as_str);
                names.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        let is_chosen = !betas.is_empty();
        let mut add = |beta: Option<&String>| {
            if let Some(beta) = beta.filter(|beta| !betas.contains(beta)) {
                betas.push(beta.clone());
            }
        };
        let feature = |name: &str| rules.feature_betas.get(name);
        let tools = self.tools();
        for kind in tools.iter().filter_map(|tool| tool.r#type.as_ref()) {
            add(rules.tool_betas.get(kind));
        }
        if tools
            .iter()
            .any(|tool| tool.input_examples.as_ref().is_some_and(is_filled))
        {
            add(feature("input_examples"));
        }
        if self.value("mcp_servers").as_ref().is_some_and(is_filled) {
            add(feature("mcp_servers"));
        }
        // LangChain leaves this one to the user, and its SDK fails without any beta.
        if !is_chosen
            && self
                .value("context_management")
                .as_ref()
                .is_some_and(is_filled)
        {
            add(feature("context_management"));
        }
        let budget = |config: Value| config.get("task_budget").is_some_and(is_filled);
        if self.written("output_config").is_some_and(budget)
            || self.configured("output_config").is_some_and(budget)
        {
            add(feature("task_budget"));
        }
        if self
            .value("thinking")
            .is_some_and(|thinking| thinking["display"] == "updates")
        {
            add(feature("thinking_updates"));
        }
        if let Some(change) = self.tool_change() {
            add(feature(change));
        }
        if self
            .value("user_profile_id")
            .as_ref()
            .is_some_and(is_filled)
        {
            add(feature("user_profile_id"));
        }
        betas
    }

    fn tools(&self) -> Vec<ToolHead> {
        let text = (self.present)("tools");
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// How the conversation changes the tools, if it does. Nearly every call is spared
    /// from being read for it: see [`crate::pass_through::MessageWords`].
    fn tool_change(&self) -> Option<&'static str> {
        let text = (self.present)("messages")?;
        let messages: Vec<Value> = serde_json::from_str(&text).ok()?;
        let changes: Vec<&Value> = messages
            .iter()
            .filter(|message| message["role"] == "system")
            .filter_map(|message| message.get("content")?.as_array())
            .flatten()
            .filter(|block| super::conversation::is_tool_change(block))
            .collect();
        let is_definition = |block: &&Value| {
            block
                .pointer("/tool/type")
                .is_some_and(|kind| kind == "tool_definition")
        };
        if changes.iter().any(is_definition) {
            Some("inline_tools")
        } else {
            (!changes.is_empty()).then_some("tool_changes")
        }
    }
}

/// Whether Python would count a value as true.
pub(super) fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
