//! The conversation of a request, as Ollama takes it: one text a message, pictures beside
//! it. Empty texts and lists are left out.

use serde_json::{Map, Value, json};

use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Message, Role};
use crate::chat::part::{MediaSource, Part, PartContent, ToolCall, ToolCallKind};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;

/// The conversation.
///
/// # Errors
/// When a picture is a link, or the arguments of a tool call are no object.
pub(super) fn messages_json(
    call: &ChatCall,
    losses: &mut Losses,
) -> Result<Vec<Value>, InvalidCall> {
    let mut messages = Vec::with_capacity(call.messages.len());
    for (index, message) in call.messages.iter().enumerate() {
        Writer {
            is_own: call.dialect == WireFormat::OpenAiChat,
            path: format!("messages[{index}]"),
            losses,
            messages: &mut messages,
        }
        .write(message)?;
    }
    Ok(messages)
}

struct Writer<'a> {
    /// Whether the call came in the format whose lists of texts LangChain reads.
    is_own: bool,
    path: String,
    losses: &'a mut Losses,
    messages: &'a mut Vec<Value>,
}

/// What a message's parts amount to.
#[derive(Default)]
struct Said {
    text: String,
    has_text: bool,
    thinking: String,
    images: Vec<Value>,
    calls: Vec<Value>,
}

impl Writer<'_> {
    /// Each tool result becomes a message of its own, before whatever else is said.
    fn write(&mut self, message: &Message) -> Result<(), InvalidCall> {
        for name in message.extra.keys() {
            self.losses.add(format!("messages.{name}"));
        }
        let mut others = Vec::new();
        let mut has_results = false;
        for part in &message.content.parts {
            let PartContent::ToolResult(result) = &part.content else {
                others.push(part);
                continue;
            };
            has_results = true;
            if result.is_error && !self.is_own {
                self.losses.add("messages.tool_result.is_error");
            }
            let parts: Vec<&Part> = result.content.parts.iter().collect();
            self.push("tool", &parts, result.content.is_bare_text)?;
        }
        if !has_results || !others.is_empty() {
            let role = match message.role {
                Role::System | Role::Developer => "system",
                Role::Assistant => "assistant",
                Role::User | Role::Tool => "user",
            };
            self.push(role, &others, message.content.is_bare_text)?;
        }
        Ok(())
    }

    fn push(&mut self, role: &str, parts: &[&Part], is_bare: bool) -> Result<(), InvalidCall> {
        let mut said = Said::default();
        for part in parts {
            self.take(part, is_bare, &mut said)?;
        }
        let mut message = Map::new();
        message.insert("role".to_owned(), role.into());
        let members: [(&str, Value, bool); 4] = [
            ("content", said.text.as_str().into(), said.text.is_empty()),
            (
                "images",
                said.images.as_slice().into(),
                said.images.is_empty(),
            ),
            (
                "tool_calls",
                said.calls.as_slice().into(),
                said.calls.is_empty(),
            ),
            (
                "thinking",
                said.thinking.as_str().into(),
                said.thinking.is_empty(),
            ),
        ];
        for (name, value, is_empty) in members {
            if !is_empty {
                message.insert(name.to_owned(), value);
            }
        }
        self.messages.push(Value::Object(message));
        Ok(())
    }

    fn take(&mut self, part: &Part, is_bare: bool, said: &mut Said) -> Result<(), InvalidCall> {
        if part.cache.is_some() && !self.is_own {
            self.losses.add("messages.cache_control");
        }
        match &part.content {
            PartContent::Text { text, .. } | PartContent::Refusal { text } => {
                self.add_text(text, is_bare, said);
            }
            PartContent::Document {
                source: MediaSource::Text { data, .. },
                ..
            } => self.add_text(data, is_bare, said),
            PartContent::Image { source, .. } => said.images.push(self.image(source)?),
            PartContent::Reasoning(reasoning) => said.thinking.push_str(&reasoning.text),
            PartContent::ToolCall(call) if call.kind == ToolCallKind::Server => {
                self.losses.add("messages.server_tool_call");
            }
            PartContent::ToolCall(call) => said.calls.push(self.tool_call(call)?),
            PartContent::Native(block) if block["type"] == "tool_use" => {}
            PartContent::Document { .. } => self.unsayable("a document", "messages.document")?,
            PartContent::Audio { .. } => self.unsayable("sound", "messages.audio")?,
            PartContent::Video { .. } => self.unsayable("a video", "messages.video")?,
            PartContent::ToolResult(_) => self.losses.add("messages.server_tool_result"),
            PartContent::Native(_) => self.losses.add("messages.native"),
        }
        Ok(())
    }

    /// LangChain begins each text of a list on a line of its own, the first too.
    fn add_text(&self, text: &str, is_bare: bool, said: &mut Said) {
        if !is_bare && (self.is_own || said.has_text) {
            said.text.push('\n');
        }
        said.text.push_str(text);
        said.has_text = true;
    }

    /// A picture as base64: whatever follows the comma of a `data:` address, and a text
    /// that is no address.
    fn image(&self, source: &MediaSource) -> Result<Value, InvalidCall> {
        match source {
            MediaSource::Base64 { data, .. } => Ok(data.as_str().into()),
            MediaSource::Url(text) if !text.contains(':') => Ok(text.as_str().into()),
            MediaSource::Url(text) if text.starts_with("data:") && text.contains(',') => {
                Ok(text.split(',').nth(1).unwrap_or_default().into())
            }
            _ => Err(invalid(
                &format!("{}.content", self.path),
                "holds a picture that is not in base64: Ollama fetches none",
            )),
        }
    }

    fn unsayable(&mut self, what: &str, loss: &str) -> Result<(), InvalidCall> {
        if self.is_own {
            let problem = format!("holds {what}, which Ollama cannot take");
            return Err(invalid(&format!("{}.content", self.path), &problem));
        }
        self.losses.add(loss);
        Ok(())
    }

    fn tool_call(&self, call: &ToolCall) -> Result<Value, InvalidCall> {
        let arguments = if call.arguments.trim().is_empty() {
            Some(Map::new())
        } else {
            serde_json::from_str(&call.arguments).ok()
        };
        let Some(arguments) = arguments else {
            return Err(invalid(
                &format!("{}.tool_calls", self.path),
                "hold arguments that are no JSON object, which Ollama cannot take",
            ));
        };
        Ok(json!({"function": {"name": call.name, "arguments": arguments}}))
    }
}
