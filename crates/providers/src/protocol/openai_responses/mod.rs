//! OpenAI's Responses API.
//!
//! As a protocol it follows LangChain's `ChatOpenAI`; as a dialect it answers what the
//! official `openai` SDKs read. Nothing is kept between calls: what a client asks of a
//! kept answer is refused ([`state`]).
//!
//! Source: <https://platform.openai.com/docs/api-reference/responses>.

pub(crate) mod configuration;
pub(crate) mod encode;
pub(crate) mod error;
mod input;
mod items;
pub(crate) mod output;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod state;
pub(crate) mod stream;
mod stream_items;
pub(crate) mod stream_renderer;
mod tools;
mod types;
pub(crate) mod usage;

/// Whether a text begins like the ids that we give to items whose provider gave none.
pub(crate) fn is_own_id(text: &[u8]) -> bool {
    types::OWN_IDS
        .iter()
        .any(|prefix| text.starts_with(prefix.as_bytes()))
}
