//! What a configuration adds to a request: defaults, thinking, effort, betas.
//!
//! `encode` and the pass-through both go through here, so that they agree. A member of
//! the request wins over the configuration's, which wins over LangChain's default.

use http::{HeaderMap, HeaderValue, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::rules::{AnthropicMessagesRules, SamplingRule};
use crate::error::InvalidCall;
use crate::json::invalid;
use crate::target::{HttpRequest, Patches, Present, Rewrite, Target};

/// The smallest budget of thinking that Anthropic accepts, in tokens.
pub(super) const MIN_THINKING_BUDGET: i64 = 1024;

/// What `effort` of a configuration may be.
const EFFORTS: [&str; 5] = ["max", "xhigh", "high", "medium", "low"];

/// Arguments of LangChain's that are no members of the body.
const NO_MEMBERS: [&str; 5] = [
    "betas",
    "effort",
    "output_format",
    "reasoning_effort",
    "user_profile_id",
];

/// How the top level of a body is changed; see [`Target::top_level`].
pub(crate) fn top_level<'a>(
    target: &'a Target,
    present: Present<'_, 'a>,
) -> Result<Patches<'a>, InvalidCall> {
    let given = Given { target, present };
    let rules = &target.provider.anthropic_messages;
    let mut rewrite = Rewrite::new(present);
    rewrite.configure(target);
    rewrite.bound_output(&["max_tokens"], "max_tokens", target.max_tokens.as_deref());
    if target.max_tokens.is_none() {
        rewrite.set_default("max_tokens", rules.max_tokens(&target.model).to_string());
    }
    for name in NO_MEMBERS {
        rewrite.remove(name);
    }
    let output = given.output()?;
    let effort = output.config.get("effort").and_then(Value::as_str);
    given.check_family(rules, effort)?;
    let implies_thinking = output.has_effort_argument
        && given.value("thinking").is_none()
        && rules
            .model(&target.model)
            .is_some_and(|model| model.effort_implies_thinking);
    if implies_thinking {
        rewrite.set("thinking", r#"{"type":"adaptive","display":"summarized"}"#);
    }
    if output.is_changed {
        rewrite.set("output_config", Value::Object(output.config).to_string());
    }
    given.release_forced_choice(&mut rewrite);
    if rules
        .families(&target.model)
        .any(|family| family.sampling == SamplingRule::Never)
    {
        for name in ["temperature", "top_k", "top_p"] {
            rewrite.remove(name);
        }
    }
    let client_wants_stream = rewrite.present("stream").as_deref() == Some("true");
    if target.wants_stream(client_wants_stream) {
        rewrite.set("stream", "true");
    } else {
        rewrite.remove("stream");
    }
    Ok(rewrite.into_patches())
}

/// Where a call goes and with which headers; see [`Target::address`].
pub(crate) fn address<'a>(target: &'a Target, present: Present<'_, 'a>) -> (Uri, HeaderMap) {
    let given = Given { target, present };
    let mut headers = target.headers.clone();
    if let Some(Value::String(profile)) = given.value("user_profile_id")
        && let Ok(profile) = HeaderValue::from_str(&profile)
    {
        headers.insert("anthropic-user-profile-id", profile);
    }
    let betas = given.betas(&target.provider.anthropic_messages);
    let Ok(value) = HeaderValue::from_str(&betas.join(",")) else {
        return (target.uri.clone(), headers);
    };
    if betas.is_empty() {
        return (target.uri.clone(), headers);
    }
    headers.insert("anthropic-beta", value);
    (with_beta_query(&target.uri), headers)
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

/// Whether a tool choice makes the model call a tool.
pub(super) fn is_forced(choice: &Value) -> bool {
    let kind = choice.get("type").and_then(Value::as_str);
    matches!(kind, Some("any" | "tool"))
}

/// What request and configuration say.
struct Given<'p, 'a> {
    target: &'a Target,
    present: Present<'p, 'a>,
}

/// The `output_config` to send.
struct Output {
    config: Map<String, Value>,
    /// Whether it differs from what the client wrote.
    is_changed: bool,
    /// Whether the effort was given by LangChain's own argument for it.
    has_effort_argument: bool,
}

/// As much of a tool's declaration as betas depend on.
#[derive(Deserialize)]
struct ToolHead {
    r#type: Option<String>,
    input_examples: Option<Value>,
}

impl Given<'_, '_> {
    /// What the client wrote.
    fn written(&self, name: &str) -> Option<Value> {
        let text = (self.present)(name)?;
        let value: Value = serde_json::from_str(&text).ok()?;
        (!value.is_null()).then_some(value)
    }

    /// What the configuration says.
    fn configured(&self, name: &str) -> Option<Value> {
        let members = &self.target.members;
        let (_, text) = members.iter().find(|(member, _)| member == name)?;
        serde_json::from_str(text).ok()
    }

    /// What counts.
    fn value(&self, name: &str) -> Option<Value> {
        self.written(name).or_else(|| self.configured(name))
    }

    /// Joins the configuration's output settings and the client's: the client's effort
    /// argument, then its `output_config`, then the configuration's.
    fn output(&self) -> Result<Output, InvalidCall> {
        let written = self.written("output_config");
        let mut config = match self.configured("output_config") {
            Some(Value::Object(config)) => config,
            _ => Map::new(),
        };
        let configured = self
            .configured("effort")
            .or_else(|| self.configured("reasoning_effort"));
        if let Some(effort) = &configured {
            if !effort
                .as_str()
                .is_some_and(|effort| EFFORTS.contains(&effort))
            {
                let problem = format!("must be one of {}", EFFORTS.join(", "));
                return Err(invalid("additional_params.effort", &problem));
            }
            config.insert("effort".to_owned(), effort.clone());
        }
        if let Some(Value::Object(written)) = &written {
            config.extend(written.clone());
        }
        let argument = self
            .written("effort")
            .or_else(|| self.written("reasoning_effort"));
        if let Some(effort) = &argument {
            config.insert("effort".to_owned(), effort.clone());
        }
        if let Some(format) = self.value("output_format") {
            config.entry("format").or_insert(format);
        }
        Ok(Output {
            is_changed: !config.is_empty()
                && written.as_ref().and_then(Value::as_object) != Some(&config),
            config,
            has_effort_argument: configured.is_some() || argument.is_some(),
        })
    }

    /// Refuses what the model's family is known to refuse, before it costs a round trip.
    fn check_family(
        &self,
        rules: &AnthropicMessagesRules,
        effort: Option<&str>,
    ) -> Result<(), InvalidCall> {
        let model = &self.target.model;
        let thinking = self.value("thinking");
        let kind = thinking
            .as_ref()
            .and_then(|thinking| thinking.get("type")?.as_str());
        for family in rules.families(model) {
            if family.sampling != SamplingRule::Any {
                self.check_sampling()?;
            }
            if let Some(kind) =
                kind.filter(|kind| family.refused_thinking.iter().any(|no| no == kind))
            {
                let problem = format!(
                    "cannot be of type `{kind}` for {model}: leave it out, and set \
                     `output_config.effort` instead"
                );
                return Err(invalid("thinking", &problem));
            }
            let needs = |effort: &str| {
                family
                    .efforts_that_need_thinking
                    .iter()
                    .any(|it| it == effort)
            };
            if kind == Some("disabled") && effort.is_some_and(needs) {
                let problem = format!("cannot be disabled for {model} at this effort: lower it");
                return Err(invalid("thinking", &problem));
            }
        }
        Ok(())
    }

    fn check_sampling(&self) -> Result<(), InvalidCall> {
        let model = &self.target.model;
        if self.value("top_k").is_some() {
            return Err(invalid(
                "top_k",
                &format!("is not supported by {model}: leave it out"),
            ));
        }
        for name in ["top_p", "temperature"] {
            let value = self.value(name);
            if value.is_some_and(|value| value.as_f64() != Some(1.0)) {
                let problem = format!("cannot be other than 1 for {model}: leave it out");
                return Err(invalid(name, &problem));
            }
        }
        Ok(())
    }

    /// A model that is configured to think cannot be forced to call a tool.
    fn release_forced_choice(&self, rewrite: &mut Rewrite<'_, '_>) {
        if self.written("thinking").is_some() {
            return;
        }
        let thinking = self.configured("thinking");
        let kind = thinking
            .as_ref()
            .and_then(|thinking| thinking.get("type")?.as_str());
        if !matches!(kind, Some("enabled" | "adaptive")) {
            return;
        }
        let Some(choice) = self.written("tool_choice").filter(is_forced) else {
            return;
        };
        match choice.get("disable_parallel_tool_use") {
            Some(is_disabled) => {
                let choice = json!({"type": "auto", "disable_parallel_tool_use": is_disabled});
                rewrite.set("tool_choice", choice.to_string());
            }
            None => rewrite.remove("tool_choice"),
        }
    }

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
fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
