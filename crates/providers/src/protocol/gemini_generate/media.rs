//! Pictures, documents, sound and video: inline, by an address that Google reads itself, or
//! not at all.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use url::Url;

use super::rules::Form;
use crate::chat::Extra;
use crate::chat::part::MediaSource;
use crate::error::InvalidCall;
use crate::json::invalid;

/// Hosts whose addresses AI Studio reads itself.
const READ_BY_GOOGLE: [&str; 3] = [
    "youtube.com",
    "youtu.be",
    "generativelanguage.googleapis.com",
];

/// A part that holds or names media. `fallback_type` is what it is where nobody says.
///
/// # Errors
/// When it is not base64, or at an address that Google does not read.
pub(super) fn part(
    form: Form,
    source: &MediaSource,
    extra: &Extra,
    fallback_type: Option<&str>,
    path: &str,
) -> Result<Value, InvalidCall> {
    let said = extra.get("mime_type").and_then(Value::as_str);
    match source {
        MediaSource::Base64 { media_type, data } => inline(form, media_type, data, path),
        MediaSource::Text { data, .. } => Ok(json!({"text": data})),
        MediaSource::Url(url) => linked(form, url, said, path),
        MediaSource::FileId(id) => Ok(file(form, id, said.or(fallback_type))),
        MediaSource::Native(_) => Err(invalid(
            path,
            "holds media in a form that Gemini cannot say",
        )),
    }
}

/// A part that holds bytes.
///
/// # Errors
/// When they are not base64.
pub(super) fn inline(
    form: Form,
    media_type: &str,
    data: &str,
    path: &str,
) -> Result<Value, InvalidCall> {
    if media_type.contains(';') {
        return Err(invalid(path, "must name a media type without parameters"));
    }
    let data = clean(data).ok_or_else(|| invalid(path, "holds data that is not base64"))?;
    Ok(match form {
        // The Gen AI SDK writes bytes in the alphabet for addresses.
        Form::Genai => json!({"inlineData": {
            "data": data.replace('+', "-").replace('/', "_"), "mime_type": media_type,
        }}),
        Form::Vertexai => json!({"inlineData": {"mimeType": media_type, "data": data}}),
    })
}

/// Base64 in the standard alphabet, without line breaks.
fn clean(data: &str) -> Option<Cow<'_, str>> {
    let is_plain = data
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    let data = if is_plain {
        Cow::Borrowed(data)
    } else {
        let letters = data.chars().filter(|letter| !letter.is_ascii_whitespace());
        let letters = letters.map(|letter| match letter {
            '-' => '+',
            '_' => '/',
            other => other,
        });
        Cow::Owned(letters.collect())
    };
    // A look at the end is enough to know that all of it decodes.
    let tail = data.len().saturating_sub(8) / 4 * 4;
    let is_whole = data.is_ascii() && data.len() % 4 == 0 && !data[..tail].contains('=');
    let decodes = is_whole
        && data[..tail]
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        && STANDARD.decode(&data[tail..]).is_ok();
    decodes.then_some(data)
}

/// A part that names a file which Google reads itself.
pub(super) fn file(form: Form, address: &str, media_type: Option<&str>) -> Value {
    let (address_name, type_name) = match form {
        Form::Genai => ("file_uri", "mime_type"),
        Form::Vertexai => ("fileUri", "mimeType"),
    };
    let mut file = Map::new();
    if let Some(media_type) = media_type {
        file.insert(type_name.to_owned(), media_type.into());
    }
    file.insert(address_name.to_owned(), address.into());
    json!({"fileData": file})
}

fn linked(form: Form, address: &str, said: Option<&str>, path: &str) -> Result<Value, InvalidCall> {
    let media_type = said.or_else(|| guessed_type(address));
    if address.starts_with("gs://") {
        return Ok(file(form, address, media_type));
    }
    let url = Url::parse(address)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http"))
        .ok_or_else(|| {
            let problem = "must be an address that begins with https://, gs:// or data:";
            invalid(path, problem)
        })?;
    let is_read = |host: &str| {
        READ_BY_GOOGLE.iter().any(|known| {
            host.strip_suffix(known)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    };
    if form == Form::Vertexai || url.host_str().is_some_and(is_read) {
        return Ok(file(form, address, media_type));
    }
    Err(invalid(
        path,
        "holds a link, which Gemini does not fetch, and this gateway downloads nothing on a \
         client's behalf: send the data inline (`data:<type>;base64,…`), or an address of \
         Google's (gs://, an uploaded file, YouTube)",
    ))
}

/// A media type by the ending of an address.
pub(super) fn guessed_type(address: &str) -> Option<&'static str> {
    let path = address.split(['?', '#']).next()?;
    let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" | "jpe" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        "svg" => "image/svg+xml",
        "tif" | "tiff" => "image/tiff",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "mp3" => "audio/mpeg",
        "wav" => "audio/x-wav",
        "flac" => "audio/flac",
        "ogg" => "audio/ogg",
        "mp4" => "video/mp4",
        "mpeg" | "mpg" => "video/mpeg",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "avi" => "video/x-msvideo",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_taken_in_either_alphabet_and_anything_else_refused() {
        assert_eq!(clean("aGk=").as_deref(), Some("aGk="));
        assert_eq!(clean("-_-_").as_deref(), Some("+/+/"));
        assert_eq!(clean("aG\nk=").as_deref(), Some("aGk="));
        assert_eq!(clean("").as_deref(), Some(""));
        for wrong in ["aGk", "@@@@", "aG=k", "a===", "é===", "aGk=aGkaaGkaaGka"] {
            assert_eq!(clean(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_link_is_named_or_refused() {
        let linked = |form, address| linked(form, address, None, "p");
        assert!(linked(Form::Genai, "https://images.example.com/cat.png").is_err());
        assert!(linked(Form::Genai, "https://notyoutube.com/watch").is_err());
        assert!(linked(Form::Genai, "hello").is_err());
        assert!(linked(Form::Vertexai, "hello").is_err());
        assert!(linked(Form::Genai, "https://www.youtube.com/watch?v=x").is_ok());
        let named = linked(Form::Vertexai, "https://images.example.com/cat.png").unwrap();
        assert_eq!(named["fileData"]["mimeType"], "image/png");
    }
}
