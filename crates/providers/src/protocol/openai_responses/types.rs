//! Pieces of a message, between their JSON and the canonical types.

use serde_json::{Map, Value, json};

use crate::chat::WireFormat;
use crate::chat::part::{Content, MediaSource, Part, PartContent};
use crate::error::InvalidCall;
use crate::json::{Members, invalid};

/// The one member beside those that the types name which LangChain carries over from the
/// format of chat completions.
const BREAKPOINT: &str = "prompt_cache_breakpoint";

/// How the ids begin that we give to items whose provider gave none.
pub(crate) const OWN_IDS: [&str; 4] = ["msg_qm_", "rs_qm_", "fc_qm_", "ctc_qm_"];

/// Whose words a piece is among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A client's: `input_text` and its like.
    In,
    /// The model's: `output_text`.
    Out,
}

/// Reads the content of a message or of a tool's answer.
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

/// Reads one piece. One of an unknown type is kept whole.
pub(super) fn parse_part(value: Value, path: &str) -> Result<Part, InvalidCall> {
    let mut members = Members::of(value, path)?;
    let kind = members.peek("type").and_then(Value::as_str);
    let content = match kind.unwrap_or_default() {
        "input_text" | "output_text" | "text" => PartContent::Text {
            text: members.require_text("text")?,
            citations: members.take_array("annotations")?.unwrap_or_default(),
        },
        "refusal" => PartContent::Refusal {
            text: members.require_text("refusal")?,
        },
        "input_image" | "computer_screenshot" => PartContent::Image {
            source: image_source(&mut members)?,
            detail: members.take_text("detail")?,
        },
        "input_file" => parse_file(&mut members)?,
        "input_audio" if members.peek("input_audio").is_some() => {
            let mut audio = members.require_object("input_audio")?;
            let format = audio.require_text("format")?;
            PartContent::Audio {
                source: MediaSource::Base64 {
                    media_type: format!("audio/{format}"),
                    data: audio.require_text("data")?,
                },
            }
        }
        _ => {
            let whole = Value::Object(members.rest());
            return Ok(Part::new(PartContent::Native(whole)));
        }
    };
    if kind_is_kept(&members) {
        // A screenshot stays one.
    } else {
        members.take("type");
    }
    if members.peek("logprobs") == Some(&json!([])) {
        members.take("logprobs");
    }
    Ok(Part {
        content,
        cache: None,
        extra: members.rest(),
    })
}

fn kind_is_kept(members: &Members) -> bool {
    members.peek("type").and_then(Value::as_str) == Some("computer_screenshot")
}

fn image_source(members: &mut Members) -> Result<MediaSource, InvalidCall> {
    Ok(match members.take_text("file_id")? {
        Some(id) => MediaSource::FileId(id),
        None => source_of_address(members.require_text("image_url")?),
    })
}

fn parse_file(members: &mut Members) -> Result<PartContent, InvalidCall> {
    let name = members.take_text("filename")?;
    let source = if let Some(id) = members.take_text("file_id")? {
        MediaSource::FileId(id)
    } else if let Some(url) = members.take_text("file_url")? {
        MediaSource::Url(url)
    } else {
        match source_of_address(members.require_text("file_data")?) {
            // Base64 that does not say of what.
            MediaSource::Url(data) => MediaSource::Native(json!({ "file_data": data })),
            source => source,
        }
    };
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

/// Writes a piece of a message. None where the Responses API cannot say it.
pub(super) fn part_json(part: &Part, said: Said, dialect: WireFormat) -> Option<Value> {
    let mut written = match (&part.content, said) {
        (PartContent::Text { text, .. }, Said::In) => {
            object(json!({"type": "input_text", "text": text}))
        }
        (PartContent::Text { text, citations }, Said::Out) => {
            let annotations: Vec<Value> = citations.iter().filter_map(annotation).collect();
            object(json!({"type": "output_text", "text": text, "annotations": annotations}))
        }
        (PartContent::Refusal { text }, _) => object(json!({"type": "refusal", "refusal": text})),
        (PartContent::Image { source, detail }, _) => image_json(source, detail.as_deref())?,
        (PartContent::Document { source, name }, _) => file_json(source, name.as_deref()),
        (PartContent::Audio { source }, _) if dialect == WireFormat::OpenAiResponses => {
            audio_json(source)?
        }
        (PartContent::Native(Value::Object(whole)), _) if is_own(whole, dialect) => whole.clone(),
        _ => return None,
    };
    for (name, value) in &part.extra {
        let is_said = match dialect {
            WireFormat::OpenAiResponses => !ITEM_MEMBERS.contains(&name.as_str()),
            WireFormat::OpenAiChat => name == BREAKPOINT,
            WireFormat::AnthropicMessages => false,
        };
        if is_said {
            written.insert(name.clone(), value.clone());
        }
    }
    Some(Value::Object(written))
}

/// Members of a message item, which stand beside its first piece of text.
pub(super) const ITEM_MEMBERS: [&str; 3] = ["id", "phase", "status"];

fn is_own(whole: &Map<String, Value>, dialect: WireFormat) -> bool {
    let kind = whole.get("type").and_then(Value::as_str);
    match dialect {
        WireFormat::OpenAiResponses => true,
        WireFormat::OpenAiChat => {
            matches!(kind, Some("input_text" | "input_image" | "input_file"))
        }
        WireFormat::AnthropicMessages => false,
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn address_of_source(source: &MediaSource) -> Option<String> {
    match source {
        MediaSource::Base64 { media_type, data } => {
            Some(format!("data:{media_type};base64,{data}"))
        }
        MediaSource::Url(url) => Some(url.clone()),
        _ => None,
    }
}

fn image_json(source: &MediaSource, detail: Option<&str>) -> Option<Map<String, Value>> {
    let mut image = match source {
        MediaSource::FileId(id) => object(json!({"type": "input_image", "file_id": id})),
        source => object(json!({"type": "input_image", "image_url": address_of_source(source)?})),
    };
    if let Some(detail) = detail {
        image.insert("detail".to_owned(), detail.into());
    }
    Some(image)
}

fn file_json(source: &MediaSource, name: Option<&str>) -> Map<String, Value> {
    let mut file = match source {
        MediaSource::FileId(id) => json!({"type": "input_file", "file_id": id}),
        MediaSource::Url(url) => json!({"type": "input_file", "file_url": url}),
        MediaSource::Text { data, .. } => {
            return object(json!({"type": "input_text", "text": data}));
        }
        MediaSource::Base64 { media_type, data } => json!({
            "type": "input_file",
            "file_data": format!("data:{media_type};base64,{data}"),
            // OpenAI demands a name; this is the one that LangChain gives.
            "filename": name.unwrap_or("LC_AUTOGENERATED"),
        }),
        MediaSource::Native(own) => {
            let mut file = object(json!({"type": "input_file"}));
            file.extend(object(own.clone()));
            Value::Object(file)
        }
    };
    if let Some(name) = name {
        file["filename"] = name.into();
    }
    object(file)
}

fn audio_json(source: &MediaSource) -> Option<Map<String, Value>> {
    let MediaSource::Base64 { media_type, data } = source else {
        return None;
    };
    let format = media_type.strip_prefix("audio/").unwrap_or(media_type);
    let audio = json!({"data": data, "format": format});
    Some(object(json!({"type": "input_audio", "input_audio": audio})))
}

/// A citation as an annotation. None where it is another vendor's.
pub(super) fn annotation(citation: &Value) -> Option<Value> {
    let kind = citation["type"].as_str()?;
    match (kind, &citation["url_citation"]) {
        // Chat completions nest what the Responses API says flat.
        ("url_citation", Value::Object(nested)) => {
            let mut flat = nested.clone();
            flat.insert("type".to_owned(), kind.into());
            Some(Value::Object(flat))
        }
        ("file_citation", _) if !citation["file_index"].is_null() => {
            // LangChain's name for it.
            let mut flat = object(citation.clone());
            let index = flat.shift_remove("file_index").unwrap_or_default();
            flat.insert("index".to_owned(), index);
            Some(Value::Object(flat))
        }
        ("url_citation" | "file_citation" | "container_file_citation" | "file_path", _) => {
            Some(citation.clone())
        }
        _ => None,
    }
}
