//! The `Idempotency-Key` header.

use http::{HeaderMap, HeaderName};

use crate::error::{FieldError, Location};

/// The header's name.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Characters in a key at most.
const MAXIMUM_LENGTH: usize = 255;

/// Reads the key: bare, as Cyberdesk's SDK sends it, or as an RFC 8941 string, as the
/// IETF draft wants it; `k` and `"k"` are the same key.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<String>, FieldError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(fault("the header must be given once"));
    }
    let text = value
        .to_str()
        .map_err(|_| fault("only visible ASCII characters are allowed"))?;
    let key = unquote(text).ok_or_else(|| fault("the quotes do not fit together"))?;
    if key.is_empty() || key.len() > MAXIMUM_LENGTH {
        return Err(fault("1 to 255 characters are needed"));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(fault("only visible ASCII characters are allowed"));
    }
    Ok(Some(key))
}

fn unquote(text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('"') else {
        return Some(text.to_owned());
    };
    let inner = rest.strip_suffix('"')?;
    let mut key = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => match characters.next()? {
                escaped @ ('"' | '\\') => key.push(escaped),
                _ => return None,
            },
            other => key.push(other),
        }
    }
    Some(key)
}

fn fault(message: &str) -> FieldError {
    FieldError::new(
        "value_error",
        vec![Location::name("header"), Location::name("Idempotency-Key")],
        format!("Value error, {message}"),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn key(bytes: &[u8]) -> Result<Option<String>, FieldError> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_bytes(bytes).unwrap());
        read(&headers)
    }

    #[test]
    fn bare_and_quoted_keys_are_the_same() {
        for text in ["k-1", "\"k-1\""] {
            assert_eq!(key(text.as_bytes()), Ok(Some("k-1".to_owned())));
        }
        assert_eq!(key(br#""a\"b\\c""#), Ok(Some("a\"b\\c".to_owned())));
        assert_eq!(read(&HeaderMap::new()), Ok(None));
        assert!(key("x".repeat(255).as_bytes()).is_ok());
        assert!(key(format!("\"{}\"", "x".repeat(255)).as_bytes()).is_ok());
    }

    #[test]
    fn other_keys_are_refused() {
        let long = "x".repeat(256);
        for bytes in [
            &b""[..],
            b"\"\"",
            b"a b",
            b"\"a",
            b"\"a\"b\"",
            b"\"\\x\"",
            "schlüssel".as_bytes(),
            b"a\tb",
            long.as_bytes(),
            b"\"",
        ] {
            assert!(key(bytes).is_err(), "{bytes:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        assert!(read(&headers).is_err());
    }
}
