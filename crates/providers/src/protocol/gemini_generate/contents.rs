//! The conversation of a call as Gemini takes it: instructions apart, then turns of the
//! user and of the model.

use serde_json::{Value, json};

use super::parts::PartWriter;
use super::rules::{Form, demands_signatures};
use super::signature;
use super::tool_results::{Answer, Results};
use super::types::text_part;
use crate::chat::call::{ChatCall, Message, Role};
use crate::chat::part::{Part, PartContent, ToolCall, ToolCallKind};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;

/// Where LangChain's messages keep the signatures of calls.
const SIGNATURES_OF_CALLS: &str = "__gemini_function_call_thought_signatures__";
/// What the code that Gemini runs itself is called among tools.
pub(super) const CODE_TOOL: &str = "code_execution";

/// A conversation in Gemini's words.
#[derive(Default)]
pub(super) struct Conversation {
    pub(super) system: Option<Value>,
    pub(super) contents: Vec<Value>,
}

/// Writes the conversation.
///
/// # Errors
/// When Gemini cannot say it, or nothing is left of it.
pub(super) fn written(
    call: &ChatCall,
    writer: &PartWriter<'_>,
    losses: &mut Losses,
) -> Result<Conversation, InvalidCall> {
    let mut turns = Turns {
        writer,
        results: Results::of(&call.messages),
        system: Vec::new(),
        has_system: false,
        contents: Vec::with_capacity(call.messages.len()),
    };
    for (index, message) in call.messages.iter().enumerate() {
        turns.message(message, index, losses)?;
    }
    turns.results.note_unused(losses);
    if demands_signatures(writer.model) {
        stand_in_for_signatures(&mut turns.contents);
    }
    let mut conversation = Conversation {
        system: None,
        contents: turns.contents,
    };
    if turns.has_system {
        conversation.system = Some(match writer.form {
            Form::Genai => json!({"parts": turns.system}),
            Form::Vertexai => json!({"role": "system", "parts": turns.system}),
        });
    }
    if conversation.contents.is_empty() {
        return Err(invalid(
            "messages",
            "must hold a turn of the user's that is not empty",
        ));
    }
    Ok(conversation)
}

struct Turns<'a> {
    writer: &'a PartWriter<'a>,
    results: Results<'a>,
    system: Vec<Value>,
    has_system: bool,
    contents: Vec<Value>,
}

impl<'a> Turns<'a> {
    fn message(
        &mut self,
        message: &'a Message,
        index: usize,
        losses: &mut Losses,
    ) -> Result<(), InvalidCall> {
        let path = format!("messages[{index}]");
        note_members(message, losses);
        match message.role {
            Role::System | Role::Developer => {
                let parts = self.parts(&message.content.parts, &path, losses)?;
                self.has_system = true;
                self.system.extend(parts);
            }
            Role::Assistant => self.assistant(message, index, &path, losses)?,
            Role::User | Role::Tool => {
                let mut parts = self.unnumbered_results(message, &path, losses)?;
                let is_empty = message.content.joined_text().is_empty()
                    && message.content.parts.len() <= 1
                    && (message.content.is_bare_text || message.content.parts.is_empty());
                if !is_empty {
                    parts.extend(self.parts(&message.content.parts, &path, losses)?);
                }
                self.push("user", parts);
            }
        }
        Ok(())
    }

    /// Parts that are neither calls nor results.
    fn parts(
        &self,
        parts: &[Part],
        path: &str,
        losses: &mut Losses,
    ) -> Result<Vec<Value>, InvalidCall> {
        let mut written = Vec::with_capacity(parts.len());
        for part in parts {
            written.extend(self.writer.part(part, path, losses)?);
        }
        Ok(written)
    }

    /// Adds a turn. One without parts is no turn.
    fn push(&mut self, role: &str, mut parts: Vec<Value>) {
        if self.writer.form == Form::Vertexai {
            parts.retain(|part| part.get("thoughtSignature").is_some() || part["text"] != "");
            let last = self.contents.last_mut();
            if let Some(last) = last.filter(|last| last["role"] == role)
                && let Some(before) = last["parts"].as_array_mut()
            {
                before.extend(parts);
                return;
            }
        }
        if !parts.is_empty() {
            self.contents.push(json!({"role": role, "parts": parts}));
        }
    }

    /// Results in OpenAI's older form, which name a function and no call.
    fn unnumbered_results(
        &self,
        message: &'a Message,
        path: &str,
        losses: &mut Losses,
    ) -> Result<Vec<Value>, InvalidCall> {
        let mut parts = Vec::new();
        for part in &message.content.parts {
            if let PartContent::ToolResult(result) = &part.content
                && result.call_id.is_empty()
            {
                let answer = Answer { result, name: "" };
                parts.extend(self.writer.answer(&answer, path, losses)?);
            }
        }
        Ok(parts)
    }

    fn assistant(
        &mut self,
        message: &'a Message,
        index: usize,
        path: &str,
        losses: &mut Losses,
    ) -> Result<(), InvalidCall> {
        let calls: Vec<&ToolCall> = message
            .content
            .parts
            .iter()
            .filter_map(|part| match &part.content {
                PartContent::ToolCall(call) if call.kind != ToolCallKind::Server => Some(call),
                _ => None,
            })
            .collect();
        let mut parts = self.said(message, &calls, path, losses)?;
        if let Some(call) = older_call(message) {
            parts.retain(|part| part["text"] != "");
            parts.push(self.writer.call(&call, path, None)?);
        }
        if parts.is_empty() {
            parts.push(text_part(""));
        }
        self.push("model", parts);
        let answers = self.results.take(&calls, index);
        let mut parts = Vec::new();
        for answer in &answers {
            parts.extend(self.writer.answer(answer, path, losses)?);
        }
        self.push("user", parts);
        Ok(())
    }

    /// What the model said, thought and called, each with the signature that came with it.
    fn said(
        &self,
        message: &'a Message,
        calls: &[&ToolCall],
        path: &str,
        losses: &mut Losses,
    ) -> Result<Vec<Value>, InvalidCall> {
        let writer = self.writer;
        let signatures = Signatures::of(message);
        let mut written: Vec<Value> = Vec::with_capacity(message.content.parts.len());
        for part in &message.content.parts {
            match &part.content {
                _ if signature::carried(part).is_some() => {}
                PartContent::ToolCall(call) if call.kind == ToolCallKind::Server => {
                    match writer.code(call) {
                        Some(code) => written.push(code),
                        None => losses.add("messages.server_tool_call"),
                    }
                }
                PartContent::ToolCall(call) => {
                    let own = signature::beside(&part.extra).or(signatures.of_call(&call.id));
                    written.push(writer.call(call, path, own)?);
                }
                PartContent::ToolResult(result) if ran_code(message, &result.call_id) => {
                    let outcome = if result.is_error {
                        "OUTCOME_FAILED"
                    } else {
                        "OUTCOME_OK"
                    };
                    written.push(writer.code_result(&result.content.joined_text(), outcome));
                }
                PartContent::ToolResult(_) => losses.add("messages.server_tool_result"),
                PartContent::Text { text, .. }
                    if text.is_empty()
                        && !calls.is_empty()
                        && signature::beside(&part.extra).is_none() => {}
                _ => written.extend(writer.part(part, path, losses)?),
            }
        }
        if let Some(signature) = signatures.of_text() {
            let is_text =
                |part: &&mut Value| part["text"].is_string() && part.get("thought").is_none();
            match written.iter_mut().rev().find(is_text) {
                Some(text) => text["thoughtSignature"] = signature.into(),
                None => written.push(writer.signed(text_part(""), Some(signature))),
            }
        }
        Ok(written)
    }
}

/// The signatures that a message of the model's carries for its parts.
struct Signatures<'a> {
    carried: Vec<(&'a str, &'a str)>,
    of_langchain: Option<&'a Value>,
}

impl<'a> Signatures<'a> {
    fn of(message: &'a Message) -> Self {
        let keyword = message.extra.get("additional_kwargs");
        Self {
            carried: message
                .content
                .parts
                .iter()
                .filter_map(signature::carried)
                .collect(),
            of_langchain: keyword.map(|members| &members[SIGNATURES_OF_CALLS]),
        }
    }

    fn of_call(&self, id: &str) -> Option<&'a str> {
        let mut carried = self.carried.iter();
        let own = carried.find(|(call, _)| *call == id && !id.is_empty());
        let langchain = || self.of_langchain?.get(id)?.as_str();
        own.map(|(_, signature)| *signature).or_else(langchain)
    }

    fn of_text(&self) -> Option<&'a str> {
        let mut carried = self.carried.iter();
        carried
            .find(|(call, _)| call.is_empty())
            .map(|(_, signature)| *signature)
    }
}

/// Whether the call of this id was of code that Gemini ran itself.
fn ran_code(message: &Message, call_id: &str) -> bool {
    message
        .content
        .parts
        .iter()
        .any(|part| match &part.content {
            PartContent::ToolCall(call) => {
                call.kind == ToolCallKind::Server && call.id == call_id && call.name == CODE_TOOL
            }
            _ => false,
        })
}

/// The one call of a message in OpenAI's older form.
fn older_call(message: &Message) -> Option<ToolCall> {
    let call = message.extra.get("function_call")?;
    Some(ToolCall {
        id: String::new(),
        name: call["name"].as_str()?.to_owned(),
        arguments: call["arguments"].as_str().unwrap_or_default().to_owned(),
        kind: ToolCallKind::Function,
    })
}

/// What of a message nothing here says.
fn note_members(message: &Message, losses: &mut Losses) {
    const READ: [&str; 8] = [
        "additional_kwargs",
        "artifact",
        "extra_content",
        "function_call",
        "id",
        "response_metadata",
        "role",
        "usage_metadata",
    ];
    if message.name.is_some() {
        losses.add("messages.name");
    }
    let names = message.extra.keys();
    for name in names.filter(|name| !READ.contains(&name.as_str())) {
        losses.add(format!("messages.{name}"));
    }
}

/// Puts a placeholder where the model demands the signature of a call and nobody has it:
/// on the first call of each turn of the model's since the user's last words.
fn stand_in_for_signatures(contents: &mut [Value]) {
    let has = |content: &Value, names: &[&str]| {
        let parts = content["parts"].as_array().into_iter().flatten();
        parts
            .into_iter()
            .any(|part| names.iter().any(|name| part.get(name).is_some()))
    };
    let begins = |content: &Value| {
        content["role"] == "user"
            && has(content, &["text", "inlineData"])
            && !has(content, &["functionResponse"])
    };
    let start = contents
        .iter()
        .rposition(begins)
        .map_or(0, |index| index + 1);
    for content in &mut contents[start..] {
        if content["role"] != "model" {
            continue;
        }
        let parts = content["parts"].as_array_mut().into_iter().flatten();
        let mut calls = parts.filter(|part| part.get("functionCall").is_some());
        if let Some(first) = calls.next()
            && first.get("thoughtSignature").is_none()
        {
            first["thoughtSignature"] = signature::PLACEHOLDER.into();
        }
    }
}
