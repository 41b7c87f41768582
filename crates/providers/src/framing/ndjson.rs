//! Reading JSON values that come one a line: a push parser that is linear and bounded.

use memchr::memchr;

use crate::error::{ErrorKind, ProviderError};

/// How large a line may be unless told otherwise: 16 MiB, as for a frame of
/// an event stream.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// A stream that cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NdjsonError {
    /// A line is larger than the bound.
    #[error("the stream holds a line of more than {0} bytes")]
    TooLarge(usize),
    /// A line is not UTF-8.
    #[error("the stream holds a line that is not UTF-8")]
    NotUtf8,
}

impl From<NdjsonError> for ProviderError {
    fn from(error: NdjsonError) -> Self {
        Self::new(ErrorKind::Malformed, error.to_string())
    }
}

/// The line that one stream has left unfinished between two pieces.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    line: Vec<u8>,
    /// The line has been yielded and may go.
    is_yielded: bool,
}

/// The lines of one piece, in order. Read it until it yields none.
#[derive(Debug)]
pub struct Feed<'p> {
    parser: &'p mut Parser,
    bytes: &'p [u8],
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// Begins a stream with the usual bound.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_limit(MAX_LINE_BYTES)
    }

    /// Begins a stream whose lines are bounded by `limit` bytes.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            is_yielded: false,
        }
    }

    /// Takes the next piece of the stream, cut anywhere.
    pub const fn feed<'p>(&'p mut self, bytes: &'p [u8]) -> Feed<'p> {
        Feed {
            parser: self,
            bytes,
        }
    }

    /// Says that the stream is closed, and yields the line that lacked its end.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn finish(&mut self) -> Result<Option<&str>, NdjsonError> {
        self.forget_yielded();
        self.is_yielded = true;
        let line = trimmed(&self.line)?;
        Ok((!line.is_empty()).then_some(line))
    }

    fn forget_yielded(&mut self) {
        if std::mem::take(&mut self.is_yielded) {
            self.line.clear();
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), NdjsonError> {
        if self.line.len() + bytes.len() > self.limit {
            return Err(NdjsonError::TooLarge(self.limit));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }
}

impl Feed<'_> {
    /// The next complete line of the piece that is not blank.
    ///
    /// # Errors
    /// When it is too large or not UTF-8. The stream must not be read on after that.
    #[expect(
        clippy::should_implement_trait,
        reason = "a line borrows from the feed, which an iterator cannot lend"
    )]
    pub fn next(&mut self) -> Result<Option<&str>, NdjsonError> {
        loop {
            self.parser.forget_yielded();
            let Some(end) = memchr(b'\n', self.bytes) else {
                self.parser.keep(std::mem::take(&mut self.bytes))?;
                return Ok(None);
            };
            let (line, rest) = self.bytes.split_at(end);
            self.bytes = rest.get(1..).unwrap_or_default();
            let is_joined = !self.parser.line.is_empty();
            if is_joined {
                self.parser.keep(line)?;
                self.parser.is_yielded = true;
            } else if line.len() > self.parser.limit {
                return Err(NdjsonError::TooLarge(self.parser.limit));
            }
            let whole = if is_joined { &self.parser.line } else { line };
            if !whole.trim_ascii().is_empty() {
                // Borrowed anew, so that a blank line may be skipped above.
                let whole = if is_joined { &self.parser.line } else { line };
                return trimmed(whole).map(Some);
            }
        }
    }
}

fn trimmed(line: &[u8]) -> Result<&str, NdjsonError> {
    std::str::from_utf8(line.trim_ascii()).map_err(|_| NdjsonError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Result<Vec<String>, NdjsonError> {
        let mut parser = Parser::with_limit(8);
        let mut lines = Vec::new();
        for piece in pieces {
            let mut feed = parser.feed(piece);
            while let Some(line) = feed.next()? {
                lines.push(line.to_owned());
            }
        }
        lines.extend(parser.finish()?.map(str::to_owned));
        Ok(lines)
    }

    #[test]
    fn every_cut_gives_the_same_lines() {
        let stream = b"{\"a\":1}\r\n\n \n{\"b\"}\n\xc3\xa9\nend";
        let whole = lines(&[stream]).unwrap();
        assert_eq!(whole, ["{\"a\":1}", "{\"b\"}", "\u{e9}", "end"]);
        for cut in 0..=stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(lines(&[left, right]).unwrap(), whole, "{cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(lines(&bytes).unwrap(), whole);
    }

    #[test]
    fn long_lines_and_other_text_are_errors() {
        assert_eq!(lines(&[b"123456789\n"]), Err(NdjsonError::TooLarge(8)));
        assert_eq!(lines(&[b"1234", b"56789"]), Err(NdjsonError::TooLarge(8)));
        assert_eq!(lines(&[b"\xff\n"]), Err(NdjsonError::NotUtf8));
        assert_eq!(lines(&[b"\xff"]), Err(NdjsonError::NotUtf8));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let _ = lines(&pieces);
        }
    }
}
