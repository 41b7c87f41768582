//! Thought signatures: what Gemini wants back of its own thinking, with the very part that
//! it came with.
//!
//! Clients keep thinking that is hidden and give it back as it is, so that a signature
//! travels as hidden thinking of the canonical types: `gemini:<call id>:<signature>`. The
//! mark tells other providers that it is none of theirs; the call's id says where it
//! belongs, and is empty where that is the answer's text.

use serde_json::Value;

use crate::chat::Extra;
use crate::chat::part::{Part, PartContent, Reasoning};

/// How a signature of Gemini's begins among other vendors'.
const MARK: &str = "gemini:";

/// What Gemini accepts in place of a signature that nobody has any more.
/// Source: <https://ai.google.dev/gemini-api/docs/thought-signatures>.
pub(super) const PLACEHOLDER: &str = "skip_thought_signature_validator";

/// Whether a signature, or hidden thinking, is Gemini's.
pub(crate) fn is_marked(text: &[u8]) -> bool {
    text.starts_with(MARK.as_bytes())
}

/// Whether a piece of thinking can be shown to Gemini only.
pub(crate) fn is_of_gemini(reasoning: &Reasoning) -> bool {
    let proofs = [&reasoning.signature, &reasoning.encrypted];
    proofs
        .into_iter()
        .flatten()
        .any(|proof| is_marked(proof.as_bytes()))
}

/// A signature of readable thinking.
pub(super) fn marked(signature: &str) -> String {
    format!("{MARK}{signature}")
}

/// The part that carries the signature of a call, or of text where there is no call.
pub(super) fn carrier(call_id: &str, signature: &str) -> Part {
    Part::new(PartContent::Reasoning(Reasoning {
        encrypted: Some(format!("{MARK}{call_id}:{signature}")),
        ..Reasoning::default()
    }))
}

/// The signature of readable thinking, without the mark.
pub(super) fn unmarked(signature: &str) -> &str {
    signature.strip_prefix(MARK).unwrap_or(signature)
}

/// Takes a carrier apart: the call's id and the signature.
pub(super) fn carried(part: &Part) -> Option<(&str, &str)> {
    let PartContent::Reasoning(reasoning) = &part.content else {
        return None;
    };
    let hidden = reasoning.encrypted.as_deref()?;
    hidden.strip_prefix(MARK)?.rsplit_once(':')
}

/// The signature that LangChain's messages and Google's own chat completions keep beside
/// a part.
pub(super) fn beside(extra: &Extra) -> Option<&str> {
    let text = |value: &'_ Value| value.as_str().is_some_and(|text| !text.is_empty());
    let places = [
        extra.get("thought_signature"),
        extra.get("signature"),
        extra
            .get("extras")
            .and_then(|extras| extras.get("signature")),
        extra
            .get("extra_content")
            .and_then(|content| content.pointer("/google/thought_signature")),
    ];
    let mut found = places.into_iter().flatten().filter(|value| text(value));
    found.next().and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_signature_comes_back_with_the_call_that_it_belongs_to() {
        assert_eq!(
            carried(&carrier("call_1", "U0lH")),
            Some(("call_1", "U0lH"))
        );
        assert_eq!(carried(&carrier("", "U0lH")), Some(("", "U0lH")));
        assert_eq!(carried(&carrier("a:b", "U0lH")), Some(("a:b", "U0lH")));
        assert_eq!(carried(&Part::text("gemini:a:b")), None);
        assert!(is_marked(marked("U0lH").as_bytes()) && !is_marked(b"U0lH"));
        assert_eq!(unmarked(&marked("U0lH")), "U0lH");
    }

    #[test]
    fn a_signature_is_found_wherever_others_keep_it() {
        for extra in [
            json!({"thought_signature": "s"}),
            json!({"extras": {"signature": "s"}}),
            json!({"extra_content": {"google": {"thought_signature": "s"}}}),
        ] {
            assert_eq!(beside(extra.as_object().unwrap()), Some("s"), "{extra}");
        }
        assert_eq!(beside(json!({"signature": ""}).as_object().unwrap()), None);
    }
}
