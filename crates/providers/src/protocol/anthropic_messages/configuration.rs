//! What a configuration adds to a request's body: defaults, thinking, effort. What it
//! adds to the headers is in `betas.rs`.
//!
//! `encode` and the pass-through both go through here, so that they agree. A member of
//! the request wins over the configuration's, which wins over LangChain's default.

use serde_json::{Map, Value, json};

use super::betas::is_filled;
use super::rules::{AnthropicMessagesRules, Family, SamplingRule};
use crate::error::InvalidCall;
use crate::json::invalid;
use crate::rewrite::{Patches, Present, Rewrite};
use crate::target::Target;

/// The smallest budget of thinking that Anthropic accepts, in tokens.
pub(super) const MIN_THINKING_BUDGET: i64 = 1024;

/// What `effort` of a configuration may be.
const EFFORTS: [&str; 5] = ["max", "xhigh", "high", "medium", "low"];

/// Members that some models do not take.
pub(super) const SAMPLING: [&str; 3] = ["temperature", "top_k", "top_p"];

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
    if rules.model_in_address {
        rewrite.remove("model");
    }
    if let Some(version) = &rules.version_in_body {
        let version = Value::from(version.as_str()).to_string();
        rewrite.set_default("anthropic_version", version);
    }
    if rules.betas_in_body
        && let Some(betas) = given.value("betas").filter(is_filled)
    {
        rewrite.set("anthropic_beta", betas.to_string());
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
    let model = rules.model(&target.model);
    let is_never_sent = |family: &Family| family.sampling == SamplingRule::Never;
    if model.is_some_and(|model| model.ignores_sampling)
        || rules.families(&target.model).any(is_never_sent)
    {
        for name in SAMPLING {
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

/// Whether a tool choice makes the model call a tool.
pub(super) fn is_forced(choice: &Value) -> bool {
    let kind = choice.get("type").and_then(Value::as_str);
    matches!(kind, Some("any" | "tool"))
}

/// What request and configuration say.
pub(super) struct Given<'p, 'a> {
    pub(super) target: &'a Target,
    pub(super) present: Present<'p, 'a>,
}

/// The `output_config` to send.
struct Output {
    config: Map<String, Value>,
    /// Whether it differs from what the client wrote.
    is_changed: bool,
    /// Whether the effort was given by LangChain's own argument for it.
    has_effort_argument: bool,
}

impl Given<'_, '_> {
    /// What the client wrote.
    pub(super) fn written(&self, name: &str) -> Option<Value> {
        let text = (self.present)(name)?;
        let value: Value = serde_json::from_str(&text).ok()?;
        (!value.is_null()).then_some(value)
    }

    /// What the configuration says.
    pub(super) fn configured(&self, name: &str) -> Option<Value> {
        let members = &self.target.members;
        let (_, text) = members.iter().find(|(member, _)| member == name)?;
        serde_json::from_str(text).ok()
    }

    /// What counts.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
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
}
