//! What rules must know about a body's messages, noted while they are scanned.

use super::scan::{Broken, Cursor, Text, unescaped};
use crate::chat::WireFormat;
use crate::protocol::gemini_generate::signature::is_marked;
use crate::protocol::{anthropic_messages, openai_chat, openai_responses};

/// A text that holds escapes and is longer than this is no watched word.
const LONGEST_ESCAPED: usize = 128;

/// What the messages of a body hold, as far as a rule of its format asks for it.
#[derive(Clone, Copy, Debug)]
pub struct MessageWords {
    dialect: WireFormat,
    watched: &'static [&'static str],
    has_watched: bool,
    has_empty_content: bool,
    has_foreign_signature: bool,
}

impl MessageWords {
    pub(super) const fn none(dialect: WireFormat) -> Self {
        Self {
            dialect,
            watched: watched(dialect),
            has_watched: false,
            has_empty_content: false,
            has_foreign_signature: false,
        }
    }

    /// Whether one of the words that the format's rules watch for is the name of a member,
    /// or a whole text, anywhere in the messages.
    pub(crate) const fn has_any(&self) -> bool {
        self.has_watched
    }

    /// Whether a message has an empty text beside tool calls, or a list of parts that is
    /// empty or holds an empty text.
    pub(crate) const fn has_empty_content(&self) -> bool {
        self.has_empty_content
    }

    /// Whether a text that is empty, or marked as Gemini's, follows the name or text
    /// `signature` or `data`: thinking that its provider has not signed.
    pub(crate) const fn has_foreign_signature(&self) -> bool {
        self.has_foreign_signature
    }

    /// Steps over `messages`.
    pub(super) fn walk(&mut self, cursor: &mut Cursor<'_>, body: &[u8]) -> Result<(), Broken> {
        if cursor.peek() != Some(b'[') {
            return cursor.skip_value();
        }
        let mut has_next = cursor.open_array()?;
        while has_next {
            if cursor.peek() == Some(b'{') {
                self.walk_message(cursor, body)?;
            } else {
                cursor.skip_value()?;
            }
            has_next = cursor.next_item()?;
        }
        Ok(())
    }

    fn walk_message(&mut self, cursor: &mut Cursor<'_>, body: &[u8]) -> Result<(), Broken> {
        let mut has_calls = false;
        let mut is_empty_text = false;
        let mut has_call_id = false;
        let mut has_name = false;
        // Null, which OpenAI takes beside tool calls only.
        let mut is_null_text = false;
        let mut has_next = cursor.open_object()?;
        while has_next {
            let name = cursor.key()?;
            self.note(body, &name);
            let is_list = cursor.peek() == Some(b'[');
            let is_null = cursor.peek() == Some(b'n');
            let (mut texts, mut empty_texts) = (0_usize, 0_usize);
            let (mut follows_signature, mut follows_data) = (false, false);
            cursor.skip_value_seeing(&mut |text| {
                let is_empty = text.inside.is_empty();
                texts += 1;
                empty_texts += usize::from(is_empty);
                let inside = body.get(text.inside.clone()).unwrap_or_default();
                let is_foreign = (is_empty && follows_signature)
                    || ((follows_signature || follows_data) && is_marked(inside));
                self.has_foreign_signature |= is_foreign;
                follows_signature = inside == b"signature";
                follows_data = inside == b"data";
                self.note(body, text);
            })?;
            match &*unescaped(body, &name) {
                b"content" if is_list => self.has_empty_content |= texts == 0 || empty_texts > 0,
                b"content" => {
                    is_empty_text = empty_texts > 0;
                    is_null_text = is_null;
                }
                // An empty list of calls is no list of calls.
                b"tool_calls" => {
                    has_calls = !is_null;
                    self.has_empty_content |= is_list && texts == 0;
                }
                b"function_call" => has_calls |= !is_null,
                b"tool_call_id" => has_call_id = true,
                b"name" => has_name = !is_null,
                name => self.has_watched |= !is_null && self.is_unknown(name),
            }
            has_next = cursor.next_item()?;
        }
        self.has_empty_content |= has_calls && is_empty_text;
        if self.dialect == WireFormat::OpenAiChat {
            self.has_empty_content |= !has_calls && is_null_text;
            self.has_watched |= has_call_id && has_name;
        }
        Ok(())
    }

    /// Whether a message's member is one that the codec does not write.
    fn is_unknown(&self, name: &[u8]) -> bool {
        self.dialect == WireFormat::OpenAiChat && !matches!(name, b"role" | b"refusal" | b"audio")
    }

    fn note(&mut self, body: &[u8], text: &Text) {
        if text.is_escaped && text.inside.len() > LONGEST_ESCAPED {
            return;
        }
        let text = unescaped(body, text);
        self.has_watched |= self.watched.iter().any(|word| word.as_bytes() == &*text);
        // An id of ours, which no provider knows.
        self.has_watched |=
            self.dialect == WireFormat::OpenAiResponses && openai_responses::is_own_id(&text);
    }
}

const fn watched(dialect: WireFormat) -> &'static [&'static str] {
    match dialect {
        WireFormat::OpenAiChat => openai_chat::encode::REWRITTEN,
        WireFormat::OpenAiResponses => openai_responses::encode::WATCHED,
        WireFormat::AnthropicMessages => anthropic_messages::conversation::TOOL_CHANGES,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::chat::WireFormat;
    use crate::pass_through::Envelope;

    use super::MessageWords;

    fn words(dialect: WireFormat, messages: &str) -> MessageWords {
        let body = Bytes::from(format!("{{\"messages\":{messages},\"status\":\"status\"}}"));
        Envelope::scan(dialect, body).unwrap().message_words()
    }

    #[test]
    fn watched_words_are_found_as_names_and_as_whole_texts() {
        let openai = |messages| words(WireFormat::OpenAiChat, messages).has_any();
        assert!(openai(r#"[{"role":"assistant","reasoning":"x"}]"#));
        assert!(openai(r#"[{"content":[{"a":{"type":"tool_use"}}]}]"#));
        assert!(openai(r#"[{"content":"a","st\u0061tus":1}]"#));
        assert!(openai(r#"[{"role":"user","content":"a","newer":1}]"#));
        assert!(openai(
            r#"[{"role":"tool","tool_call_id":"1","name":"f","content":"a"}]"#
        ));
        assert!(!openai(r#"[{"role":"user","name":"f","content":"a"}]"#));
        assert!(!openai(
            r#"[{"role":"user","content":"a \"status\" of status"}]"#
        ));
        assert!(!openai(r#"[{"content":"tool_addition"}]"#));
        assert!(!openai(r#"{"status":1}"#));
        let anthropic = |messages| words(WireFormat::AnthropicMessages, messages).has_any();
        assert!(anthropic(r#"[{"content":[{"type":"tool_addition"}]}]"#));
        assert!(!anthropic(r#"[{"content":[{"type":"tool_use"}]}]"#));
    }

    #[test]
    fn empty_signatures_are_found() {
        let is_unsigned =
            |messages| words(WireFormat::AnthropicMessages, messages).has_foreign_signature();
        assert!(is_unsigned(
            r#"[{"content":[{"type":"thinking","thinking":"x","signature":""}]}]"#
        ));
        assert!(!is_unsigned(
            r#"[{"content":[{"type":"thinking","thinking":"","signature":"x"}]}]"#
        ));
    }

    #[test]
    fn empty_contents_are_found() {
        let is_empty = |messages| words(WireFormat::OpenAiChat, messages).has_empty_content();
        assert!(is_empty(r#"[{"content":"","tool_calls":[{}]}]"#));
        assert!(is_empty(r#"[{"tool_calls":[{}],"content":""}]"#));
        assert!(is_empty(r#"[{"content":[]}]"#));
        assert!(is_empty(r#"[{"content":[{"type":"text","text":""}]}]"#));
        assert!(!is_empty(r#"[{"content":null,"tool_calls":[{"id":""}]}]"#));
        assert!(!is_empty(
            r#"[{"tool_calls":[{"id":"1"}],"content":"a"},{"content":""}]"#
        ));
        assert!(is_empty(r#"[{"content":"a","tool_calls":[]}]"#));
        assert!(is_empty(r#"[{"content":null}]"#));
        assert!(!is_empty(
            r#"[{"content":null,"function_call":{"name":"f"}}]"#
        ));
    }
}
