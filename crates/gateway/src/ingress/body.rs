//! Reading a request's body within its bounds.

use std::time::Instant;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use providers::chat::WireFormat;
use providers::pass_through::Envelope;
use tokio::time::timeout;

use crate::error::CallError;
use crate::limit::Limits;
use crate::limit::room::{Room, Taken};

/// How much room is made for a body on the word of its `Content-Length` alone.
const MOST_RESERVED: usize = 1024 * 1024;

/// How many JSON values a body may hold. A long conversation has some ten thousand; each
/// takes a hundred times its text once it is parsed.
const MOST_VALUES: usize = 1_000_000;

/// Scans a body.
///
/// # Errors
/// When it is no call of the dialect, or holds too many values.
pub(crate) fn scan(dialect: WireFormat, body: Bytes) -> Result<Envelope, CallError> {
    let envelope = Envelope::scan(dialect, body).map_err(CallError::invalid)?;
    if envelope.values() > MOST_VALUES {
        return Err(CallError::too_many_values(MOST_VALUES));
    }
    Ok(envelope)
}

/// The whole body, and the room that it takes. One that arrives in one piece is not
/// copied.
///
/// # Errors
/// When it is not uncompressed JSON by its headers, too large, too slow, or breaks off,
/// and when the bodies of other calls have taken all the room.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limits: &Limits,
    room: &Room,
) -> Result<(Bytes, Taken), CallError> {
    check_media_type(headers)?;
    let declared = declared_length(headers);
    if declared.is_some_and(|length| length > limits.request_body_bytes) {
        return Err(CallError::body_too_large(limits.request_body_bytes));
    }
    let started = Instant::now();
    let mut taken = Taken::default();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = timeout(limits.request_body_idle, body.frame())
            .await
            .map_err(|_| CallError::body_too_slow())?;
        let Some(frame) = frame else { break };
        let Ok(piece) = frame.map_err(|_| CallError::body_broken())?.into_data() else {
            continue;
        };
        let received = first.len() + rest.len() + piece.len();
        if received > limits.request_body_bytes {
            return Err(CallError::body_too_large(limits.request_body_bytes));
        }
        if !room.extend(&mut taken, received) {
            return Err(CallError::no_room_for_body());
        }
        check_pace(received, started, limits)?;
        if first.is_empty() && rest.is_empty() {
            first = piece;
            continue;
        }
        if rest.is_empty() {
            let expected = declared.unwrap_or_default().min(MOST_RESERVED);
            rest.reserve(expected.max(received));
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&piece);
    }
    let whole = if rest.is_empty() {
        first
    } else {
        rest.freeze()
    };
    Ok((whole, taken))
}

/// A client that sends a byte now and then never lets a timeout between two bytes
/// pass, so the pace of the whole body is bounded as well.
fn check_pace(received: usize, started: Instant, limits: &Limits) -> Result<(), CallError> {
    let beyond_grace = started
        .elapsed()
        .saturating_sub(limits.request_body_grace)
        .as_secs();
    let expected = beyond_grace * limits.request_body_bytes_per_second;
    if u64::try_from(received).unwrap_or(u64::MAX) < expected {
        return Err(CallError::body_too_slow());
    }
    Ok(())
}

fn check_media_type(headers: &HeaderMap) -> Result<(), CallError> {
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(is_json);
    let is_plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_json && is_plain {
        return Ok(());
    }
    Err(CallError::unsupported_media_type())
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return true;
        };
        let value = value.trim().trim_matches('"');
        !name.trim().eq_ignore_ascii_case("charset")
            || value.eq_ignore_ascii_case("utf-8")
            || value.eq_ignore_ascii_case("utf8")
    });
    is_json && is_utf8
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_recognised_with_and_without_a_charset() {
        for yes in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json(yes), "{yes}");
        }
        for no in [
            "",
            "text/plain",
            "application/jsonx",
            "application/json; charset=utf-16",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(no), "{no}");
        }
    }
}
