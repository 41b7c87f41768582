//! Blocks that stand in a message's content whole, as LangChain lets them: Anthropic's
//! own, OpenAI's, and those of LangChain.

use serde_json::{Map, Value, json};

use super::blocks::{image_source, list, with_valid_ids};
use super::types;
use crate::chat::part::{MediaSource, Part};
use crate::error::{InvalidCall, Losses};

/// What a call of a tool that the provider runs may say.
const SERVER_CALL_MEMBERS: &[&str] = &[
    "type",
    "id",
    "input",
    "name",
    "server_name",
    "cache_control",
];

/// What the answer of such a tool may say.
const SERVER_RESULT_MEMBERS: &[&str] = &[
    "type",
    "content",
    "tool_use_id",
    "is_error",
    "cache_control",
    "retrieved_at",
];

/// What the answer of a search for tools may say.
const SEARCH_RESULT_MEMBERS: &[&str] = &["type", "content", "tool_use_id", "cache_control"];

/// Writes one block. None where it is left out; then `losses` says so.
pub(super) fn block(
    value: &Value,
    path: &str,
    losses: &mut Losses,
) -> Result<Option<Value>, InvalidCall> {
    let Value::Object(block) = value else {
        losses.add("messages.content");
        return Ok(None);
    };
    let kind = block.get("type").and_then(Value::as_str);
    let written = match kind.unwrap_or_default() {
        "" => {
            return Err(InvalidCall {
                message: "a content part must have a `type`".to_owned(),
                parameter: Some(path.to_owned()),
            });
        }
        "reasoning" | "function_call" => {
            losses.add("messages.reasoning");
            return Ok(None);
        }
        "image_url" => {
            let source = image_source(&address(block), path)?;
            return Ok(Some(json!({"type": "image", "source": source})));
        }
        "text-plain" => plain_document(block),
        "tool_use" => call(block),
        "server_tool_use" | "mcp_tool_use" => {
            let mut call = only(block, SERVER_CALL_MEMBERS);
            call.insert("input".to_owned(), input(block));
            call
        }
        "tool_result" if !refers_to_tools(block) => result(block, path, losses)?,
        "tool_result" | "tool_search_tool_result" => only(block, SEARCH_RESULT_MEMBERS),
        "code_execution_tool_result"
        | "bash_code_execution_tool_result"
        | "text_editor_code_execution_tool_result"
        | "mcp_tool_result"
        | "web_search_tool_result"
        | "web_fetch_tool_result" => only(block, SERVER_RESULT_MEMBERS),
        _ => {
            // The place in a stream, which LangChain leaves in a block, is refused.
            let mut block = block.clone();
            block.shift_remove("index");
            return Ok(Some(Value::Object(block)));
        }
    };
    Ok(Some(Value::Object(with_valid_ids(written))))
}

fn only(block: &Map<String, Value>, members: &[&str]) -> Map<String, Value> {
    let mut block = block.clone();
    block.retain(|key, _| members.contains(&key.as_str()));
    block
}

fn refers_to_tools(block: &Map<String, Value>) -> bool {
    let items = block.get("content").and_then(Value::as_array);
    items.is_some_and(|items| items.iter().any(|item| item["type"] == "tool_reference"))
}

/// A result of a client's tool: what it holds is written as in a user's message.
fn result(
    block: &Map<String, Value>,
    path: &str,
    losses: &mut Losses,
) -> Result<Map<String, Value>, InvalidCall> {
    let mut written = block.clone();
    if let Some(Value::Array(items)) = block.get("content") {
        let parts: Vec<Part> = items.iter().cloned().map(types::part_from_block).collect();
        let inner = list(&parts, path, losses)?;
        written.insert("content".to_owned(), Value::Array(inner));
    }
    Ok(written)
}

/// Where the image of a block in OpenAI's shape is.
fn address(block: &Map<String, Value>) -> MediaSource {
    let image = block.get("image_url").unwrap_or(&Value::Null);
    let address = image.get("url").unwrap_or(image);
    let address = address.as_str().unwrap_or_default();
    let inline = address
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    match inline {
        Some((media_type, data)) => MediaSource::Base64 {
            media_type: media_type.to_owned(),
            data: data.to_owned(),
        },
        None => MediaSource::Url(address.to_owned()),
    }
}

/// LangChain's block of plain text, as a document.
fn plain_document(block: &Map<String, Value>) -> Map<String, Value> {
    let media_type = block.get("mime_type").and_then(Value::as_str);
    let source = json!({
        "type": "text",
        "media_type": media_type.unwrap_or("text/plain"),
        "data": block.get("text").cloned().unwrap_or_default(),
    });
    let mut written = only(block, &["cache_control", "citations", "title", "context"]);
    written.insert("type".to_owned(), json!("document"));
    written.insert("source".to_owned(), source);
    written
}

/// A call of a client's tool.
fn call(block: &Map<String, Value>) -> Map<String, Value> {
    let mut written = only(block, &["type", "name", "id", "caller", "toolset_name"]);
    written.retain(|_, value| !value.is_null());
    written.insert("input".to_owned(), input(block));
    written
}

/// A call's input, which may still be the pieces of a stream.
fn input(block: &Map<String, Value>) -> Value {
    let is_filled = |input: &&Value| input.as_object().is_some_and(|input| !input.is_empty());
    let streamed = || serde_json::from_str(block.get("partial_json")?.as_str()?).ok();
    let input = block.get("input").filter(is_filled).cloned();
    input.or_else(streamed).unwrap_or_else(|| json!({}))
}
