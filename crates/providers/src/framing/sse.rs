//! Reading server-sent events: a push parser that is linear and bounded.
//!
//! Follows the event stream format of the HTML standard
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), except that
//! text which is not UTF-8 is an error rather than replaced, and that
//! [`Parser::finish`] yields an event whose closing blank line never came.
//!
//! ```
//! use providers::framing::sse::Parser;
//!
//! let mut parser = Parser::new();
//! let mut feed = parser.feed(b"event: ping\ndata: {}\n\n");
//! while let Some(event) = feed.next()? {
//!     assert_eq!((event.name, event.data), ("ping", "{}"));
//! }
//! # Ok::<(), providers::framing::sse::SseError>(())
//! ```

use std::ops::Range;

use crate::error::{ErrorKind, ProviderError};
use memchr::{memchr, memchr2};

/// How large a line, and the data of an event, may be unless told otherwise: 32 MiB,
/// since an event can hold a generated image.
pub const MAX_EVENT_BYTES: usize = 32 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field; empty where there was none, which means `message`.
    pub name: &'a str,
    /// The `data` fields, joined by line feeds.
    pub data: &'a str,
    /// The last `id` field of the stream so far; empty where there was none.
    pub id: &'a str,
}

/// A stream that cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line, or the data of an event, is larger than the bound.
    #[error("the stream holds an event of more than {0} bytes")]
    TooLarge(usize),
    /// A field is not UTF-8.
    #[error("the stream holds an event that is not UTF-8")]
    NotUtf8,
}

impl From<SseError> for ProviderError {
    fn from(error: SseError) -> Self {
        Self {
            kind: ErrorKind::Malformed,
            status: None,
            message: error.to_string(),
            code: None,
            parameter: None,
            retry_after: None,
        }
    }
}

/// What one stream has left unfinished between two pieces.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    name: Vec<u8>,
    /// The data of the current event, as far as it is not a slice of the piece at hand.
    data: Vec<u8>,
    has_data: bool,
    id: Vec<u8>,
    /// The last piece ended in a carriage return; a line feed now belongs to it.
    skips_line_feed: bool,
    is_at_start: bool,
}

/// The events of one piece, in order. Read it until it yields none: what it has not
/// looked at by then is lost to the parser.
#[derive(Debug)]
pub struct Feed<'p> {
    parser: &'p mut Parser,
    bytes: &'p [u8],
    position: usize,
    boundary: usize,
    event_start: usize,
    /// The event's only data line, where it lies whole in `bytes`: then it is never copied.
    data: Option<Range<usize>>,
    is_dispatched: bool,
}

/// Where a complete line is: in the piece at hand, or put together in `Parser::line`.
enum Line {
    InPiece(Range<usize>),
    Joined,
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
        Self::with_limit(MAX_EVENT_BYTES)
    }

    /// How much is kept of an event whose end has not come, in bytes.
    #[must_use]
    pub const fn unfinished(&self) -> usize {
        self.line.len() + self.data.len()
    }

    /// Begins a stream whose lines and event data are bounded by `limit` bytes each.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            id: Vec::new(),
            skips_line_feed: false,
            is_at_start: true,
        }
    }

    /// Takes the next piece of the stream, cut anywhere.
    pub const fn feed<'p>(&'p mut self, bytes: &'p [u8]) -> Feed<'p> {
        Feed {
            parser: self,
            bytes,
            position: 0,
            boundary: 0,
            event_start: 0,
            data: None,
            is_dispatched: false,
        }
    }

    /// Whether the stream stands between two events.
    #[must_use]
    pub const fn is_between_events(&self) -> bool {
        self.line.is_empty() && self.name.is_empty() && !self.has_data
    }

    /// Says that the stream is closed, and yields the event that lacked its blank line.
    ///
    /// The standard drops such an event. Some providers close right after `[DONE]`,
    /// and an event that was really cut off is found out by its broken data.
    ///
    /// # Errors
    /// As [`Feed::next`].
    pub fn finish(&mut self) -> Result<Option<Event<'_>>, SseError> {
        let line = std::mem::take(&mut self.line);
        self.take_line(&line)?;
        if !self.has_data {
            return Ok(None);
        }
        self.has_data = false;
        let event = Event {
            name: text(&self.name)?,
            data: text(&self.data)?,
            id: text(&self.id)?,
        };
        Ok(Some(event))
    }

    /// Takes a line that is not blank and whose data cannot be borrowed.
    fn take_line(&mut self, line: &[u8]) -> Result<(), SseError> {
        let (field, value) = split_field(line);
        self.take_field(field, &line[value])
    }

    fn take_field(&mut self, field: &[u8], value: &[u8]) -> Result<(), SseError> {
        match field {
            b"data" => self.append_data(value)?,
            b"event" => replace(&mut self.name, value),
            b"id" if memchr(0, value).is_none() => replace(&mut self.id, value),
            // `retry` is about reconnecting, which a one-shot answer never does.
            _ => {}
        }
        Ok(())
    }

    fn append_data(&mut self, value: &[u8]) -> Result<(), SseError> {
        if self.data.len() + value.len() > self.limit {
            return Err(SseError::TooLarge(self.limit));
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }

    fn begin_event(&mut self) {
        self.name.clear();
        self.data.clear();
        self.has_data = false;
    }
}

impl Feed<'_> {
    /// The next complete event of the piece.
    ///
    /// # Errors
    /// When it is too large or not UTF-8. The stream must not be read on after that.
    #[expect(
        clippy::should_implement_trait,
        reason = "an event borrows from the feed, which an iterator cannot lend"
    )]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, SseError> {
        if std::mem::take(&mut self.is_dispatched) {
            self.parser.begin_event();
            self.data = None;
        }
        while let Some(line) = self.next_line()? {
            if !self.is_blank(&line) {
                self.take(line)?;
                continue;
            }
            let event_start = std::mem::replace(&mut self.boundary, self.position);
            if self.data.is_some() || self.parser.has_data {
                self.event_start = event_start;
                return self.dispatch().map(Some);
            }
            self.parser.begin_event();
        }
        self.keep_data()?;
        Ok(None)
    }

    /// How many bytes of the piece lie before the end of its last blank line so far:
    /// after an event, where it ends. What follows belongs to an event that is not whole.
    #[must_use]
    pub const fn boundary(&self) -> usize {
        self.boundary
    }

    /// Where in the piece the last event begins; 0 where an earlier piece holds its beginning.
    #[must_use]
    pub const fn event_start(&self) -> usize {
        self.event_start
    }

    fn next_line(&mut self) -> Result<Option<Line>, SseError> {
        if self.parser.skips_line_feed && self.position < self.bytes.len() {
            self.parser.skips_line_feed = false;
            self.position += usize::from(self.bytes[self.position] == b'\n');
            if self.parser.is_between_events() {
                self.boundary = self.position;
            }
        }
        let start = self.position;
        let rest = &self.bytes[start..];
        let found = memchr2(b'\n', b'\r', rest);
        let length = found.unwrap_or(rest.len());
        if self.parser.line.len() + length > self.parser.limit {
            return Err(SseError::TooLarge(self.parser.limit));
        }
        if found.is_none() || !self.parser.line.is_empty() {
            self.parser.line.extend_from_slice(&rest[..length]);
        }
        self.position = start + length;
        if found.is_none() {
            return Ok(None);
        }
        self.skip_line_end();
        let mut line = if self.parser.line.is_empty() {
            Line::InPiece(start..start + length)
        } else {
            Line::Joined
        };
        if std::mem::take(&mut self.parser.is_at_start) {
            self.skip_byte_order_mark(&mut line);
        }
        Ok(Some(line))
    }

    fn skip_line_end(&mut self) {
        let is_carriage_return = self.bytes[self.position] == b'\r';
        self.position += 1;
        if is_carriage_return {
            match self.bytes.get(self.position) {
                Some(b'\n') => self.position += 1,
                Some(_) => {}
                None => self.parser.skips_line_feed = true,
            }
        }
    }

    fn skip_byte_order_mark(&mut self, line: &mut Line) {
        match line {
            Line::InPiece(range) if self.bytes[range.clone()].starts_with(BYTE_ORDER_MARK) => {
                range.start += BYTE_ORDER_MARK.len();
            }
            Line::Joined if self.parser.line.starts_with(BYTE_ORDER_MARK) => {
                self.parser.line.drain(..BYTE_ORDER_MARK.len());
            }
            _ => {}
        }
    }

    fn is_blank(&self, line: &Line) -> bool {
        match line {
            Line::InPiece(range) => range.is_empty(),
            Line::Joined => self.parser.line.is_empty(),
        }
    }

    fn take(&mut self, line: Line) -> Result<(), SseError> {
        match line {
            Line::InPiece(range) => {
                let line = &self.bytes[range.clone()];
                let (field, value) = split_field(line);
                if field == b"data" && self.data.is_none() && !self.parser.has_data {
                    self.data = Some(range.start + value.start..range.start + value.end);
                    return Ok(());
                }
                if field == b"data" {
                    self.keep_data()?;
                }
                self.parser.take_field(field, &line[value])
            }
            Line::Joined => {
                self.keep_data()?;
                let mut line = std::mem::take(&mut self.parser.line);
                let taken = self.parser.take_line(&line);
                line.clear();
                self.parser.line = line;
                taken
            }
        }
    }

    /// Copies the data that lies in the piece, since more follows or the piece ends.
    fn keep_data(&mut self) -> Result<(), SseError> {
        match self.data.take() {
            Some(range) => self.parser.append_data(&self.bytes[range]),
            None => Ok(()),
        }
    }

    fn dispatch(&mut self) -> Result<Event<'_>, SseError> {
        self.is_dispatched = true;
        let data = match &self.data {
            Some(range) => &self.bytes[range.clone()],
            None => &self.parser.data,
        };
        Ok(Event {
            name: text(&self.parser.name)?,
            data: text(data)?,
            id: text(&self.parser.id)?,
        })
    }
}

/// A line's field name and where its value is: after the colon and one space.
fn split_field(line: &[u8]) -> (&[u8], Range<usize>) {
    let Some(colon) = memchr(b':', line) else {
        return (line, line.len()..line.len());
    };
    let is_spaced = line.get(colon + 1) == Some(&b' ');
    (
        &line[..colon],
        colon + 1 + usize::from(is_spaced)..line.len(),
    )
}

fn text(bytes: &[u8]) -> Result<&str, SseError> {
    std::str::from_utf8(bytes).map_err(|_| SseError::NotUtf8)
}

fn replace(target: &mut Vec<u8>, value: &[u8]) {
    target.clear();
    target.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (String, String, String);

    /// All events of a stream that is cut at `cuts`.
    fn parse(stream: &[u8], cuts: &[usize]) -> Result<Vec<Owned>, SseError> {
        let mut parser = Parser::new();
        let mut events = Vec::new();
        let mut start = 0;
        for &end in cuts.iter().chain([&stream.len()]) {
            let mut feed = parser.feed(&stream[start..end]);
            while let Some(event) = feed.next()? {
                events.push((event.name.into(), event.data.into(), event.id.into()));
            }
            start = end;
        }
        Ok(events)
    }

    fn event(name: &str, data: &str) -> Owned {
        (name.into(), data.into(), String::new())
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        let stream = "\u{feff}: comment\n\nevent: a\r\ndata: one\r\ndata:  two\rdata\rfoo: x\n\n\
            event: lost\n\ndata\n\nid: 7\ndata:x\n\nid: n\0ul\nretry: 10\ndata: é\n\ndata: cut";
        let with_id = |data: &str| (String::new(), data.to_owned(), "7".to_owned());
        let expected = vec![
            event("a", "one\n two\n"),
            event("", ""),
            with_id("x"),
            with_id("é"),
        ];
        for cut in 0..stream.len() {
            assert_eq!(parse(stream.as_bytes(), &[cut]), Ok(expected.clone()));
        }
        let every: Vec<usize> = (0..stream.len()).collect();
        assert_eq!(parse(stream.as_bytes(), &every), Ok(expected));
    }

    #[test]
    fn an_event_is_yielded_at_its_blank_line_whatever_ends_it() {
        for line_end in ["\n", "\r", "\r\n"] {
            let mut parser = Parser::new();
            let stream = format!("data: a{line_end}{line_end}");
            let mut feed = parser.feed(stream.as_bytes());
            assert_eq!(feed.next().unwrap().unwrap().data, "a");
            assert_eq!(feed.boundary(), stream.len());
        }
        // The line feed after the second carriage return need not have come.
        let mut parser = Parser::new();
        assert!(parser.feed(b"data: a\r\n\r").next().unwrap().is_some());
        assert_eq!(parser.feed(b"").next(), Ok(None));
        let mut feed = parser.feed(b"\ndata: b\n\n");
        assert_eq!(feed.next().unwrap().unwrap().data, "b");
        assert_eq!(feed.event_start(), 1);
    }

    #[test]
    fn boundaries_are_known() {
        let mut parser = Parser::new();
        let piece = b": ping\n\ndata: a\n\n: pong\n\nda";
        let mut feed = parser.feed(piece);
        assert_eq!(feed.next().unwrap().unwrap().data, "a");
        assert_eq!((feed.event_start(), feed.boundary()), (8, 17));
        assert_eq!(feed.next(), Ok(None));
        assert_eq!(feed.boundary(), piece.len() - 2);
        assert!(!parser.is_between_events());
        assert_eq!(
            parser.feed(b"ta\n\n: x\n").next().unwrap().unwrap().data,
            ""
        );
    }

    #[test]
    fn what_lies_in_one_piece_is_not_copied() {
        let piece = b"data: a\n\ndata: b\n\n";
        let mut parser = Parser::new();
        let mut feed = parser.feed(piece);
        while let Some(event) = feed.next().unwrap() {
            assert!(piece.as_ptr_range().contains(&event.data.as_ptr()));
        }
    }

    #[test]
    fn a_closed_stream_yields_its_last_event() {
        for stream in ["data: [DONE]", "data: [DONE]\n"] {
            let mut parser = Parser::new();
            assert_eq!(parser.feed(stream.as_bytes()).next(), Ok(None));
            assert!(!parser.is_between_events());
            assert_eq!(parser.finish().unwrap().unwrap().data, "[DONE]");
            assert_eq!(parser.finish(), Ok(None));
        }
        assert_eq!(Parser::new().finish(), Ok(None));
    }

    #[test]
    fn lines_and_events_are_bounded() {
        let long_line = b"data: 12345";
        let many_lines = b"data: 1234\ndata: 1234\ndata: 1234\n";
        let comment = b": 123456789";
        for stream in [&long_line[..], &many_lines[..], &comment[..]] {
            let mut whole = Parser::with_limit(10);
            assert_eq!(whole.feed(stream).next(), Err(SseError::TooLarge(10)));
            let mut parser = Parser::with_limit(10);
            let last = stream.chunks(1).map(|byte| parser.feed(byte).next().err());
            assert!(last.flatten().next().is_some());
        }
        let mut parser = Parser::with_limit(10);
        let mut feed = parser.feed(b"data: 1234\n\ndata: 5678\n\n");
        assert_eq!(feed.next().unwrap().unwrap().data, "1234");
        assert_eq!(feed.next().unwrap().unwrap().data, "5678");
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert_eq!(parse(b"data: \xff\n\n", &[]), Err(SseError::NotUtf8));
        assert_eq!(
            parse(b"event: \xff\ndata: a\n\n", &[]),
            Err(SseError::NotUtf8)
        );
    }

    /// The standard's algorithm, word for word, over a whole stream.
    fn by_the_standard(stream: &str) -> Vec<Owned> {
        let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
        let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
        let Some((complete, _)) = stream.rsplit_once('\n') else {
            return Vec::new();
        };
        let (mut name, mut data, mut id) = (String::new(), String::new(), String::new());
        let mut events = Vec::new();
        for line in complete.split('\n') {
            if line.is_empty() {
                let data = std::mem::take(&mut data);
                let name = std::mem::take(&mut name);
                if let Some(data) = data.strip_suffix('\n') {
                    events.push((name, data.to_owned(), id.clone()));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value.into(),
                "data" => data = data + value + "\n",
                "id" if !value.contains('\0') => id = value.into(),
                _ => {}
            }
        }
        events
    }

    proptest! {
        #[test]
        fn every_cut_gives_the_events_of_the_standard(
            tokens in prop::collection::vec(
                prop::sample::select(vec![
                    "data", "event", "id", "retry", ":", ": ", " ", "\n", "\n", "\r", "\r\n",
                    "\n\n", "é", "x", "{\"a\":1}", "\u{feff}", "\0", "data: ", "data: y\n",
                ]),
                0..40,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let stream = tokens.concat();
            let mut cuts: Vec<usize> =
                cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let expected = by_the_standard(&stream);
            prop_assert_eq!(&parse(stream.as_bytes(), &cuts).unwrap(), &expected);
            prop_assert_eq!(parse(stream.as_bytes(), &[]).unwrap(), expected);
        }
    }
}
