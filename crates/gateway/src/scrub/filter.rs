//! Taking a call's own key out of answers that went well.
//!
//! A host may put the key that it was sent into a good answer: a proxy that echoes headers
//! in a comment of its stream, or a model server that shows its request. Every byte of an
//! answer passes here, so that only the key as it was sent is looked for, by itself and
//! escaped for JSON; a host that means to pass it on in disguise cannot be kept from it.

use bytes::Bytes;
use memchr::memchr_iter;
use memchr::memmem::Finder;
use providers::auth::Credential;

use super::REDACTED;

/// Shorter keys are words such as `ollama` or `not-needed`, which servers without keys are
/// called with and answers may well say.
const SHORTEST_KEY: usize = 16;

/// How much of a key at the very end of a stream is taken for one that was cut off.
const TELLING: usize = 8;

/// Takes the secrets of one credential out of one answer.
pub(crate) struct Filter {
    /// The longest form first, since a form may contain another.
    forms: Vec<Finder<'static>>,
    /// The end of what has come, where it may be the beginning of a key.
    tail: Bytes,
}

impl Filter {
    /// Looks for the secrets of a credential.
    pub(crate) fn new(credential: Option<&Credential>) -> Self {
        let secrets = credential.map(Credential::secrets).unwrap_or_default();
        Self::of(&secrets)
    }

    fn of(secrets: &[&str]) -> Self {
        let long = secrets.iter().filter(|secret| secret.len() >= SHORTEST_KEY);
        let mut forms: Vec<String> = long.flat_map(|secret| forms(secret)).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        let finder = |form: String| Finder::new(form.as_bytes()).into_owned();
        Self {
            forms: forms.into_iter().map(finder).collect(),
            tail: Bytes::new(),
        }
    }

    /// A whole answer without them. It is copied only where one was found.
    pub(crate) fn whole(&self, body: Bytes) -> Bytes {
        self.forms.iter().fold(body, without)
    }

    /// The next pieces of a stream without them. The end of the last one stays behind
    /// where it may be the beginning of a key; the next piece decides.
    pub(crate) fn pieces(&mut self, pieces: &mut Vec<Bytes>) {
        if self.forms.is_empty() {
            return;
        }
        for piece in std::mem::take(pieces) {
            let joined = if self.tail.is_empty() {
                piece
            } else {
                Bytes::from([&self.tail[..], &piece[..]].concat())
            };
            let mut clean = self.whole(joined);
            self.tail = clean.split_off(self.unfinished(&clean));
            if !clean.is_empty() {
                pieces.push(clean);
            }
        }
    }

    /// Releases what stayed behind at the end of a stream.
    pub(crate) fn finish(&mut self, pieces: &mut Vec<Bytes>) {
        let tail = std::mem::take(&mut self.tail);
        match tail.len() {
            0 => {}
            1..TELLING => pieces.push(tail),
            _ => pieces.push(Bytes::from_static(REDACTED.as_bytes())),
        }
    }

    /// Where the longest beginning of a key starts with which the text ends.
    fn unfinished(&self, text: &[u8]) -> usize {
        let starts = self.forms.iter().filter_map(|form| {
            let needle = form.needle();
            let from = text.len().saturating_sub(needle.len() - 1);
            let end = &text[from..];
            let found = memchr_iter(needle[0], end).find(|&at| needle.starts_with(&end[at..]));
            found.map(|at| from + at)
        });
        starts.min().unwrap_or(text.len())
    }
}

fn without(text: Bytes, form: &Finder<'static>) -> Bytes {
    let Some(first) = form.find(&text) else {
        return text;
    };
    let length = form.needle().len();
    let mut clean = text[..first].to_vec();
    let mut rest = &text[first..];
    while let Some(found) = form.find(rest) {
        clean.extend_from_slice(&rest[..found]);
        clean.extend_from_slice(REDACTED.as_bytes());
        rest = &rest[found + length..];
    }
    clean.extend_from_slice(rest);
    Bytes::from(clean)
}

/// A secret as it was sent, and as JSON may write it.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'/');
    if !secret.bytes().all(is_plain)
        && let Ok(json) = serde_json::to_string(secret)
    {
        let inner = json[1..json.len() - 1].to_owned();
        forms.push(inner.replace('/', "\\/"));
        forms.push(inner);
    }
    forms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "canary/key\"0123456789";

    fn streamed(text: &str, cuts: &[usize]) -> String {
        let mut filter = Filter::of(&[KEY]);
        let (mut clean, mut from) = (Vec::new(), 0);
        for &to in cuts.iter().chain([&text.len()]) {
            let mut pieces = vec![Bytes::copy_from_slice(&text.as_bytes()[from..to])];
            filter.pieces(&mut pieces);
            clean.extend(pieces.concat());
            from = to;
        }
        let mut pieces = Vec::new();
        filter.finish(&mut pieces);
        clean.extend(pieces.concat());
        String::from_utf8(clean).unwrap()
    }

    #[test]
    fn a_key_is_taken_out_wherever_it_is_cut() {
        let json = serde_json::to_string(KEY).unwrap();
        let slashed = json.replace('/', "\\/");
        for form in [KEY, json.trim_matches('"'), slashed.trim_matches('"')] {
            let text = format!("a {form}{form} canary/can{form}b");
            let expected = "a [redacted][redacted] canary/can[redacted]b";
            for one in 0..=text.len() {
                for other in one..=text.len() {
                    assert_eq!(streamed(&text, &[one, other]), expected, "{one} {other}");
                }
            }
            let every: Vec<usize> = (0..text.len()).collect();
            assert_eq!(streamed(&text, &every), expected);
            let whole = Filter::of(&[KEY]).whole(Bytes::from(text));
            assert_eq!(whole, expected);
        }
    }

    #[test]
    fn a_key_that_the_end_cuts_off_is_taken_out_and_a_few_letters_are_not() {
        assert_eq!(streamed("a canary/key", &[]), "a [redacted]");
        assert_eq!(streamed("a canary", &[]), "a canary");
    }

    #[test]
    fn what_is_no_key_is_not_copied_and_does_not_wait() {
        let body = Bytes::from_static(b"data: hello\n\n");
        let mut filter = Filter::of(&[KEY, "ollama"]);
        assert_eq!(filter.whole(body.clone()).as_ptr(), body.as_ptr());
        let mut pieces = vec![body.clone()];
        filter.pieces(&mut pieces);
        assert_eq!(pieces[0].as_ptr(), body.as_ptr());
        assert_eq!(pieces, [body]);
        let short = Bytes::from_static(b"ollama");
        assert_eq!(filter.whole(short.clone()), short, "a word and no key");
    }

    proptest! {
        #[test]
        fn other_text_passes_unchanged(
            text in "[canry/key\"0-9\\\\ ]{0,60}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.sort_unstable();
            let is_cut_off = (TELLING..KEY.len()).any(|length| {
                forms(KEY).iter().any(|form| text.ends_with(&form[..length]))
            });
            prop_assume!(!is_cut_off && !forms(KEY).iter().any(|form| text.contains(form)));
            prop_assert_eq!(streamed(&text, &cuts), text);
        }
    }
}
