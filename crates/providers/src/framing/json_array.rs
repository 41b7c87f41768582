//! Cutting one long JSON array into its items while it comes.
//!
//! Google's streams are such an array where nobody asks for server-sent events. A single
//! object without an array around it, as failures come, counts as its only item.

use crate::error::{ErrorKind, ProviderError};

/// The largest item that is taken.
const MAX_ITEM_BYTES: usize = 16 << 20;

/// Cuts an array into items. Linear in the bytes, and bounded by the largest item.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The item that has begun.
    item: Vec<u8>,
    /// How many brackets are open inside it.
    depth: usize,
    is_inside_text: bool,
    is_escaped: bool,
    place: Place,
}

/// Where the next byte outside an item stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the array.
    #[default]
    Before,
    /// In the array, between items.
    Inside,
    /// After a lone object.
    AfterObject,
    /// After the array.
    After,
}

impl Parser {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, cut anywhere, and hands over each item that they complete.
    ///
    /// # Errors
    /// When they are no array of objects, an item is too large, or `take` fails.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(&[u8]) -> Result<(), ProviderError>,
    ) -> Result<(), ProviderError> {
        for &byte in bytes {
            if self.depth > 0 {
                self.inside_item(byte)?;
                if self.depth == 0 {
                    take(&self.item)?;
                    self.item.clear();
                }
                continue;
            }
            match (byte, self.place) {
                (b' ' | b'\t' | b'\r' | b'\n', _) => {}
                (b'[', Place::Before) => self.place = Place::Inside,
                (b'{', Place::Before | Place::Inside) => {
                    if self.place == Place::Before {
                        self.place = Place::AfterObject;
                    }
                    self.item.push(byte);
                    self.depth = 1;
                }
                (b',', Place::Inside) => {}
                (b']', Place::Inside) => self.place = Place::After,
                _ => return Err(malformed("the stream is not an array of objects")),
            }
        }
        Ok(())
    }

    fn inside_item(&mut self, byte: u8) -> Result<(), ProviderError> {
        if self.item.len() == MAX_ITEM_BYTES {
            return Err(malformed("a chunk of the stream is larger than 16 MiB"));
        }
        self.item.push(byte);
        if self.is_inside_text {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_inside_text = false,
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b'"' => self.is_inside_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        Ok(())
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// When the array was not closed.
    pub(crate) fn finish(&self) -> Result<(), ProviderError> {
        let is_whole = matches!(self.place, Place::After | Place::AfterObject);
        if is_whole && self.depth == 0 {
            return Ok(());
        }
        Err(malformed("the stream ended before the answer was whole"))
    }
}

fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, ProviderError> {
        let mut parser = Parser::new();
        let mut items = Vec::new();
        for piece in pieces {
            parser.feed(piece, &mut |item| {
                items.push(String::from_utf8_lossy(item).into_owned());
                Ok(())
            })?;
        }
        parser.finish()?;
        Ok(items)
    }

    #[test]
    fn an_array_cut_anywhere_gives_the_same_items() {
        let array = r#" [{"a":"}\"]"} ,
            {"b":[{"c":1}]}]
        "#;
        let expected = [r#"{"a":"}\"]"}"#, r#"{"b":[{"c":1}]}"#];
        for cut in 0..=array.len() {
            let (left, right) = array.as_bytes().split_at(cut);
            assert_eq!(items([left, right]).unwrap(), expected, "{cut}");
        }
        assert_eq!(items(array.as_bytes().chunks(1)).unwrap(), expected);
        assert_eq!(items([&b"[]"[..]]).unwrap(), [""; 0]);
        assert_eq!(
            items([&br#"{"error":{}}"#[..]]).unwrap(),
            [r#"{"error":{}}"#]
        );
    }

    #[test]
    fn what_is_no_whole_array_is_an_error() {
        for text in [
            "", "[", "[{}", "[{}, {", "[1]", "x", "[{}]]", "{}{}", "\"a\"",
        ] {
            assert!(items([text.as_bytes()]).is_err(), "{text}");
        }
    }
}
