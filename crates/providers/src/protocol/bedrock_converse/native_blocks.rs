//! Blocks that stand in a message's content whole, as LangChain lets them: Bedrock's own,
//! and LangChain's.

use serde_json::{Map, Value, json};

use super::blocks::{BlockWriter, Place, media, or_empty, unsayable, without_empty};
use super::types::{self, camel_case, encode_blobs};
use crate::chat::call::Role;
use crate::chat::part::{MediaSource, Reasoning};
use crate::error::InvalidCall;
use crate::json::invalid;

/// Bedrock's own blocks, by the one member that each has.
const OWN_BLOCKS: [&str; 15] = [
    "audio",
    "cachePoint",
    "citationsContent",
    "document",
    "guardContent",
    "image",
    "json",
    "reasoningContent",
    "searchResult",
    "text",
    "toolAddition",
    "toolRemoval",
    "toolResult",
    "toolUse",
    "video",
];

/// Writes one block, or none: then `losses` says so.
pub(super) fn write(
    writer: &mut BlockWriter<'_>,
    value: &Value,
    place: Place<'_>,
    written: &mut Vec<Value>,
) -> Result<(), InvalidCall> {
    let Value::Object(whole) = value else {
        writer.losses.add("messages.content");
        return Ok(());
    };
    let Some(kind) = whole.get("type").and_then(Value::as_str) else {
        written.push(own_block(value.clone()));
        return Ok(());
    };
    let block = match kind {
        "image" | "document" | "video" if whole.contains_key(kind) => {
            own_block(json!({ kind: whole[kind] }))
        }
        "video" => video(whole, place)?,
        "search_result" => search_result(whole, place)?,
        "tool_use" | "server_tool_use" => call(whole, "input"),
        "tool_call" => call(whole, "args"),
        "invalid_tool_call" if is_named(whole) => call(whole, ""),
        "invalid_tool_call" => return Ok(()),
        "tool_result" | "server_tool_result" => result(writer, whole, place)?,
        "json" => json!({"json": camel_case(whole.get("json").cloned().unwrap_or_default())}),
        "guard_content" => {
            let text = whole.get("text").cloned().unwrap_or_default();
            json!({"guardContent": {"text": { "text": text }}})
        }
        "reasoning_content" => match reasoning(writer, whole) {
            Some(block) => block,
            None => return Ok(()),
        },
        "non_standard" => return non_standard(writer, whole, place, written),
        _ if place.role == Role::Assistant => {
            writer.losses.add(format!("messages.{kind}"));
            return Ok(());
        }
        "audio" => return Err(unsayable(place, "no audio", "transcribe it")),
        _ => {
            let problem =
                format!("holds a block of the type `{kind}`, which Bedrock has no word for");
            return Err(invalid(place.path, &problem));
        }
    };
    written.push(block);
    Ok(())
}

/// A block of Bedrock's, whose names LangChain also takes in its own spelling.
fn own_block(block: Value) -> Value {
    let mut block = camel_case(block);
    encode_blobs(&mut block);
    block
}

fn video(whole: &Map<String, Value>, place: Place<'_>) -> Result<Value, InvalidCall> {
    let source = whole.get("source").unwrap_or(&Value::Null);
    let own = Value::Object(whole.clone());
    let media_type = ["media_type", "mediaType"].map(|name| types::text(source, name));
    let media_type = media_type
        .into_iter()
        .chain([types::text(&own, "mime_type")]);
    let media_type = media_type.into_iter().find(|text| !text.is_empty());
    let media_type = media_type.unwrap_or_default().to_owned();
    if types::text(source, "type") == "s3Location" {
        let format = types::format_of(&media_type).unwrap_or("mp4");
        let location = camel_case(source.get("data").cloned().unwrap_or_default());
        return Ok(json!({"video": {"format": format, "source": {"s3Location": location}}}));
    }
    let data = [source, &own].map(|holder| {
        let text = types::text(holder, "base64");
        if text.is_empty() {
            types::text(holder, "data")
        } else {
            text
        }
    });
    let data = data
        .into_iter()
        .find(|data| !data.is_empty())
        .unwrap_or_default();
    let source = MediaSource::Base64 {
        media_type,
        data: data.to_owned(),
    };
    media("video", &source, place)
}

fn search_result(whole: &Map<String, Value>, place: Place<'_>) -> Result<Value, InvalidCall> {
    let items = whole
        .get("content")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut content = Vec::new();
    for item in items {
        let is_text = item.get("type").is_none_or(|kind| kind == "text");
        match item.get("text").filter(|_| is_text) {
            Some(text) => content.push(json!({ "text": text })),
            None => {
                return Err(invalid(
                    place.path,
                    "holds a search result with other than text",
                ));
            }
        }
    }
    let mut written = json!({
        "source": whole.get("source"),
        "title": whole.get("title"),
        "content": content,
    });
    if let Some(enabled) = whole
        .get("citations")
        .and_then(|citations| citations.get("enabled"))
    {
        written["citations"] = json!({ "enabled": enabled });
    }
    Ok(json!({ "searchResult": written }))
}

fn is_named(whole: &Map<String, Value>) -> bool {
    ["id", "name"].iter().all(|name| {
        let text = whole.get(*name).and_then(Value::as_str);
        text.is_some_and(|text| !text.is_empty())
    })
}

/// A call. Input that is text is the arguments as they came in a stream.
fn call(whole: &Map<String, Value>, arguments: &str) -> Value {
    let input = match whole.get(arguments) {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(Value::Object(input)) => input.clone(),
        _ => Map::new(),
    };
    json!({"toolUse": {
        "toolUseId": whole.get("id").cloned().unwrap_or_default(),
        "input": input,
        "name": whole.get("name").cloned().unwrap_or_default(),
    }})
}

fn result(
    writer: &mut BlockWriter<'_>,
    whole: &Map<String, Value>,
    place: Place<'_>,
) -> Result<Value, InvalidCall> {
    let mut content = Vec::new();
    match whole.get("content") {
        Some(Value::Array(items)) => {
            for item in items {
                match item {
                    Value::Object(block)
                        if block.get("type").is_some_and(|kind| kind == "text") =>
                    {
                        content.push(json!({"text": block.get("text")}));
                    }
                    item => write(writer, item, place, &mut content)?,
                }
            }
        }
        Some(Value::String(text)) if !types::is_blank(text) => {
            content.push(json!({ "text": text }))
        }
        _ => {}
    }
    let is_error = whole.get("is_error").or_else(|| whole.get("isError"));
    let status = if is_error == Some(&Value::Bool(true)) {
        "error"
    } else {
        "success"
    };
    let id = whole.get("tool_use_id").or_else(|| whole.get("toolUseId"));
    Ok(json!({"toolResult": {
        "toolUseId": id.cloned().unwrap_or_default(),
        "content": or_empty(without_empty(content)),
        "status": status,
    }}))
}

fn reasoning(writer: &mut BlockWriter<'_>, whole: &Map<String, Value>) -> Option<Value> {
    let inner = whole
        .get("reasoning_content")
        .or_else(|| whole.get("reasoningContent"))?;
    let inner = camel_case(inner.clone());
    let text = |name: &str| inner.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut block = writer.reasoning(&Reasoning {
        id: None,
        text: text("text").unwrap_or_default(),
        signature: text("signature"),
        encrypted: text("redactedContent").filter(|data| !data.is_empty()),
    })?;
    encode_blobs(&mut block);
    Some(block)
}

/// A block that LangChain wrapped because it has no word for it.
fn non_standard(
    writer: &mut BlockWriter<'_>,
    whole: &Map<String, Value>,
    place: Place<'_>,
    written: &mut Vec<Value>,
) -> Result<(), InvalidCall> {
    let Some(Value::Object(inner)) = whole.get("value").cloned().map(camel_case) else {
        return Err(invalid(
            place.path,
            "holds a `non_standard` block without a `value`",
        ));
    };
    let is_own = !inner.is_empty() && inner.keys().all(|name| OWN_BLOCKS.contains(&name.as_str()));
    if is_own {
        let blocks = inner
            .into_iter()
            .map(|(name, value)| own_block(json!({ name: value })));
        written.extend(blocks);
    } else if place.role == Role::Assistant {
        writer.losses.add("messages.non_standard");
    } else {
        written.push(own_block(Value::Object(inner)));
    }
    Ok(())
}
