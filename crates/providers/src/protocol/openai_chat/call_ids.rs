//! Identifiers of tool calls for a provider that takes nine letters and digits only.

use sha2::{Digest, Sha256};

const LENGTH: usize = 9;
const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// An identifier of nine letters and digits: the given one where it is that, else the
/// first nine digits, in base 62, of its SHA-256. The same text always gives the same.
pub(super) fn nine_letters(id: &str) -> String {
    if id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    let mut digits = base_62(Sha256::digest(id).as_slice());
    // Digits of a number come without leading zeros; one so small does not occur.
    while digits.len() < LENGTH {
        digits.insert(0, DIGITS[0]);
    }
    digits.truncate(LENGTH);
    digits.into_iter().map(char::from).collect()
}

/// A number, given in bytes from the highest, as digits from the highest.
fn base_62(bytes: &[u8]) -> Vec<u8> {
    let mut number = bytes.to_vec();
    let mut digits = Vec::with_capacity(number.len() * 2);
    while number.iter().any(|&byte| byte != 0) {
        let mut remainder = 0_u16;
        for byte in &mut number {
            let value = remainder * 256 + u16::from(*byte);
            // A remainder is below 62, so that the quotient is below 256.
            *byte = u8::try_from(value / 62).unwrap_or_default();
            remainder = value % 62;
        }
        digits.push(DIGITS[usize::from(remainder)]);
    }
    digits.reverse();
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_of_nine_letters_stays_and_any_other_is_hashed() {
        assert_eq!(nine_letters("abcDEF123"), "abcDEF123");
        for (id, hashed) in [
            ("call_abc123DEF", "m5lICjhHY"),
            ("c1", "Nyb1luOPM"),
            ("chatcmpl-tool-0123456789abcdef", "RQ527Wpk6"),
        ] {
            assert_eq!(nine_letters(id), hashed);
        }
        for id in ["", "ä23456789", "12345678-"] {
            let hashed = nine_letters(id);
            assert!(hashed.len() == 9 && hashed.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }
}
