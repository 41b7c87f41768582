//! 256-bit keys, and the one way to make other keys out of them.
//!
//! No key is used directly: every use derives its own sub-key with HKDF-SHA256
//! (RFC 5869), named by a label, so that no two uses ever share a key.

use aws_lc_rs::{hkdf, hmac};
use domain::clock::Entropy;
use zeroize::Zeroizing;

use crate::VaultError;

/// Length of every key, in bytes.
pub(crate) const KEY_LENGTH: usize = 32;

/// First field of every derivation, so that no other program's keys can be ours.
const DOMAIN: &[u8] = b"quartermaster/vault/v1";

/// Key bytes, overwritten when dropped. No `Debug`, `Clone` or `Serialize`.
pub(crate) struct Key(Zeroizing<[u8; KEY_LENGTH]>);

/// The output length of a derivation, in the form that `aws-lc-rs` wants.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Key {
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        entropy.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    pub(crate) fn from_bytes(bytes: Zeroizing<[u8; KEY_LENGTH]>) -> Self {
        Self(bytes)
    }

    pub(crate) fn from_slice(slice: &[u8]) -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        if slice.len() != KEY_LENGTH {
            return Err(VaultError::DoesNotOpen);
        }
        bytes.copy_from_slice(slice);
        Ok(Self(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }

    /// A sub-key for one use: `HKDF(salt, self, fields(domain, label, use))`.
    pub(crate) fn derive(&self, salt: &[u8], label: &str, usage: &str) -> Result<Self, VaultError> {
        let info = fields(&[DOMAIN, label.as_bytes(), usage.as_bytes()]);
        let mut output = Zeroizing::new([0; KEY_LENGTH]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(self.0.as_slice())
            .expand(&[&info], Length(KEY_LENGTH))
            .and_then(|material| material.fill(output.as_mut_slice()))
            .map_err(|_| VaultError::Cryptography("a key cannot be derived"))?;
        Ok(Self(output))
    }

    /// HMAC-SHA256 under this key.
    pub(crate) fn authenticate(&self, message: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        let mut output = [0; 32];
        output.copy_from_slice(hmac::sign(&key, message).as_ref());
        output
    }

    /// Whether `tag` is [`Key::authenticate`] of `message`; takes the same time either way.
    pub(crate) fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        hmac::verify(&key, message, tag).is_ok()
    }
}

/// Joins byte strings so that no other list of strings gives the same bytes: each is
/// preceded by its length as 32 bits, big-endian.
pub(crate) fn fields(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        // A part past 4 GiB cannot come in: names are bounded long before they get here.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        joined.extend_from_slice(&length.to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cannot_be_shifted_into_one_another() {
        assert_ne!(fields(&[b"ab", b"c"]), fields(&[b"a", b"bc"]));
        assert_ne!(fields(&[b"ab", b""]), fields(&[b"ab"]));
    }

    #[test]
    fn every_salt_label_and_use_gives_another_key() {
        let key = Key::from_bytes(Zeroizing::new([7; 32]));
        let mut seen = std::collections::HashSet::new();
        for salt in [b"s1", b"s2"] {
            for (label, usage) in [("a", "b"), ("ab", ""), ("", "ab"), ("b", "a")] {
                let derived = key.derive(salt, label, usage).unwrap();
                assert!(seen.insert(*derived.expose()));
            }
        }
    }

    /// Known answer, computed with another implementation (Python's `hmac`):
    /// HKDF-SHA256(ikm = 32 bytes of 7, salt = "salt", info = fields(domain, "label", "use")).
    #[test]
    fn a_derivation_is_plain_rfc_5869() {
        let derived = Key::from_bytes(Zeroizing::new([7; 32]))
            .derive(b"salt", "label", "use")
            .unwrap();
        assert_eq!(
            data_encoding::HEXLOWER.encode(derived.expose()),
            "71e5bd0327e0bf70b87890970dc10417d8549ea388a94fc97c44ba2cb96c3059"
        );
    }
}
