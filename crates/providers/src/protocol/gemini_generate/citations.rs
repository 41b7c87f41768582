//! What an answer rests on: Google's grounding and citations, as OpenAI's annotations.

use serde_json::{Value, json};

use super::types::member;

/// Annotations for an answer's text, which is `text` as a whole.
pub(super) fn annotations(candidate: &Value, text: &str) -> Vec<Value> {
    let mut annotations = grounded(member(candidate, "groundingMetadata"), text);
    annotations.extend(cited(member(candidate, "citationMetadata"), text));
    annotations
}

/// Pieces of the text that pages support.
fn grounded(metadata: &Value, text: &str) -> Vec<Value> {
    let chunks = member(metadata, "groundingChunks");
    let supports = member(metadata, "groundingSupports").as_array();
    let mut annotations = Vec::new();
    for support in supports.into_iter().flatten() {
        let segment = &support["segment"];
        let indices = member(support, "groundingChunkIndices").as_array();
        for index in indices.into_iter().flatten().filter_map(Value::as_u64) {
            let chunk = usize::try_from(index)
                .ok()
                .and_then(|index| chunks.get(index));
            let place = chunk.and_then(|chunk| {
                let kinds = ["web", "retrievedContext", "maps"];
                kinds
                    .iter()
                    .map(|kind| member(chunk, kind))
                    .find(|kind| kind.is_object())
            });
            let Some(place) = place else { continue };
            annotations.push(annotation(
                place["uri"].as_str().unwrap_or_default(),
                place["title"].as_str().unwrap_or_default(),
                (member(segment, "startIndex"), member(segment, "endIndex")),
                text,
            ));
        }
    }
    annotations
}

/// Pieces of the text that repeat a source.
fn cited(metadata: &Value, text: &str) -> Vec<Value> {
    let names = ["citationSources", "citations"];
    let sources = names
        .iter()
        .find_map(|name| member(metadata, name).as_array());
    let sources = sources.into_iter().flatten();
    sources
        .filter_map(|source| {
            let uri = source["uri"].as_str()?;
            let title = source["title"].as_str().unwrap_or_default();
            let ends = (member(source, "startIndex"), member(source, "endIndex"));
            Some(annotation(uri, title, ends, text))
        })
        .collect()
}

/// Google counts bytes, OpenAI counts characters.
fn annotation(url: &str, title: &str, ends: (&Value, &Value), text: &str) -> Value {
    let characters = |index: &Value| {
        let bytes = index.as_u64().and_then(|index| usize::try_from(index).ok());
        let bytes = bytes.unwrap_or_default();
        let before = text.char_indices().take_while(|(at, _)| *at < bytes);
        before.count()
    };
    json!({"type": "url_citation", "url_citation": {
        "url": url, "title": title,
        "start_index": characters(ends.0), "end_index": characters(ends.1),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_supports_text_is_an_annotation_of_it() {
        let candidate = json!({"groundingMetadata": {
            "groundingChunks": [{"web": {"uri": "https://example.com", "title": "E"}}],
            "groundingSupports": [
                {"segment": {"startIndex": 3, "endIndex": 5}, "groundingChunkIndices": [0, 9]},
            ],
        }, "citationMetadata": {"citationSources": [{"uri": "https://b.example", "endIndex": 2}]}});
        let annotations = annotations(&candidate, "é€xy");
        assert_eq!(annotations.len(), 2);
        let first = &annotations[0]["url_citation"];
        assert_eq!(first["url"], "https://example.com");
        assert_eq!(
            (&first["start_index"], &first["end_index"]),
            (&json!(2), &json!(2))
        );
        assert_eq!(annotations[1]["url_citation"]["end_index"], 1);
    }
}
