//! A cursor that walks over JSON text, checks all of it and builds nothing.

use std::borrow::Cow;
use std::ops::Range;

use super::text::plain_length;

/// How deep arrays and objects may be nested.
pub(super) const MAX_DEPTH: u32 = 128;

/// Where and why JSON breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Offset of the byte that does not fit; the length of the text where it ends too early.
    pub(super) position: usize,
    /// What was found, or what should have been, e.g. "expected a value".
    pub(super) reason: &'static str,
}

/// A string as it stands in the text.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// What is between the quotes.
    pub(super) inside: Range<usize>,
    /// Whether it holds a backslash, so that what it means is not what it says.
    pub(super) is_escaped: bool,
}

/// What a text means. One that means no Unicode text (a lone surrogate) stands for itself.
pub(super) fn unescaped<'b>(body: &'b [u8], text: &Text) -> Cow<'b, [u8]> {
    let inside = &body[text.inside.clone()];
    if text.is_escaped {
        let quoted = &body[text.inside.start - 1..=text.inside.end];
        if let Ok(meaning) = serde_json::from_slice::<String>(quoted) {
            return Cow::Owned(meaning.into_bytes());
        }
    }
    Cow::Borrowed(inside)
}

/// A place in JSON text. Everything before it has been checked, except that strings
/// are UTF-8.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    depth: u32,
    /// A bit for each open container, the innermost last: 1 for an object.
    kinds: u128,
    /// How many values have begun.
    values: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            depth: 0,
            kinds: 0,
            values: 1,
        }
    }

    pub(super) const fn position(&self) -> usize {
        self.position
    }

    /// How many values have begun, the outermost and members' names left out of it.
    pub(super) const fn values(&self) -> usize {
        self.values
    }

    /// The next byte that is not white space; the cursor is put on it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.position)?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.position += 1;
        }
    }

    /// Steps over one value of any kind.
    pub(super) fn skip_value(&mut self) -> Result<(), Broken> {
        self.skip_value_seeing(&mut |_| {})
    }

    /// Steps over one value of any kind, and shows every string in it: names and texts.
    pub(super) fn skip_value_seeing(&mut self, see: &mut impl FnMut(&Text)) -> Result<(), Broken> {
        let outer = self.depth;
        loop {
            match self.peek() {
                Some(b'"') => see(&self.string()?),
                Some(b'{') => {
                    if self.open_object()? {
                        see(&self.key()?);
                        continue;
                    }
                }
                Some(b'[') => {
                    if self.open_array()? {
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.broken("expected a value")),
            }
            loop {
                if self.depth == outer {
                    return Ok(());
                }
                if self.next_item()? {
                    break;
                }
            }
            if self.is_in_object() {
                see(&self.key()?);
            }
        }
    }

    /// Opens an array; whether it has a first element, which the cursor then is before.
    pub(super) fn open_array(&mut self) -> Result<bool, Broken> {
        self.open(0, b']')
    }

    /// Opens an object; whether it has a first member, which the cursor then is before.
    pub(super) fn open_object(&mut self) -> Result<bool, Broken> {
        self.open(1, b'}')
    }

    fn open(&mut self, kind: u128, close: u8) -> Result<bool, Broken> {
        if self.depth == MAX_DEPTH {
            return Err(self.broken("nested more than 128 levels deep"));
        }
        self.position += 1;
        if self.peek() == Some(close) {
            self.position += 1;
            return Ok(false);
        }
        self.depth += 1;
        self.kinds = self.kinds << 1 | kind;
        self.values += 1;
        Ok(true)
    }

    /// After an item of the innermost container: whether another follows. Closes the
    /// container where none does.
    pub(super) fn next_item(&mut self) -> Result<bool, Broken> {
        let is_in_object = self.is_in_object();
        match self.peek() {
            Some(b',') => {
                self.position += 1;
                self.values += 1;
                Ok(true)
            }
            Some(b'}') if is_in_object => Ok(self.close()),
            Some(b']') if !is_in_object => Ok(self.close()),
            _ if is_in_object => Err(self.broken("expected `,` or `}`")),
            _ => Err(self.broken("expected `,` or `]`")),
        }
    }

    const fn close(&mut self) -> bool {
        self.position += 1;
        self.depth -= 1;
        self.kinds >>= 1;
        false
    }

    const fn is_in_object(&self) -> bool {
        self.kinds & 1 == 1
    }

    /// Steps over a member's name and its colon.
    pub(super) fn key(&mut self) -> Result<Text, Broken> {
        if self.peek() != Some(b'"') {
            return Err(self.broken("expected a member's name in quotes"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.broken("expected `:`"));
        }
        self.position += 1;
        Ok(key)
    }

    /// Steps over the string whose opening quote the cursor is on.
    pub(super) fn string(&mut self) -> Result<Text, Broken> {
        self.position += 1;
        let start = self.position;
        let mut is_escaped = false;
        loop {
            self.position += plain_length(&self.bytes[self.position..]);
            match self.bytes.get(self.position) {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.broken("a string holds a bare control character")),
                None => return Err(self.broken("a string has no end")),
            }
            is_escaped = true;
        }
        let inside = start..self.position;
        self.position += 1;
        Ok(Text { inside, is_escaped })
    }

    fn escape(&mut self) -> Result<(), Broken> {
        self.position += 1;
        match self.bytes.get(self.position) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 1,
            Some(b'u') => {
                self.position += 1;
                for _ in 0..4 {
                    if !self.at(u8::is_ascii_hexdigit) {
                        return Err(self.broken("expected four hexadecimal digits after `\\u`"));
                    }
                    self.position += 1;
                }
            }
            _ => return Err(self.broken("a string holds an unknown escape")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Broken> {
        if self.at(|&byte| byte == b'-') {
            self.position += 1;
        }
        if self.at(|&byte| byte == b'0') {
            self.position += 1;
        } else {
            self.digits()?;
        }
        if self.at(|&byte| byte == b'.') {
            self.position += 1;
            self.digits()?;
        }
        if self.at(|&byte| matches!(byte, b'e' | b'E')) {
            self.position += 1;
            if self.at(|&byte| matches!(byte, b'+' | b'-')) {
                self.position += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Broken> {
        if !self.at(u8::is_ascii_digit) {
            return Err(self.broken("expected a digit"));
        }
        while self.at(u8::is_ascii_digit) {
            self.position += 1;
        }
        Ok(())
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Broken> {
        for &letter in word {
            if !self.at(|&byte| byte == letter) {
                return Err(self.broken("expected `true`, `false` or `null`"));
            }
            self.position += 1;
        }
        Ok(())
    }

    fn at(&self, is_wanted: impl FnOnce(&u8) -> bool) -> bool {
        self.bytes.get(self.position).is_some_and(is_wanted)
    }

    /// That the text does not go on as it must at the cursor.
    pub(super) const fn broken(&self, reason: &'static str) -> Broken {
        Broken {
            position: self.position,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(text: &str) -> Result<(), Broken> {
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.skip_value()?;
        match cursor.peek() {
            None => Ok(()),
            Some(_) => Err(cursor.broken("trailing")),
        }
    }

    #[test]
    fn it_takes_exactly_what_serde_json_takes() {
        let texts = [
            "",
            " ",
            "0",
            "-0",
            "01",
            "-",
            "1.",
            "1.5",
            ".5",
            "1e",
            "1e5",
            "1E+5",
            "1e-",
            "1e-07",
            "+1",
            "--1",
            "1 2",
            "true",
            "tru",
            "trueX",
            "false",
            "null",
            "nul",
            "NaN",
            "Infinity",
            "\"\"",
            "\"",
            "\"a\u{1}\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\u00e9\\n\\\"\\/\"",
            "[]",
            "[",
            "]",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 1]",
            "[1}",
            "{}",
            "{",
            "}",
            "{1:1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":1]",
            "{\"a\":1,\"b\":[{},[],{\"c\":null}]}",
            "{a:1}",
            "{'a':1}",
            "[1]x",
            "\u{feff}1",
            "{\"a\" : 1 ,\n\t\"b\"\r: [ 1 , 2 ] }",
            "\u{a0}1",
            "\"\u{7f}\"",
            "/**/1",
            "\u{b}1",
        ];
        for text in texts {
            let oracle = serde_json::from_str::<serde::de::IgnoredAny>(text);
            assert_eq!(
                skip(text).is_ok(),
                oracle.is_ok(),
                "{text:?}: {:?}",
                skip(text)
            );
        }
    }

    #[test]
    fn it_says_where_text_breaks() {
        let broken = |text| {
            let Broken { position, reason } = skip(text).unwrap_err();
            (position, reason)
        };
        assert_eq!(broken("{\"a\" 1}"), (5, "expected `:`"));
        assert_eq!(broken("[1 2]"), (3, "expected `,` or `]`"));
        assert_eq!(broken("{\"a\":1"), (6, "expected `,` or `}`"));
        assert_eq!(broken("[\"ab"), (4, "a string has no end"));
        assert_eq!(broken("[1,]"), (3, "expected a value"));
        assert_eq!(
            broken("\"a\nb\""),
            (2, "a string holds a bare control character")
        );
    }

    #[test]
    fn nesting_is_bounded_on_the_way_down() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(skip(&nested(128)), Ok(()));
        assert_eq!(skip(&nested(129)).unwrap_err().position, 128);
        let objects = "{\"a\":".repeat(1_000_000);
        assert_eq!(
            skip(&objects).unwrap_err().reason,
            "nested more than 128 levels deep"
        );
        let siblings = format!("[{}[]]", "[[]],".repeat(10_000));
        assert_eq!(skip(&siblings), Ok(()));
    }
}
