//! Root keys sealed with a passphrase, for a copy that leaves the machine.
//!
//! ```text
//! quartermaster-sealed-root-keys v1
//! <salt: 32 hexadecimal digits>
//! <capsule of a root key file's text, base64>
//! ```
//!
//! The capsule ([`crate::capsule`]) is sealed under Argon2id(passphrase, salt) with 64 MiB,
//! 3 passes and 4 lanes (the second recommendation of RFC 9106, section 4), label
//! `root-key-backup`, and the two lines before it as context. Version 1 means these very
//! parameters, so none are read from the file, where an attacker could change them.

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::{BASE64, HEXLOWER};
use domain::clock::{self, Entropy};
use domain::secret::Secret;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::capsule;
use crate::key::{KEY_LENGTH, Key};
use crate::root_key::RootKeySet;

/// How a sealed file begins.
pub(crate) const FIRST_LINE: &str = "quartermaster-sealed-root-keys v1";

const LABEL: &str = "root-key-backup";
const SALT_LENGTH: usize = 16;
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// The text of `keys`, sealed.
pub(crate) fn seal(
    keys: &RootKeySet,
    passphrase: &Secret,
    entropy: &dyn Entropy,
) -> Result<String, VaultError> {
    let salt: [u8; SALT_LENGTH] = clock::random(entropy);
    let prefix = format!("{FIRST_LINE}\n{}\n", HEXLOWER.encode(&salt));
    let key = stretch(passphrase, &salt)?;
    let text = Zeroizing::new(keys.to_text().as_bytes().to_vec());
    let sealed = capsule::seal(&key, LABEL, prefix.as_bytes(), text, entropy)?;
    Ok(format!("{prefix}{}\n", BASE64.encode(&sealed)))
}

/// Opens what [`seal`] made.
pub(crate) fn open(text: &str, passphrase: &Secret) -> Result<RootKeySet, String> {
    let damaged = || "is damaged".to_owned();
    let mut lines = text.lines();
    let (Some(FIRST_LINE), Some(salt_text), Some(sealed), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(damaged());
    };
    let salt = HEXLOWER
        .decode(salt_text.as_bytes())
        .map_err(|_| damaged())?;
    if salt.len() != SALT_LENGTH {
        return Err(damaged());
    }
    let sealed = BASE64.decode(sealed.as_bytes()).map_err(|_| damaged())?;
    let prefix = format!("{FIRST_LINE}\n{salt_text}\n");
    let key = stretch(passphrase, &salt).map_err(|error| error.to_string())?;
    let opened = capsule::open(&key, LABEL, prefix.as_bytes(), &sealed)
        .map_err(|_| "does not open: the passphrase is another one, or it is damaged".to_owned())?;
    let text = std::str::from_utf8(&opened).map_err(|_| damaged())?;
    RootKeySet::parse(text)
}

fn stretch(passphrase: &Secret, salt: &[u8]) -> Result<Key, VaultError> {
    let refused = |_| VaultError::Cryptography("Argon2id refuses its parameters");
    let parameters = Params::new(MEMORY_KIB, PASSES, LANES, Some(KEY_LENGTH)).map_err(refused)?;
    let mut output = Zeroizing::new([0; KEY_LENGTH]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(passphrase.expose().as_bytes(), salt, output.as_mut_slice())
        .map_err(refused)?;
    Ok(Key::from_bytes(output))
}
