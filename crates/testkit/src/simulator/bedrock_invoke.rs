//! Anthropic's messages in the envelope of Amazon Bedrock's `InvokeModel`
//! (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::Answer;
use super::question::Question;
use super::{anthropic_messages, event_stream};

/// Reads a request's body, to which `model` and `stream` have been added.
///
/// # Errors
/// With a message for the client, when it is not Anthropic's or lacks its version.
pub fn parse(body: &Value) -> Result<Question, String> {
    if body["anthropic_version"] != "bedrock-2023-05-31" {
        return Err("anthropic_version: Field required".to_owned());
    }
    anthropic_messages::parse(body)
}

/// The answer as the frames of a stream.
#[must_use]
pub fn stream(question: &Question, answer: &Answer) -> Vec<Bytes> {
    let events = anthropic_messages::stream(question, answer);
    events.iter().map(|event| chunk(event)).collect()
}

/// One of Anthropic's events as AWS wraps it.
fn chunk(event: &[u8]) -> Bytes {
    let text = String::from_utf8_lossy(event);
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    let bytes = STANDARD.encode(data.unwrap_or_default());
    event_stream::event("chunk", &json!({"bytes": bytes, "p": "abcdefgh"}))
}
