//! AWS event streams: binary frames, each with two checksums, read by a push parser that
//! is linear and bounded, and written for whoever plays the provider.
//!
//! A frame is a prelude (length of the frame, length of its headers, checksum of both),
//! headers, a payload, and a checksum of everything before it, numbers in network order.
//! What a frame means stands in its headers: `:message-type` is `event`, `exception` or
//! `error`, and `:event-type`, `:exception-type` or `:error-code` names which.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html>
//! and Smithy's `vnd.amazon.eventstream` (<https://smithy.io/2.0/aws/amazon-eventstream.html>).

use crc::{CRC_32_ISO_HDLC, Crc, Table};

use crate::error::{ErrorKind, ProviderError};

/// The media type of such a stream.
pub const MEDIA_TYPE: &str = "application/vnd.amazon.eventstream";

/// How large a frame may be unless told otherwise. AWS keeps its own below 24 MiB,
/// those of a chat far below.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// Two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// AWS allows 128 KiB.
const MAX_HEADER_BYTES: usize = 128 << 10;

const CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What kind of message it is.
    pub kind: FrameKind<'a>,
    /// Its payload, JSON for every stream of Bedrock's.
    pub payload: &'a [u8],
}

/// What a frame's headers say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind<'a> {
    /// An event of this type, e.g. `contentBlockDelta`.
    Event(&'a str),
    /// A failure that the service models, e.g. `throttlingException`. Nothing follows.
    Exception(&'a str),
    /// A failure that it does not model. Nothing follows.
    Error {
        /// `:error-code`.
        code: &'a str,
        /// `:error-message`.
        message: &'a str,
    },
}

/// A stream that cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventStreamError {
    /// A frame is larger than the bound.
    #[error("the stream holds a frame of more than {0} bytes")]
    TooLarge(usize),
    /// A length cannot be right.
    #[error("the stream holds a frame of impossible lengths")]
    Lengths,
    /// A checksum does not match.
    #[error("the stream holds a frame that was damaged on its way")]
    Checksum,
    /// Headers that are not the format, or say nothing of what the frame is.
    #[error("the stream holds a frame with unreadable headers")]
    Headers,
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame: the answer is cut off")]
    CutOff,
}

impl From<EventStreamError> for ProviderError {
    fn from(error: EventStreamError) -> Self {
        Self::new(ErrorKind::Malformed, error.to_string())
    }
}

/// What one stream has left unfinished between two pieces.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    /// The beginning of a frame whose end has not come.
    pending: Vec<u8>,
    /// How much of `pending` was a frame that has been yielded.
    used: usize,
}

/// The frames of one piece, in order. Read it until it yields none.
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
        Self::with_limit(MAX_FRAME_BYTES)
    }

    /// Begins a stream whose frames are bounded by `limit` bytes each.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            pending: Vec::new(),
            used: 0,
        }
    }

    /// Takes the next piece of the stream, cut anywhere.
    pub const fn feed<'p>(&'p mut self, bytes: &'p [u8]) -> Feed<'p> {
        Feed {
            parser: self,
            bytes,
        }
    }

    /// Says that the stream is closed.
    ///
    /// # Errors
    /// When it ended inside a frame.
    pub const fn finish(&self) -> Result<(), EventStreamError> {
        if self.pending.len() > self.used {
            return Err(EventStreamError::CutOff);
        }
        Ok(())
    }
}

impl Feed<'_> {
    /// The next frame, if the piece completes one.
    ///
    /// # Errors
    /// When the bytes are not the format. Nothing may be read after that.
    #[expect(
        clippy::should_implement_trait,
        reason = "a frame borrows from the parser, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, EventStreamError> {
        let parser = &mut *self.parser;
        if parser.used > 0 {
            parser.pending.clear();
            parser.used = 0;
        }
        if parser.pending.is_empty() {
            // A frame that lies whole in the piece is never copied.
            if let Some(length) = frame_length(self.bytes, parser.limit)?
                && let Some((frame, rest)) = self.bytes.split_at_checked(length)
            {
                self.bytes = rest;
                return read_frame(frame).map(Some);
            }
            parser.pending.extend_from_slice(self.bytes);
            self.bytes = &[];
            return Ok(None);
        }
        self.fill(PRELUDE_BYTES);
        let parser = &mut *self.parser;
        let Some(length) = frame_length(&parser.pending, parser.limit)? else {
            return Ok(None);
        };
        self.fill(length);
        let parser = &mut *self.parser;
        if parser.pending.len() < length {
            return Ok(None);
        }
        parser.used = length;
        read_frame(&parser.pending).map(Some)
    }

    /// Moves bytes until `length` of them are pending.
    fn fill(&mut self, length: usize) {
        let missing = length.saturating_sub(self.parser.pending.len());
        let (more, rest) = self.bytes.split_at(missing.min(self.bytes.len()));
        self.parser.pending.extend_from_slice(more);
        self.bytes = rest;
    }
}

/// The length of the frame that begins here, once its prelude is there.
fn frame_length(bytes: &[u8], limit: usize) -> Result<Option<usize>, EventStreamError> {
    let Some((prelude, _)) = bytes.split_first_chunk::<PRELUDE_BYTES>() else {
        return Ok(None);
    };
    let (length, headers) = (number(prelude, 0), number(prelude, 4));
    if CHECKSUM.checksum(&prelude[..8]) != number(prelude, 8) {
        return Err(EventStreamError::Checksum);
    }
    let (length, headers) = (length as usize, headers as usize);
    if length > limit {
        return Err(EventStreamError::TooLarge(limit));
    }
    let fits = headers <= MAX_HEADER_BYTES
        && length >= PRELUDE_BYTES + CHECKSUM_BYTES
        && headers <= length - PRELUDE_BYTES - CHECKSUM_BYTES;
    if !fits {
        return Err(EventStreamError::Lengths);
    }
    Ok(Some(length))
}

/// Reads a whole frame, whose prelude has been checked.
fn read_frame(frame: &[u8]) -> Result<Frame<'_>, EventStreamError> {
    let (content, checksum) = frame
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or(EventStreamError::Lengths)?;
    if CHECKSUM.checksum(content) != u32::from_be_bytes(*checksum) {
        return Err(EventStreamError::Checksum);
    }
    let headers = number(content, 4) as usize;
    let (headers, payload) = content[PRELUDE_BYTES..]
        .split_at_checked(headers)
        .ok_or(EventStreamError::Lengths)?;
    let kind = frame_kind(headers)?;
    Ok(Frame { kind, payload })
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let digits = bytes
        .get(at..at + 4)
        .and_then(|digits| digits.try_into().ok());
    digits.map_or(0, u32::from_be_bytes)
}

fn frame_kind(mut headers: &[u8]) -> Result<FrameKind<'_>, EventStreamError> {
    let (mut message, mut event, mut exception) = ("event", None, None);
    let (mut code, mut words) = (None, "");
    while !headers.is_empty() {
        let (name, value, rest) = read_header(headers).ok_or(EventStreamError::Headers)?;
        headers = rest;
        let Some(value) = value else { continue };
        match name {
            b":message-type" => message = value,
            b":event-type" => event = Some(value),
            b":exception-type" => exception = Some(value),
            b":error-code" => code = Some(value),
            b":error-message" => words = value,
            _ => {}
        }
    }
    let kind = match message {
        "event" => event.map(FrameKind::Event),
        "exception" => exception.map(FrameKind::Exception),
        "error" => code.map(|code| FrameKind::Error {
            code,
            message: words,
        }),
        _ => None,
    };
    kind.ok_or(EventStreamError::Headers)
}

/// A header's name, its value where that is a text, and what follows it.
fn read_header(bytes: &[u8]) -> Option<(&[u8], Option<&str>, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let size = match kind {
        // True and false are their own values.
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        // A UUID.
        9 => 16,
        // Bytes and text say how long they are.
        6 | 7 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (value, rest) = rest.split_at_checked(length)?;
            let text = match kind {
                7 => Some(std::str::from_utf8(value).ok()?),
                _ => None,
            };
            return Some((name, text, rest));
        }
        _ => return None,
    };
    let (_, rest) = rest.split_at_checked(size)?;
    Some((name, None, rest))
}

/// Appends a frame with these text headers. Names and values that are too long for the
/// format (255 and 65,535 bytes) are cut.
pub fn write(headers: &[(&str, &str)], payload: &[u8], out: &mut Vec<u8>) {
    let mut block = Vec::new();
    for (name, value) in headers {
        let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
        let value = &value.as_bytes()[..value.len().min(usize::from(u16::MAX))];
        block.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        block.extend_from_slice(name);
        block.push(7);
        block.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        block.extend_from_slice(value);
    }
    let length = PRELUDE_BYTES + block.len() + payload.len() + CHECKSUM_BYTES;
    let start = out.len();
    for number in [length, block.len()] {
        out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    }
    let checksum = CHECKSUM.checksum(&out[start..]);
    out.extend_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    let checksum = CHECKSUM.checksum(&out[start..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

/// Appends an event with a JSON payload, as Bedrock writes it.
pub fn write_event(kind: &str, payload: &[u8], out: &mut Vec<u8>) {
    let headers = [
        (":event-type", kind),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    write(&headers, payload, out);
}

/// Appends an exception with a JSON payload, as Bedrock writes it.
pub fn write_exception(kind: &str, payload: &[u8], out: &mut Vec<u8>) {
    let headers = [
        (":exception-type", kind),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    write(&headers, payload, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of a stream that comes in pieces of this size.
    fn read(stream: &[u8], size: usize, limit: usize) -> Result<Vec<String>, EventStreamError> {
        let mut parser = Parser::with_limit(limit);
        let mut frames = Vec::new();
        for piece in stream.chunks(size) {
            let mut feed = parser.feed(piece);
            while let Some(frame) = feed.next()? {
                let payload = String::from_utf8_lossy(frame.payload);
                frames.push(format!("{:?} {payload}", frame.kind));
            }
        }
        parser.finish()?;
        Ok(frames)
    }

    fn stream() -> Vec<u8> {
        let mut out = Vec::new();
        write_event("messageStart", br#"{"role":"assistant"}"#, &mut out);
        write_event("empty", b"", &mut out);
        write_exception("throttlingException", br#"{"message":"slow"}"#, &mut out);
        let error = [
            (":message-type", "error"),
            (":error-code", "InternalError"),
            (":error-message", "broken"),
        ];
        write(&error, b"", &mut out);
        out
    }

    #[test]
    fn frames_are_read_in_pieces_of_any_size() {
        let stream = stream();
        let whole = read(&stream, stream.len(), MAX_FRAME_BYTES).unwrap();
        assert_eq!(
            whole,
            [
                r#"Event("messageStart") {"role":"assistant"}"#,
                r#"Event("empty") "#,
                r#"Exception("throttlingException") {"message":"slow"}"#,
                r#"Error { code: "InternalError", message: "broken" } "#,
            ]
        );
        for size in 1..stream.len() {
            assert_eq!(read(&stream, size, MAX_FRAME_BYTES).unwrap(), whole);
        }
    }

    #[test]
    fn a_frame_that_was_damaged_or_cut_off_is_an_error() {
        let mut out = Vec::new();
        write_event("e", b"{}", &mut out);
        for at in 0..out.len() {
            let mut damaged = out.clone();
            damaged[at] ^= 0x10;
            assert!(read(&damaged, 7, MAX_FRAME_BYTES).is_err(), "byte {at}");
        }
        for length in 1..out.len() {
            let cut = read(&out[..length], 5, MAX_FRAME_BYTES);
            assert_eq!(cut, Err(EventStreamError::CutOff), "{length} bytes");
        }
    }

    #[test]
    fn a_frame_beyond_the_bound_is_refused_before_it_is_gathered() {
        let mut out = Vec::new();
        write_event("e", &[b'x'; 500], &mut out);
        let too_large = Err(EventStreamError::TooLarge(400));
        assert_eq!(read(&out[..PRELUDE_BYTES], 3, 400), too_large);
        let mut impossible = 20_u32.to_be_bytes().to_vec();
        impossible.extend(30_u32.to_be_bytes());
        impossible.extend(CHECKSUM.checksum(&impossible).to_be_bytes());
        assert_eq!(read(&impossible, 99, 400), Err(EventStreamError::Lengths));
    }

    #[test]
    fn headers_of_every_type_are_skipped_and_a_frame_without_a_type_is_refused() {
        let typed = |headers: &[u8]| {
            let length = PRELUDE_BYTES + headers.len() + CHECKSUM_BYTES;
            let mut out = u32::try_from(length).unwrap().to_be_bytes().to_vec();
            out.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
            out.extend(CHECKSUM.checksum(&out).to_be_bytes());
            out.extend_from_slice(headers);
            out.extend(CHECKSUM.checksum(&out).to_be_bytes());
            read(&out, 1000, MAX_FRAME_BYTES)
        };
        let mut headers = Vec::new();
        for (kind, size) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 4),
            (5, 8),
            (8, 8),
            (9, 16),
        ] {
            headers.extend_from_slice(&[1, b'x', kind]);
            headers.extend(vec![0xff; size]);
        }
        headers.extend_from_slice(&[1, b'y', 6, 0, 2, 0xff, 0xfe]);
        assert_eq!(typed(&headers), Err(EventStreamError::Headers));
        headers.extend_from_slice(b"\x0b:event-type\x07\x00\x01e");
        assert_eq!(typed(&headers).unwrap(), [r#"Event("e") "#]);
        assert_eq!(typed(&[1, b'x', 77]), Err(EventStreamError::Headers));
        assert_eq!(typed(&[9, b'x']), Err(EventStreamError::Headers));
    }
}
