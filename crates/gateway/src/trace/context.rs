//! Which trace a call belongs to, as W3C Trace Context says it
//! (<https://www.w3.org/TR/trace-context/>).

use std::fmt;

use domain::clock::{Entropy, random};
use http::HeaderMap;

/// The id of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span in a trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// The trace and span of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The client's trace where it named one, else a new one.
    pub trace_id: TraceId,
    /// The call's own span.
    pub span_id: SpanId,
    /// The client's span, where it named one.
    pub parent: Option<TraceParent>,
}

/// What a client says in `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its span, which the call is a child of.
    pub span_id: SpanId,
    /// Whether it is recorded there.
    pub is_sampled: bool,
}

impl TraceContext {
    /// That of a new call.
    pub(super) fn begin(headers: &HeaderMap, entropy: &dyn Entropy) -> Self {
        let parent = TraceParent::of(headers);
        let trace_id = parent.map_or_else(|| TraceId(random(entropy)), |parent| parent.trace_id);
        Self {
            trace_id,
            span_id: SpanId(random(entropy)),
            parent,
        }
    }
}

impl TraceParent {
    /// Reads the header; one that is malformed is as good as none.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all("traceparent").iter();
        let text = all.next()?.to_str().ok()?;
        if all.next().is_some() {
            return None;
        }
        let mut fields = text.trim().split('-');
        let [version, trace_id, span_id, flags] = [(); 4].map(|()| fields.next());
        let [version]: [u8; 1] = bytes(version?)?;
        // A later version may add fields; this one has four.
        if version == 0xff || (version == 0 && fields.next().is_some()) {
            return None;
        }
        let (trace_id, span_id) = (bytes(trace_id?)?, bytes(span_id?)?);
        let [flags]: [u8; 1] = bytes(flags?)?;
        let is_valid = trace_id != [0; 16] && span_id != [0; 8];
        is_valid.then_some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            is_sampled: flags & 1 == 1,
        })
    }
}

/// Exactly `N` bytes in lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_lower = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if text.len() != 2 * N || !is_lower {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", u64::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parent(text: &'static str) -> Option<TraceParent> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static(text));
        TraceParent::of(&headers)
    }

    #[test]
    fn a_parent_is_read_as_the_standard_shows_it() {
        let parent = parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(
            parent.trace_id.to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(format!("{:?}", parent.span_id), "00f067aa0ba902b7");
        assert!(parent.is_sampled);
    }

    #[test]
    fn a_later_version_may_say_more() {
        let text = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02-what-else";
        assert!(!parent(text).unwrap().is_sampled);
    }

    #[test]
    fn what_is_malformed_is_no_parent() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parent(text), None, "{text}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        headers.append("traceparent", HeaderValue::from_static(text));
        headers.append("traceparent", HeaderValue::from_static(text));
        assert_eq!(TraceParent::of(&headers), None);
    }
}
