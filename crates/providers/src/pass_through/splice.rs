//! Making a provider's request out of a scanned body.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;

use super::envelope::Envelope;
use crate::catalog::Protocol;
use crate::chat::WireFormat;
use crate::error::InvalidCall;
use crate::rewrite::{Patch, Patches};
use crate::target::{HttpRequest, Target};

/// Makes the provider's request by splicing, where target and call allow it.
///
/// None where the formats differ, where the target's rules would change messages, where
/// tools must be judged one by one, and where the answer comes as a stream that the
/// client did not ask for, or whole although it asked for one: then the call must go through
/// [`crate::protocol::encode`]. Whatever this returns equals
/// what `encode` would send, but for members that `encode` cannot name.
#[must_use]
pub fn splice(envelope: &Envelope, target: &Target) -> Option<Result<HttpRequest, InvalidCall>> {
    let target = target.for_envelope(envelope)?;
    if !is_spliceable(envelope, target) {
        return None;
    }
    let present = |name: &str| {
        // Rules read the messages for nothing but the words that the scan has looked for.
        let is_conversation = matches!(name, "messages" | "input");
        if is_conversation && !envelope.message_words().has_any() {
            return None;
        }
        let value = envelope.member(name)?;
        std::str::from_utf8(value).ok().map(Cow::Borrowed)
    };
    let patches = match target.top_level(&present) {
        Ok(patches) => patches,
        Err(invalid) => return Some(Err(invalid)),
    };
    let (uri, headers) = target.address(&present, envelope.stream());
    Some(Ok(HttpRequest {
        method: Method::POST,
        uri,
        headers,
        body: rebuild(envelope, &patches),
    }))
}

fn is_spliceable(envelope: &Envelope, target: &Target) -> bool {
    let is_readable = match (target.protocol, envelope.dialect()) {
        // Tools of other types are offered by some providers and refused by others.
        (Protocol::OpenaiChat, WireFormat::OpenAiChat) => envelope
            .tool_types()
            .all(|kind| matches!(kind, "function" | "custom")),
        (Protocol::OpenaiResponses, WireFormat::OpenAiResponses)
        | (Protocol::AnthropicMessages, WireFormat::AnthropicMessages) => true,
        _ => false,
    };
    is_readable
        && !target.rewrites_messages(&envelope.message_words())
        && target.wants_stream(envelope.stream()) == envelope.stream()
        && !(target.streaming.is_whole_with_tools() && envelope.member("tools").is_some())
}

/// The body with its patches: members that stay are copied as they stand, in their
/// order; new ones follow them.
fn rebuild(envelope: &Envelope, patches: &Patches<'_>) -> Bytes {
    let mut writer = Writer(Vec::with_capacity(capacity(envelope, patches)));
    let mut is_applied = vec![false; patches.len()];
    for (name, member) in envelope.members() {
        let found = patches
            .iter()
            .position(|(patched, _)| *patched.as_bytes() == *name);
        match found.map(|index| (index, &patches[index].1)) {
            None => writer.copy(member),
            Some((index, Patch::Set(value))) => {
                is_applied[index] = true;
                writer.set(&patches[index].0, value);
            }
            Some((_, Patch::Remove)) => {}
        }
    }
    for ((name, patch), is_applied) in patches.iter().zip(is_applied) {
        if let (Patch::Set(value), false) = (patch, is_applied) {
            writer.set(name, value);
        }
    }
    writer.finish()
}

/// No less than the rebuilt body needs, unless a patched name must be escaped.
fn capacity(envelope: &Envelope, patches: &Patches<'_>) -> usize {
    let added = patches.iter().map(|(name, patch)| match patch {
        // Two quotes, a colon and a comma.
        Patch::Set(value) => name.len() + value.len() + 4,
        Patch::Remove => 0,
    });
    // The body's own braces suffice for the new ones.
    envelope.body().len() + added.sum::<usize>()
}

/// Writes an object member by member.
struct Writer(Vec<u8>);

impl Writer {
    fn copy(&mut self, member: &[u8]) {
        self.separate();
        self.0.extend_from_slice(member);
    }

    fn set(&mut self, name: &str, value: &str) {
        self.separate();
        let is_plain = name
            .bytes()
            .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
        if is_plain {
            self.0.push(b'"');
            self.0.extend_from_slice(name.as_bytes());
            self.0.push(b'"');
        } else {
            let quoted = serde_json::Value::from(name).to_string();
            self.0.extend_from_slice(quoted.as_bytes());
        }
        self.0.push(b':');
        self.0.extend_from_slice(value.as_bytes());
    }

    fn separate(&mut self) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
    }

    fn finish(mut self) -> Bytes {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        Bytes::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rebuilt(body: &'static str, patches: &Patches<'_>) -> String {
        let body = Bytes::from_static(body.as_bytes());
        let envelope = Envelope::scan(WireFormat::OpenAiChat, body).unwrap();
        let rebuilt = rebuild(&envelope, patches);
        String::from_utf8(rebuilt.into()).unwrap()
    }

    fn set(name: &'static str, value: &'static str) -> (Cow<'static, str>, Patch<'static>) {
        (name.into(), Patch::Set(value.into()))
    }

    #[test]
    fn members_keep_their_place_and_their_bytes() {
        let body = " {\"a\" : 1.50,\n \"mod\\u0065l\" :\"x\", \"models\":[ ] ,\"b\":\"\\u00e9\" } ";
        let patches = vec![
            set("model", "\"y\""),
            ("models".into(), Patch::Remove),
            set("c", "true"),
            set("q\"uote", "null"),
            ("absent".into(), Patch::Remove),
        ];
        assert_eq!(
            rebuilt(body, &patches),
            "{\"a\" : 1.50,\"model\":\"y\",\"b\":\"\\u00e9\",\"c\":true,\"q\\\"uote\":null}"
        );
        assert_eq!(rebuilt("{}", &vec![]), "{}");
        assert_eq!(rebuilt("{}", &vec![set("a", "1")]), "{\"a\":1}");
        assert_eq!(
            rebuilt("{\"a\":1}", &vec![("a".into(), Patch::Remove)]),
            "{}"
        );
        assert_eq!(rebuilt("{\"a\":1,\"a\":2}", &vec![]), "{\"a\":2}");
    }

    #[test]
    fn one_allocation_is_enough() {
        let body = Bytes::from_static(b"{\"model\":\"a\",\"messages\":[]}");
        let envelope = Envelope::scan(WireFormat::OpenAiChat, body).unwrap();
        let patches = vec![set("model", "\"a longer name\""), set("temperature", "0.5")];
        let rebuilt = rebuild(&envelope, &patches);
        assert!(rebuilt.len() <= capacity(&envelope, &patches));
    }
}
