//! Usage and failures of passed-through answers, read by the codecs' own rules.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::chat::WireFormat;
use crate::chat::usage::Usage;
use crate::error::{ErrorKind, ProviderError};
use crate::protocol::openai_chat::error::decode_embedded;
use crate::protocol::openai_chat::response::usage_from;

/// The usage inside a whole passed-through answer, found without parsing it into a tree.
///
/// # Errors
/// When the answer is not one JSON object, so that an answer that was cut off is not
/// passed on as a success; when it reports a failure.
pub fn usage(dialect: WireFormat, body: &[u8]) -> Result<Option<Usage>, ProviderError> {
    /// Only what is named is built; the rest is skipped.
    #[derive(Deserialize)]
    struct Reply {
        usage: Option<Value>,
        error: Option<Value>,
    }
    let reply: Reply = serde_json::from_slice(body)
        .map_err(|_| malformed("the provider's answer is not a JSON object"))?;
    if let Some(error) = reply.error {
        return Err(failure(dialect, &error));
    }
    let mut counts = Counts::default();
    if let Some(usage) = reply.usage {
        counts.update(dialect, &usage);
    }
    Ok(counts.usage())
}

/// What the reports of one answer add up to. A later report counts from the beginning
/// too, and may leave out what has not changed.
#[derive(Debug, Default)]
pub(super) struct Counts {
    usage: Option<Usage>,
}

impl Counts {
    pub(super) fn update(&mut self, dialect: WireFormat, report: &Value) {
        match dialect {
            WireFormat::OpenAiChat => self.usage = usage_from(report).or(self.usage),
            WireFormat::AnthropicMessages => self.update_anthropic(report),
        }
    }

    fn update_anthropic(&mut self, report: &Value) {
        let before = self.usage.unwrap_or_default();
        let count = |path: &str| report.pointer(path).and_then(Value::as_u64);
        self.usage = Some(Usage {
            uncached_input_tokens: count("/input_tokens").unwrap_or(before.uncached_input_tokens),
            cache_read_tokens: count("/cache_read_input_tokens")
                .unwrap_or(before.cache_read_tokens),
            cache_write_5m_tokens: count("/cache_creation_input_tokens")
                .unwrap_or(before.cache_write_5m_tokens),
            output_tokens: count("/output_tokens").unwrap_or(before.output_tokens),
            ..before
        });
    }

    pub(super) const fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

/// The failure that an event inside a stream reports in its `error` member.
pub(super) fn failure(dialect: WireFormat, error: &Value) -> ProviderError {
    match dialect {
        WireFormat::OpenAiChat => decode_embedded(&json!({ "error": error })),
        WireFormat::AnthropicMessages => anthropic_failure(error),
    }
}

fn anthropic_failure(error: &Value) -> ProviderError {
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    ProviderError {
        message: text("message").unwrap_or_else(|| error.to_string()),
        code: text("type"),
        ..ProviderError::new(ErrorKind::Server, String::new())
    }
}

/// That an answer is not the format.
pub(super) fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.to_owned())
}
