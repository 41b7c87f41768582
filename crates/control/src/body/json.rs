//! JSON as Python's `json.loads` reads it, with its error wording and offsets.
//!
//! Cyberdesk's API is FastAPI, so its clients see Python's words (`Expecting value`)
//! and positions in code points; NaN and Infinity are numbers to it, integers have no
//! bound, the last of several equal members wins. `serde_json` does none of that, and
//! loses whether a number was written as `1` or `1.0`, which idempotency must know.
//!
//! The rules are those of CPython 3.11, `Modules/_json.c` and `Lib/json/decoder.py`.

use std::collections::HashMap;

/// A JSON value as it was written. It has no `Debug` but in tests: it may hold a key.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// Decimal digits without leading zeros, perhaps after `-`.
    Integer(String),
    Float(f64),
    Text(Text),
    Array(Vec<Json>),
    /// In order of first appearance, each key once.
    Object(Vec<(Text, Json)>),
}

/// A JSON string. A lone surrogate, which no Rust string can hold, is replaced by
/// U+FFFD and noted, so that whoever needs the text can refuse it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) has_lone_surrogate: bool,
}

/// Why a text is not JSON we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// Python's words, and how many code points precede the fault.
    Syntax {
        message: &'static str,
        position: usize,
    },
    /// Nested deeper than [`MAXIMUM_DEPTH`].
    TooDeep,
    /// What Python's parser gives up on without a position.
    Unreadable,
}

/// Arrays and objects within one another at most.
pub(crate) const MAXIMUM_DEPTH: usize = 128;

/// Digits that Python converts to an integer at most.
const MAXIMUM_DIGITS: usize = 4300;

/// Reads one JSON document.
pub(crate) fn parse(text: &str) -> Result<Json, JsonError> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
    };
    reader.skip_white_space();
    let value = reader.value()?;
    reader.skip_white_space();
    if reader.at < reader.bytes.len() {
        return Err(reader.fault("Extra data", reader.at));
    }
    Ok(value)
}

struct Reader<'text> {
    text: &'text str,
    bytes: &'text [u8],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    /// Counts code points from the start, so it is for the end of a reading only.
    fn fault(&self, message: &'static str, at: usize) -> JsonError {
        let before = self.bytes.get(..at).unwrap_or(self.bytes);
        // A byte that does not continue a character begins one.
        let position = before.iter().filter(|byte| (**byte & 0xC0) != 0x80).count();
        JsonError::Syntax { message, position }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Json, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Json::Text),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'n') => self.word("null", Json::Null),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'N') => self.word("NaN", Json::Float(f64::NAN)),
            Some(b'I') => self.word("Infinity", Json::Float(f64::INFINITY)),
            Some(b'-') if self.bytes.get(self.at + 1) == Some(&b'I') => {
                self.word("-Infinity", Json::Float(f64::NEG_INFINITY))
            }
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("Expecting value", self.at));
        }
        self.at += word.len();
        Ok(value)
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Json, JsonError>,
    ) -> Result<Json, JsonError> {
        self.depth += 1;
        if self.depth > MAXIMUM_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        self.skip_white_space();
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Json, JsonError> {
        let mut members: Vec<(Text, Json)> = Vec::new();
        let mut places: HashMap<Text, usize> = HashMap::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(
                    self.fault("Expecting property name enclosed in double quotes", self.at)
                );
            }
            let key = self.string()?;
            self.skip_white_space();
            if self.peek() != Some(b':') {
                return Err(self.fault("Expecting ':' delimiter", self.at));
            }
            self.at += 1;
            self.skip_white_space();
            let value = self.value()?;
            match places.get(&key) {
                Some(place) => members[*place].1 = value,
                None => {
                    places.insert(key.clone(), members.len());
                    members.push((key, value));
                }
            }
            if self.ends_or_continues(b'}')? {
                return Ok(Json::Object(members));
            }
        }
    }

    fn array(&mut self) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.ends_or_continues(b']')? {
                return Ok(Json::Array(items));
            }
        }
    }

    /// After a member: true at the closing bracket, false after a comma.
    fn ends_or_continues(&mut self, closing: u8) -> Result<bool, JsonError> {
        self.skip_white_space();
        let ends = match self.peek() {
            Some(byte) if byte == closing => true,
            Some(b',') => false,
            _ => return Err(self.fault("Expecting ',' delimiter", self.at)),
        };
        self.at += 1;
        if !ends {
            self.skip_white_space();
        }
        Ok(ends)
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'1'..=b'9') => self.skip_digits(),
            Some(b'0') => self.at += 1,
            _ => return Err(self.fault("Expecting value", start)),
        }
        let is_fraction = self.skip_fraction();
        let is_float = self.skip_exponent() || is_fraction;
        let written = &self.text[start..self.at];
        if is_float {
            return written
                .parse()
                .map(Json::Float)
                .map_err(|_| JsonError::Unreadable);
        }
        if written.trim_start_matches('-').len() > MAXIMUM_DIGITS {
            return Err(JsonError::Unreadable);
        }
        let digits = if written == "-0" { "0" } else { written };
        Ok(Json::Integer(digits.to_owned()))
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn skip_fraction(&mut self) -> bool {
        let digit_follows = self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
        if self.peek() == Some(b'.') && digit_follows {
            self.at += 1;
            self.skip_digits();
            return true;
        }
        false
    }

    fn skip_exponent(&mut self) -> bool {
        let before = self.at;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'-' | b'+')) {
                self.at += 1;
            }
            let digits = self.at;
            self.skip_digits();
            if self.at > digits {
                return true;
            }
            self.at = before;
        }
        false
    }

    fn string(&mut self) -> Result<Text, JsonError> {
        let begin = self.at;
        self.at += 1;
        let mut text = Text::default();
        loop {
            let chunk = self.at;
            while let Some(byte) = self.peek() {
                match byte {
                    b'"' | b'\\' => break,
                    0..=0x1F => return Err(self.fault("Invalid control character at", self.at)),
                    _ => self.at += 1,
                }
            }
            text.value.push_str(&self.text[chunk..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(_) if self.at + 1 < self.bytes.len() => self.escape(&mut text)?,
                _ => return Err(self.fault("Unterminated string starting at", begin)),
            }
        }
    }

    fn escape(&mut self, text: &mut Text) -> Result<(), JsonError> {
        let backslash = self.at;
        let character = match self.bytes[backslash + 1] {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(text),
            _ => return Err(self.fault("Invalid \\escape", backslash)),
        };
        text.value.push(character);
        self.at += 2;
        Ok(())
    }

    fn unicode_escape(&mut self, text: &mut Text) -> Result<(), JsonError> {
        let first = self.four_digits(self.at)?;
        self.at += 6;
        if let Some(character) = char::from_u32(first) {
            text.value.push(character);
            return Ok(());
        }
        let low_may_follow = (0xD800..0xDC00).contains(&first)
            && self.bytes.len() > self.at + 6
            && self.bytes[self.at..].starts_with(b"\\u");
        if low_may_follow {
            let second = self.four_digits(self.at)?;
            if (0xDC00..0xE000).contains(&second) {
                let joined = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                text.value.extend(char::from_u32(joined));
                self.at += 6;
                return Ok(());
            }
        }
        text.value.push(char::REPLACEMENT_CHARACTER);
        text.has_lone_surrogate = true;
        Ok(())
    }

    /// The digits after `\u` at `backslash`. Python wants one more character after them.
    fn four_digits(&self, backslash: usize) -> Result<u32, JsonError> {
        let wrong = || self.fault("Invalid \\uXXXX escape", backslash + 1);
        if backslash + 6 >= self.bytes.len() {
            return Err(wrong());
        }
        let digits = &self.bytes[backslash + 2..backslash + 6];
        digits.iter().try_fold(0, |number, byte| {
            let digit = char::from(*byte).to_digit(16).ok_or_else(wrong)?;
            Ok(number * 16 + digit)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The form in which the vectors state what Python read.
    fn shown(value: &Json) -> Value {
        match value {
            Json::Null => json!({"null": 1}),
            Json::Bool(truth) => json!({"bool": truth}),
            Json::Integer(digits) => json!({"int": digits}),
            Json::Float(number) => json!({"float": number.to_bits()}),
            Json::Text(text) => shown_text(text),
            Json::Array(items) => json!({"array": items.iter().map(shown).collect::<Vec<_>>()}),
            Json::Object(members) => json!({"object": members
                .iter()
                .map(|(key, value)| json!([shown_text(key), shown(value)]))
                .collect::<Vec<_>>()}),
        }
    }

    fn shown_text(text: &Text) -> Value {
        json!({"text": text.value, "lone": text.has_lone_surrogate})
    }

    /// Python's `repr` of a float as our bits.
    fn with_float_bits(value: Value) -> Value {
        match value {
            Value::Object(map) if map.contains_key("float") => {
                let number: f64 = map["float"].as_str().unwrap().parse().unwrap();
                json!({"float": number.to_bits()})
            }
            Value::Object(map) => map
                .into_iter()
                .map(|(key, value)| (key, with_float_bits(value)))
                .collect(),
            Value::Array(items) => items.into_iter().map(with_float_bits).collect(),
            other => other,
        }
    }

    #[test]
    fn every_text_is_read_as_python_reads_it() {
        let vectors = include_str!("../../tests/vectors/python_json.jsonl");
        for line in vectors.lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let text = vector["text"].as_str().unwrap();
            match parse(text) {
                Ok(value) => {
                    assert_eq!(
                        shown(&value),
                        with_float_bits(vector["value"].clone()),
                        "{text:?}"
                    );
                }
                Err(JsonError::Syntax { message, position }) => {
                    assert_eq!(
                        (json!(message), json!(position)),
                        (vector["error"].clone(), vector["position"].clone()),
                        "{text:?}"
                    );
                }
                Err(other) => panic!("{other:?} for {text:?}"),
            }
        }
    }

    /// Whatever fills a body of the largest size is read in one pass: were reading
    /// quadratic, this would take hours.
    #[test]
    fn reading_is_linear() {
        for item in [
            "0",
            "\"\"",
            "[]",
            "{}",
            "\"\\u0041\"",
            "null",
            "-1e5",
            "\"é\"",
        ] {
            let mut text = format!("[{item}");
            while text.len() < 1024 * 1024 {
                text.push(',');
                text.push_str(item);
            }
            let unfinished = parse(&text);
            assert!(
                matches!(unfinished, Err(JsonError::Syntax { .. })),
                "{item}"
            );
            text.push(']');
            assert!(parse(&text).is_ok(), "{item}");
        }
    }

    #[test]
    fn depth_and_digits_have_bounds() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(128)).is_ok());
        assert_eq!(parse(&nested(129)), Err(JsonError::TooDeep));
        assert_eq!(parse(&"[".repeat(100_000)), Err(JsonError::TooDeep));
        assert!(parse(&"9".repeat(4300)).is_ok());
        assert_eq!(parse(&"9".repeat(4301)), Err(JsonError::Unreadable));
    }
}
