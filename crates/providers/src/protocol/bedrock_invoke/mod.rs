//! Anthropic's messages in the envelope of Amazon Bedrock's `InvokeModel`.
//!
//! What is inside is [`super::anthropic_messages`]; the envelope takes the model and the
//! wish for a stream out of the body into the address, asks for betas in the body, and
//! wraps each event of a stream in a frame of AWS's.
//!
//! As a protocol it follows LangChain's `ChatAnthropicBedrock`, and, where the row says so,
//! its older `ChatBedrock`.
//!
//! Source: <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html>.

pub(crate) mod encode;
pub(crate) mod stream;
