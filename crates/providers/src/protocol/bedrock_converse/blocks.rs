//! Canonical parts → content blocks, by the rules of LangChain's `ChatBedrockConverse`.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::models::Model;
use super::types::{self, EMPTY, format_of, is_blank, proper_base64};
use super::{cache, citations, native_blocks};
use crate::chat::WireFormat;
use crate::chat::call::Role;
use crate::chat::part::{
    MediaSource, Part, PartContent, Reasoning, ToolCall, ToolCallKind, ToolResult,
};
use crate::error::{InvalidCall, Losses};
use crate::protocol::anthropic_messages::types::read_input;
use crate::protocol::gemini_generate::signature::is_of_gemini;

/// Writes blocks; knows what the blocks of one request share.
pub(super) struct BlockWriter<'a> {
    pub(super) model: &'a Model<'a>,
    pub(super) dialect: WireFormat,
    pub(super) losses: &'a mut Losses,
    /// How often a document without a name got this one.
    names: HashMap<String, usize>,
}

/// Where in a conversation a block stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) role: Role,
    /// Where the client wrote it.
    pub(super) path: &'p str,
}

impl<'a> BlockWriter<'a> {
    pub(super) fn new(model: &'a Model<'a>, dialect: WireFormat, losses: &'a mut Losses) -> Self {
        Self {
            model,
            dialect,
            losses,
            names: HashMap::new(),
        }
    }

    /// Writes a list of parts, which is never empty for Bedrock.
    pub(super) fn list(
        &mut self,
        parts: &[&Part],
        place: Place<'_>,
    ) -> Result<Vec<Value>, InvalidCall> {
        if parts.is_empty() {
            return Ok(vec![json!({"text": EMPTY})]);
        }
        let mut written = Vec::with_capacity(parts.len());
        for part in parts {
            self.part(part, place, &mut written)?;
            if let Some(marker) = &part.cache {
                // LangChain reads no such mark in OpenAI's messages.
                if self.dialect == WireFormat::OpenAiChat {
                    self.losses.add("messages.cache_control");
                } else {
                    written.push(cache::point(marker.ttl.as_deref()));
                }
            }
        }
        Ok(written)
    }

    fn part(
        &mut self,
        part: &Part,
        place: Place<'_>,
        written: &mut Vec<Value>,
    ) -> Result<(), InvalidCall> {
        let block = match &part.content {
            PartContent::Text { text, citations } => self.text(part, text, citations),
            PartContent::Refusal { text } => {
                json!({"text": if is_blank(text) { EMPTY } else { text }})
            }
            PartContent::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.losses.add("messages.image.detail");
                }
                media("image", source, place)?
            }
            PartContent::Video { source } => media("video", source, place)?,
            PartContent::Document { source, name } => {
                self.document(part, source, name.as_deref(), place)?
            }
            PartContent::Audio { .. } => {
                return Err(unsayable(place, "no audio", "transcribe it"));
            }
            PartContent::Reasoning(reasoning) => match self.reasoning(reasoning) {
                Some(block) => block,
                None => return Ok(()),
            },
            PartContent::ToolCall(call) if call.kind == ToolCallKind::Server => {
                self.losses.add("messages.server_tool_call");
                return Ok(());
            }
            PartContent::ToolCall(call) => tool_call(call, place)?,
            PartContent::ToolResult(result) => return self.tool_result(result, place, written),
            PartContent::Native(value) => {
                return native_blocks::write(self, value, place, written);
            }
        };
        written.push(block);
        Ok(())
    }

    fn text(&mut self, part: &Part, text: &str, citations: &[Value]) -> Value {
        if is_blank(text) {
            return json!({"text": EMPTY});
        }
        let mut given: Vec<&Value> = citations.iter().collect();
        for (name, value) in &part.extra {
            match (name.as_str(), value) {
                ("citations", Value::Array(more)) => given.extend(more),
                ("id" | "index" | "annotations" | "citations", _) => {}
                _ => self.losses.add(format!("messages.text_{name}")),
            }
        }
        let kept: Vec<Value> = given
            .iter()
            .filter_map(|citation| citations::to_bedrock(citation))
            .collect();
        if kept.len() < given.len() {
            self.losses.add("messages.citations");
        }
        if kept.is_empty() {
            return json!({ "text": text });
        }
        json!({"citationsContent": {"content": [{ "text": text }], "citations": kept}})
    }

    fn document(
        &mut self,
        part: &Part,
        source: &MediaSource,
        name: Option<&str>,
        place: Place<'_>,
    ) -> Result<Value, InvalidCall> {
        let (format, bytes) = match source {
            MediaSource::Base64 { media_type, data } => {
                let Some(format) = types::document_format(media_type) else {
                    return Err(unknown_type(place, media_type));
                };
                (format, proper_base64(data, place.path)?.into_owned())
            }
            MediaSource::Text { media_type, data } => {
                let format = types::document_format(media_type).unwrap_or("txt");
                (format, STANDARD.encode(data.as_bytes()))
            }
            _ => return Err(only_inline(place, "documents")),
        };
        let name = match name.filter(|name| !name.is_empty()) {
            Some(name) if self.dialect == WireFormat::OpenAiChat => name.to_owned(),
            Some(name) => allowed_name(name),
            None => self.fallback_name(&bytes),
        };
        let mut document = json!({"format": format, "source": {"bytes": bytes}, "name": name});
        if let Some(citations) = part
            .extra
            .get("citations")
            .filter(|value| value.is_object())
        {
            document["citations"] = citations.clone();
        }
        if let Some(context) = part.extra.get("context").filter(|value| value.is_string()) {
            document["context"] = context.clone();
        }
        Ok(json!({ "document": document }))
    }

    /// A name that depends on the bytes alone, so that a cached prompt stays the same.
    pub(super) fn fallback_name(&mut self, base64: &str) -> String {
        let bytes = STANDARD.decode(base64).unwrap_or_default();
        let digest = Sha256::digest(&bytes);
        let name: String = digest
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        match *count {
            1 => name,
            count => format!("{name}-{count}"),
        }
    }

    /// Earlier thinking, if the model takes it back.
    pub(super) fn reasoning(&mut self, reasoning: &Reasoning) -> Option<Value> {
        let signature = reasoning
            .signature
            .as_deref()
            .filter(|text| !text.is_empty());
        let hidden = reasoning
            .encrypted
            .as_ref()
            .filter(|_| reasoning.id.is_none());
        let is_proven = signature.is_some() || hidden.is_some();
        let says_something = is_proven || !reasoning.text.is_empty();
        if is_of_gemini(reasoning) || !says_something || !self.model.takes_reasoning(is_proven) {
            self.losses.add("messages.reasoning");
            return None;
        }
        if let Some(data) = hidden {
            return Some(json!({"reasoningContent": {"redactedContent": data}}));
        }
        let mut text = json!({"text": reasoning.text});
        if let Some(signature) = signature {
            text["signature"] = json!(signature);
        }
        Some(json!({"reasoningContent": {"reasoningText": text}}))
    }

    /// What a tool answered. Marks, and pictures for some models, stand beside it.
    fn tool_result(
        &mut self,
        result: &ToolResult,
        place: Place<'_>,
        written: &mut Vec<Value>,
    ) -> Result<(), InvalidCall> {
        let parts: Vec<&Part> = result.content.parts.iter().collect();
        let place = Place {
            role: Role::Tool,
            ..place
        };
        let blocks = without_empty(self.list(&parts, place)?);
        let (points, blocks): (Vec<_>, Vec<_>) = blocks.into_iter().partition(cache::is_point);
        let is_moved = |block: &Value| self.model.hoists_images() && block.get("image").is_some();
        let (images, blocks): (Vec<_>, Vec<_>) = blocks.into_iter().partition(is_moved);
        let status = if result.is_error { "error" } else { "success" };
        written.push(json!({"toolResult": {
            "content": or_empty(blocks),
            "toolUseId": result.call_id,
            "status": status,
        }}));
        written.extend(images);
        written.extend(points);
        Ok(())
    }
}

/// Bedrock refuses empty text.
pub(super) fn without_empty(mut blocks: Vec<Value>) -> Vec<Value> {
    blocks.retain(|block| block.get("text").is_none_or(|text| text != ""));
    blocks
}

/// Bedrock refuses an empty list.
pub(super) fn or_empty(blocks: Vec<Value>) -> Vec<Value> {
    if blocks.is_empty() {
        return vec![json!({"text": EMPTY})];
    }
    blocks
}

/// Writes a picture or a video.
pub(super) fn media(
    kind: &str,
    source: &MediaSource,
    place: Place<'_>,
) -> Result<Value, InvalidCall> {
    let MediaSource::Base64 { media_type, data } = source else {
        return Err(only_inline(
            place,
            if kind == "image" { "images" } else { "videos" },
        ));
    };
    let own = media_type
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('/'));
    let Some(format) = format_of(media_type)
        .or(own)
        .filter(|format| !format.is_empty())
    else {
        return Err(unknown_type(place, media_type));
    };
    if data.is_empty() {
        return Err(only_inline(
            place,
            if kind == "image" { "images" } else { "videos" },
        ));
    }
    let bytes = proper_base64(data, place.path)?;
    Ok(json!({ kind: {"format": format, "source": {"bytes": bytes}}}))
}

fn tool_call(call: &ToolCall, place: Place<'_>) -> Result<Value, InvalidCall> {
    let input = match call.kind {
        ToolCallKind::Custom => json!({"input": call.arguments}),
        _ if is_blank(&call.arguments) => json!({}),
        _ => Value::Object(read_input(&call.arguments).ok_or_else(|| bad_arguments(call, place))?),
    };
    Ok(json!({"toolUse": {"toolUseId": call.id, "input": input, "name": call.name}}))
}

fn bad_arguments(call: &ToolCall, place: Place<'_>) -> InvalidCall {
    InvalidCall {
        message: format!(
            "the arguments of the call `{}` of the tool `{}` are no JSON object, which Bedrock \
             demands: repair them, or leave the call and its result out",
            call.id, call.name
        ),
        parameter: Some(format!("{}.tool_calls", place.path)),
    }
}

/// Bedrock allows letters, digits, single spaces, hyphens and brackets.
fn allowed_name(name: &str) -> String {
    let is_allowed = |letter: &char| letter.is_ascii_alphanumeric() || "-()[] ".contains(*letter);
    let letters: String = name
        .chars()
        .map(|letter| if is_allowed(&letter) { letter } else { '-' })
        .collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn only_inline(place: Place<'_>, what: &str) -> InvalidCall {
    let message = format!(
        "Bedrock fetches no {what}: send the bytes in base64, in an address `data:…;base64,…`, or \
         a block of Bedrock's own that names an object in S3"
    );
    InvalidCall {
        message,
        parameter: Some(place.path.to_owned()),
    }
}

fn unknown_type(place: Place<'_>, media_type: &str) -> InvalidCall {
    InvalidCall {
        message: format!("Bedrock takes no `{media_type}`: send a type that it knows"),
        parameter: Some(place.path.to_owned()),
    }
}

pub(super) fn unsayable(place: Place<'_>, what: &str, advice: &str) -> InvalidCall {
    InvalidCall {
        message: format!("Bedrock's Converse takes {what}: {advice}, or choose another model"),
        parameter: Some(place.path.to_owned()),
    }
}
