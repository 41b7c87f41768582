//! Citations, between Bedrock's shape and Anthropic's, in which they reach clients.

use serde_json::{Map, Value, json};

/// How Bedrock's kinds of places are named, and their numbers: Bedrock's name, Anthropic's
/// type, and Anthropic's names for start and end.
const PLACES: [(&str, &str, &str, &str); 3] = [
    (
        "documentChar",
        "char_location",
        "start_char_index",
        "end_char_index",
    ),
    (
        "documentPage",
        "page_location",
        "start_page_number",
        "end_page_number",
    ),
    (
        "documentChunk",
        "content_block_location",
        "start_block_index",
        "end_block_index",
    ),
];

/// Bedrock's citation in Anthropic's shape. One of another kind stays as it is.
pub(super) fn from_bedrock(citation: Value) -> Value {
    let read = |citation: &Value| {
        let location = citation.get("location")?;
        let (_, kind, start, end, place) = PLACES.iter().find_map(|(name, kind, start, end)| {
            Some((name, *kind, *start, *end, location.get(name)?))
        })?;
        let pieces = citation.get("sourceContent").and_then(Value::as_array);
        let texts = pieces.into_iter().flatten();
        let cited: String = texts.filter_map(|piece| piece["text"].as_str()).collect();
        Some(json!({
            "type": kind,
            "cited_text": cited,
            "document_index": place.get("documentIndex").cloned().unwrap_or(json!(0)),
            "document_title": citation.get("title"),
            start: place.get("start").cloned().unwrap_or(json!(0)),
            end: place.get("end").cloned().unwrap_or(json!(0)),
        }))
    };
    read(&citation).unwrap_or(citation)
}

/// A citation as Bedrock takes it back. None where it cannot.
pub(super) fn to_bedrock(citation: &Value) -> Option<Value> {
    if citation.get("sourceContent").is_some() {
        // Bedrock itself cannot read what it says of results of a search.
        let is_search = citation.pointer("/location/searchResultLocation").is_some();
        return (!is_search).then(|| citation.clone());
    }
    let kind = citation.get("type")?.as_str()?;
    let (name, _, start, end) = PLACES.iter().find(|(_, known, _, _)| *known == kind)?;
    let mut written = Map::new();
    if let Some(title) = citation
        .get("document_title")
        .filter(|title| title.is_string())
    {
        written.insert("title".to_owned(), title.clone());
    }
    let text = citation.get("cited_text").cloned().unwrap_or(json!(""));
    written.insert("sourceContent".to_owned(), json!([{ "text": text }]));
    let place = json!({
        "documentIndex": citation.get("document_index"),
        "start": citation.get(*start),
        "end": citation.get(*end),
    });
    written.insert("location".to_owned(), json!({ *name: place }));
    Some(Value::Object(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_comes_back_as_it_was() {
        let citation = json!({
            "title": "T",
            "sourceContent": [{"text": "cited"}],
            "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}},
        });
        let read = from_bedrock(citation.clone());
        assert_eq!(read["type"], "page_location");
        assert_eq!(read["end_page_number"], 2);
        assert_eq!(to_bedrock(&read), Some(citation));
        let other = json!({"location": {"web": {"url": "https://e.com"}}});
        assert_eq!(from_bedrock(other.clone()), other);
    }
}
