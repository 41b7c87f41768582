//! Anthropic's content blocks, in both directions.
//!
//! Only members that the canonical types name are taken out of a block. What is left
//! stays in the part's `extra`, and a block of an unknown type, or of a shape that its
//! type should not have, is kept whole, so that a round trip loses nothing.
//!
//! Source: <https://platform.claude.com/docs/en/api/messages>, and the types of the
//! `anthropic` Python package, version 1.17.0.

use serde_json::{Map, Value, json};

use crate::chat::part::{
    CacheMarker, Content, MediaSource, Part, PartContent, Reasoning, ToolCall, ToolCallKind,
    ToolResult,
};

/// The member that holds a cache marker, on blocks and tools alike.
const CACHE_CONTROL: &str = "cache_control";

/// Reads one content block of a request or an answer.
pub(super) fn part_from_block(block: Value) -> Part {
    let Value::Object(mut members) = block else {
        return Part::new(PartContent::Native(block));
    };
    let Some(content) = content_from_members(&mut members) else {
        return Part::new(PartContent::Native(Value::Object(members)));
    };
    Part {
        content,
        cache: take_cache_marker(&mut members),
        extra: members,
    }
}

/// Takes the named members out of `members`, or leaves all of them where the shape is unknown.
fn content_from_members(members: &mut Map<String, Value>) -> Option<PartContent> {
    let kind = members.get("type")?.as_str()?.to_owned();
    let content = match kind.as_str() {
        "text" => PartContent::Text {
            text: take_string(members, "text")?,
            citations: take_array(members, "citations"),
        },
        "image" if is_object(members, "source") => PartContent::Image {
            source: take_source(members),
            detail: None,
        },
        "document" if is_object(members, "source") => PartContent::Document {
            source: take_source(members),
            name: take_string(members, "title"),
        },
        "thinking" => PartContent::Reasoning(Reasoning {
            text: take_string(members, "thinking")?,
            signature: take_string(members, "signature").filter(|text| !text.is_empty()),
            ..Reasoning::default()
        }),
        "redacted_thinking" => PartContent::Reasoning(Reasoning {
            encrypted: Some(take_string(members, "data")?),
            ..Reasoning::default()
        }),
        "tool_use" | "server_tool_use" | "mcp_tool_use" => tool_call(members, &kind)?,
        "tool_result" => tool_result(members)?,
        _ => return None,
    };
    // The type of an MCP call says more than the canonical kind, so it stays.
    if kind != "mcp_tool_use" {
        members.shift_remove("type");
    }
    Some(content)
}

fn tool_call(members: &mut Map<String, Value>, kind: &str) -> Option<PartContent> {
    if !["id", "name"].iter().all(|key| is_string(members, key)) || !is_object(members, "input") {
        return None;
    }
    let arguments = members.shift_remove("input").map(|input| input.to_string());
    Some(PartContent::ToolCall(ToolCall {
        id: take_string(members, "id")?,
        name: take_string(members, "name")?,
        arguments: arguments.unwrap_or_default(),
        kind: if kind == "tool_use" {
            ToolCallKind::Function
        } else {
            ToolCallKind::Server
        },
    }))
}

fn tool_result(members: &mut Map<String, Value>) -> Option<PartContent> {
    let content = match members.get("content") {
        None | Some(Value::Null | Value::String(_) | Value::Array(_)) => {
            members.shift_remove("content")
        }
        Some(_) => return None,
    };
    let call_id = take_string(members, "tool_use_id")?;
    // An explicit `false` stays in `extra`, so that the block is written as it was read.
    let is_error = members.get("is_error") == Some(&Value::Bool(true));
    if is_error {
        members.shift_remove("is_error");
    }
    Some(PartContent::ToolResult(ToolResult {
        call_id,
        name: None,
        content: content.and_then(content_from).unwrap_or_default(),
        is_error,
    }))
}

/// Reads a message's or a tool result's content: a bare string or a list of blocks.
pub(super) fn content_from(value: Value) -> Option<Content> {
    match value {
        Value::String(text) => Some(Content::bare(text)),
        Value::Array(blocks) => Some(Content::of(
            blocks.into_iter().map(part_from_block).collect(),
        )),
        _ => None,
    }
}

fn take_source(members: &mut Map<String, Value>) -> MediaSource {
    let source = members.shift_remove("source").unwrap_or_default();
    let text = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
    let size = source.as_object().map_or(0, Map::len);
    let known = match text("type").as_deref() {
        Some("base64") if size == 3 => text("media_type")
            .zip(text("data"))
            .map(|(media_type, data)| MediaSource::Base64 { media_type, data }),
        Some("text") if size == 3 => text("media_type")
            .zip(text("data"))
            .map(|(media_type, data)| MediaSource::Text { media_type, data }),
        Some("url") if size == 2 => text("url").map(MediaSource::Url),
        Some("file") if size == 2 => text("file_id").map(MediaSource::FileId),
        _ => None,
    };
    known.unwrap_or(MediaSource::Native(source))
}

/// Takes a cache marker out of a block or tool. One of an unknown shape stays.
pub(super) fn take_cache_marker(members: &mut Map<String, Value>) -> Option<CacheMarker> {
    let marker = members.get(CACHE_CONTROL)?.as_object()?;
    let is_known = marker.get("type").and_then(Value::as_str) == Some("ephemeral")
        && marker
            .iter()
            .all(|(key, value)| key == "type" || (key == "ttl" && value.is_string()));
    if !is_known {
        return None;
    }
    let ttl = marker.get("ttl").and_then(Value::as_str).map(str::to_owned);
    members.shift_remove(CACHE_CONTROL);
    Some(CacheMarker { ttl })
}

/// Writes a cache marker into a block or tool.
pub(super) fn put_cache_marker(members: &mut Map<String, Value>, marker: Option<&CacheMarker>) {
    let Some(marker) = marker else { return };
    let mut value = json!({"type": "ephemeral"});
    if let Some(ttl) = &marker.ttl {
        value["ttl"] = json!(ttl);
    }
    members.insert(CACHE_CONTROL.to_owned(), value);
}

/// Writes a part as one block, with all that it holds. None where no block can say it.
pub(super) fn block_from_part(part: &Part) -> Option<Map<String, Value>> {
    let mut block = block_from_content(&part.content)?;
    put_cache_marker(&mut block, part.cache.as_ref());
    for (key, value) in &part.extra {
        block.insert(key.clone(), value.clone());
    }
    Some(block)
}

/// Writes what a part is, without its cache marker and further members.
pub(super) fn block_from_content(content: &PartContent) -> Option<Map<String, Value>> {
    let block = match content {
        PartContent::Text { text, citations } => {
            let mut block = json!({"type": "text", "text": text});
            if !citations.is_empty() {
                block["citations"] = json!(citations);
            }
            block
        }
        PartContent::Refusal { text } => json!({"type": "text", "text": text}),
        PartContent::Image { source, .. } => {
            json!({"type": "image", "source": source_value(source)})
        }
        PartContent::Document { source, name } => {
            let mut block = json!({"type": "document", "source": source_value(source)});
            if let Some(name) = name {
                block["title"] = json!(name);
            }
            block
        }
        PartContent::Audio { .. } | PartContent::Video { .. } => return None,
        PartContent::Reasoning(reasoning) => reasoning_block(reasoning)?,
        PartContent::ToolCall(call) => tool_call_block(call),
        PartContent::ToolResult(result) => tool_result_block(result),
        PartContent::Native(value) => value.clone(),
    };
    match block {
        Value::Object(members) if is_string(&members, "type") => Some(members),
        _ => None,
    }
}

/// Thinking that Anthropic itself has signed or hidden; no other is accepted back.
fn reasoning_block(reasoning: &Reasoning) -> Option<Value> {
    if let Some(signature) = &reasoning.signature {
        return Some(json!({
            "type": "thinking", "thinking": reasoning.text, "signature": signature,
        }));
    }
    // Only other vendors number their hidden reasoning.
    let data = reasoning.encrypted.as_ref()?;
    (reasoning.id.is_none() && reasoning.text.is_empty())
        .then(|| json!({"type": "redacted_thinking", "data": data}))
}

fn tool_call_block(call: &ToolCall) -> Value {
    let kind = match call.kind {
        ToolCallKind::Server => "server_tool_use",
        ToolCallKind::Function | ToolCallKind::Custom | ToolCallKind::ComputerUse => "tool_use",
    };
    json!({"type": kind, "id": call.id, "name": call.name, "input": input_value(call)})
}

/// A call's input as the object that Anthropic asks for. Text that is no JSON object is
/// kept under one member, where its reader can see it.
fn input_value(call: &ToolCall) -> Value {
    if call.kind != ToolCallKind::Custom {
        if call.arguments.trim().is_empty() {
            return json!({});
        }
        if let Some(input) = read_input(&call.arguments) {
            return Value::Object(input);
        }
    }
    json!({"input": call.arguments})
}

/// Reads arguments as an object. Models forget to escape line breaks inside strings,
/// which Python's reader, as LangChain sets it, forgives.
pub(crate) fn read_input(arguments: &str) -> Option<Map<String, Value>> {
    if let Ok(input) = serde_json::from_str(arguments) {
        return Some(input);
    }
    let (mut escaped, mut is_inside, mut is_escape) = (String::new(), false, false);
    for letter in arguments.chars() {
        if is_inside && u32::from(letter) < 0x20 {
            escaped.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            escaped.push(letter);
        }
        is_inside ^= letter == '"' && !is_escape;
        is_escape = letter == '\\' && !is_escape;
    }
    serde_json::from_str(&escaped).ok()
}

fn tool_result_block(result: &ToolResult) -> Value {
    let mut block = json!({"type": "tool_result", "tool_use_id": result.call_id});
    if result.content.is_bare_text || !result.content.parts.is_empty() {
        block["content"] = content_value(&result.content);
    }
    if result.is_error {
        block["is_error"] = json!(true);
    }
    block
}

/// Writes content in the form it was read: a bare string or a list of blocks.
pub(super) fn content_value(content: &Content) -> Value {
    if content.is_bare_text {
        return Value::String(content.joined_text());
    }
    let blocks = content.parts.iter().filter_map(block_from_part);
    Value::Array(blocks.map(Value::Object).collect())
}

/// Writes where an image or document is.
pub(super) fn source_value(source: &MediaSource) -> Value {
    match source {
        MediaSource::Base64 { media_type, data } => {
            json!({"type": "base64", "media_type": media_type, "data": data})
        }
        MediaSource::Text { media_type, data } => {
            json!({"type": "text", "media_type": media_type, "data": data})
        }
        MediaSource::Url(url) => json!({"type": "url", "url": url}),
        MediaSource::FileId(id) => json!({"type": "file", "file_id": id}),
        MediaSource::Native(value) => value.clone(),
    }
}

/// Whether an answer's native block is one of Anthropic's own.
pub(super) fn is_answer_block(block: &Map<String, Value>) -> bool {
    const KINDS: [&str; 9] = [
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "server_tool_use",
        "mcp_tool_use",
        "container_upload",
        "compaction",
        "fallback",
    ];
    let kind = block.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| KINDS.contains(&kind) || kind.ends_with("_tool_result"))
}

/// Takes a string member; leaves one of another type.
pub(super) fn take_string(members: &mut Map<String, Value>, key: &str) -> Option<String> {
    if !is_string(members, key) {
        return None;
    }
    match members.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Takes a list member; leaves one of another type.
fn take_array(members: &mut Map<String, Value>, key: &str) -> Vec<Value> {
    if !members.get(key).is_some_and(Value::is_array) {
        return Vec::new();
    }
    match members.shift_remove(key) {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    }
}

fn is_string(members: &Map<String, Value>, key: &str) -> bool {
    members.get(key).is_some_and(Value::is_string)
}

fn is_object(members: &Map<String, Value>, key: &str) -> bool {
    members.get(key).is_some_and(Value::is_object)
}
