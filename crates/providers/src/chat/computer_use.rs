//! What makes a tool a vendor's computer-use tool, whatever format it comes in.
//!
//! Every format lets tools through that it does not know, and any of them may be translated
//! into any other: so the rule is one, and knows the tools of all vendors. OpenAI's and
//! Anthropic's say it in their type, Gemini's in the name of a member.

use serde_json::{Map, Value};

use super::WireFormat;
use super::call::{ChatCall, Tool, ToolKind};
use super::part::PartContent;

/// The type of an item that brings tools into a conversation of the Responses API.
const BROUGHT: &str = "additional_tools";

/// Whether a tool of this type is one: `computer…` in any spelling, and Anthropic's
/// `browser_…`. Groq has others of that name in chat completions, such as `browser_search`.
pub(crate) fn is_type(dialect: WireFormat, kind: &[u8]) -> bool {
    let browser: &[&str] = match dialect {
        WireFormat::AnthropicMessages => &["browser_"],
        WireFormat::OpenAiChat | WireFormat::OpenAiResponses => &["browser_toolset", "browser_2"],
    };
    is_member(kind) || browser.iter().any(|prefix| begins(kind, prefix))
}

/// Whether a tool with a member of this name is one: `computer_use` and its spellings.
pub(crate) fn is_member(name: &[u8]) -> bool {
    begins(name, "computer")
}

/// Whether a text begins with an ASCII word, in capital letters or not.
fn begins(text: &[u8], word: &str) -> bool {
    let head = text.get(..word.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
}

impl ChatCall {
    /// Whether one of its tools is a vendor's computer-use tool, or its conversation
    /// brings one along.
    #[must_use]
    pub fn has_computer_use_tool(&self) -> bool {
        let parts = self
            .messages
            .iter()
            .flat_map(|message| &message.content.parts);
        let mut brought = parts.filter_map(|part| match &part.content {
            PartContent::Native(Value::Object(item)) if item.get("type")? == BROUGHT => Some(item),
            _ => None,
        });
        self.tools.iter().any(|tool| is_tool(self.dialect, tool))
            || brought.any(|item| is_declared(self.dialect, item))
    }
}

fn is_tool(dialect: WireFormat, tool: &Tool) -> bool {
    match &tool.kind {
        ToolKind::ComputerUse { .. } => true,
        ToolKind::Native { declaration } => is_declared(dialect, declaration),
        ToolKind::Function { .. } | ToolKind::Custom { .. } => is_declared(dialect, &tool.extra),
    }
}

/// Whether a tool, or one of those that it holds, is one.
fn is_declared(dialect: WireFormat, tool: &Map<String, Value>) -> bool {
    let mut members = tool.iter();
    members.any(|(name, value)| match (name.as_str(), value) {
        ("type", Value::String(kind)) => is_type(dialect, kind.as_bytes()),
        ("tools", Value::Array(inner)) => {
            let mut inner = inner.iter().filter_map(Value::as_object);
            inner.any(|tool| is_declared(dialect, tool))
        }
        _ => is_member(name.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_others_are_not_computer_use() {
        assert!(!is_type(WireFormat::OpenAiChat, b"browser_search"));
        assert!(is_type(WireFormat::OpenAiChat, b"browser_toolset_20260801"));
        assert!(is_type(WireFormat::AnthropicMessages, b"browser_20260801"));
        assert!(!is_type(WireFormat::OpenAiChat, b"my_computer"));
        assert!(!is_member(b"comput"));
    }
}
