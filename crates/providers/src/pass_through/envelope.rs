//! A request body, scanned once.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::scan::{Broken, Cursor, Text, unescaped};
use super::words::MessageWords;
use crate::chat::{WireFormat, computer_use};
use crate::error::InvalidCall;
use crate::protocol::openai_responses::state;

/// How many members the body may have: far more than any format knows, and few enough
/// that what is kept of them stays small.
const MAX_MEMBERS: usize = 1000;

/// How long `model`, `models` and `stream` may be, in bytes: each is read into memory.
const LONGEST_READ: usize = 64 * 1024;

/// A client's request body, scanned once: its top-level members and where they are.
///
/// It answers what routing must know (`model`, `models`, `stream`, whether a
/// computer-use tool is present) and can be spliced. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Envelope {
    body: Bytes,
    scanned: Arc<Scanned>,
}

#[derive(Debug)]
struct Scanned {
    dialect: WireFormat,
    members: Vec<Member>,
    model: Option<String>,
    models: Option<Vec<String>>,
    is_stream: bool,
    tools: Tools,
    message_words: MessageWords,
    values: usize,
}

/// What is noted of `tools`.
#[derive(Debug, Default)]
struct Tools {
    types: BTreeSet<String>,
    has_computer_use: bool,
}

/// One member of the body's object.
#[derive(Debug)]
pub(super) struct Member {
    name: Text,
    /// Name and value, from the name's opening quote to the value's last byte.
    span: Range<usize>,
    /// Where in the body its value begins.
    value_start: usize,
}

impl Envelope {
    /// Scans a body. Checks that it is one JSON object in UTF-8, nested at most 128
    /// deep, with nothing after it and at most 1,000 members. Of members with the same name, the last counts.
    ///
    /// # Errors
    /// When it is not; when `model`, `models` or `stream` have the wrong type; when it
    /// asks for what is kept between calls.
    pub fn scan(dialect: WireFormat, body: Bytes) -> Result<Self, InvalidCall> {
        let mut scanned = Scanned {
            dialect,
            members: Vec::with_capacity(16),
            model: None,
            models: None,
            is_stream: false,
            tools: Tools::default(),
            message_words: MessageWords::none(dialect),
            values: 0,
        };
        let walked = scanned.walk(&body).and_then(|()| check_utf8(&body));
        walked.map_err(|broken| invalid_json(&body, broken))?;
        drop_shadowed(&mut scanned.members, &body);
        state::refuse(&|name| {
            let value = scanned.find(&body, name)?.value();
            std::str::from_utf8(&body[value]).ok().map(Cow::Borrowed)
        })?;
        scanned.model = scanned.read(&body, "model", "a string")?;
        scanned.models = scanned.read(&body, "models", "a list of strings")?;
        scanned.is_stream = scanned
            .read(&body, "stream", "true or false")?
            .unwrap_or_default();
        Ok(Self {
            body,
            scanned: Arc::new(scanned),
        })
    }

    /// The format that the body is written in.
    #[must_use]
    pub fn dialect(&self) -> WireFormat {
        self.scanned.dialect
    }

    /// The client's `model`, unescaped.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.scanned.model.as_deref()
    }

    /// The client's `models`, in order; none where the member is left out.
    #[must_use]
    pub fn models(&self) -> Option<&[String]> {
        self.scanned.models.as_deref()
    }

    /// Whether the answer is wanted as a stream.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.scanned.is_stream
    }

    /// Whether a stream's report of usage is for the client: always in Anthropic's
    /// format and that of the Responses API, with `stream_options.include_usage` in that of
    /// chat completions.
    #[must_use]
    pub fn wants_stream_usage(&self) -> bool {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct StreamOptions {
            include_usage: Option<bool>,
        }
        match self.dialect() {
            WireFormat::OpenAiChat => {
                let options = self.member("stream_options").unwrap_or(b"null");
                let options: Option<StreamOptions> =
                    serde_json::from_slice(options).unwrap_or_default();
                options.is_some_and(|options| options.include_usage == Some(true))
            }
            WireFormat::OpenAiResponses | WireFormat::AnthropicMessages => true,
        }
    }

    /// The different `type`s of the tools in `tools`; empty for one that has none.
    pub fn tool_types(&self) -> impl Iterator<Item = &str> {
        self.scanned.tools.types.iter().map(String::as_str)
    }

    /// Whether `tools` holds a vendor's computer-use tool, in the shape of any vendor:
    /// every format lets tools through that it does not know.
    #[must_use]
    pub fn has_computer_use_tool(&self) -> bool {
        self.scanned.tools.has_computer_use
    }

    /// What the messages hold, as far as rules of the format ask for it.
    #[must_use]
    pub fn message_words(&self) -> MessageWords {
        self.scanned.message_words
    }

    /// How many JSON values the body holds, itself included: what it takes in memory once
    /// it is parsed goes by them.
    #[must_use]
    pub fn values(&self) -> usize {
        self.scanned.values
    }

    /// The value of a top-level member, as the client wrote it: valid JSON without
    /// white space around it.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&[u8]> {
        let member = self.scanned.find(&self.body, name)?;
        Some(&self.body[member.value()])
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The members that count, in the client's order: each name, unescaped, and the
    /// text of name and value together.
    pub(super) fn members(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, &[u8])> {
        let members = self.scanned.members.iter();
        members.map(|member| (member.name(&self.body), &self.body[member.span.clone()]))
    }
}

impl Scanned {
    /// Checks the whole body as JSON and finds its members, the types of the last `tools`
    /// and the words of the last `messages` among them.
    fn walk(&mut self, body: &[u8]) -> Result<(), Broken> {
        let mut cursor = Cursor::new(body);
        if cursor.peek() != Some(b'{') {
            return Err(cursor.broken("expected an object"));
        }
        let conversation: &[u8] = match self.dialect {
            WireFormat::OpenAiResponses => b"input",
            WireFormat::OpenAiChat | WireFormat::AnthropicMessages => b"messages",
        };
        let mut has_next = cursor.open_object()?;
        while has_next {
            let name = cursor.key()?;
            cursor.peek();
            let value_start = cursor.position();
            match &*unescaped(body, &name) {
                b"tools" => {
                    let mut tools = Tools::default();
                    tools.walk(&mut cursor, body, self.dialect)?;
                    self.tools = tools;
                }
                name if *name == *conversation => {
                    self.message_words = MessageWords::none(self.dialect);
                    self.message_words.walk(&mut cursor, body)?;
                }
                _ => cursor.skip_value()?,
            }
            if self.members.len() == MAX_MEMBERS {
                return Err(cursor.broken("more than 1,000 members"));
            }
            self.members.push(Member {
                span: name.inside.start - 1..cursor.position(),
                name,
                value_start,
            });
            has_next = cursor.next_item()?;
        }
        if cursor.peek().is_some() {
            return Err(cursor.broken("expected nothing after the object"));
        }
        self.values = cursor.values();
        Ok(())
    }

    fn find(&self, body: &[u8], name: &str) -> Option<&Member> {
        let mut members = self.members.iter();
        members.find(|member| *member.name(body) == *name.as_bytes())
    }

    /// Reads a small member; none where it is left out or null.
    fn read<T: DeserializeOwned>(
        &self,
        body: &[u8],
        name: &str,
        wanted: &str,
    ) -> Result<Option<T>, InvalidCall> {
        let Some(member) = self.find(body, name) else {
            return Ok(None);
        };
        let value = &body[member.value()];
        if value.len() > LONGEST_READ {
            return Err(InvalidCall {
                message: format!("`{name}` must be no longer than {LONGEST_READ} bytes"),
                parameter: Some(name.to_owned()),
            });
        }
        serde_json::from_slice(value).map_err(|_| InvalidCall {
            message: format!("`{name}` must be {wanted}"),
            parameter: Some(name.to_owned()),
        })
    }
}

impl Member {
    fn value(&self) -> Range<usize> {
        self.value_start..self.span.end
    }

    fn name<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        unescaped(body, &self.name)
    }
}

fn check_utf8(body: &[u8]) -> Result<(), Broken> {
    // Nearly every body is ASCII, which is five times faster to see.
    if !body.is_ascii()
        && let Err(error) = std::str::from_utf8(body)
    {
        return Err(Broken {
            position: error.valid_up_to(),
            reason: "a string is not UTF-8",
        });
    }
    Ok(())
}

impl Tools {
    /// Steps over `tools`. Its types stay empty where it has none.
    fn walk(
        &mut self,
        cursor: &mut Cursor<'_>,
        body: &[u8],
        dialect: WireFormat,
    ) -> Result<(), Broken> {
        if cursor.peek() != Some(b'[') {
            return cursor.skip_value();
        }
        let mut has_next = cursor.open_array()?;
        while has_next {
            let kind = self.walk_tool(cursor, body, dialect)?.unwrap_or_default();
            if let Ok(kind) = std::str::from_utf8(&kind)
                && !self.types.contains(kind)
            {
                self.types.insert(kind.to_owned());
            }
            if self.types.len() > MAX_MEMBERS {
                return Err(cursor.broken("more than 1,000 types of tools"));
            }
            has_next = cursor.next_item()?;
        }
        Ok(())
    }

    /// Steps over one tool; its last `type`. For computer use every type and every member
    /// counts, since parsers differ in which of several they take.
    fn walk_tool<'b>(
        &mut self,
        cursor: &mut Cursor<'_>,
        body: &'b [u8],
        dialect: WireFormat,
    ) -> Result<Option<Cow<'b, [u8]>>, Broken> {
        if cursor.peek() != Some(b'{') {
            cursor.skip_value()?;
            return Ok(None);
        }
        let mut kind = None;
        let mut has_next = cursor.open_object()?;
        while has_next {
            let name = unescaped(body, &cursor.key()?);
            self.has_computer_use |= computer_use::is_member(&name);
            match (&*name, cursor.peek()) {
                (b"type", Some(b'"')) => {
                    let found = unescaped(body, &cursor.string()?);
                    self.has_computer_use |= computer_use::is_type(dialect, &found);
                    kind = Some(found);
                }
                (b"tools", Some(b'[')) => {
                    let mut inner = Self::default();
                    inner.walk(cursor, body, dialect)?;
                    self.has_computer_use |= inner.has_computer_use;
                }
                (name, _) => {
                    if name == b"type" {
                        kind = None;
                    }
                    cursor.skip_value()?;
                }
            }
            has_next = cursor.next_item()?;
        }
        Ok(kind)
    }
}

/// Keeps the last of the members that have the same name, as parsers do.
fn drop_shadowed(members: &mut Vec<Member>, body: &[u8]) {
    let mut seen = BTreeSet::new();
    members.reverse();
    members.retain(|member| seen.insert(member.name(body)));
    members.reverse();
}

fn invalid_json(body: &[u8], broken: Broken) -> InvalidCall {
    let Broken { position, reason } = broken;
    let before = &body[..position];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |found| found + 1);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let column = String::from_utf8_lossy(&before[line_start..])
        .chars()
        .count()
        + 1;
    let end = if position == body.len() {
        ", where the body ends"
    } else {
        ""
    };
    InvalidCall {
        message: format!(
            "the JSON body cannot be read: {reason} at line {line}, column {column}{end}"
        ),
        parameter: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(body: &str) -> Result<Envelope, InvalidCall> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Envelope::scan(WireFormat::AnthropicMessages, body)
    }

    fn message(body: &str) -> String {
        scan(body).unwrap_err().message
    }

    #[test]
    fn it_answers_what_routing_asks() {
        let envelope = scan(
            " { \"mod\\u0065l\" : \"a\\\"b\" ,\n\"models\":[\"x\",\"y\"],\"stream\":true, \
             \"n\":[1, 2] } ",
        )
        .unwrap();
        assert_eq!(envelope.model(), Some("a\"b"));
        assert_eq!(envelope.models().unwrap(), ["x", "y"]);
        assert!(envelope.stream());
        assert_eq!(envelope.member("n"), Some(&b"[1, 2]"[..]));
        assert_eq!(envelope.member("m"), None);
        let empty = scan("{}").unwrap();
        assert_eq!((empty.model(), empty.models()), (None, None));
        assert!(!empty.stream());
        let nulls = scan(r#"{"model":null,"models":null,"stream":null}"#).unwrap();
        assert_eq!((nulls.model(), nulls.models()), (None, None));
    }

    #[test]
    fn of_members_with_one_name_the_last_counts() {
        let envelope = scan(r#"{"model":"a","x":1,"mod\u0065l":"b","x":2}"#).unwrap();
        assert_eq!(envelope.model(), Some("b"));
        assert_eq!(envelope.member("x"), Some(&b"2"[..]));
        assert_eq!(envelope.members().count(), 2);
    }

    #[test]
    fn computer_use_tools_are_found() {
        let has = |body| scan(body).unwrap().has_computer_use_tool();
        assert!(has(
            r#"{"tools":[{"name":"x"},{"type":"computer_20250124"}]}"#
        ));
        assert!(has(
            r#"{"tools":[{"typ\u0065":"\u0063omputer_toolset_20260801"}]}"#
        ));
        assert!(has(r#"{"tools":[{"type":"browser_toolset_20260801"}]}"#));
        assert!(has(
            r#"{"tools":[],"tools":[{"type":"computer_20250124"}]}"#
        ));
        assert!(!has(
            r#"{"tools":[{"type":"computer_20250124"}],"tools":[]}"#
        ));
        assert!(has(
            r#"{"tools":[{"type":"computer_20250124","type":"custom"}]}"#
        ));
        assert!(has(r#"{"tools":[{"type":"computer_20250124","type":1}]}"#));
        assert!(!has(
            r#"{"tools":[{"type":"custom","name":"computer_x","in":{"type":"computer_x"}},"a"]}"#
        ));
        assert!(!has(
            r#"{"tools":"computer_","messages":[{"type":"computer_20250124"}]}"#
        ));
    }

    #[test]
    fn computer_use_tools_of_every_vendor_are_found_in_every_format() {
        let tools = [
            r#"{"type":"computer_use_preview"}"#,
            r#"{"type":"computer"}"#,
            r#"{"type":"computer-preview"}"#,
            r#"{"type":"computerUse"}"#,
            r#"{"computer_use":{"environment":"ENVIRONMENT_BROWSER"}}"#,
            r#"{"computer\u0055se":{}}"#,
            r#"{"type":"custom","name":"x","computer_use":{}}"#,
            r#"{"type":"namespace","name":"x","tools":[{"type":"computer"}]}"#,
        ];
        for dialect in [
            WireFormat::OpenAiChat,
            WireFormat::OpenAiResponses,
            WireFormat::AnthropicMessages,
        ] {
            let has = |tool: &str| {
                let body = Bytes::from(format!("{{\"tools\":[{{\"type\":\"a\"}},{tool}]}}"));
                let envelope = Envelope::scan(dialect, body).unwrap();
                envelope.has_computer_use_tool()
            };
            for tool in tools {
                assert!(has(tool), "{dialect:?} {tool}");
            }
            for tool in [
                r#"{"type":"web_search"}"#,
                r#"{"type":"function","function":{"name":"computer_use"}}"#,
                r#"{"type":"function","name":"f","parameters":{"properties":{"computer_use":{}}}}"#,
            ] {
                assert!(!has(tool), "{dialect:?} {tool}");
            }
        }
    }

    #[test]
    fn tool_types_are_listed_once() {
        let tools = r#"{"tools":[{"type":"function"},{"type":"a"},{"x":1},{"type":"function"}]}"#;
        let envelope = scan(tools).unwrap();
        assert_eq!(
            envelope.tool_types().collect::<Vec<_>>(),
            ["", "a", "function"]
        );
    }

    #[test]
    fn a_wrong_body_is_explained() {
        let prefix = "the JSON body cannot be read: ";
        let cases = [
            (
                "",
                "expected an object at line 1, column 1, where the body ends",
            ),
            ("[1]", "expected an object at line 1, column 1"),
            (
                "{\n \"é\": tru}",
                "expected `true`, `false` or `null` at line 2, column 10",
            ),
            (
                "{} {}",
                "expected nothing after the object at line 1, column 4",
            ),
            (
                "{\"a\":\"b",
                "a string has no end at line 1, column 8, where the body ends",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(message(body), format!("{prefix}{expected}"));
        }
        let bytes = Bytes::from_static(b"{\"a\":\"\xff\"}");
        let invalid = Envelope::scan(WireFormat::OpenAiChat, bytes).unwrap_err();
        assert_eq!(
            invalid.message,
            format!("{prefix}a string is not UTF-8 at line 1, column 7")
        );
        for (body, expected) in [
            (r#"{"model":1}"#, "`model` must be a string"),
            (
                r#"{"models":["a",1]}"#,
                "`models` must be a list of strings",
            ),
            (r#"{"stream":"yes"}"#, "`stream` must be true or false"),
        ] {
            assert_eq!(message(body), expected);
        }
    }
}
