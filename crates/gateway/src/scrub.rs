//! Taking secrets out of text that a provider wrote.
//!
//! Providers echo keys in their errors ("Incorrect API key provided: sk-…"). Before
//! such a text is shown or logged, every secret of the request is replaced, in each
//! form in which it may come back, and so is whatever looks like a key.
//!
//! Only errors pass through here; what goes well is looked at by [`Filter`].

mod filter;

pub(crate) use filter::Filter;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

const REDACTED: &str = "[redacted]";

/// Shorter secrets are not looked for: they would be found everywhere.
const SHORTEST_SECRET: usize = 6;

/// Beginnings of keys of well-known makers, and of our own.
const KEY_PREFIXES: [&str; 15] = [
    "sk-", "sk_", "pk-", "rk-", "xai-", "gsk_", "hf_", "r8_", "pplx-", "AIza", "AKIA", "ASIA",
    "ghp_", "eyJ", "qm_",
];

/// How many characters must follow a prefix for it to be a key.
const KEY_TAIL: usize = 12;

/// Replaces secrets in text.
pub(crate) struct Scrubber {
    forms: Vec<String>,
}

impl Scrubber {
    /// Looks for these secrets.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<String> = secrets
            .into_iter()
            .filter(|secret| secret.len() >= SHORTEST_SECRET)
            .flat_map(forms)
            .collect();
        // The longest first, so that no form is cut by one that it contains.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self { forms }
    }

    /// The text without secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut scrubbed = text.to_owned();
        for form in &self.forms {
            scrubbed = replace_ignoring_ascii_case(&scrubbed, form);
        }
        replace_key_patterns(&scrubbed)
    }

    /// Whether one of the secrets is in the text.
    pub(crate) fn finds_in(&self, text: &str) -> bool {
        self.scrub(text) != text
    }
}

/// A secret as it may come back: itself, escaped for JSON, for an address (once
/// and twice), in hexadecimal, and in base64 at each of the three alignments.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    if let Ok(json) = serde_json::to_string(secret) {
        let inner = json.trim_matches('"').to_owned();
        forms.push(inner.replace('/', "\\/"));
        forms.push(inner);
    }
    let once = percent_encoded(secret);
    forms.push(percent_encoded(&once));
    forms.push(once);
    forms.push(hexadecimal(secret));
    for alphabet in [&STANDARD, &URL_SAFE] {
        let engine = GeneralPurpose::new(alphabet, NO_PAD);
        forms.extend((0..3).filter_map(|offset| base64_core(&engine, secret, offset)));
    }
    forms
}

/// The characters of base64 that the secret alone decides when `offset` bytes of
/// something else stand before it, such as `user:` or `Bearer `.
fn base64_core(engine: &GeneralPurpose, secret: &str, offset: usize) -> Option<String> {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(secret.as_bytes());
    let encoded = engine.encode(&bytes);
    let foreign_before = (offset * 8).div_ceil(6);
    let own_until = bytes.len() * 8 / 6;
    let core = encoded.get(foreign_before..own_until)?;
    (core.len() >= SHORTEST_SECRET).then(|| core.to_owned())
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Ignoring case finds `%2f` for `%2F`, and keys that were printed in capitals.
fn replace_ignoring_ascii_case(text: &str, form: &str) -> String {
    let (haystack, needle) = (text.to_ascii_lowercase(), form.to_ascii_lowercase());
    let mut scrubbed = String::with_capacity(text.len());
    let mut from = 0;
    // Lower-casing ASCII changes no position, so positions hold for the original.
    while let Some(found) = haystack[from..].find(&needle) {
        scrubbed.push_str(&text[from..from + found]);
        scrubbed.push_str(REDACTED);
        from += found + needle.len();
    }
    scrubbed.push_str(&text[from..]);
    scrubbed
}

fn replace_key_patterns(text: &str) -> String {
    let mut scrubbed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = first_word(rest) {
        scrubbed.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c| !is_key_character(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        let is_key = KEY_PREFIXES
            .iter()
            .any(|prefix| word.starts_with(prefix) && word.len() >= prefix.len() + KEY_TAIL);
        scrubbed.push_str(if is_key { REDACTED } else { word });
        rest = &rest[end..];
    }
    scrubbed.push_str(rest);
    scrubbed
}

fn first_word(text: &str) -> Option<usize> {
    text.find(is_key_character)
}

/// Dots join the parts of a JSON Web Token.
fn is_key_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE as BASE64_URL};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "canary+key/with=\"quotes\"\\0123456789";

    fn scrub(text: &str) -> String {
        Scrubber::new([SECRET]).scrub(text)
    }

    #[test]
    fn a_secret_is_found_in_every_form_it_may_come_back_in() {
        let forms = [
            SECRET.to_owned(),
            SECRET.to_ascii_uppercase(),
            serde_json::to_string(SECRET).expect("JSON"),
            percent_encoded(SECRET),
            percent_encoded(SECRET).to_ascii_lowercase(),
            percent_encoded(&percent_encoded(SECRET)),
            hexadecimal(SECRET),
            hexadecimal(SECRET).to_ascii_uppercase(),
        ];
        for form in forms {
            let text = scrub(&format!("Incorrect key: {form}."));
            assert!(text.contains(REDACTED), "{form} → {text}");
            assert!(!text.contains("0123456789"), "{form} → {text}");
        }
    }

    #[test]
    fn base64_is_found_at_every_alignment() {
        for before in ["", "x", "xy", "xyz", "Bearer ", "user:", "sk:"] {
            for engine in [&BASE64, &BASE64_URL] {
                let encoded = engine.encode(format!("{before}{SECRET}; more"));
                let text = scrub(&encoded);
                assert!(text.contains(REDACTED), "{before}: {text}");
                let left = text.split(REDACTED).map(str::len).sum::<usize>();
                assert!(left < 24, "{before}: {text}");
            }
        }
    }

    #[test]
    fn keys_of_well_known_makers_are_found_without_being_known() {
        for key in [
            "sk-proj-abcdefghijklmnop",
            "sk-ant-api03-abcdefghij_klmnop",
            "AIzaSyA1234567890abcdefg",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_123",
            "qm_aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            let text = scrub(&format!("(key: {key}), please"));
            assert_eq!(text, "(key: [redacted]), please");
        }
    }

    #[test]
    fn ordinary_text_stays() {
        for text in [
            "",
            "The model `gpt-4.1-mini-2025-04-14` does not exist; task-management-of-things",
            "sk-short risk-adjusted-returns-and-more eyJust",
            "Überlänge: 私は key-less",
        ] {
            assert_eq!(scrub(text), text);
            assert!(!Scrubber::new([SECRET]).finds_in(text));
        }
    }

    proptest! {
        #[test]
        fn no_form_of_any_secret_survives(
            secret in "[!-~]{16,64}",
            before in ".{0,40}",
            after in ".{0,40}",
        ) {
            let scrubber = Scrubber::new([secret.as_str()]);
            for form in [
                secret.clone(),
                BASE64.encode(&secret),
                percent_encoded(&secret),
                serde_json::to_string(&secret).expect("JSON"),
                hexadecimal(&secret),
            ] {
                let text = scrubber.scrub(&format!("{before}{form}{after}"));
                let core = &form[4..form.len() - 4];
                prop_assert!(!text.contains(core), "{form}: {text}");
            }
        }
    }

    #[test]
    fn a_short_secret_does_not_eat_the_text() {
        assert_eq!(Scrubber::new(["a", ""]).scrub("banana"), "banana");
    }
}
