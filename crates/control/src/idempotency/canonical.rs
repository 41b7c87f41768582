//! What a request says, in one spelling: requests that mean the same byte for byte are
//! the same, whatever the order of their members and their white space.
//!
//! `1` and `1.0` differ, and so do a member that is null and one that is left out.

use crate::body::Content;
use crate::body::json::{Json, Text};
use crate::extract::call::Call;

/// Everything a request says, as bytes, and what it means beyond that. Holds whatever
/// secret the body holds, so it is only ever hashed.
pub(crate) fn request(call: &Call, meaning: &str) -> Vec<u8> {
    let mut query: Vec<_> = call.query.iter().collect();
    query.sort();
    let mut out = Vec::new();
    field(&mut out, call.method.as_str().as_bytes());
    field(&mut out, call.route.as_bytes());
    for (name, value) in call.path.iter().chain(query) {
        field(&mut out, name.as_bytes());
        field(&mut out, value.as_bytes());
    }
    match &call.content {
        Content::Absent => field(&mut out, b"absent"),
        Content::NotJson(bytes) => field(&mut out, bytes),
        Content::Json(json) => {
            let mut text = String::new();
            write(json, &mut text);
            field(&mut out, text.as_bytes());
        }
    }
    field(&mut out, meaning.as_bytes());
    out
}

/// Length before content, so that no two lists of fields give the same bytes.
fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn write(json: &Json, out: &mut String) {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Json::Integer(digits) => out.push_str(digits),
        // The shortest text that is this number; always with a point or an exponent.
        Json::Float(number) => out.push_str(&format!("{number:?}")),
        Json::Text(text) => write_text(text, out),
        Json::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(one, _), (other, _)| one.value.cmp(&other.value));
            out.push('{');
            for (key, value) in sorted {
                write_text(key, out);
                out.push(':');
                write(value, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

fn write_text(text: &Text, out: &mut String) {
    out.push_str(if text.has_lone_surrogate { "s\"" } else { "\"" });
    for character in text.value.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::json::parse;

    fn canonical(text: &str) -> String {
        let mut out = String::new();
        write(&parse(text).unwrap(), &mut out);
        out
    }

    #[test]
    fn order_and_white_space_do_not_matter() {
        assert_eq!(
            canonical("{\"b\": [1, {\"y\":2,\"x\":3}], \"a\": \"\\u0041\"}"),
            canonical("{\"a\":\"A\",\"b\":[1,{\"x\":3,\"y\":2}]}")
        );
        assert_eq!(canonical("{\"a\":1.50}"), canonical("{\"a\":15e-1}"));
    }

    #[test]
    fn everything_else_does() {
        let different = [
            "{}",
            "{\"a\":null}",
            "{\"a\":1}",
            "{\"a\":1.0}",
            "{\"a\":\"1\"}",
            "{\"a\":true}",
            "{\"a\":[1]}",
            "{\"a\":[[1]]}",
            "{\"a\":[1,1]}",
            "{\"a\":{}}",
            "{\"a\":\"\"}",
            "{\"a\":\"\\\",b:\\\"\"}",
            "{\"a\":1e22}",
            "{\"a\":10000000000000000000000}",
        ];
        for (index, one) in different.iter().enumerate() {
            for other in &different[index + 1..] {
                assert_ne!(canonical(one), canonical(other));
            }
        }
    }
}
