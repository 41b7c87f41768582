//! Token counts, in both directions.

use serde_json::{Value, json};

use crate::chat::usage::Usage;

/// The tokens that a `usage` object counts. None where it counts nothing.
pub(crate) fn usage_from(usage: &Value) -> Option<Usage> {
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let input = usage["input_tokens"].as_u64();
    let output = usage["output_tokens"].as_u64();
    if input.is_none() && output.is_none() {
        return None;
    }
    let (input, output) = (input.unwrap_or_default(), output.unwrap_or_default());
    let details = &usage["input_tokens_details"];
    let cached = count(&details["cached_tokens"]).min(input);
    let written = count(&details["cache_write_tokens"]).min(input - cached);
    let reasoning = count(&usage["output_tokens_details"]["reasoning_tokens"]);
    Some(Usage {
        uncached_input_tokens: input - cached - written,
        cache_read_tokens: cached,
        cache_write_5m_tokens: written,
        cache_write_1h_tokens: 0,
        output_tokens: output,
        reasoning_tokens: reasoning.min(output),
    })
}

/// Tokens as the Responses API counts them.
pub(super) fn usage_json(usage: &Usage) -> Value {
    let input = usage.input_tokens();
    json!({
        "input_tokens": input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": input.saturating_add(usage.output_tokens),
    })
}
