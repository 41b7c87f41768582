//! Pieces of a message: text, media, reasoning, tool calls and their results.

use serde_json::Value;

use super::Extra;

/// One piece of a message, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is.
    pub content: PartContent,
    /// A marker that the prompt up to and including this piece should be cached.
    pub cache: Option<CacheMarker>,
    /// Members of the original piece that nothing here names.
    pub extra: Extra,
}

/// What a [`Part`] can be.
#[derive(Clone, Debug, PartialEq)]
pub enum PartContent {
    /// Plain text, with what it cites.
    Text {
        /// The text.
        text: String,
        /// Citations in the provider's own shape.
        citations: Vec<Value>,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: MediaSource,
        /// OpenAI's `detail`: `low`, `high`, `auto`, `original`.
        detail: Option<String>,
    },
    /// A document, such as a PDF.
    Document {
        /// Where it is.
        source: MediaSource,
        /// Its title or file name.
        name: Option<String>,
    },
    /// Sound.
    Audio {
        /// Where it is.
        source: MediaSource,
    },
    /// Moving pictures.
    Video {
        /// Where they are.
        source: MediaSource,
    },
    /// The model's thinking. Not portable between vendors: only the one that made a
    /// signature or an encrypted form can read it.
    Reasoning(Reasoning),
    /// The model asks for a tool.
    ToolCall(ToolCall),
    /// What a tool answered.
    ToolResult(ToolResult),
    /// The model declines.
    Refusal {
        /// Its words.
        text: String,
    },
    /// A piece that only its own wire format knows, kept whole.
    Native(Value),
}

/// Where the bytes of an image, document or sound are.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaSource {
    /// Here, in base64.
    Base64 {
        /// For example `image/png`; audio has `audio/wav`.
        media_type: String,
        /// The base64 text, unchanged.
        data: String,
    },
    /// At an address that the provider fetches.
    Url(String),
    /// Uploaded to the provider earlier.
    FileId(String),
    /// As plain text (Anthropic's text documents).
    Text {
        /// For example `text/plain`.
        media_type: String,
        /// The text.
        data: String,
    },
    /// In the provider's own shape.
    Native(Value),
}

/// A piece of thinking.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    /// The provider's identifier of the item, where it has one.
    pub id: Option<String>,
    /// The readable text or summary; empty where it is hidden.
    pub text: String,
    /// The proof that the text is the model's own (Anthropic, Gemini).
    pub signature: Option<String>,
    /// The hidden form (Anthropic's redacted thinking, OpenAI's encrypted content).
    pub encrypted: Option<String>,
}

/// The model asks for a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// What its result refers to.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as JSON text, just as the model wrote them; it may be invalid.
    pub arguments: String,
    /// Whether the tool runs at the client, at the provider, or is free text.
    pub kind: ToolCallKind,
}

/// Who runs a called tool, and how its input looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolCallKind {
    /// A function of the client's with JSON arguments.
    #[default]
    Function,
    /// A tool of the client's with free-text input (OpenAI's custom tools).
    Custom,
    /// A tool that the provider ran itself (Anthropic's server tools).
    Server,
    /// An action or a batch of actions of a computer-use tool. Its arguments are the
    /// actions in the shape of the vendor whose format the call came in; members
    /// beside them (a toolset's name, safety checks) are in the part's `extra`.
    ComputerUse,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    /// The call it answers.
    pub call_id: String,
    /// The tool's name, where the format repeats it.
    pub name: Option<String>,
    /// The answer: text, images, documents.
    pub content: Content,
    /// Whether the tool failed.
    pub is_error: bool,
}

/// A list of parts that remembers whether it was written as a bare string,
/// since some providers treat `"x"` and `[{"type":"text","text":"x"}]` differently.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The pieces, in order.
    pub parts: Vec<Part>,
    /// Whether it was one bare string.
    pub is_bare_text: bool,
}

/// A request to cache the prompt up to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheMarker {
    /// Anthropic's `ttl`, `5m` or `1h`, where given.
    pub ttl: Option<String>,
}

impl Part {
    /// A part without a cache marker or further members.
    #[must_use]
    pub fn new(content: PartContent) -> Self {
        Self {
            content,
            cache: None,
            extra: Extra::new(),
        }
    }

    /// A piece of plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(PartContent::Text {
            text: text.into(),
            citations: Vec::new(),
        })
    }
}

impl Content {
    /// One bare string.
    #[must_use]
    pub fn bare(text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::text(text)],
            is_bare_text: true,
        }
    }

    /// A list of parts.
    #[must_use]
    pub fn of(parts: Vec<Part>) -> Self {
        Self {
            parts,
            is_bare_text: false,
        }
    }

    /// The text pieces, joined.
    #[must_use]
    pub fn joined_text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| match &part.content {
                PartContent::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}
