//! The conversation of a request, as a provider takes it.

use serde_json::{Map, Value, json};

use super::call_ids::nine_letters;
use super::tools::tool_call_json;
use super::types::{Foreign, THINKING, part_json, reasoning_details};
use crate::catalog::{Provider, Quirk};
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Message, Role};
use crate::chat::part::{Part, PartContent, ToolCall, ToolCallKind, ToolResult};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;
use crate::protocol::gemini_generate::signature::is_of_gemini;
use crate::target::Target;

pub(super) const fn foreign(call: &ChatCall) -> Foreign {
    match call.dialect {
        WireFormat::OpenAiChat => Foreign::Keep,
        WireFormat::OpenAiResponses | WireFormat::AnthropicMessages => Foreign::Leave,
    }
}

/// The conversation as the target takes it.
///
/// # Errors
/// When a picture, document or sound of this very format cannot be said. One of another
/// format is a loss.
pub(super) fn messages_json(
    call: &ChatCall,
    target: &Target,
    losses: &mut Losses,
) -> Result<Vec<Value>, InvalidCall> {
    let mut writer = MessageWriter {
        foreign: foreign(call),
        provider: target.provider,
        uses_developer_role: target.uses_developer_role(),
        losses,
        messages: Vec::with_capacity(call.messages.len()),
    };
    for (index, message) in call.messages.iter().enumerate() {
        writer.write(message, index)?;
    }
    Ok(writer.messages)
}

struct MessageWriter<'l> {
    foreign: Foreign,
    provider: &'static Provider,
    uses_developer_role: bool,
    losses: &'l mut Losses,
    messages: Vec<Value>,
}

impl MessageWriter<'_> {
    fn write(&mut self, message: &Message, index: usize) -> Result<(), InvalidCall> {
        if self.foreign == Foreign::Keep
            && let Some(kind) = message.content.parts.iter().find_map(unsayable)
        {
            let path = format!("messages[{index}].content");
            let problem = format!("holds {kind} in a form that chat completions cannot say");
            return Err(invalid(&path, &problem));
        }
        if message.role == Role::Assistant {
            self.write_assistant(message);
            return Ok(());
        }
        // Elsewhere tool results stand in a user's message; here each is a message of
        // its own, before whatever else the user says.
        let mut moved = Vec::new();
        let mut has_results = false;
        for part in &message.content.parts {
            if let PartContent::ToolResult(result) = &part.content {
                has_results = true;
                self.write_tool_result(result, message, &mut moved);
            }
        }
        let others: Vec<&Part> = message
            .content
            .parts
            .iter()
            .filter(|part| !matches!(part.content, PartContent::ToolResult(_)))
            .collect();
        if !has_results || !others.is_empty() || !moved.is_empty() {
            let is_bare = message.content.is_bare_text && moved.is_empty();
            let mut content = moved;
            content.extend(self.parts_json(others));
            self.push(self.role_name(message.role), content, is_bare, message);
        }
        Ok(())
    }

    fn push(&mut self, role: &str, content: Vec<Value>, is_bare: bool, message: &Message) {
        let mut object = Map::new();
        object.insert("role".to_owned(), role.into());
        self.write_name(&mut object, message);
        object.insert("content".to_owned(), self.content_json(content, is_bare));
        self.extend(&mut object, message);
        self.messages.push(Value::Object(object));
    }

    /// A list of parts, or the one text that was or may be written bare.
    fn content_json(&self, parts: Vec<Value>, is_bare: bool) -> Value {
        let is_text = |part: &Value| part["type"] == "text";
        if self.provider.has_quirk(Quirk::TextPartsAreJoined) && parts.iter().all(is_text) {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            return texts.collect::<String>().into();
        }
        let may_be_bare = is_bare
            || self.foreign == Foreign::Leave
            || self.provider.has_quirk(Quirk::LoneTextPartIsText);
        match &parts[..] {
            [] => "".into(),
            [only] if may_be_bare && only["type"] == "text" => only["text"].clone(),
            _ => Value::Array(parts),
        }
    }

    fn role_name(&self, role: Role) -> &'static str {
        let has_no_developers = self.provider.has_quirk(Quirk::DeveloperRoleIsSystem);
        match role {
            Role::System if self.uses_developer_role => "developer",
            Role::Developer if !has_no_developers => "developer",
            Role::System | Role::Developer => "system",
            Role::Assistant => "assistant",
            Role::User | Role::Tool => "user",
        }
    }

    fn write_name(&self, object: &mut Map<String, Value>, message: &Message) {
        if let Some(name) = &message.name
            && !self.provider.has_quirk(Quirk::NamesAreLeftOut)
        {
            object.insert("name".to_owned(), name.as_str().into());
        }
    }

    fn extend(&mut self, object: &mut Map<String, Value>, message: &Message) {
        for (name, value) in &message.extra {
            let is_named = KNOWN_MEMBERS.contains(&name.as_str())
                || self.provider.openai_chat.message_members.contains(name);
            let is_known = self.foreign == Foreign::Keep && is_named;
            match value.get("id") {
                // What was said aloud is referred to, not repeated.
                Some(id) if is_known && name == "audio" => {
                    object.insert(name.clone(), json!({"id": id}));
                }
                _ if is_known => {
                    object.insert(name.clone(), value.clone());
                }
                _ => self.losses.add(format!("messages.{name}")),
            }
        }
    }

    fn write_tool_result(
        &mut self,
        result: &ToolResult,
        message: &Message,
        moved: &mut Vec<Value>,
    ) {
        if result.is_error && self.foreign == Foreign::Leave {
            self.losses.add("messages.tool_result.is_error");
        }
        let mut content = self.parts_json(result.content.parts.iter().collect());
        for part in content.iter_mut().filter_map(Value::as_object_mut) {
            part.shift_remove("cache_control");
        }
        self.bare_texts(&mut content);
        if self.foreign == Foreign::Leave {
            // OpenAI takes nothing but text from a tool; pictures follow as the user's.
            let is_text = |part: &Value| part["type"] == "text";
            let (texts, media): (Vec<Value>, Vec<Value>) = content.into_iter().partition(is_text);
            moved.extend(media);
            content = texts;
        }
        let is_bare = result.content.is_bare_text || content.is_empty();
        let mut object = Map::new();
        if message.extra.contains_key(FUNCTION_ROLE) {
            object.insert("role".to_owned(), "function".into());
            object.insert("name".to_owned(), result.name.clone().into());
        } else {
            object.insert("role".to_owned(), "tool".into());
            object.insert("tool_call_id".to_owned(), self.call_id(&result.call_id));
            if self.provider.has_quirk(Quirk::ToolResultsAreNamed) {
                object.insert("name".to_owned(), result.name.clone().into());
            }
        }
        let mut content = self.content_json(content, is_bare);
        if self.provider.has_quirk(Quirk::ToolResultsAreText) && content.is_array() {
            content = content.to_string().into();
        }
        object.insert("content".to_owned(), content);
        if message.role == Role::Tool {
            self.extend(&mut object, message);
        }
        self.messages.push(Value::Object(object));
    }

    fn write_assistant(&mut self, message: &Message) {
        let mut calls = Vec::new();
        let mut refusal = String::new();
        let mut others = Vec::new();
        let has_own_content = self.provider.has_quirk(Quirk::ReasoningContentIsSentBack);
        let sends_reasoning =
            has_own_content || self.provider.has_quirk(Quirk::ReasoningIsSentBack);
        for part in &message.content.parts {
            match &part.content {
                PartContent::Reasoning(_) if sends_reasoning => {}
                PartContent::ToolCall(call) if call.kind == ToolCallKind::Server => {
                    self.losses.add("messages.server_tool_call");
                }
                PartContent::ToolCall(call) => calls.push(self.call_json(call)),
                // A block of Anthropic's that no entry of `tool_calls` repeats.
                PartContent::Native(block) if block["type"] == "tool_use" => {
                    calls.push(self.call_json(&ToolCall {
                        id: block["id"].as_str().unwrap_or_default().to_owned(),
                        name: block["name"].as_str().unwrap_or_default().to_owned(),
                        arguments: block["input"].to_string(),
                        kind: ToolCallKind::Function,
                    }));
                }
                PartContent::ToolResult(_) => self.losses.add("messages.server_tool_result"),
                PartContent::Refusal { text } => refusal.push_str(text),
                _ => others.push(part),
            }
        }
        let mut content = if self.provider.has_quirk(Quirk::AssistantContentIsText) {
            self.one_text(&others)
        } else {
            self.parts_json(others)
        };
        self.bare_texts(&mut content);
        let says_calls_only = self.provider.has_quirk(Quirk::NoTextBesideToolCalls);
        if says_calls_only && !calls.is_empty() && !content.is_empty() {
            if content.iter().any(|part| part["text"] != "") {
                self.losses.add("messages.text_beside_tool_calls");
            }
            content.clear();
        }
        let is_bare =
            message.content.is_bare_text || self.provider.has_quirk(Quirk::AssistantContentIsText);
        let is_empty = match &content[..] {
            [] => true,
            [only] if is_bare || self.foreign == Foreign::Leave => only["text"] == "",
            _ => false,
        };
        let says_something_else =
            !calls.is_empty() || !refusal.is_empty() || message.extra.contains_key("function_call");
        let says_empty_text = self.provider.has_quirk(Quirk::EmptyTextBesideToolCalls);
        let mut object = Map::new();
        object.insert("role".to_owned(), "assistant".into());
        self.write_name(&mut object, message);
        let content = if is_empty && says_something_else && !says_empty_text {
            Value::Null
        } else if is_empty {
            "".into()
        } else {
            self.content_json(content, is_bare)
        };
        object.insert("content".to_owned(), content);
        if has_own_content {
            write_thinking(&mut object, "reasoning_content", &message.content.parts);
        } else if sends_reasoning {
            write_thinking(&mut object, "reasoning", &message.content.parts);
            write_proofs(&mut object, &message.content.parts);
        }
        if !refusal.is_empty() {
            object.insert("refusal".to_owned(), refusal.into());
        }
        if !calls.is_empty() {
            object.insert("tool_calls".to_owned(), calls.into());
        }
        self.extend(&mut object, message);
        self.messages.push(Value::Object(object));
    }

    fn parts_json(&mut self, parts: Vec<&Part>) -> Vec<Value> {
        let mut written = Vec::with_capacity(parts.len());
        for part in parts {
            if part.cache.is_some() && self.foreign == Foreign::Leave {
                self.losses.add("messages.cache_control");
            }
            let value = part_json(part, self.foreign).or_else(|| self.thinking_json(part));
            match value {
                Some(value) => written.push(value),
                None => self.losses.add(loss_of(&part.content)),
            }
        }
        written
    }

    /// The texts of these parts as one; the others are lost.
    fn one_text(&mut self, parts: &[&Part]) -> Vec<Value> {
        let mut whole = String::new();
        for part in parts {
            match &part.content {
                PartContent::Text { text, .. } => whole.push_str(text),
                other => self.losses.add(loss_of(other)),
            }
        }
        vec![json!({"type": "text", "text": whole})]
    }

    /// A block of thinking as the provider wrote it.
    fn thinking_json(&self, part: &Part) -> Option<Value> {
        let is_sent = self.provider.has_quirk(Quirk::ThinkingBlocksAreSentBack)
            && matches!(part.content, PartContent::Reasoning(_));
        let pieces = part.extra.get(THINKING).filter(|_| is_sent)?;
        Some(json!({"type": THINKING, THINKING: pieces}))
    }

    /// Leaves in texts what the provider takes.
    fn bare_texts(&self, parts: &mut [Value]) {
        if self.provider.has_quirk(Quirk::TextPartsAreBare) {
            for part in parts.iter_mut().filter(|part| part["type"] == "text") {
                *part = json!({"type": "text", "text": part["text"]});
            }
        }
    }

    fn call_json(&self, call: &ToolCall) -> Value {
        let mut value = tool_call_json(call);
        if let Value::Object(object) = &mut value {
            object.insert("id".to_owned(), self.call_id(&call.id));
            if self.provider.has_quirk(Quirk::ToolCallsHaveNoType) {
                object.shift_remove("type");
            }
        }
        value
    }

    fn call_id(&self, id: &str) -> Value {
        if self.provider.has_quirk(Quirk::ToolCallIdsAreNineLetters) {
            return nine_letters(id).into();
        }
        id.into()
    }
}

/// Members of messages that OpenAI knows beside those that the types name.
const KNOWN_MEMBERS: &[&str] = &["audio", "function_call"];
/// Marks a message of the role `function`, OpenAI's older word for a tool.
pub(super) const FUNCTION_ROLE: &str = "role";

/// What of a part, or of a tool's answer, chat completions cannot say at all.
fn unsayable(part: &Part) -> Option<&'static str> {
    match &part.content {
        PartContent::ToolResult(result) => result.content.parts.iter().find_map(unsayable),
        PartContent::Image { .. } if part_json(part, Foreign::Keep).is_none() => Some("a picture"),
        PartContent::Document { .. } if part_json(part, Foreign::Keep).is_none() => {
            Some("a document")
        }
        PartContent::Audio { .. } if part_json(part, Foreign::Keep).is_none() => Some("sound"),
        PartContent::Video { .. } if part_json(part, Foreign::Keep).is_none() => Some("a video"),
        _ => None,
    }
}

/// Readable earlier thinking, under the name that the provider reads.
fn write_thinking(object: &mut Map<String, Value>, name: &str, parts: &[Part]) {
    let text: String = parts
        .iter()
        .filter_map(|part| match &part.content {
            PartContent::Reasoning(reasoning) => Some(reasoning.text.as_str()),
            _ => None,
        })
        .collect();
    if !text.is_empty() {
        object.insert(name.to_owned(), text.into());
    }
}

/// Signed and hidden thinking as OpenRouter and its like read it, without what only Gemini
/// can read.
fn write_proofs(object: &mut Map<String, Value>, parts: &[Part]) {
    let is_readable = |part: &&Part| match &part.content {
        PartContent::Reasoning(reasoning) => !is_of_gemini(reasoning),
        _ => true,
    };
    let readable: Vec<Part> = parts.iter().filter(is_readable).cloned().collect();
    let details = reasoning_details(&readable);
    if !details.is_empty() {
        object.insert("reasoning_details".to_owned(), details.into());
    }
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
