//! Finding the end of plain text in a JSON string, many bytes at a time.

/// Bytes looked at together once a string turns out to be long. The loop over a block
/// has no branches, so the compiler makes vector instructions of it.
const BLOCK: usize = 64;
/// How much is looked at word by word first, since most strings are short.
const SHORT: usize = 32;
const WORD: usize = size_of::<u64>();

/// How many bytes at the start of `bytes` are neither a quote, a backslash nor a
/// control character: the characters that a JSON string cannot hold as they are.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(word) = bytes[length..].first_chunk::<WORD>() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return length + special.trailing_zeros() as usize / 8;
        }
        length += WORD;
        if length == SHORT {
            length += plain_blocks(&bytes[length..]);
        }
    }
    let rest = &bytes[length..];
    length + rest.iter().take_while(|&&byte| is_plain(byte)).count()
}

/// How many bytes the blocks at the start of `bytes` have that are wholly plain.
fn plain_blocks(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(block) = bytes[length..].first_chunk::<BLOCK>() {
        if block
            .iter()
            .fold(false, |found, &byte| found | !is_plain(byte))
        {
            break;
        }
        length += BLOCK;
    }
    length
}

const fn is_plain(byte: u8) -> bool {
    // No short-circuit, so that a block stays free of branches.
    (byte >= 0x20) & (byte != b'"') & (byte != b'\\')
}

/// Sets the highest bit of the first byte that is not plain. Bytes above it may be
/// wrong, since the subtractions borrow.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    (is_quote | is_backslash | is_control) & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_found_at_every_place() {
        for special in 0..=255_u8 {
            for place in 0..200 {
                let mut text = vec![b'a'; 200];
                text[place] = special;
                let expected = if is_plain(special) { 200 } else { place };
                assert_eq!(plain_length(&text), expected, "{special} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_equals_a_look_at_each_byte(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let expected = text.iter().take_while(|&&byte| is_plain(byte)).count();
            prop_assert_eq!(plain_length(&text), expected);
        }
    }
}
