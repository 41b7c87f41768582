//! One ciphertext: the building block of every envelope.
//!
//! ```text
//! capsule = salt (32) | nonce (12) | commitment (32) | ciphertext (n) | tag (16)
//! ```
//!
//! From the key K, a fresh random salt and a label that names the use:
//!
//! ```text
//! K_encrypt  = HKDF-SHA256(ikm = K, salt, info = fields("quartermaster/vault/v1", label, "encrypt"))
//! K_commit   = HKDF-SHA256(ikm = K, salt, info = fields("quartermaster/vault/v1", label, "commit"))
//! commitment = HMAC-SHA256(K_commit, fields(nonce, context))
//! ciphertext | tag = AES-256-GCM(K_encrypt, nonce, associated data = context, plaintext)
//! ```
//!
//! `fields(a, b, …)` is each string preceded by its length as 32 bits, big-endian.
//!
//! The salt makes a new encryption key for every capsule, so a nonce cannot repeat
//! under one key however many capsules one K seals. The commitment is checked, in
//! constant time, before anything is decrypted: AES-GCM alone lets an attacker build
//! one ciphertext that opens under two keys of their choice, a commitment does not.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use domain::clock::{self, Entropy};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::key::{Key, fields};

const SALT_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 12;
const COMMITMENT_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;

/// How much longer a capsule is than what it holds, in bytes.
pub(crate) const OVERHEAD: usize = SALT_LENGTH + NONCE_LENGTH + COMMITMENT_LENGTH + TAG_LENGTH;

/// The two keys of one capsule.
struct CapsuleKeys {
    encrypt: LessSafeKey,
    commit: Key,
}

impl CapsuleKeys {
    fn derive(key: &Key, salt: &[u8], label: &str) -> Result<Self, VaultError> {
        let encrypt = key.derive(salt, label, "encrypt")?;
        let unbound = UnboundKey::new(&AES_256_GCM, encrypt.expose())
            .map_err(|_| VaultError::Cryptography("AES-256-GCM refuses a key"))?;
        Ok(Self {
            encrypt: LessSafeKey::new(unbound),
            commit: key.derive(salt, label, "commit")?,
        })
    }
}

/// Seals `plaintext`, which is overwritten with its ciphertext on the way.
pub(crate) fn seal(
    key: &Key,
    label: &str,
    context: &[u8],
    mut plaintext: Zeroizing<Vec<u8>>,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, VaultError> {
    let salt: [u8; SALT_LENGTH] = clock::random(entropy);
    let nonce: [u8; NONCE_LENGTH] = clock::random(entropy);
    let keys = CapsuleKeys::derive(key, &salt, label)?;
    let commitment = keys.commit.authenticate(&fields(&[&nonce, context]));
    let tag = keys
        .encrypt
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            plaintext.as_mut_slice(),
        )
        .map_err(|_| VaultError::Cryptography("AES-256-GCM refuses to seal"))?;
    Ok([
        &salt[..],
        &nonce,
        &commitment,
        plaintext.as_slice(),
        tag.as_ref(),
    ]
    .concat())
}

/// Opens a capsule.
///
/// # Errors
/// [`VaultError::DoesNotOpen`] for any other key, label or context than it was sealed
/// with, and for a capsule that differs from the sealed one in a single bit.
pub(crate) fn open(
    key: &Key,
    label: &str,
    context: &[u8],
    capsule: &[u8],
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let (salt, rest) = split(capsule, SALT_LENGTH)?;
    let (nonce, rest) = split(rest, NONCE_LENGTH)?;
    let (commitment, sealed) = split(rest, COMMITMENT_LENGTH)?;
    let keys = CapsuleKeys::derive(key, salt, label)?;
    if !keys.commit.verifies(&fields(&[nonce, context]), commitment) {
        return Err(VaultError::DoesNotOpen);
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::DoesNotOpen)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let length = keys
        .encrypt
        .open_in_place(nonce, Aad::from(context), buffer.as_mut_slice())
        .map_err(|_| VaultError::DoesNotOpen)?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

/// Cuts off the first `length` bytes.
pub(crate) fn split(bytes: &[u8], length: usize) -> Result<(&[u8], &[u8]), VaultError> {
    bytes
        .split_at_checked(length)
        .ok_or(VaultError::DoesNotOpen)
}
