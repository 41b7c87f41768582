//! The conversation of a request, as a provider takes it: canonical messages → `input`.
//!
//! A conversation that a client wrote in this very format is written back as it was read.
//! Any other is formed as LangChain's `ChatOpenAI` forms it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::items::{reasoning_json, tool_call_json, without_index};
use super::request::INSTRUCTIONS;
use super::types::{OWN_IDS, Said, part_json};
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Message, Role};
use crate::chat::part::{Part, PartContent, Reasoning, ToolCall, ToolCallKind, ToolResult};
use crate::error::Losses;

/// Items of a model's that LangChain sends back where they stand in a message.
const MODEL_ITEMS: [&str; 15] = [
    "compaction",
    "web_search_call",
    "file_search_call",
    "function_call",
    "computer_call",
    "custom_tool_call",
    "code_interpreter_call",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "tool_search_call",
    "tool_search_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "image_generation_call",
];

/// Items that LangChain lets stand in a client's message.
const CLIENT_ITEMS: [&str; 5] = [
    "mcp_approval_response",
    "tool_search_output",
    "apply_patch_call_output",
    "configuration_update",
    "additional_tools",
];

/// Members of LangChain's messages that say nothing to a model.
const SILENT_MEMBERS: [&str; 5] = [
    "additional_kwargs",
    "artifact",
    "id",
    "response_metadata",
    "usage_metadata",
];

/// What a conversation became.
pub(super) struct Input {
    /// Its items.
    pub(super) items: Vec<Value>,
    /// The answer that it continues.
    pub(super) previous_response_id: Option<String>,
}

/// Writes the conversation. `keeps_items` says whether the provider keeps what it answers,
/// so that items are known to it by their ids; `continues` whether the last answer that a
/// message names is to be continued.
pub(super) fn encode(
    call: &ChatCall,
    keeps_items: bool,
    continues: bool,
    losses: &mut Losses,
) -> Input {
    let mut messages = &call.messages[..];
    let mut previous_response_id = None;
    if continues && let Some((index, id)) = last_kept(messages) {
        messages = &messages[index + 1..];
        previous_response_id = Some(id);
    }
    let mut writer = Writer {
        dialect: call.dialect,
        keeps_items,
        items: Vec::with_capacity(messages.len()),
        called: BTreeSet::new(),
        custom_calls: BTreeSet::new(),
        losses,
    };
    for message in messages {
        writer.message(message);
    }
    Input {
        items: writer.items,
        previous_response_id,
    }
}

/// The last answer of the provider's that a message of LangChain's names.
fn last_kept(messages: &[Message]) -> Option<(usize, String)> {
    messages
        .iter()
        .enumerate()
        .rev()
        .find_map(|(index, message)| {
            let id = message.extra.get("response_metadata")?["id"].as_str()?;
            let is_kept = message.role == Role::Assistant && id.starts_with("resp_");
            is_kept.then(|| (index, id.to_owned()))
        })
}

struct Writer<'l> {
    dialect: WireFormat,
    keeps_items: bool,
    items: Vec<Value>,
    /// The calls that have been written.
    called: BTreeSet<String>,
    /// Those among them whose input is free text.
    custom_calls: BTreeSet<String>,
    losses: &'l mut Losses,
}

impl Writer<'_> {
    fn message(&mut self, message: &Message) {
        if message.name.is_some() && message.role != Role::Tool {
            self.losses.add("messages.name");
        }
        for name in message.extra.keys() {
            let is_silent = SILENT_MEMBERS.contains(&name.as_str());
            if !is_silent && !self.is_own() {
                self.losses.add(format!("messages.{name}"));
            }
        }
        match message.role {
            Role::Assistant => self.assistant(message),
            Role::System | Role::Developer | Role::User | Role::Tool => self.client(message),
        }
    }

    fn is_own(&self) -> bool {
        self.dialect == WireFormat::OpenAiResponses
    }

    /// A client's turn: what tools answered, then whatever else it says.
    fn client(&mut self, message: &Message) {
        let mut content = Vec::new();
        let mut has_items = false;
        for part in &message.content.parts {
            match &part.content {
                PartContent::ToolResult(result) => {
                    has_items = true;
                    self.tool_result(part, result, message);
                }
                PartContent::Native(Value::Object(item)) if self.is_client_item(item, message) => {
                    has_items = true;
                    self.items.push(Value::Object(item.clone()));
                }
                _ => content.extend(self.part(part, Said::In)),
            }
        }
        if content.is_empty() && (has_items || !message.content.is_bare_text) {
            return;
        }
        let id = message
            .content
            .parts
            .first()
            .and_then(|part| part.extra.get("id"));
        if id.is_some_and(|id| id == INSTRUCTIONS) {
            // They have a member of their own.
            return;
        }
        let role = match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            _ => "user",
        };
        let content = match &content[..] {
            [only] if message.content.is_bare_text => only["text"].clone(),
            [] => "".into(),
            _ => Value::Array(content),
        };
        let mut item = Map::new();
        item.insert("type".to_owned(), "message".into());
        item.insert("role".to_owned(), role.into());
        item.insert("content".to_owned(), content);
        if self.is_own() {
            item.extend(message.extra.clone());
        }
        self.items.push(Value::Object(item));
    }

    fn is_client_item(&self, item: &Map<String, Value>, message: &Message) -> bool {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
        match self.dialect {
            WireFormat::OpenAiResponses => !kind.starts_with("input_"),
            WireFormat::OpenAiChat => {
                let is_system = matches!(message.role, Role::System | Role::Developer);
                CLIENT_ITEMS.contains(&kind) && (is_system || kind != "additional_tools")
            }
            WireFormat::AnthropicMessages => false,
        }
    }

    fn tool_result(&mut self, part: &Part, result: &ToolResult, message: &Message) {
        if result.is_error && self.dialect == WireFormat::AnthropicMessages {
            self.losses.add("messages.tool_result.is_error");
        }
        let named = part.extra.get("type").and_then(Value::as_str);
        let asked = message.extra.get("additional_kwargs");
        let is_computer = named == Some("computer_call_output")
            || asked.is_some_and(|asked| asked["type"] == "computer_call_output");
        if is_computer {
            return self.computer_result(part, result, asked);
        }
        if let Some(item) = custom_result(result) {
            self.items.push(item);
            return;
        }
        let parts = &result.content.parts;
        let content: Vec<Value> = parts
            .iter()
            .filter_map(|part| self.part(part, Said::In))
            .collect();
        let output = match &content[..] {
            [only] if result.content.is_bare_text => only["text"].clone(),
            [] => "".into(),
            _ => Value::Array(content),
        };
        let is_custom =
            named == Some("custom_tool_call_output") || self.custom_calls.contains(&result.call_id);
        let kind = if is_custom {
            "custom_tool_call_output"
        } else {
            "function_call_output"
        };
        let item = json!({"type": kind, "call_id": result.call_id, "output": output});
        self.push_own(item, part);
    }

    /// A screenshot: the first picture of the answer, or its text as an address.
    fn computer_result(&mut self, part: &Part, result: &ToolResult, asked: Option<&Value>) {
        let parts = &result.content.parts;
        let is_picture = |part: &&Part| matches!(part.content, PartContent::Image { .. });
        let output = match parts.iter().find(is_picture) {
            Some(picture) => self.part(picture, Said::In),
            None => {
                let address = result.content.joined_text();
                Some(json!({"type": "input_image", "image_url": address}))
            }
        };
        let mut item = json!({
            "type": "computer_call_output", "call_id": result.call_id, "output": output,
        });
        let checks = "acknowledged_safety_checks";
        if let Some(acknowledged) = asked.and_then(|asked| asked.get(checks)) {
            item[checks] = acknowledged.clone();
        }
        self.push_own(item, part);
    }

    /// Adds an item, with the further members that it came with in this very format.
    fn push_own(&mut self, mut item: Value, part: &Part) {
        if self.is_own()
            && let Value::Object(item) = &mut item
        {
            item.extend(part.extra.clone());
        }
        self.items.push(item);
    }

    fn assistant(&mut self, message: &Message) {
        let has_calls = message
            .content
            .parts
            .iter()
            .any(|part| matches!(part.content, PartContent::ToolCall(_)));
        // The item that further pieces of the same message join.
        let mut open = None;
        for part in &message.content.parts {
            match &part.content {
                PartContent::Text { text, .. }
                    if text.is_empty() && message.content.is_bare_text && has_calls => {}
                PartContent::Text { .. } | PartContent::Refusal { .. } => {
                    open = Some(self.said(part, message, open));
                }
                PartContent::Reasoning(reasoning) => self.reasoning(reasoning, part),
                PartContent::ToolCall(call) => self.tool_call(call, part),
                PartContent::Native(Value::Object(item)) => self.native(item),
                PartContent::ToolResult(_) => self.losses.add("messages.server_tool_result"),
                other => self.losses.add(loss_of(other)),
            }
        }
    }

    /// Adds a piece of text or a refusal: to the item it belongs to, or as a new one.
    fn said(&mut self, part: &Part, message: &Message, open: Option<usize>) -> usize {
        let id = part.extra.get("id").and_then(Value::as_str);
        let id = id.filter(|id| !is_of_nobody(id) && (self.keeps_items || self.is_own()));
        let content = match self.part(part, Said::Out) {
            Some(content) => content,
            None => return open.unwrap_or_default(),
        };
        let place = if self.dialect == WireFormat::OpenAiChat {
            id.and_then(|id| self.items.iter().position(|item| item["id"] == id))
        } else {
            open
        };
        if let Some(place) = place
            && let Some(list) = self
                .items
                .get_mut(place)
                .and_then(|item| item["content"].as_array_mut())
        {
            list.push(content);
            return place;
        }
        let is_bare = self.is_own() && message.content.is_bare_text;
        let content = if is_bare {
            content["text"].clone()
        } else {
            json!([content])
        };
        let mut item = json!({"type": "message", "role": "assistant", "content": content});
        if let Some(id) = id {
            item["id"] = id.into();
        }
        if let Some(phase) = part.extra.get("phase") {
            item["phase"] = phase.clone();
        }
        if self.is_own()
            && let Value::Object(item) = &mut item
        {
            if let Some(status) = part.extra.get("status") {
                item.insert("status".to_owned(), status.clone());
            }
            item.extend(message.extra.clone());
        }
        self.items.push(item);
        self.items.len() - 1
    }

    /// Thinking is known by its provider's id; without one it is another vendor's.
    fn reasoning(&mut self, reasoning: &Reasoning, part: &Part) {
        let is_sent = self.is_own() || self.keeps_items || reasoning.encrypted.is_some();
        let Some(id) = reasoning.id.as_deref().filter(|_| is_sent) else {
            return self.losses.add("messages.reasoning");
        };
        let item = reasoning_json(reasoning, id, &part.extra);
        match self.items.last_mut() {
            // A stream gives the hidden form apart from the text.
            Some(last) if last["type"] == "reasoning" && last["id"] == id => {
                if let Some(more) = item["summary"].as_array()
                    && let Some(summary) = last["summary"].as_array_mut()
                {
                    summary.extend(more.iter().cloned());
                }
                if let Some(encrypted) = item.get("encrypted_content") {
                    last["encrypted_content"] = encrypted.clone();
                }
            }
            _ => self.items.push(item),
        }
    }

    fn tool_call(&mut self, call: &ToolCall, part: &Part) {
        if call.kind == ToolCallKind::Server {
            return self.losses.add("messages.server_tool_call");
        }
        if !self.called.insert(call.id.clone()) && !self.is_own() {
            // A block of the message has said it already.
            return;
        }
        if call.kind == ToolCallKind::Custom {
            self.custom_calls.insert(call.id.clone());
        }
        let mut item = tool_call_json(call);
        let is_computer = call.kind == ToolCallKind::ComputerUse;
        if let Value::Object(item) = &mut item
            && (self.is_own() || is_computer)
        {
            let is_known = |name: &str, value: &Value| {
                name != "id" || !value.as_str().is_some_and(is_of_nobody)
            };
            let known = part
                .extra
                .iter()
                .filter(|(name, value)| is_known(name, value));
            item.extend(known.map(|(name, value)| (name.clone(), value.clone())));
        }
        self.items.push(item);
    }

    fn native(&mut self, item: &Map<String, Value>) {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
        if self.is_own() {
            self.items.push(Value::Object(item.clone()));
            return;
        }
        if self.dialect != WireFormat::OpenAiChat || !MODEL_ITEMS.contains(&kind) {
            return self.losses.add("messages.native");
        }
        let mut item = item.clone();
        item.shift_remove("index");
        if let Some(id) = item.get("call_id").and_then(Value::as_str) {
            self.called.insert(id.to_owned());
            if kind == "custom_tool_call" {
                self.custom_calls.insert(id.to_owned());
            }
        }
        if kind == "image_generation_call" {
            if self.keeps_items {
                // The provider knows the picture by its id.
                item.retain(|name, _| matches!(name.as_str(), "type" | "id"));
            } else if item
                .keys()
                .all(|name| matches!(name.as_str(), "type" | "id"))
            {
                return self.losses.add("messages.native");
            }
        }
        if let Some(summary) = item.get_mut("summary") {
            *summary = without_index(summary);
        }
        self.items.push(Value::Object(item));
    }

    fn part(&mut self, part: &Part, said: Said) -> Option<Value> {
        if part.cache.is_some() {
            self.losses.add("messages.cache_control");
        }
        let written = part_json(part, said, self.dialect);
        if written.is_none() {
            self.losses.add(loss_of(&part.content));
        }
        written
    }
}

/// Whether an id is none of a provider's: LangChain's own, or ours.
fn is_of_nobody(id: &str) -> bool {
    id.starts_with("lc_") || OWN_IDS.iter().any(|prefix| id.starts_with(prefix))
}

/// The answer of a tool with free-text input that stands in a message whole.
fn custom_result(result: &ToolResult) -> Option<Value> {
    let mut parts = result.content.parts.iter();
    let output = parts.find_map(|part| match &part.content {
        PartContent::Native(block) if block["type"] == "custom_tool_call_output" => {
            Some(block["output"].clone())
        }
        _ => None,
    })?;
    let output = if output.is_null() { "".into() } else { output };
    Some(json!({
        "type": "custom_tool_call_output", "call_id": result.call_id, "output": output,
    }))
}

const fn loss_of(content: &PartContent) -> &'static str {
    match content {
        PartContent::Image { .. } => "messages.image",
        PartContent::Document { .. } => "messages.document",
        PartContent::Audio { .. } => "messages.audio",
        PartContent::Video { .. } => "messages.video",
        _ => "messages.native",
    }
}
