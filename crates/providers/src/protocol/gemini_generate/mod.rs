//! Google's generateContent, of AI Studio and of Vertex AI.
//!
//! No client speaks it to us. Requests follow LangChain: `ChatGoogleGenerativeAI` for AI
//! Studio, and `ChatVertexAI`, which writes the same request by other rules, for Vertex AI;
//! which of the two a provider's row says ([`rules::Form`]).
//!
//! Source: <https://ai.google.dev/api/generate-content>, and langchain-google-genai 4.4.2
//! and langchain-google-vertexai 3.2.5.

mod answer_parts;
pub(crate) mod arguments;
mod citations;
mod contents;
pub(crate) mod encode;
pub(crate) mod error;
mod generation;
mod media;
mod parts;
mod references;
pub(crate) mod response;
pub(crate) mod rules;
mod schema;
mod schema_vertex;
pub(crate) mod signature;
pub(crate) mod stream;
mod tool_results;
mod tools;
mod types;
mod usage;
