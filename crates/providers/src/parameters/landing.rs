//! Where parameters land, as the catalog writes it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a parameter lands; written in the catalog as text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Landing {
    /// `body` or `body:a.b`: the member of the body that has its own name, or this path.
    Body(Option<Vec<String>>),
    /// `members:a.b`: each member of the object is a member of the object at this path of
    /// the body; `members`: of the body itself.
    Members(Vec<String>),
    /// `max_tokens`: the provider's member that bounds the output.
    MaxTokens,
    /// `setting`: it says how the protocol forms requests, and stands in none.
    Setting,
    /// `merge`: each member of the object counts as a parameter of its own.
    Merge,
    /// `extra_body`: each member of the object goes into the body just as it is.
    ExtraBody,
    /// `headers`: each member of the object is a header.
    Headers,
    /// `header:name`: this header; the items of an array are joined by commas.
    Header(String),
    /// `query`: each member of the object is a member of the query; `query:x`: the value
    /// is that member.
    Query(Option<String>),
    /// `streaming`: the answer is always fetched piece by piece.
    Streaming,
    /// `stream_usage`: whether a stream is asked to end with its usage.
    StreamUsage,
    /// `responses`: it sends calls through OpenAI's Responses API; `responses:x` only if
    /// it is that text.
    Responses(Option<String>),
    /// `endpoint:x`: it is the variable `x` of the row's addresses, such as a region.
    Endpoint(String),
    /// `refused`: LangChain fails where it is given.
    Refused,
    /// `ignored`: it only concerns LangChain's own objects.
    Ignored,
    /// `dropped`: LangChain takes it and sends nothing of it, so that it is left out and
    /// said to be.
    Dropped,
}

impl TryFrom<String> for Landing {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (kind, argument) = match text.split_once(':') {
            Some((kind, argument)) => (kind, Some(argument.to_owned())),
            None => (text.as_str(), None),
        };
        Ok(match (kind, argument) {
            ("body", path) => {
                Self::Body(path.map(|path| path.split('.').map(str::to_owned).collect()))
            }
            ("header", Some(name)) => Self::Header(name),
            ("endpoint", Some(variable)) => Self::Endpoint(variable),
            ("responses", value) => Self::Responses(value),
            ("members", None) => Self::Members(Vec::new()),
            ("members", Some(path)) => Self::Members(path.split('.').map(str::to_owned).collect()),
            ("max_tokens", None) => Self::MaxTokens,
            ("setting", None) => Self::Setting,
            ("merge", None) => Self::Merge,
            ("extra_body", None) => Self::ExtraBody,
            ("headers", None) => Self::Headers,
            ("query", name) => Self::Query(name),
            ("streaming", None) => Self::Streaming,
            ("stream_usage", None) => Self::StreamUsage,
            ("refused", None) => Self::Refused,
            ("ignored", None) => Self::Ignored,
            ("dropped", None) => Self::Dropped,
            _ => return Err(format!("`{text}` is no place where a parameter can land")),
        })
    }
}

impl From<Landing> for String {
    fn from(landing: Landing) -> Self {
        landing.to_string()
    }
}

impl fmt::Display for Landing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(None) => formatter.write_str("body"),
            Self::Body(Some(path)) => write!(formatter, "body:{}", path.join(".")),
            Self::Members(path) if path.is_empty() => formatter.write_str("members"),
            Self::Members(path) => write!(formatter, "members:{}", path.join(".")),
            Self::MaxTokens => formatter.write_str("max_tokens"),
            Self::Setting => formatter.write_str("setting"),
            Self::Merge => formatter.write_str("merge"),
            Self::ExtraBody => formatter.write_str("extra_body"),
            Self::Headers => formatter.write_str("headers"),
            Self::Header(name) => write!(formatter, "header:{name}"),
            Self::Query(None) => formatter.write_str("query"),
            Self::Query(Some(name)) => write!(formatter, "query:{name}"),
            Self::Streaming => formatter.write_str("streaming"),
            Self::StreamUsage => formatter.write_str("stream_usage"),
            Self::Responses(None) => formatter.write_str("responses"),
            Self::Responses(Some(value)) => write!(formatter, "responses:{value}"),
            Self::Endpoint(variable) => write!(formatter, "endpoint:{variable}"),
            Self::Refused => formatter.write_str("refused"),
            Self::Ignored => formatter.write_str("ignored"),
            Self::Dropped => formatter.write_str("dropped"),
        }
    }
}
