//! Usage and failures of passed-through answers, read by the codecs' own rules.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::chat::WireFormat;
use crate::chat::usage::Usage;
use crate::error::{ErrorKind, ProviderError};
use crate::protocol::anthropic_messages::error::from_value;
use crate::protocol::anthropic_messages::usage::UsageCounts;
use crate::protocol::openai_chat::error::decode_embedded;
use crate::protocol::openai_chat::response::usage_from;
use crate::protocol::openai_responses;

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
    let mut counts = Counts::new(dialect);
    if let Some(usage) = reply.usage {
        counts.update(&usage);
    }
    Ok(counts.usage())
}

/// What the reports of one answer add up to. Each counts from the beginning; in
/// Anthropic's format a later one leaves out what has not changed.
#[derive(Debug)]
pub(super) enum Counts {
    OpenAiChat(Option<Usage>),
    OpenAiResponses(Option<Usage>),
    AnthropicMessages(Option<UsageCounts>),
}

impl Counts {
    pub(super) const fn new(dialect: WireFormat) -> Self {
        match dialect {
            WireFormat::OpenAiChat => Self::OpenAiChat(None),
            WireFormat::OpenAiResponses => Self::OpenAiResponses(None),
            WireFormat::AnthropicMessages => Self::AnthropicMessages(None),
        }
    }

    pub(super) fn update(&mut self, report: &Value) {
        match self {
            Self::OpenAiChat(usage) => *usage = usage_from(report).or(*usage),
            Self::OpenAiResponses(usage) => {
                *usage = openai_responses::usage::usage_from(report).or(*usage);
            }
            Self::AnthropicMessages(counts) => counts.get_or_insert_default().update(report),
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        match self {
            Self::OpenAiChat(usage) | Self::OpenAiResponses(usage) => *usage,
            Self::AnthropicMessages(counts) => counts.as_ref().map(UsageCounts::usage),
        }
    }
}

/// The failure that an answer of status 200 or an event inside a stream reports in its
/// `error` member.
pub(super) fn failure(dialect: WireFormat, error: &Value) -> ProviderError {
    match dialect {
        WireFormat::OpenAiChat => decode_embedded(&json!({ "error": error })),
        WireFormat::OpenAiResponses => openai_responses::error::decode_embedded(error),
        WireFormat::AnthropicMessages => from_value(error, None),
    }
}

/// That an answer is not the format.
pub(super) fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.to_owned())
}
