//! Canonical parts → content blocks, for calls that were written in another format.
//!
//! The rules are those of LangChain's `ChatAnthropic`, which accepts blocks of OpenAI's,
//! of Anthropic's and of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::conversation::is_portable;
use super::{native_blocks, types};
use crate::chat::part::{MediaSource, Part, PartContent, ToolCall, ToolCallKind, ToolResult};
use crate::error::{InvalidCall, Losses};

/// Writes the parts of a list. Text that is blank is left out, since it is refused.
pub(super) fn list(
    parts: &[Part],
    path: &str,
    losses: &mut Losses,
) -> Result<Vec<Value>, InvalidCall> {
    let mut written = Vec::new();
    for part in parts {
        match &part.content {
            PartContent::ToolResult(result) if is_written_out(result) => {
                written.extend(list(&result.content.parts, path, losses)?);
            }
            _ => written.extend(block(part, path, losses)?),
        }
    }
    Ok(written)
}

/// Whether a tool message's content is a list of `tool_result` blocks already.
fn is_written_out(result: &ToolResult) -> bool {
    let parts = &result.content.parts;
    let is_result = |part: &Part| match &part.content {
        PartContent::Native(block) => block["type"] == "tool_result",
        _ => false,
    };
    !result.content.is_bare_text && !parts.is_empty() && parts.iter().all(is_result)
}

/// Writes one part. None where it is left out; then `losses` says so, unless it is blank.
pub(super) fn block(
    part: &Part,
    path: &str,
    losses: &mut Losses,
) -> Result<Option<Value>, InvalidCall> {
    let written = match &part.content {
        PartContent::Text { text, .. } if is_blank(text) => return Ok(None),
        PartContent::Text { .. } => return Ok(Some(text(part, losses))),
        PartContent::Refusal { text } if is_blank(text) => return Ok(None),
        PartContent::Refusal { text } => json!({"type": "text", "text": text}),
        PartContent::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                losses.add("messages.image.detail");
            }
            if part.extra.contains_key("cache_control") {
                losses.add("messages.cache_control");
            }
            let block = json!({"type": "image", "source": image_source(source, path)?});
            marked(part, block)
        }
        PartContent::Document { source, name } => document(part, source, name.as_deref(), losses),
        PartContent::Audio { .. } => return Err(unsayable(path, "audio", "transcribe it")),
        PartContent::Video { .. } => return Err(unsayable(path, "video", "send single images")),
        PartContent::Reasoning(reasoning) if is_portable(reasoning) => {
            let block = types::block_from_content(&part.content);
            return Ok(block.map(|block| marked(part, Value::Object(block))));
        }
        PartContent::Reasoning(_) => {
            losses.add("messages.reasoning");
            return Ok(None);
        }
        PartContent::ToolCall(call) => tool_call(part, call, path)?,
        PartContent::ToolResult(result) => tool_result(part, result, path, losses)?,
        PartContent::Native(value) => return native_blocks::block(value, path, losses),
    };
    Ok(Some(written))
}

/// Adds a part's cache marker.
fn marked(part: &Part, mut block: Value) -> Value {
    if let Value::Object(members) = &mut block {
        types::put_cache_marker(members, part.cache.as_ref());
    }
    block
}

/// Writes a piece of text, with its cache marker and citations.
pub(super) fn text(part: &Part, losses: &mut Losses) -> Value {
    let mut block = types::block_from_content(&part.content).unwrap_or_default();
    types::put_cache_marker(&mut block, part.cache.as_ref());
    for (key, value) in &part.extra {
        match key.as_str() {
            "citations" => {
                block.insert(key.clone(), clean_citations(value));
            }
            "id" | "index" | "annotations" | "logprobs" | "status" => {}
            _ => losses.add(format!("messages.text_{key}")),
        }
    }
    Value::Object(block)
}

/// Citations of an earlier answer; a `file_id` that is null is refused.
fn clean_citations(citations: &Value) -> Value {
    let mut citations = citations.clone();
    if let Value::Array(items) = &mut citations {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.retain(|key, value| key != "file_id" || !value.is_null());
        }
    }
    citations
}

pub(super) fn image_source(source: &MediaSource, path: &str) -> Result<Value, InvalidCall> {
    let is_valid = match source {
        MediaSource::Base64 { media_type, data } => {
            media_type.starts_with("image/") && !data.is_empty()
        }
        MediaSource::Url(url) => is_web_address(url),
        MediaSource::FileId(_) | MediaSource::Native(_) => true,
        MediaSource::Text { .. } => false,
    };
    if is_valid {
        return Ok(types::source_value(source));
    }
    Err(InvalidCall {
        message: "an image must be an `https://` address, the bytes in an address \
                  `data:image/…;base64,…`, or a file of the provider's"
            .to_owned(),
        parameter: Some(path.to_owned()),
    })
}

fn is_web_address(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn document(part: &Part, source: &MediaSource, name: Option<&str>, losses: &mut Losses) -> Value {
    if name.is_some() {
        losses.add("messages.document.name");
    }
    let source = match source {
        MediaSource::Base64 { media_type, data } if media_type.starts_with("text/") => {
            plain_text(media_type, data).unwrap_or_else(|| types::source_value(source))
        }
        MediaSource::Url(url) if !is_web_address(url) => {
            json!({"type": "base64", "media_type": "application/pdf", "data": url})
        }
        source => types::source_value(source),
    };
    let mut block = json!({"type": "document", "source": source});
    if let Value::Object(block) = &mut block {
        types::put_cache_marker(block, part.cache.as_ref());
        for key in ["citations", "title", "context"] {
            if let Some(value) = part.extra.get(key) {
                block.insert(key.to_owned(), value.clone());
            }
        }
    }
    block
}

/// Base64 text as a text document, since Anthropic takes base64 for PDF only.
fn plain_text(media_type: &str, data: &str) -> Option<Value> {
    let text = String::from_utf8(STANDARD.decode(data).ok()?).ok()?;
    let kind = media_type.split(';').next().unwrap_or(media_type);
    // Anthropic knows one type of text.
    (kind == "text/plain").then(|| json!({"type": "text", "media_type": kind, "data": text}))
}

fn tool_call(part: &Part, call: &ToolCall, path: &str) -> Result<Value, InvalidCall> {
    let mut block = types::block_from_content(&part.content).unwrap_or_default();
    let is_readable = call.kind == ToolCallKind::Custom
        || is_blank(&call.arguments)
        || types::read_input(&call.arguments).is_some();
    if !is_readable {
        return Err(bad_arguments(call, path));
    }
    for key in ["toolset_name", "caller"] {
        if let Some(value) = part.extra.get(key) {
            block.insert(key.to_owned(), value.clone());
        }
    }
    Ok(Value::Object(with_valid_ids(block)))
}

fn bad_arguments(call: &ToolCall, path: &str) -> InvalidCall {
    InvalidCall {
        message: format!(
            "the arguments of the call `{}` of the tool `{}` are no JSON object, which \
             Anthropic demands: repair them, or leave the call and its result out",
            call.id, call.name
        ),
        parameter: Some(format!("{path}.tool_calls")),
    }
}

fn tool_result(
    part: &Part,
    result: &ToolResult,
    path: &str,
    losses: &mut Losses,
) -> Result<Value, InvalidCall> {
    let content = &result.content;
    let written = if content.is_bare_text || content.parts.is_empty() {
        Value::String(content.joined_text())
    } else {
        let bare: Vec<Part> = content.parts.iter().map(without_cache).collect();
        Value::Array(list(&bare, path, losses)?)
    };
    let mut block = Map::new();
    block.insert("type".to_owned(), json!("tool_result"));
    block.insert("content".to_owned(), written);
    block.insert("tool_use_id".to_owned(), json!(result.call_id));
    if !content.parts.iter().any(is_tool_reference) {
        block.insert("is_error".to_owned(), json!(result.is_error));
    }
    // Inside a result no marker is accepted, so that the last one marks the result.
    let inner = content
        .parts
        .iter()
        .rev()
        .find_map(|part| part.cache.as_ref());
    types::put_cache_marker(&mut block, inner.or(part.cache.as_ref()));
    if let Some(toolset) = part.extra.get("toolset_name") {
        block.insert("toolset_name".to_owned(), toolset.clone());
    }
    Ok(Value::Object(with_valid_ids(block)))
}

/// Whether a part names a tool that a search has found. A result of such is no failure,
/// and LangChain does not say that it is none.
fn is_tool_reference(part: &Part) -> bool {
    matches!(&part.content, PartContent::Native(block) if block["type"] == "tool_reference")
}

fn without_cache(part: &Part) -> Part {
    Part {
        cache: None,
        ..part.clone()
    }
}

/// Replaces identifiers that hold characters which Anthropic refuses.
pub(super) fn with_valid_ids(mut block: Map<String, Value>) -> Map<String, Value> {
    for key in ["id", "tool_use_id"] {
        if let Some(Value::String(id)) = block.get_mut(key)
            && let Some(valid) = replacement(id)
        {
            *id = valid;
        }
    }
    block
}

/// The replacement of an identifier that holds other characters than letters, digits, `_`
/// and `-`. It depends on the identifier alone, so that a call and its result still match.
fn replacement(id: &str) -> Option<String> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if id.bytes().all(is_valid) {
        return None;
    }
    let digest = Sha256::digest(id.as_bytes());
    let digits: String = digest
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(format!("toolu_{digits}"))
}

/// White space as Python counts it.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

pub(super) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

fn unsayable(path: &str, what: &str, advice: &str) -> InvalidCall {
    InvalidCall {
        message: format!("Anthropic takes no {what}: {advice}, or choose another model"),
        parameter: Some(path.to_owned()),
    }
}
