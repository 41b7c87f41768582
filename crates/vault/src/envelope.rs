//! The envelope: bytes in, sealed bytes out, and back. Pure; no storage, no clock.
//!
//! # Format, version 1
//!
//! There are three kinds of blob. All begin with the same seven bytes and then hold
//! one or two capsules; [`crate::capsule`] says what a capsule is. Integers are
//! big-endian, text is UTF-8, and `fields(…)` is defined there too.
//!
//! ```text
//! header               = "QMVT" | format (1) = 1 | kind (1) | algorithm (1) = 1
//! secret           (1) = header | organisation key id (16) | capsule of the data key (124) | capsule of the padded secret
//! organisation key (2) = header | organisation key id (16) | root key id (19) | capsule of the organisation key (124)
//! canary           (3) = header | root key id (19) | capsule of "quartermaster canary" (112)
//! ```
//!
//! Algorithm 1 is HKDF-SHA256, HMAC-SHA256 and AES-256-GCM. A root key id is text:
//! `rk_` and 16 characters of base32.
//!
//! | capsule | key | label | context |
//! | --- | --- | --- | --- |
//! | secret | data key, random, used for this one capsule | `secret` | the secret's context |
//! | data key | organisation key | `data-key` | the secret's context |
//! | organisation key | root key | `organization-key` | fields(all before the capsule, organisation id) |
//! | canary | root key | `canary` | fields(all before the capsule) |
//!
//! ```text
//! the secret's context = fields(all before the capsules, organisation id (16, or 0 for the
//!     installation itself), alias, version (4), purpose, provider, allowed origin)
//! padded secret = length (4) | secret | zeros up to a multiple of 64 bytes
//! ```
//!
//! The purposes are `provider_api_key`, `provider_credential` and `idempotent_answer`. Parsing is strict: a
//! blob of the wrong length, a wrong constant or padding that is not the shortest
//! possible is [`VaultError::DoesNotOpen`], like everything else that does not fit;
//! why it does not is nobody's business but the log of a debugger.

use domain::clock::{self, Entropy};
use domain::id::OrganizationId;
use domain::secret::Secret;
use zeroize::Zeroizing;

use crate::capsule::{self, split};
use crate::key::{KEY_LENGTH, Key, fields};
use crate::root_key::{ROOT_KEY_ID_LENGTH, RootKey};
use crate::{Binding, Purpose, VaultError};

const MAGIC: &[u8; 4] = b"QMVT";
const FORMAT: u8 = 1;
const ALGORITHM: u8 = 1;
const HEADER_LENGTH: usize = 7;
const ORGANIZATION_KEY_ID_LENGTH: usize = 16;
const WRAPPED_KEY_LENGTH: usize = KEY_LENGTH + capsule::OVERHEAD;
const PADDING_BLOCK: usize = 64;
const CANARY: &[u8] = b"quartermaster canary";

/// What a blob holds.
#[derive(Clone, Copy)]
enum Kind {
    Secret = 1,
    OrganizationKey = 2,
    Canary = 3,
}

impl Kind {
    const fn header(self) -> [u8; HEADER_LENGTH] {
        let [a, b, c, d] = *MAGIC;
        [a, b, c, d, FORMAT, self as u8, ALGORITHM]
    }
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::ProviderApiKey => "provider_api_key",
            Self::ProviderCredential => "provider_credential",
            Self::IdempotentAnswer => "idempotent_answer",
        }
    }
}

/// Names one organisation key; stays with it when another root key wraps it.
pub(crate) type OrganizationKeyId = [u8; ORGANIZATION_KEY_ID_LENGTH];

/// An organisation key, unwrapped.
pub(crate) struct OrganizationKey {
    pub(crate) id: OrganizationKeyId,
    key: Key,
}

impl OrganizationKey {
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        Self {
            id: clock::random(entropy),
            key: Key::random(entropy),
        }
    }
}

/// Seals a secret under a fresh data key.
pub(crate) fn seal_secret(
    organization_key: &OrganizationKey,
    binding: &Binding,
    secret: &Secret,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, VaultError> {
    let prefix = [&Kind::Secret.header()[..], &organization_key.id].concat();
    let context = secret_context(&prefix, binding);
    let data_key = Key::random(entropy);
    let wrapped = capsule::seal(
        &organization_key.key,
        "data-key",
        &context,
        Zeroizing::new(data_key.expose().to_vec()),
        entropy,
    )?;
    let padded = pad(secret.expose().as_bytes())?;
    let sealed = capsule::seal(&data_key, "secret", &context, padded, entropy)?;
    Ok([prefix, wrapped, sealed].concat())
}

/// Opens what [`seal_secret`] sealed for the same binding.
pub(crate) fn open_secret(
    organization_key: &OrganizationKey,
    binding: &Binding,
    blob: &[u8],
) -> Result<Secret, VaultError> {
    let (prefix, capsules) = split(blob, HEADER_LENGTH + ORGANIZATION_KEY_ID_LENGTH)?;
    if organization_key_id(blob)? != organization_key.id {
        return Err(VaultError::DoesNotOpen);
    }
    let context = secret_context(prefix, binding);
    let (wrapped, sealed) = split(capsules, WRAPPED_KEY_LENGTH)?;
    let data_key = Key::from_slice(&capsule::open(
        &organization_key.key,
        "data-key",
        &context,
        wrapped,
    )?)?;
    let padded = capsule::open(&data_key, "secret", &context, sealed)?;
    let text = std::str::from_utf8(unpad(&padded)?).map_err(|_| VaultError::DoesNotOpen)?;
    // Exactly as long as needed: a string that shrinks or grows leaves a copy behind.
    let mut owned = String::with_capacity(text.len());
    owned.push_str(text);
    Ok(Secret::new(owned))
}

/// The organisation key that a sealed secret needs.
pub(crate) fn organization_key_id(blob: &[u8]) -> Result<OrganizationKeyId, VaultError> {
    let rest = after_header(blob, Kind::Secret)?;
    let (id, _) = split(rest, ORGANIZATION_KEY_ID_LENGTH)?;
    id.try_into().map_err(|_| VaultError::DoesNotOpen)
}

/// Wraps an organisation key under a root key.
pub(crate) fn wrap_organization_key(
    root_key: &RootKey,
    organization_id: Option<OrganizationId>,
    organization_key: &OrganizationKey,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, VaultError> {
    let prefix = [
        &Kind::OrganizationKey.header()[..],
        &organization_key.id,
        root_key.id().as_bytes(),
    ]
    .concat();
    let wrapped = capsule::seal(
        root_key.key(),
        "organization-key",
        &fields(&[&prefix, &organization_bytes(organization_id)]),
        Zeroizing::new(organization_key.key.expose().to_vec()),
        entropy,
    )?;
    Ok([prefix, wrapped].concat())
}

/// Opens what [`wrap_organization_key`] wrapped for the same organisation.
pub(crate) fn unwrap_organization_key(
    root_key: &RootKey,
    organization_id: Option<OrganizationId>,
    blob: &[u8],
) -> Result<OrganizationKey, VaultError> {
    let rest = after_header(blob, Kind::OrganizationKey)?;
    let (id, rest) = split(rest, ORGANIZATION_KEY_ID_LENGTH)?;
    let (root_key_id, wrapped) = split(rest, ROOT_KEY_ID_LENGTH)?;
    if root_key_id != root_key.id().as_bytes() || wrapped.len() != WRAPPED_KEY_LENGTH {
        return Err(VaultError::DoesNotOpen);
    }
    let (prefix, _) = split(blob, blob.len() - WRAPPED_KEY_LENGTH)?;
    let key = capsule::open(
        root_key.key(),
        "organization-key",
        &fields(&[prefix, &organization_bytes(organization_id)]),
        wrapped,
    )?;
    Ok(OrganizationKey {
        id: id.try_into().map_err(|_| VaultError::DoesNotOpen)?,
        key: Key::from_slice(&key)?,
    })
}

/// The organisation key inside a wrapped one, by its id, without unwrapping it.
pub(crate) fn wrapped_key_id(blob: &[u8]) -> Result<OrganizationKeyId, VaultError> {
    let rest = after_header(blob, Kind::OrganizationKey)?;
    let (id, _) = split(rest, ORGANIZATION_KEY_ID_LENGTH)?;
    id.try_into().map_err(|_| VaultError::DoesNotOpen)
}

/// Seals the known text that shows, at every start, whether a root key is the right one.
pub(crate) fn seal_canary(
    root_key: &RootKey,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, VaultError> {
    let prefix = [&Kind::Canary.header()[..], root_key.id().as_bytes()].concat();
    let sealed = capsule::seal(
        root_key.key(),
        "canary",
        &fields(&[&prefix]),
        Zeroizing::new(CANARY.to_vec()),
        entropy,
    )?;
    Ok([prefix, sealed].concat())
}

/// Opens a canary, which succeeds under the root key that sealed it alone.
pub(crate) fn open_canary(root_key: &RootKey, blob: &[u8]) -> Result<(), VaultError> {
    after_header(blob, Kind::Canary)?;
    let (prefix, sealed) = split(blob, HEADER_LENGTH + ROOT_KEY_ID_LENGTH)?;
    let text = capsule::open(root_key.key(), "canary", &fields(&[prefix]), sealed)?;
    if text.as_slice() == CANARY {
        Ok(())
    } else {
        Err(VaultError::DoesNotOpen)
    }
}

fn after_header(blob: &[u8], kind: Kind) -> Result<&[u8], VaultError> {
    blob.strip_prefix(&kind.header())
        .ok_or(VaultError::DoesNotOpen)
}

fn secret_context(prefix: &[u8], binding: &Binding) -> Vec<u8> {
    fields(&[
        prefix,
        &organization_bytes(binding.organization_id),
        binding.alias.as_str().as_bytes(),
        &binding.version.to_be_bytes(),
        binding.purpose.name().as_bytes(),
        binding.provider.as_bytes(),
        binding.allowed_origin.as_bytes(),
    ])
}

fn organization_bytes(organization_id: Option<OrganizationId>) -> Vec<u8> {
    organization_id.map_or_else(Vec::new, |id| id.0.as_bytes().to_vec())
}

/// Hides the exact length, which would tell one kind of key from another.
fn pad(secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let length = u32::try_from(secret.len())
        .map_err(|_| VaultError::Cryptography("a secret is longer than 4 GiB"))?;
    let padded_length = (secret.len() + 4).next_multiple_of(PADDING_BLOCK);
    let mut padded = Zeroizing::new(Vec::with_capacity(padded_length));
    padded.extend_from_slice(&length.to_be_bytes());
    padded.extend_from_slice(secret);
    padded.resize(padded_length, 0);
    Ok(padded)
}

fn unpad(padded: &[u8]) -> Result<&[u8], VaultError> {
    let (length, rest) = padded.split_first_chunk().ok_or(VaultError::DoesNotOpen)?;
    let length =
        usize::try_from(u32::from_be_bytes(*length)).map_err(|_| VaultError::DoesNotOpen)?;
    let (secret, zeros) = split(rest, length)?;
    let is_shortest = padded.len() == (length + 4).next_multiple_of(PADDING_BLOCK);
    if is_shortest && zeros.iter().all(|byte| *byte == 0) {
        Ok(secret)
    } else {
        Err(VaultError::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests;
