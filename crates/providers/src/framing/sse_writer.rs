//! Writing server-sent events.

use memchr::memchr2;
use serde::Serialize;

/// Appends an event whose data is `data`. An empty `name` writes no `event` field.
pub fn write_event(out: &mut Vec<u8>, name: &str, data: &str) {
    write_name(out, name);
    for line in data.split(['\n', '\r']) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Appends an event whose data is `value` as JSON. An empty `name` writes no `event` field.
///
/// # Errors
/// When the value cannot be said in JSON; then nothing is appended.
pub fn write_json<T: Serialize>(
    out: &mut Vec<u8>,
    name: &str,
    value: &T,
) -> Result<(), serde_json::Error> {
    let before = out.len();
    write_name(out, name);
    out.extend_from_slice(b"data: ");
    let start = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        out.truncate(before);
        return Err(error);
    }
    // Only raw values that came from elsewhere hold line ends, between their tokens.
    let mut position = start;
    while let Some(found) = memchr2(b'\n', b'\r', &out[position..]) {
        position += found;
        out[position] = b' ';
    }
    out.extend_from_slice(b"\n\n");
    Ok(())
}

/// Appends a comment, which keeps a connection alive and means nothing.
pub fn write_comment(out: &mut Vec<u8>, comment: &str) {
    for line in comment.split(['\n', '\r']) {
        out.extend_from_slice(b": ");
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    if !name.is_empty() {
        debug_assert!(memchr2(b'\n', b'\r', name.as_bytes()).is_none());
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::sse::Parser;

    #[test]
    fn the_writer_frames_what_the_parser_reads() {
        let mut out = Vec::new();
        write_comment(&mut out, "keep\nalive");
        write_event(&mut out, "", "[DONE]");
        write_event(&mut out, "named", "two\nlines");
        let raw = serde_json::value::RawValue::from_string("{\n\"a\":\r\n1}".into()).unwrap();
        write_json(&mut out, "json", &raw).unwrap();
        let mut parser = Parser::new();
        let mut feed = parser.feed(&out);
        for expected in [
            ("", "[DONE]"),
            ("named", "two\nlines"),
            ("json", "{ \"a\":  1}"),
        ] {
            let event = feed.next().unwrap().unwrap();
            assert_eq!((event.name, event.data), expected);
        }
        assert_eq!(feed.next(), Ok(None));
    }
}
