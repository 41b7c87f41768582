//! Frames of AWS's event streams, written on their own, so that the program's reader is
//! checked by another hand than its own (and by botocore, in `tests/sdk`).

use bytes::Bytes;
use crc::{CRC_32_ISO_HDLC, Crc};
use serde_json::Value;

const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The media type of a stream of such frames.
pub const MEDIA_TYPE: &str = "application/vnd.amazon.eventstream";

/// An event.
#[must_use]
pub fn event(kind: &str, payload: &Value) -> Bytes {
    frame(("event", ":event-type", kind), payload)
}

/// A failure inside a stream.
#[must_use]
pub fn exception(kind: &str, payload: &Value) -> Bytes {
    frame(("exception", ":exception-type", kind), payload)
}

fn frame((message, name, kind): (&str, &str, &str), payload: &Value) -> Bytes {
    let mut headers = Vec::new();
    for (name, value) in [
        (name, kind),
        (":content-type", "application/json"),
        (":message-type", message),
    ] {
        headers.push(u8::try_from(name.len()).unwrap_or_default());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        let length = u16::try_from(value.len()).unwrap_or_default();
        headers.extend_from_slice(&length.to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let payload = payload.to_string();
    let mut frame = Vec::with_capacity(headers.len() + payload.len() + 16);
    for length in [headers.len() + payload.len() + 16, headers.len()] {
        frame.extend_from_slice(&u32::try_from(length).unwrap_or_default().to_be_bytes());
    }
    frame.extend_from_slice(&CHECKSUM.checksum(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&CHECKSUM.checksum(&frame).to_be_bytes());
    Bytes::from(frame)
}
