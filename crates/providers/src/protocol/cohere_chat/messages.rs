//! The conversation of a request, as Cohere takes it.

use serde_json::{Map, Value, json};

use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Message, Role};
use crate::chat::part::{
    Content, MediaSource, Part, PartContent, ToolCall, ToolCallKind, ToolResult,
};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;

/// What LangChain says for the model where it called tools without a word.
const PLAN: &str = "I will assist you using the tools provided.";

/// The conversation, begun by the configuration's preamble.
///
/// # Errors
/// When it does not end with a user or a tool, which Cohere wants.
pub(super) fn messages_json(
    call: &ChatCall,
    preamble: Option<&Value>,
    losses: &mut Losses,
) -> Result<Vec<Value>, InvalidCall> {
    let last = call.messages.last().map(|message| message.role);
    if !matches!(last, Some(Role::User | Role::Tool)) {
        let problem = "must end with a user's message or a tool's answer";
        return Err(invalid("messages", problem));
    }
    let mut writer = Writer {
        is_own: call.dialect == WireFormat::OpenAiChat,
        losses,
        messages: Vec::with_capacity(call.messages.len() + 1),
    };
    if let Some(preamble) = preamble {
        let text = preamble.as_str().map(str::to_owned);
        let text = text.unwrap_or_else(|| preamble.to_string());
        writer.push("system", text.into());
    }
    for message in &call.messages {
        writer.write(message);
    }
    Ok(writer.messages)
}

struct Writer<'l> {
    /// Whether the call came in the format that LangChain reads.
    is_own: bool,
    losses: &'l mut Losses,
    messages: Vec<Value>,
}

impl Writer<'_> {
    fn write(&mut self, message: &Message) {
        for name in message.extra.keys() {
            self.losses.add(format!("messages.{name}"));
        }
        let parts: Vec<&Part> = message.content.parts.iter().collect();
        match message.role {
            Role::System | Role::Developer => {
                let content = self.content_json(&parts, message);
                self.push("system", content);
            }
            Role::Assistant => self.write_assistant(message),
            Role::User | Role::Tool => self.write_user(message),
        }
    }

    fn push(&mut self, role: &str, content: Value) {
        let mut message = Map::new();
        message.insert("role".to_owned(), role.into());
        message.insert("content".to_owned(), content);
        self.messages.push(message.into());
    }

    /// Elsewhere tool results stand in a user's message; here each is a message of its own.
    fn write_user(&mut self, message: &Message) {
        let mut others = Vec::new();
        let mut has_results = false;
        for part in &message.content.parts {
            if let PartContent::ToolResult(result) = &part.content {
                has_results = true;
                self.write_result(result);
            } else {
                others.push(part);
            }
        }
        if !has_results || !others.is_empty() {
            let content = self.content_json(&others, message);
            self.push("user", content);
        }
    }

    /// A tool's answer is a list of documents.
    fn write_result(&mut self, result: &ToolResult) {
        if result.is_error && !self.is_own {
            self.losses.add("messages.tool_result.is_error");
        }
        let documents: Vec<Value> = self
            .outputs(&result.content)
            .into_iter()
            .map(|data| json!({"type": "document", "document": {"data": data}}))
            .collect();
        self.messages.push(json!({
            "role": "tool",
            "tool_call_id": result.call_id,
            "content": documents,
        }));
    }

    /// LangChain makes a document of each part as it stands. Of another format's parts
    /// the texts are one document.
    fn outputs(&mut self, content: &Content) -> Vec<Value> {
        let is_list = self.is_own && !content.is_bare_text && !content.parts.is_empty();
        if is_list {
            let parts = content.parts.iter();
            return parts.filter_map(|part| self.part_json(part)).collect();
        }
        for part in &content.parts {
            if !matches!(part.content, PartContent::Text { .. }) {
                self.losses.add("messages.tool_result.media");
            }
        }
        vec![json!({"output": content.joined_text()})]
    }

    fn write_assistant(&mut self, message: &Message) {
        let mut calls = Vec::new();
        let mut others = Vec::new();
        for part in &message.content.parts {
            match &part.content {
                PartContent::ToolCall(call) if call.kind == ToolCallKind::Server => {
                    self.losses.add("messages.server_tool_call");
                }
                PartContent::ToolCall(call) => calls.push(call_json(call)),
                PartContent::ToolResult(_) => self.losses.add("messages.server_tool_result"),
                PartContent::Native(block) if block["type"] == "tool_use" => {}
                _ => others.push(part),
            }
        }
        if calls.is_empty() {
            let content = self.content_json(&others, message);
            return self.push("assistant", content);
        }
        let text = self.text_of(&others);
        let plan = if text.is_empty() { PLAN } else { &text };
        self.messages.push(json!({
            "role": "assistant",
            "tool_calls": calls,
            "tool_plan": plan,
        }));
    }

    /// The texts as one; whatever else is there is lost.
    fn text_of(&mut self, parts: &[&Part]) -> String {
        let mut text = String::new();
        for part in parts {
            match &part.content {
                PartContent::Text { text: more, .. } | PartContent::Refusal { text: more } => {
                    text.push_str(more);
                }
                other => self.losses.add(loss_of(other)),
            }
        }
        text
    }

    /// A list of parts, or the one text that was or may be written bare.
    fn content_json(&mut self, parts: &[&Part], message: &Message) -> Value {
        let mut written: Vec<Value> = parts
            .iter()
            .filter_map(|part| self.part_json(part))
            .collect();
        let may_be_bare = message.content.is_bare_text || !self.is_own;
        match &mut written[..] {
            [] => "".into(),
            [only] if may_be_bare && only["type"] == "text" => only["text"].take(),
            _ => Value::Array(written),
        }
    }

    fn part_json(&mut self, part: &Part) -> Option<Value> {
        if part.cache.is_some() && !self.is_own {
            self.losses.add("messages.cache_control");
        }
        let written = match &part.content {
            PartContent::Text { text, .. }
            | PartContent::Refusal { text }
            | PartContent::Document {
                source: MediaSource::Text { data: text, .. },
                ..
            } => Some(json!({"type": "text", "text": text})),
            PartContent::Image { source, detail } => image_json(source, detail.as_deref()),
            _ => None,
        };
        if written.is_none() {
            self.losses.add(loss_of(&part.content));
        }
        written
    }
}

fn call_json(call: &ToolCall) -> Value {
    let is_empty = call.arguments.trim().is_empty();
    let arguments = if is_empty { "{}" } else { &call.arguments };
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}

fn image_json(source: &MediaSource, detail: Option<&str>) -> Option<Value> {
    let url = match source {
        MediaSource::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        MediaSource::Url(url) => url.clone(),
        _ => return None,
    };
    let mut image = Map::new();
    image.insert("url".to_owned(), url.into());
    if let Some(detail) = detail {
        image.insert("detail".to_owned(), detail.into());
    }
    Some(json!({"type": "image_url", "image_url": image}))
}

const fn loss_of(content: &PartContent) -> &'static str {
    match content {
        PartContent::Reasoning(_) => "messages.reasoning",
        PartContent::Image { .. } => "messages.image",
        PartContent::Document { .. } => "messages.document",
        PartContent::Audio { .. } => "messages.audio",
        PartContent::Video { .. } => "messages.video",
        _ => "messages.native",
    }
}
