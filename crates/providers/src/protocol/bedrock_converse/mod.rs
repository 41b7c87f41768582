//! Amazon Bedrock's Converse: one request for the models of many vendors.
//!
//! As a protocol it follows LangChain's `ChatBedrockConverse`. No client speaks it to us.
//! What differs between models is in [`models`], and, where it is a list of names, in the
//! catalog row ([`rules::BedrockConverseRules`]).
//!
//! Source: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.

mod blocks;
mod cache;
mod citations;
pub(crate) mod configuration;
mod conversation;
pub(crate) mod encode;
pub(crate) mod error;
pub(crate) mod models;
mod native_blocks;
pub(crate) mod response;
pub(crate) mod rules;
pub(crate) mod stream;
mod tools;
pub(crate) mod types;
