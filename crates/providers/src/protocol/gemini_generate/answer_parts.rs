//! Gemini's parts of an answer → canonical parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::contents::CODE_TOOL;
use super::signature;
use super::types::{LANGUAGES, OUTCOMES, member, name_of, with_integers};
use crate::chat::part::{
    Content, MediaSource, Part, PartContent, Reasoning, ToolCall, ToolCallKind, ToolResult,
};

/// Makes ids for calls that Gemini gives none: the same answer gives the same ids.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    seed: [u8; 32],
    count: u64,
    last: String,
}

impl Ids {
    /// Begins for one answer, of which `bytes` are what sets it apart from others.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            seed: Sha256::digest(bytes).into(),
            count: 0,
            last: String::new(),
        }
    }

    fn next(&mut self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.count.to_be_bytes());
        self.count += 1;
        let digest = hash.finalize();
        let letters: String = digest[..12]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("call_{letters}")
    }
}

/// What a piece of an answer adds to it.
pub(super) enum Piece<'v> {
    /// More text.
    Text(&'v str),
    /// More readable thinking.
    Thought(&'v str),
    /// A part that is whole.
    Whole(Part),
    /// The signature of the thinking so far.
    SignatureOfThought(String),
    /// The signature of the text so far.
    SignatureOfText(Part),
}

/// Reads one part.
pub(super) fn pieces<'v>(part: &'v Value, ids: &mut Ids) -> Vec<Piece<'v>> {
    let mut pieces = Vec::with_capacity(2);
    let signature = member(part, "thoughtSignature").as_str();
    let signature = signature.filter(|text| !text.is_empty());
    let text = part["text"].as_str().filter(|text| !text.is_empty());
    if part["thought"] == true {
        pieces.extend(text.map(Piece::Thought));
        pieces.extend(signature.map(|text| Piece::SignatureOfThought(signature::marked(text))));
        return pieces;
    }
    pieces.extend(text.map(Piece::Text));
    let call = member(part, "functionCall");
    if call.is_object() {
        let call = function_call(call, ids);
        pieces.extend(signature.map(|text| Piece::Whole(signature::carrier(&call.id, text))));
        pieces.push(Piece::Whole(Part::new(PartContent::ToolCall(call))));
        return pieces;
    }
    pieces.extend(other_part(part, ids).map(Piece::Whole));
    pieces.extend(signature.map(|text| Piece::SignatureOfText(signature::carrier("", text))));
    pieces
}

fn function_call(call: &Value, ids: &mut Ids) -> ToolCall {
    let arguments = match &call["args"] {
        Value::Object(arguments) => with_integers(Value::Object(arguments.clone())),
        _ => json!({}),
    };
    let own = call["id"].as_str().filter(|id| !id.is_empty());
    ToolCall {
        id: own.map_or_else(|| ids.next(), str::to_owned),
        name: call["name"].as_str().unwrap_or_default().to_owned(),
        arguments: arguments.to_string(),
        kind: ToolCallKind::Function,
    }
}

/// Code that Gemini ran, pictures and sound.
fn other_part(part: &Value, ids: &mut Ids) -> Option<Part> {
    let code = member(part, "executableCode");
    if code.is_object() {
        let language = name_of(&LANGUAGES, &code["language"]).unwrap_or_default();
        ids.last = ids.next();
        return Some(Part::new(PartContent::ToolCall(ToolCall {
            id: ids.last.clone(),
            name: CODE_TOOL.to_owned(),
            arguments: json!({"language": language, "code": code["code"]}).to_string(),
            kind: ToolCallKind::Server,
        })));
    }
    let result = member(part, "codeExecutionResult");
    if result.is_object() {
        let outcome = name_of(&OUTCOMES, &result["outcome"]);
        return Some(Part::new(PartContent::ToolResult(ToolResult {
            call_id: ids.last.clone(),
            name: Some(CODE_TOOL.to_owned()),
            content: Content::bare(result["output"].as_str().unwrap_or_default()),
            is_error: outcome.is_some_and(|outcome| outcome != "OUTCOME_OK"),
        })));
    }
    let data = member(part, "inlineData");
    let media_type = member(data, "mimeType").as_str()?;
    let source = MediaSource::Base64 {
        media_type: media_type.to_owned(),
        data: standard_alphabet(data["data"].as_str()?),
    };
    let content = if media_type.starts_with("image/") {
        PartContent::Image {
            source,
            detail: None,
        }
    } else if media_type.starts_with("audio/") {
        PartContent::Audio {
            source: playable(source),
        }
    } else {
        PartContent::Document { source, name: None }
    };
    Some(Part::new(content))
}

fn standard_alphabet(data: &str) -> String {
    data.replace('-', "+").replace('_', "/")
}

/// Bare samples, as Gemini's voices answer with, in a WAV file: one channel of 16 bits.
fn playable(source: MediaSource) -> MediaSource {
    let MediaSource::Base64 { media_type, data } = source else {
        return source;
    };
    let lower = media_type.to_ascii_lowercase();
    let is_bare = lower.starts_with("audio/l16") || lower.starts_with("audio/pcm");
    let samples = is_bare.then(|| STANDARD.decode(&data).ok()).flatten();
    let Some(samples) = samples else {
        return MediaSource::Base64 { media_type, data };
    };
    let rate = lower.split("rate=").nth(1).and_then(|rate| {
        let end = rate.find(|letter: char| !letter.is_ascii_digit());
        rate[..end.unwrap_or(rate.len())].parse().ok()
    });
    let rate: u32 = rate.unwrap_or(24_000);
    let length = u32::try_from(samples.len()).unwrap_or(u32::MAX - 36);
    let mut file = Vec::with_capacity(samples.len() + 44);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&length.saturating_add(36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&rate.saturating_mul(2).to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&samples);
    MediaSource::Base64 {
        media_type: "audio/wav".to_owned(),
        data: STANDARD.encode(file),
    }
}

/// A piece as a part of its own.
pub(super) fn begun(piece: Piece<'_>) -> Part {
    match piece {
        Piece::Text(text) => Part::text(text),
        Piece::Thought(text) => Part::new(PartContent::Reasoning(Reasoning {
            text: text.to_owned(),
            ..Reasoning::default()
        })),
        Piece::SignatureOfThought(signature) => Part::new(PartContent::Reasoning(Reasoning {
            signature: Some(signature),
            ..Reasoning::default()
        })),
        Piece::Whole(part) | Piece::SignatureOfText(part) => part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_without_an_id_get_one_that_is_always_the_same() {
        let call = json!({"functionCall": {"name": "f", "args": {"x": 371.0}}});
        let read = || {
            let mut ids = Ids::of(b"answer");
            let first = pieces(&call, &mut ids).pop().map(begun).unwrap();
            let second = pieces(&call, &mut ids).pop().map(begun).unwrap();
            (first, second)
        };
        let (first, second) = read();
        assert_eq!((first.clone(), second.clone()), read());
        assert_ne!(first, second);
        let PartContent::ToolCall(call) = first.content else {
            panic!("no call")
        };
        assert!(
            call.id.starts_with("call_") && call.id.len() == 29,
            "{}",
            call.id
        );
        assert_eq!(call.arguments, r#"{"x":371}"#);
    }

    #[test]
    fn bare_samples_become_a_file() {
        let part =
            json!({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAAA"}});
        let piece = pieces(&part, &mut Ids::of(b"")).pop().map(begun).unwrap();
        let PartContent::Audio {
            source: MediaSource::Base64 { media_type, data },
        } = piece.content
        else {
            panic!("no sound")
        };
        assert_eq!(media_type, "audio/wav");
        let file = STANDARD.decode(data).unwrap();
        assert_eq!(
            (file.len(), &file[..4], &file[36..40]),
            (47, &b"RIFF"[..], &b"data"[..])
        );
    }
}
