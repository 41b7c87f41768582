//! What models on Bedrock can and cannot do, told from their names as LangChain tells it.

use serde_json::{Map, Value, json};

use super::rules::ModelRules;
use crate::catalog;
use crate::error::InvalidCall;
use crate::json::invalid;

/// The prefixes of cross-region inference profiles.
const REGION_PREFIXES: [&str; 10] = [
    "eu.", "us.", "us-gov.", "apac.", "sa.", "amer.", "global.", "jp.", "au.", "in.",
];

/// A model, as far as its name and the configuration tell.
#[derive(Clone, Debug)]
pub(crate) struct Model<'a> {
    /// The vendor, e.g. `anthropic`; empty where an ARN hides it.
    pub(crate) vendor: &'a str,
    /// The name without the prefix of an inference profile.
    pub(crate) base: &'a str,
}

/// How far a model streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streaming {
    Always,
    WithoutTools,
    Never,
}

/// A kind of tool choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Auto,
    Any,
    Tool,
}

impl Choice {
    pub(super) const ALL: &'static [Self] = &[Self::Auto, Self::Any, Self::Tool];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Any => "any",
            Self::Tool => "tool",
        }
    }
}

impl<'a> Model<'a> {
    /// The model of this identifier. `vendor` and `base` are the configuration's own
    /// `provider` and `base_model`, which an ARN needs.
    pub(super) fn new(id: &'a str, vendor: Option<&'a str>, base: Option<&'a str>) -> Self {
        let plain = REGION_PREFIXES
            .iter()
            .find_map(|prefix| id.strip_prefix(prefix))
            .unwrap_or(id);
        let vendor = vendor.filter(|vendor| !vendor.is_empty());
        let named = match plain.split_once('.') {
            Some((vendor, _)) if !plain.starts_with("arn:") => vendor,
            _ => "",
        };
        Self {
            vendor: vendor.unwrap_or(named),
            base: base.unwrap_or(plain),
        }
    }

    fn has(&self, part: &str) -> bool {
        self.base.contains(part)
    }

    fn has_any(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.has(part))
    }

    pub(super) fn is_claude(&self) -> bool {
        self.has("claude")
    }

    pub(super) fn is_nova(&self) -> bool {
        self.base.to_ascii_lowercase().contains("amazon.nova")
    }

    pub(crate) fn is_anthropic(&self) -> bool {
        self.vendor == "anthropic" || self.base.to_ascii_lowercase().contains("anthropic")
    }

    fn rules(&self) -> Option<&'static ModelRules> {
        let row = catalog::provider("bedrock_converse")?;
        let models = &row.bedrock_converse.models;
        models.iter().find(|model| model.name == self.base)
    }

    /// Whether temperature and its like are left out.
    pub(super) fn ignores_sampling(&self) -> bool {
        self.rules().is_some_and(|rules| rules.ignores_sampling)
    }

    /// How far the model streams, as far as LangChain has verified it.
    pub(super) fn streaming(&self) -> Streaming {
        let name = self.base.to_ascii_lowercase();
        let has = |part: &str| name.contains(part);
        let has_any = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        let (always, without_tools) = match self.vendor {
            "ai21" => (has("jamba-1-5"), has("jamba-instruct")),
            "amazon" => (has_any(STREAMING_NOVA), has("titan-text")),
            "anthropic" => (
                has_any(STREAMING_CLAUDE),
                has_any(&["claude-v2", "claude-instant"]),
            ),
            "openai" => (has("gpt-"), false),
            "cohere" => (has("command-r"), has("command")),
            "deepseek" => (has("v3"), has("r1")),
            "qwen" => (has("qwen3"), false),
            "moonshot" | "moonshotai" => (has("kimi"), false),
            "xai" => (has("grok"), false),
            "zai" => (has("glm"), false),
            "meta" | "mistral" => (false, true),
            "writer" => (false, has("palmyra")),
            _ => (false, false),
        };
        match (always, without_tools) {
            (true, _) => Streaming::Always,
            (false, true) => Streaming::WithoutTools,
            (false, false) => Streaming::Never,
        }
    }

    /// The kinds of tool choice that the model takes. `fields` are the request's
    /// `additionalModelRequestFields`, where thinking is switched on.
    pub(super) fn tool_choices(&self, fields: &Map<String, Value>) -> &'static [Choice] {
        const AUTO: &[Choice] = &[Choice::Auto];
        const AUTO_OR_ANY: &[Choice] = &[Choice::Auto, Choice::Any];
        if self.is_claude() {
            let is_unforced = self.has_any(UNFORCED)
                || self.cannot_be_forced_while_thinking() && is_thinking(fields);
            return if is_unforced { AUTO } else { Choice::ALL };
        }
        if self.has("grok") {
            Choice::ALL
        } else if self.base.starts_with("zai.glm-") {
            let takes_all = self.base.starts_with("zai.glm-5.3");
            if takes_all { Choice::ALL } else { AUTO_OR_ANY }
        } else if self.base.starts_with("openai.gpt-") && !self.has("gpt-oss") {
            Choice::ALL
        } else if self.has("llama4") {
            AUTO
        } else if self.has("llama3") {
            let takes_tools = self.has_any(&["llama3-1", "llama3-3"])
                || self.has("llama3-2") && self.has_any(&["11b", "90b"]);
            if takes_tools { AUTO } else { &[] }
        } else if self.has("mistral-large") {
            AUTO_OR_ANY
        } else if self.has("nova") {
            Choice::ALL
        } else if self.has("deepseek") && !self.has("r1-v1") {
            if self.thinks(fields) {
                AUTO
            } else {
                AUTO_OR_ANY
            }
        } else {
            &[]
        }
    }

    /// Whether thinking rules out that a tool is forced.
    fn cannot_be_forced_while_thinking(&self) -> bool {
        !self.has("claude-opus-4-8") && self.has_any(UNFORCED_WHILE_THINKING)
    }

    /// Whether the request switches thinking on.
    pub(super) fn thinks(&self, fields: &Map<String, Value>) -> bool {
        if !self.has("deepseek.v3") {
            return is_thinking(fields);
        }
        let effort = fields.get("reasoning_effort").and_then(Value::as_str);
        let effort = effort.unwrap_or_default().to_ascii_lowercase();
        !matches!(effort.as_str(), "" | "none" | "low" | "medium")
    }

    /// The tags between which the model thinks aloud in its text.
    pub(super) fn reasoning_tags(&self) -> Option<(&'static str, &'static str)> {
        let name = self.base.to_ascii_lowercase();
        let is_first_nova = name.contains("nova") && !name.contains("nova-2");
        (self.vendor == "amazon" && is_first_nova).then_some(("<thinking>", "</thinking>"))
    }

    /// Whether earlier thinking may go back to the model, given whether it is signed.
    pub(super) fn takes_reasoning(&self, is_signed: bool) -> bool {
        let name = self.base.to_ascii_lowercase();
        let refuses = name.contains("deepseek.r1") || self.reasoning_tags().is_some();
        !refuses && (is_signed || UNSIGNED.iter().any(|part| name.contains(part)))
    }

    /// Whether a picture in a tool's answer must stand beside it.
    pub(super) fn hoists_images(&self) -> bool {
        !matches!(self.vendor, "" | "anthropic" | "amazon" | "meta")
    }

    /// What asks the model for this effort of reasoning. None where no effort can be
    /// asked for.
    ///
    /// # Errors
    /// When the model knows efforts, but not this one.
    pub(super) fn effort_fields(
        &self,
        effort: &str,
    ) -> Result<Option<Map<String, Value>>, InvalidCall> {
        let efforts = self
            .rules()
            .map_or(&[][..], |rules| &rules.reasoning_efforts);
        if efforts.is_empty() {
            return Ok(None);
        }
        if !efforts.iter().any(|known| known == effort) {
            let problem = format!("must be one of {} for {}", efforts.join(", "), self.base);
            return Err(invalid("reasoning_effort", &problem));
        }
        let name = self.base.to_ascii_lowercase();
        let starts = |prefix: &str| name.starts_with(prefix);
        let fields = if starts("amazon.nova-2") {
            json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}})
        } else if name.contains("claude") {
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}})
        } else if starts("openai.gpt-") && !starts("openai.gpt-oss") {
            json!({"reasoning": {"effort": effort}})
        } else if EFFORT_MEMBER.iter().any(|prefix| starts(prefix)) {
            json!({"reasoning_effort": effort})
        } else {
            return Ok(None);
        };
        Ok(fields.as_object().cloned())
    }
}

/// Whether Claude is asked to think.
pub(super) fn is_thinking(fields: &Map<String, Value>) -> bool {
    let kind = fields
        .get("thinking")
        .and_then(|thinking| thinking.get("type"));
    matches!(kind.and_then(Value::as_str), Some("enabled" | "adaptive"))
}

const STREAMING_NOVA: &[&str] = &[
    "nova-lite",
    "nova-micro",
    "nova-pro",
    "nova-premier",
    "nova-2-lite",
];

const STREAMING_CLAUDE: &[&str] = &[
    "claude-3",
    "claude-sonnet-4",
    "claude-opus-4",
    "claude-haiku-4",
    "claude-fable-5",
    "claude-opus-5",
    "claude-sonnet-5",
    "claude-haiku-5",
];

/// Models that cannot be made to call a tool.
const UNFORCED: &[&str] = &["claude-fable-5-1", "claude-opus-5-5", "claude-sonnet-5-5"];

/// Models that cannot be made to call a tool while they think.
const UNFORCED_WHILE_THINKING: &[&str] = &[
    "claude-3-7-",
    "claude-sonnet-4",
    "claude-opus-4",
    "claude-haiku-4",
    "deepseek.v3",
];

/// Models that take earlier thinking back without a signature.
const UNSIGNED: &[&str] = &[
    "openai.gpt-oss",
    "amazon.nova-2",
    "deepseek.v3",
    "minimax",
    "kimi",
];

/// Models whose effort is a member of its own.
const EFFORT_MEMBER: &[&str] = &["openai.gpt-oss", "moonshot.", "moonshotai.", "zai.glm-"];

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str) -> Model<'_> {
        Model::new(id, None, None)
    }

    #[test]
    fn vendor_and_base_are_told_from_the_identifier() {
        let us = model("us.anthropic.claude-sonnet-4-5-20250929-v1:0");
        assert_eq!(
            (us.vendor, us.base),
            ("anthropic", "anthropic.claude-sonnet-4-5-20250929-v1:0")
        );
        let arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/a.b";
        assert_eq!(model(arn).vendor, "");
        let known = Model::new(arn, Some("anthropic"), Some("anthropic.claude-3-haiku"));
        assert_eq!(known.vendor, "anthropic");
        assert_eq!(known.streaming(), Streaming::Always);
    }

    #[test]
    fn choices_and_streaming_are_those_of_langchain() {
        use Choice::{Any, Auto};
        use Streaming::{Always, Never, WithoutTools};
        let cases: &[(&str, &[Choice], Streaming)] = &[
            (
                "anthropic.claude-3-haiku-20240307-v1:0",
                Choice::ALL,
                Always,
            ),
            ("us.anthropic.claude-opus-4-7-v1:0", Choice::ALL, Always),
            ("anthropic.claude-v2:1", Choice::ALL, WithoutTools),
            ("amazon.nova-pro-v1:0", Choice::ALL, Always),
            ("amazon.nova-2-lite-v1:0", Choice::ALL, Always),
            ("amazon.titan-text-premier-v1:0", &[], WithoutTools),
            ("meta.llama3-1-70b-instruct-v1:0", &[Auto], WithoutTools),
            ("us.meta.llama3-3-70b-instruct-v1:0", &[Auto], WithoutTools),
            (
                "us.meta.llama4-maverick-17b-instruct-v1:0",
                &[Auto],
                WithoutTools,
            ),
            (
                "mistral.mistral-large-2402-v1:0",
                &[Auto, Any],
                WithoutTools,
            ),
            ("mistral.mistral-small-2402-v1:0", &[], WithoutTools),
            ("us.mistral.pixtral-large-2502-v1:0", &[], WithoutTools),
            ("cohere.command-r-plus-v1:0", &[], Always),
            ("ai21.jamba-1-5-large-v1:0", &[], Always),
            ("us.deepseek.r1-v1:0", &[], WithoutTools),
            ("deepseek.v3-v1:0", &[Auto, Any], Always),
            ("openai.gpt-oss-120b-1:0", &[], Always),
            ("qwen.qwen3-32b-v1:0", &[], Always),
            ("us.writer.palmyra-x5-v1:0", &[], WithoutTools),
            ("moonshot.kimi-k2-thinking", &[], Always),
            ("minimax.minimax-m2", &[], Never),
            ("google.gemma-3-27b-it", &[], Never),
            ("zai.glm-4.7", &[Auto, Any], Always),
        ];
        for (id, choices, streaming) in cases {
            assert_eq!(model(id).tool_choices(&Map::new()), *choices, "{id}");
            assert_eq!(model(id).streaming(), *streaming, "{id}");
        }
    }
}
