//! Canonical messages → `system` and `messages`.
//!
//! A conversation that a client wrote in this very format is written back as it was read.
//! Any other is formed as LangChain's `ChatAnthropic` forms it: neighbouring turns of the
//! user's side are merged, tool results join the text that follows them, blank text and
//! empty assistant turns are left out, and a final assistant turn loses its trailing
//! white space, all of which the provider would refuse.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::blocks;
use super::types;
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Message, Role};
use crate::chat::part::{Content, MediaSource, Part, PartContent, Reasoning};
use crate::error::{InvalidCall, Losses};
use crate::protocol::gemini_generate::signature::is_of_gemini;

/// The members of a request that hold the conversation.
pub(super) struct Conversation {
    pub(super) system: Option<Value>,
    pub(super) messages: Vec<Value>,
}

/// Whose turn it is, as far as Anthropic distinguishes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    System,
    User,
    Assistant,
}

/// One turn on its way to the wire.
struct Turn {
    speaker: Speaker,
    said: Said,
}

enum Said {
    Text(String),
    Blocks(Vec<Value>),
}

/// What a conversation's form depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Whether the model accepts system messages within the conversation.
    pub(super) takes_system_in_place: bool,
    /// Whether texts are always written as blocks.
    pub(super) texts_are_blocks: bool,
    /// Whether results of tools do not say that they are no errors.
    pub(super) leaves_success_unsaid: bool,
}

/// Refuses images that are links, where the provider takes their bytes only.
pub(super) fn refuse_links(call: &ChatCall) -> Result<(), InvalidCall> {
    let is_link = |part: &Part| {
        matches!(
            &part.content,
            PartContent::Image {
                source: MediaSource::Url(_),
                ..
            }
        )
    };
    let parts = |message: &Message| message.content.parts.iter().any(is_link);
    let Some(index) = call.messages.iter().position(parts) else {
        return Ok(());
    };
    Err(InvalidCall {
        message: "this provider takes no links to images: send the bytes, in an address \
                  `data:image/…;base64,…`"
            .to_owned(),
        parameter: Some(format!("messages[{index}]")),
    })
}

/// Writes the conversation.
pub(super) fn encode(
    call: &ChatCall,
    form: Form,
    losses: &mut Losses,
) -> Result<Conversation, InvalidCall> {
    if call.dialect == WireFormat::AnthropicMessages {
        return Ok(verbatim(&call.messages, losses));
    }
    let mut turns: Vec<Turn> = Vec::new();
    for (index, message) in call.messages.iter().enumerate() {
        let turn = turn(message, &format!("messages[{index}]"), losses)?;
        merge(&mut turns, turn);
    }
    if form.texts_are_blocks {
        write_as_blocks(&mut turns);
    }
    if form.leaves_success_unsaid {
        leave_success_unsaid(&mut turns);
    }
    arrange(turns, form.takes_system_in_place)
}

/// Makes blocks of all texts; turns that say nothing then are left out.
fn write_as_blocks(turns: &mut Vec<Turn>) {
    for turn in turns.iter_mut() {
        if let Said::Text(text) = &turn.said {
            let is_blank = blocks::is_blank(text);
            let block = (!is_blank).then(|| json!({"type": "text", "text": text}));
            turn.said = Said::Blocks(block.into_iter().collect());
        }
    }
    let says_something = |turn: &Turn| match &turn.said {
        Said::Text(text) => !text.is_empty(),
        Said::Blocks(written) => !written.is_empty(),
    };
    turns.retain(says_something);
}

fn leave_success_unsaid(turns: &mut [Turn]) {
    for turn in turns {
        let Said::Blocks(written) = &mut turn.said else {
            continue;
        };
        for block in written.iter_mut().filter_map(Value::as_object_mut) {
            if block.get("is_error") == Some(&Value::Bool(false)) {
                block.shift_remove("is_error");
            }
        }
    }
}

/// Writes messages that were written in this format, with all their members.
fn verbatim(messages: &[Message], losses: &mut Losses) -> Conversation {
    let mut system = None;
    let mut written = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let content = Content {
            parts: message
                .content
                .parts
                .iter()
                .filter(|part| is_sayable(part, losses))
                .cloned()
                .collect(),
            is_bare_text: message.content.is_bare_text,
        };
        let content = types::content_value(&content);
        let role = match message.role {
            Role::System | Role::Developer if index == 0 => {
                system = Some(content);
                continue;
            }
            Role::System | Role::Developer => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let mut object = Map::new();
        object.insert("role".to_owned(), json!(role));
        object.insert("content".to_owned(), content);
        object.extend(message.extra.clone());
        written.push(Value::Object(object));
    }
    Conversation {
        system,
        messages: written,
    }
}

fn is_sayable(part: &Part, losses: &mut Losses) -> bool {
    let is_sayable = match &part.content {
        PartContent::Reasoning(reasoning) => is_portable(reasoning),
        content => types::block_from_content(content).is_some(),
    };
    if !is_sayable {
        losses.add("messages.reasoning");
    }
    is_sayable
}

fn turn(message: &Message, path: &str, losses: &mut Losses) -> Result<Turn, InvalidCall> {
    if message.name.is_some() {
        losses.add("messages.name");
    }
    for (key, value) in &message.extra {
        if !value.is_null() && !matches!(value, Value::Array(items) if items.is_empty()) {
            losses.add(format!("messages.{key}"));
        }
    }
    let content = &message.content;
    let (speaker, said) = match message.role {
        Role::System | Role::Developer => (Speaker::System, system_said(content, losses)),
        Role::User | Role::Tool => (Speaker::User, user_said(content, path, losses)?),
        Role::Assistant => (Speaker::Assistant, assistant_said(content, path, losses)?),
    };
    Ok(Turn { speaker, said })
}

fn is_plain(content: &Content) -> bool {
    let is_text = |part: &Part| matches!(part.content, PartContent::Text { .. });
    (content.is_bare_text || content.parts.is_empty()) && content.parts.iter().all(is_text)
}

/// System messages may hold text, and changes of the tools.
fn system_said(content: &Content, losses: &mut Losses) -> Said {
    if is_plain(content) {
        return Said::Text(content.joined_text());
    }
    let mut written = Vec::new();
    for part in &content.parts {
        match &part.content {
            PartContent::Text { .. } => written.push(blocks::text(part, losses)),
            PartContent::Native(block) if is_tool_change(block) => written.push(block.clone()),
            _ => losses.add("messages.system_content"),
        }
    }
    Said::Blocks(written)
}

/// Types of blocks that change the tools in the middle of a conversation.
pub(crate) const TOOL_CHANGES: &[&str] = &["tool_addition", "tool_removal"];

/// Whether a conversation on its way to the wire changes the tools.
pub(super) fn changes_tools(body: &Map<String, Value>) -> bool {
    let messages = body.get("messages").and_then(Value::as_array);
    let mut systems = messages
        .into_iter()
        .flatten()
        .filter(|message| message["role"] == "system");
    systems.any(|message| {
        let blocks = message["content"].as_array();
        blocks.is_some_and(|blocks| blocks.iter().any(is_tool_change))
    })
}

/// Whether a block changes the tools in the middle of a conversation.
pub(super) fn is_tool_change(block: &Value) -> bool {
    let kind = block.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| TOOL_CHANGES.contains(&kind))
}

fn user_said(content: &Content, path: &str, losses: &mut Losses) -> Result<Said, InvalidCall> {
    if is_plain(content) {
        return Ok(Said::Text(content.joined_text()));
    }
    blocks::list(&content.parts, path, losses).map(Said::Blocks)
}

fn assistant_said(content: &Content, path: &str, losses: &mut Losses) -> Result<Said, InvalidCall> {
    if is_plain(content) {
        return Ok(Said::Text(content.joined_text()));
    }
    // Beside tool calls a bare string counts unless it is empty; a list's blank text does not.
    let is_left_out = |part: &Part| {
        matches!(&part.content, PartContent::Text { text, .. } if text.is_empty())
            && content.is_bare_text
    };
    let mut written = Vec::new();
    for part in content.parts.iter().filter(|part| !is_left_out(part)) {
        if content.is_bare_text && matches!(part.content, PartContent::Text { .. }) {
            written.push(blocks::text(part, losses));
        } else {
            written.extend(blocks::block(part, path, losses)?);
        }
    }
    Ok(Said::Blocks(written))
}

/// Appends a turn, or joins it to the last where both are the user's or the system's.
fn merge(turns: &mut Vec<Turn>, turn: Turn) {
    match turns.last_mut() {
        Some(last) if last.speaker == turn.speaker && turn.speaker != Speaker::Assistant => {
            let first = std::mem::replace(&mut last.said, Said::Blocks(Vec::new()));
            let mut joined = into_blocks(first, turn.speaker);
            joined.extend(into_blocks(turn.said, turn.speaker));
            last.said = Said::Blocks(joined);
        }
        _ => turns.push(turn),
    }
}

fn into_blocks(said: Said, speaker: Speaker) -> Vec<Value> {
    match said {
        Said::Blocks(written) => written,
        Said::Text(text) if speaker != Speaker::System && blocks::is_blank(&text) => Vec::new(),
        Said::Text(text) => vec![json!({"type": "text", "text": text})],
    }
}

/// Puts system messages where they may stand, and leaves out what must not be sent.
fn arrange(turns: Vec<Turn>, takes_system_in_place: bool) -> Result<Conversation, InvalidCall> {
    let last_spoken = turns
        .iter()
        .rposition(|turn| turn.speaker != Speaker::System);
    let mut arranged = Arranged::default();
    for (index, turn) in turns.into_iter().enumerate() {
        match turn.speaker {
            Speaker::System if index == 0 => arranged.system = Some(without_empty(turn.said)),
            Speaker::System
                if takes_system_in_place
                    && (!arranged.pending.is_empty() || arranged.may_hold_system()) =>
            {
                arranged.pending.push(turn.said);
            }
            Speaker::System => arranged.hoist(turn.said)?,
            speaker => {
                arranged.take(speaker, turn.said, Some(index) == last_spoken)?;
            }
        }
    }
    arranged.release_pending();
    restore_toolsets(&mut arranged.messages);
    Ok(Conversation {
        system: arranged.system.flatten(),
        messages: arranged.messages,
    })
}

#[derive(Default)]
struct Arranged {
    /// The top-level system prompt. None inside where all of it was left out.
    system: Option<Option<Value>>,
    messages: Vec<Value>,
    /// System messages that wait for the turn after them to show where they belong.
    pending: Vec<Said>,
}

impl Arranged {
    fn take(&mut self, speaker: Speaker, said: Said, is_last: bool) -> Result<(), InvalidCall> {
        let said = if is_last && speaker == Speaker::Assistant {
            without_trailing_space(said)
        } else {
            said
        };
        let is_empty = match &said {
            Said::Text(text) => text.is_empty(),
            Said::Blocks(written) => written.is_empty(),
        };
        if is_empty && speaker == Speaker::Assistant && !is_last {
            return Ok(());
        }
        if speaker == Speaker::Assistant {
            self.release_pending();
        } else {
            for pending in std::mem::take(&mut self.pending) {
                self.hoist(pending)?;
            }
        }
        let role = match speaker {
            Speaker::Assistant => "assistant",
            _ => "user",
        };
        self.messages
            .push(json!({"role": role, "content": into_value(said)}));
        Ok(())
    }

    /// Moves a system message to the top, where there is room for one only.
    fn hoist(&mut self, said: Said) -> Result<(), InvalidCall> {
        if self.system.is_some() {
            return Err(InvalidCall {
                message: "Anthropic takes system messages at the beginning of a conversation \
                          only: put them all before the first user message, or say the later \
                          ones in a user message"
                    .to_owned(),
                parameter: Some("messages".to_owned()),
            });
        }
        self.system = Some(without_empty(said));
        Ok(())
    }

    fn release_pending(&mut self) {
        for said in std::mem::take(&mut self.pending) {
            if let Some(content) = without_empty(said) {
                self.messages
                    .push(json!({"role": "system", "content": content}));
            }
        }
    }

    /// Whether a system message may follow what has been said: after the user, or after a
    /// result of a tool that the provider runs.
    fn may_hold_system(&self) -> bool {
        let Some(last) = self.messages.last() else {
            return false;
        };
        let is_result = |block: &Value| {
            let kind = block.get("type").and_then(Value::as_str);
            kind.is_some_and(|kind| kind.ends_with("_tool_result"))
        };
        let last_block = last["content"].as_array().and_then(|blocks| blocks.last());
        last["role"] == "user" || (last["role"] == "assistant" && last_block.is_some_and(is_result))
    }
}

fn into_value(said: Said) -> Value {
    match said {
        Said::Text(text) => Value::String(text),
        Said::Blocks(written) => Value::Array(written),
    }
}

/// A system prompt; none where it is a list of nothing.
fn without_empty(said: Said) -> Option<Value> {
    match said {
        Said::Blocks(written) if written.is_empty() => None,
        said => Some(into_value(said)),
    }
}

fn without_trailing_space(said: Said) -> Said {
    match said {
        Said::Text(text) => Said::Text(blocks::trim_end(&text).to_owned()),
        Said::Blocks(mut written) => {
            if let Some(Value::Object(block)) = written.last_mut()
                && block.get("type").and_then(Value::as_str) == Some("text")
                && let Some(Value::String(text)) = block.get_mut("text")
            {
                *text = blocks::trim_end(text).to_owned();
            }
            Said::Blocks(written)
        }
    }
}

/// A result must name the toolset that its call named.
fn restore_toolsets(messages: &mut [Value]) {
    let mut toolsets: BTreeMap<String, Value> = BTreeMap::new();
    let contents = messages
        .iter_mut()
        .filter_map(|message| message.get_mut("content")?.as_array_mut());
    for block in contents.flatten() {
        let kind = block
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if kind == "tool_use" {
            if let (Some(id), Some(toolset)) = (block["id"].as_str(), block.get("toolset_name"))
                && toolset.is_string()
            {
                toolsets.insert(id.to_owned(), toolset.clone());
            }
        } else if kind == "tool_result" {
            let id = block["tool_use_id"].as_str().unwrap_or_default();
            if let Some(toolset) = toolsets.get(id).cloned()
                && let Value::Object(block) = block
            {
                block.entry("toolset_name").or_insert(toolset);
            }
        }
    }
}

/// Whether thinking can be shown to be Anthropic's own.
pub(super) fn is_portable(reasoning: &Reasoning) -> bool {
    !is_of_gemini(reasoning)
        && types::block_from_content(&PartContent::Reasoning(reasoning.clone())).is_some()
}
