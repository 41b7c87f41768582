//! Content parts, between their JSON and the canonical types.

use serde_json::{Map, Value, json};

use crate::chat::Extra;
use crate::chat::part::{CacheMarker, Content, MediaSource, Part, PartContent, Reasoning};
use crate::error::InvalidCall;
use crate::json::{Members, invalid};

/// The type of a block of thinking, and the member that holds it.
pub(super) const THINKING: &str = "thinking";

/// Reads `content`: a string, an array of parts, or nothing.
pub(super) fn parse_content(value: Option<Value>, path: &str) -> Result<Content, InvalidCall> {
    match value {
        None => Ok(Content::default()),
        Some(Value::String(text)) => Ok(Content::bare(text)),
        Some(Value::Array(items)) => {
            let parse = |(index, item)| parse_part(item, &format!("{path}[{index}]"));
            let parts: Result<_, _> = items.into_iter().enumerate().map(parse).collect();
            Ok(Content::of(parts?))
        }
        Some(_) => Err(invalid(path, "must be a string or an array")),
    }
}

/// Reads one content part. Blocks of other vendors, which LangChain lets stand in a
/// message, are recognised too; what nobody knows is kept whole.
pub(super) fn parse_part(value: Value, path: &str) -> Result<Part, InvalidCall> {
    if let Value::String(text) = value {
        return Ok(Part::text(text));
    }
    let mut members = Members::of(value, path)?;
    let kind = members
        .peek("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let kind = kind.to_owned();
    // Beside the address of an image, LangChain carries no marker into another format:
    // it stays where it is, for this format only.
    let cache = match kind.as_str() {
        "image_url" => None,
        _ => parse_cache_marker(&mut members),
    };
    let parsed = match kind.as_str() {
        "text" | "input_text" | "output_text" => PartContent::Text {
            text: members.require_text("text")?,
            citations: Vec::new(),
        },
        "reasoning" => parse_reasoning_item(&mut members)?,
        "refusal" => PartContent::Refusal {
            text: members.require_text("refusal")?,
        },
        "image_url" => parse_image_url(&mut members)?,
        "input_image" => parse_input_image(&mut members)?,
        // Mistral's form of sound is a bare text.
        "input_audio" if members.peek("input_audio").is_some_and(Value::is_string) => {
            return Ok(native(members, cache.as_ref()));
        }
        "input_audio" => parse_input_audio(&mut members)?,
        "audio" => match parse_langchain_source(&mut members)? {
            Some(source) => PartContent::Audio { source },
            None => return Ok(native(members, cache.as_ref())),
        },
        "file" => parse_file(&mut members)?,
        "video_url" => PartContent::Video {
            source: source_of_address(members.require_object("video_url")?.require_text("url")?),
        },
        "image" => match parse_foreign_image(&mut members)? {
            Some(content) => content,
            None => return Ok(native(members, cache.as_ref())),
        },
        THINKING if members.peek(THINKING).is_some_and(Value::is_array) => {
            parse_thinking_pieces(&members)
        }
        "reference" => parse_reference(&mut members)?,
        THINKING | "redacted_thinking" => PartContent::Reasoning(Reasoning {
            id: None,
            text: members.take_text("thinking")?.unwrap_or_default(),
            signature: members.take_text("signature")?,
            encrypted: members.take_text("data")?,
        }),
        _ => return Ok(native(members, cache.as_ref())),
    };
    members.take("type");
    Ok(Part {
        content: parsed,
        cache,
        extra: members.rest(),
    })
}

/// A part that only its own format knows, kept whole.
fn native(members: Members, cache: Option<&CacheMarker>) -> Part {
    let mut whole = members.rest();
    if let Some(marker) = cache {
        whole.insert("cache_control".to_owned(), cache_control(marker));
    }
    Part::new(PartContent::Native(Value::Object(whole)))
}

pub(super) fn parse_cache_marker(members: &mut Members) -> Option<CacheMarker> {
    let marker = members.peek("cache_control")?;
    if marker.get("type").and_then(Value::as_str) != Some("ephemeral") {
        return None;
    }
    let ttl = marker.get("ttl").and_then(Value::as_str).map(str::to_owned);
    members.take("cache_control");
    Some(CacheMarker { ttl })
}

pub(super) fn cache_control(marker: &CacheMarker) -> Value {
    match &marker.ttl {
        Some(ttl) => json!({"type": "ephemeral", "ttl": ttl}),
        None => json!({"type": "ephemeral"}),
    }
}

fn parse_image_url(members: &mut Members) -> Result<PartContent, InvalidCall> {
    if let Some(address) = members.peek("image_url").and_then(Value::as_str) {
        let source = source_of_address(address.to_owned());
        members.take("image_url");
        return Ok(PartContent::Image {
            source,
            detail: None,
        });
    }
    let mut image = members.require_object("image_url")?;
    let content = PartContent::Image {
        source: source_of_address(image.require_text("url")?),
        detail: image.take_text("detail")?,
    };
    members.put_back("image_url", image);
    Ok(content)
}

/// The Responses API's shape of an image.
fn parse_input_image(members: &mut Members) -> Result<PartContent, InvalidCall> {
    let source = match members.take_text("file_id")? {
        Some(id) => MediaSource::FileId(id),
        None => source_of_address(members.require_text("image_url")?),
    };
    Ok(PartContent::Image {
        source,
        detail: members.take_text("detail")?,
    })
}

/// Anthropic's and LangChain's own shapes of an image.
fn parse_foreign_image(members: &mut Members) -> Result<Option<PartContent>, InvalidCall> {
    let image = |source| PartContent::Image {
        source,
        detail: None,
    };
    if let Some(mut source) = members.take_object("source")? {
        let parsed = match source.require_text("type")?.as_str() {
            "base64" => MediaSource::Base64 {
                media_type: source.require_text("media_type")?,
                data: source.require_text("data")?,
            },
            "url" => MediaSource::Url(source.require_text("url")?),
            "file" => MediaSource::FileId(source.require_text("file_id")?),
            _ => return Err(source.error("type", "must be base64, url or file")),
        };
        return Ok(Some(image(parsed)));
    }
    Ok(parse_langchain_source(members)?.map(image))
}

/// Where the bytes of one of LangChain's own blocks are, in its older or newer shape.
fn parse_langchain_source(members: &mut Members) -> Result<Option<MediaSource>, InvalidCall> {
    let kind = members.take_text("source_type")?;
    if let Some(url) = members.take_text("url")? {
        return Ok(Some(source_of_address(url)));
    }
    let id_name = match kind.as_deref() {
        Some("id") => "id",
        _ => "file_id",
    };
    if let Some(id) = members.take_text(id_name)? {
        return Ok(Some(MediaSource::FileId(id)));
    }
    let data = match members.take_text("base64")? {
        Some(data) => Some(data),
        None => members.take_text("data")?,
    };
    let Some(data) = data else { return Ok(None) };
    let media_type = members.take_text("mime_type")?;
    Ok(Some(MediaSource::Base64 {
        media_type: media_type.unwrap_or_else(|| "application/pdf".to_owned()),
        data,
    }))
}

/// Mistral's block of thinking. Its pieces stay, so that they can go back as they are.
fn parse_thinking_pieces(members: &Members) -> PartContent {
    let pieces = members.peek(THINKING).and_then(Value::as_array);
    let texts = pieces.into_iter().flatten();
    PartContent::Reasoning(Reasoning {
        text: texts.filter_map(|piece| piece["text"].as_str()).collect(),
        ..Reasoning::default()
    })
}

/// Mistral's text that refers to a source.
fn parse_reference(members: &mut Members) -> Result<PartContent, InvalidCall> {
    let text = members.take_text("text")?.unwrap_or_default();
    let mut citation = Map::new();
    citation.insert("type".to_owned(), "reference".into());
    if let Some(ids) = members.take("reference_ids") {
        citation.insert("reference_ids".to_owned(), ids);
    }
    Ok(PartContent::Text {
        text,
        citations: vec![Value::Object(citation)],
    })
}

/// An item of reasoning in LangChain's shape or the Responses API's.
fn parse_reasoning_item(members: &mut Members) -> Result<PartContent, InvalidCall> {
    let summary = members.take_array("summary")?.unwrap_or_default();
    let text = summary.iter().filter_map(|piece| piece["text"].as_str());
    Ok(PartContent::Reasoning(Reasoning {
        id: members.take_text("id")?,
        text: members
            .take_text("reasoning")?
            .unwrap_or_else(|| text.collect()),
        signature: None,
        encrypted: members.take_text("encrypted_content")?,
    }))
}

fn parse_input_audio(members: &mut Members) -> Result<PartContent, InvalidCall> {
    let mut audio = members.require_object("input_audio")?;
    let format = audio.require_text("format")?;
    Ok(PartContent::Audio {
        source: MediaSource::Base64 {
            media_type: format!("audio/{format}"),
            data: audio.require_text("data")?,
        },
    })
}

fn parse_file(members: &mut Members) -> Result<PartContent, InvalidCall> {
    if members.peek("file").is_none()
        && let Some(source) = parse_langchain_source(members)?
    {
        let extras = members.take("extras").unwrap_or_default();
        let inside = extras["filename"].as_str().map(str::to_owned);
        let name = members.take_text("filename")?.or(inside);
        return Ok(PartContent::Document { source, name });
    }
    let mut file = members.require_object("file")?;
    let name = file.take_text("filename")?;
    let source = match file.take_text("file_id")? {
        Some(id) => MediaSource::FileId(id),
        None => source_of_address(file.require_text("file_data")?),
    };
    members.put_back("file", file);
    Ok(PartContent::Document { source, name })
}

/// An address, or the bytes that a `data:` address holds.
fn source_of_address(address: String) -> MediaSource {
    let inline = address
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    match inline {
        Some((media_type, data)) => MediaSource::Base64 {
            media_type: media_type.to_owned(),
            data: data.to_owned(),
        },
        None => MediaSource::Url(address),
    }
}

/// A source as an address, where it can be one.
fn address_of_source(source: &MediaSource) -> Option<String> {
    match source {
        MediaSource::Base64 { media_type, data } => {
            Some(format!("data:{media_type};base64,{data}"))
        }
        MediaSource::Url(url) => Some(url.clone()),
        _ => None,
    }
}

/// Which members beside the named ones may be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    /// The call came in another format: only what chat completions name.
    Leave,
    /// The call came in this very format: everything.
    Keep,
}

/// Writes one content part of a user, system or tool message. None where chat
/// completions cannot say it.
pub(super) fn part_json(part: &Part, foreign: Foreign) -> Option<Value> {
    let mut object = match &part.content {
        PartContent::Text { text, .. } => object(json!({"type": "text", "text": text})),
        PartContent::Image { source, detail } => image_json(source, detail.as_deref())?,
        PartContent::Document { source, name } => document_json(source, name.as_deref())?,
        PartContent::Audio { source } => audio_json(source)?,
        PartContent::Video { source } => {
            let url = address_of_source(source)?;
            object(json!({"type": "video_url", "video_url": {"url": url}}))
        }
        PartContent::Refusal { text } => object(json!({"type": "refusal", "refusal": text})),
        PartContent::Native(Value::Object(whole)) if foreign == Foreign::Keep => whole.clone(),
        _ => return None,
    };
    if foreign == Foreign::Keep {
        if let Some(marker) = &part.cache {
            object.insert("cache_control".to_owned(), cache_control(marker));
        }
        extend(&mut object, &part.extra);
    }
    Some(Value::Object(object))
}

/// Adds the further members of an object and of the objects inside it.
pub(super) fn extend(object: &mut Map<String, Value>, extra: &Extra) {
    for (name, value) in extra {
        match (object.get_mut(name), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => extend(inner, more),
            _ => {
                object.insert(name.clone(), value.clone());
            }
        }
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn image_json(source: &MediaSource, detail: Option<&str>) -> Option<Map<String, Value>> {
    let url = address_of_source(source)?;
    let mut image = object(json!({"url": url}));
    if let Some(detail) = detail {
        image.insert("detail".to_owned(), detail.into());
    }
    Some(object(json!({"type": "image_url", "image_url": image})))
}

fn document_json(source: &MediaSource, name: Option<&str>) -> Option<Map<String, Value>> {
    let mut file = Map::new();
    match source {
        MediaSource::FileId(id) => {
            return Some(object(json!({"type": "file", "file": {"file_id": id}})));
        }
        MediaSource::Text { data, .. } => {
            return Some(object(json!({"type": "text", "text": data})));
        }
        MediaSource::Base64 { .. } => {
            file.insert("file_data".to_owned(), address_of_source(source)?.into());
        }
        MediaSource::Url(_) | MediaSource::Native(_) => return None,
    }
    // OpenAI demands a name; this is the one that LangChain gives.
    let name = name.unwrap_or("LC_AUTOGENERATED");
    file.insert("filename".to_owned(), name.into());
    Some(object(json!({"type": "file", "file": file})))
}

fn audio_json(source: &MediaSource) -> Option<Map<String, Value>> {
    let MediaSource::Base64 { media_type, data } = source else {
        return None;
    };
    let format = media_type.strip_prefix("audio/").unwrap_or(media_type);
    let audio = json!({"data": data, "format": format});
    Some(object(json!({"type": "input_audio", "input_audio": audio})))
}

/// Thinking that carries a proof or is hidden, in OpenRouter's form, which clients of
/// chat completions send back as it is. None of it is written where it is bare text.
pub(super) fn reasoning_details(parts: &[Part]) -> Vec<Value> {
    let pieces = parts.iter().filter_map(|part| match &part.content {
        PartContent::Reasoning(reasoning) => Some(reasoning),
        _ => None,
    });
    let has_proof = |piece: &&Reasoning| piece.signature.is_some() || piece.encrypted.is_some();
    if !pieces.clone().any(|piece| has_proof(&piece)) {
        return Vec::new();
    }
    pieces.map(reasoning_detail).collect()
}

/// One piece of thinking in OpenRouter's form.
pub(super) fn reasoning_detail(piece: &Reasoning) -> Value {
    let mut detail = match &piece.encrypted {
        Some(data) => object(json!({"type": "reasoning.encrypted", "data": data})),
        None => object(json!({"type": "reasoning.text", "text": piece.text})),
    };
    if let Some(signature) = &piece.signature {
        detail.insert("signature".to_owned(), signature.as_str().into());
    }
    if let Some(id) = &piece.id {
        detail.insert("id".to_owned(), id.as_str().into());
    }
    Value::Object(detail)
}
