//! Tokens, as Google counts them.

use serde_json::Value;

use super::types::member;
use crate::chat::usage::Usage;

/// The tokens that `usageMetadata` counts. None where it counts nothing.
pub(super) fn usage_from(counts: &Value) -> Option<Usage> {
    let count = |name: &str| {
        let value = member(counts, name);
        // Protocol buffers write large counts as texts.
        let text = || value.as_str().and_then(|text| text.parse().ok());
        value.as_u64().or_else(text).unwrap_or_default()
    };
    let input = count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount"));
    let reasoning = count("thoughtsTokenCount");
    let output = count("candidatesTokenCount").saturating_add(reasoning);
    let cached = count("cachedContentTokenCount").min(input);
    if input == 0 && output == 0 && count("totalTokenCount") == 0 {
        return None;
    }
    Some(Usage {
        uncached_input_tokens: input - cached,
        cache_read_tokens: cached,
        cache_write_5m_tokens: 0,
        cache_write_1h_tokens: 0,
        output_tokens: output,
        reasoning_tokens: reasoning,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thoughts_are_output_and_a_cache_is_part_of_the_prompt() {
        let usage = usage_from(&json!({
            "promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 3,
            "thoughtsTokenCount": 5, "toolUsePromptTokenCount": 2, "totalTokenCount": 20,
        }));
        let usage = usage.unwrap();
        assert_eq!(usage.input_tokens(), 12);
        assert_eq!(usage.cache_read_tokens, 4);
        assert_eq!((usage.output_tokens, usage.reasoning_tokens), (8, 5));
        assert_eq!(usage_from(&json!({})), None);
        let huge = json!({"promptTokenCount": u64::MAX, "candidatesTokenCount": "7"});
        assert_eq!(usage_from(&huge).unwrap().output_tokens, 7);
    }
}
