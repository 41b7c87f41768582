//! Token counts, in both directions.

use serde_json::{Map, Value, json};

use crate::chat::usage::Usage;

/// Counts and notes inside `usage` that the canonical counts do not name.
const USAGE_EXTRAS: [&str; 5] = [
    "server_tool_use",
    "service_tier",
    "inference_geo",
    "iterations",
    "speed",
];

/// The counts of one `usage` member. A stream reports them more than once; what a later
/// report leaves out still stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UsageCounts {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    thinking: Option<u64>,
}

impl UsageCounts {
    /// Takes over what a `usage` member reports.
    pub(crate) fn update(&mut self, usage: &Value) {
        let count = |path: &str| usage.pointer(path).and_then(Value::as_u64);
        let set = |field: &mut Option<u64>, path| *field = count(path).or(*field);
        set(&mut self.input, "/input_tokens");
        set(&mut self.output, "/output_tokens");
        set(&mut self.cache_read, "/cache_read_input_tokens");
        set(&mut self.cache_write, "/cache_creation_input_tokens");
        set(
            &mut self.cache_write_5m,
            "/cache_creation/ephemeral_5m_input_tokens",
        );
        set(
            &mut self.cache_write_1h,
            "/cache_creation/ephemeral_1h_input_tokens",
        );
        set(&mut self.thinking, "/output_tokens_details/thinking_tokens");
    }

    /// The counts in canonical kinds. Writes whose lifetime is not told count as five minutes.
    pub(crate) fn usage(&self) -> Usage {
        let one_hour = self.cache_write_1h.unwrap_or(0);
        let five_minutes = self.cache_write_5m.unwrap_or(0);
        let untold = if one_hour == 0 && five_minutes == 0 {
            self.cache_write.unwrap_or(0)
        } else {
            0
        };
        Usage {
            uncached_input_tokens: self.input.unwrap_or(0),
            cache_read_tokens: self.cache_read.unwrap_or(0),
            cache_write_5m_tokens: five_minutes + untold,
            cache_write_1h_tokens: one_hour,
            output_tokens: self.output.unwrap_or(0),
            reasoning_tokens: self.thinking.unwrap_or(0),
        }
    }
}

/// Writes token counts as the `usage` member of an answer.
pub(super) fn value(usage: &Usage) -> Value {
    let mut value = json!({
        "input_tokens": usage.uncached_input_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
    });
    if usage.reasoning_tokens > 0 {
        value["output_tokens_details"] = json!({"thinking_tokens": usage.reasoning_tokens});
    }
    value
}

/// What a `usage` member says beside the canonical counts.
pub(super) fn extras(usage: &Value) -> Map<String, Value> {
    USAGE_EXTRAS
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), usage.get(key)?.clone())))
        .filter(|(_, value)| !value.is_null())
        .collect()
}
