//! What of a call a protocol has no word for at all, wherever in the call it stands.
//!
//! An encoder reports what it meets and leaves out. What it never looks at, because its
//! format has no place for it, is found here, so that it is lost by name and not in silence.

use crate::catalog::Protocol;
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Message, ResponseFormat, Tool, ToolKind};
use crate::chat::part::{Part, PartContent, ToolResult};
use crate::error::Loss;

/// Adds to what an encoder reported.
pub(super) fn note(call: &ChatCall, protocol: Protocol, losses: &mut Vec<Loss>) {
    if !matches!(
        protocol,
        Protocol::OpenaiChat
            | Protocol::OpenaiResponses
            | Protocol::GeminiGenerate
            | Protocol::OllamaChat
            | Protocol::CohereChat
    ) {
        return;
    }
    let mut unsaid = Unsaid {
        protocol,
        is_chat: call.dialect == WireFormat::OpenAiChat,
        is_of_anthropic: call.dialect == WireFormat::AnthropicMessages,
        losses,
    };
    for tool in &call.tools {
        unsaid.tool(tool);
    }
    if let Some(ResponseFormat::JsonSchema {
        description: Some(_),
        ..
    }) = &call.response_format
        && !unsaid.is_of_openai()
    {
        unsaid.add("response_format.description");
    }
    if protocol == Protocol::GeminiGenerate && call.extra.get("store") == Some(&true.into()) {
        unsaid.add("store");
    }
    for message in &call.messages {
        unsaid.message(message);
    }
}

struct Unsaid<'l> {
    protocol: Protocol,
    is_chat: bool,
    is_of_anthropic: bool,
    losses: &'l mut Vec<Loss>,
}

impl Unsaid<'_> {
    fn add(&mut self, what: &str) {
        let is_said = self.losses.iter().any(|loss| loss.what == what);
        if !is_said {
            self.losses.push(Loss {
                what: what.to_owned(),
                format: self.protocol,
            });
        }
    }

    const fn is_of_openai(&self) -> bool {
        matches!(
            self.protocol,
            Protocol::OpenaiChat | Protocol::OpenaiResponses
        )
    }

    fn tool(&mut self, tool: &Tool) {
        let ToolKind::Function { strict, .. } = &tool.kind else {
            return;
        };
        if !self.is_of_openai() {
            if *strict == Some(true) {
                self.add("tools.strict");
            }
            if tool.cache.is_some() {
                self.add("tools.cache_control");
            }
        }
        if !self.is_of_openai() || self.is_of_anthropic {
            for name in tool.extra.keys() {
                self.add(&format!("tools.{name}"));
            }
        }
    }

    fn message(&mut self, message: &Message) {
        let has_no_names = matches!(self.protocol, Protocol::OllamaChat | Protocol::CohereChat);
        if has_no_names && message.name.is_some() {
            self.add("messages.name");
        }
        for part in &message.content.parts {
            self.part(part);
            if let PartContent::ToolResult(result) = &part.content {
                self.result(part, result);
            }
        }
    }

    fn part(&mut self, part: &Part) {
        match &part.content {
            PartContent::Text { citations, .. }
                if self.is_of_anthropic && !citations.is_empty() =>
            {
                self.add("messages.citations");
            }
            PartContent::Document { .. } if self.is_of_anthropic => {
                for name in part.extra.keys() {
                    self.add(&format!("messages.document.{name}"));
                }
            }
            PartContent::Document { name: Some(_), .. }
                if self.protocol == Protocol::GeminiGenerate =>
            {
                self.add("messages.document.name");
            }
            PartContent::Reasoning(reasoning)
                if self.protocol == Protocol::OllamaChat
                    && (reasoning.signature.is_some() || reasoning.encrypted.is_some()) =>
            {
                self.add("messages.reasoning");
            }
            _ => {}
        }
    }

    fn result(&mut self, part: &Part, result: &ToolResult) {
        // LangChain leaves the word out; only Gemini has one, for other formats' failures.
        if result.is_error && self.is_chat {
            self.add("messages.tool_result.is_error");
        }
        if part.cache.is_some() && self.is_of_anthropic {
            self.add("messages.cache_control");
        }
        let is_native = |part: &Part| matches!(part.content, PartContent::Native(_));
        if self.protocol == Protocol::GeminiGenerate
            && self.is_of_anthropic
            && result.content.parts.iter().any(is_native)
        {
            self.add("messages.tool_result.native");
        }
    }
}
