//! Root keys, the set of them that is in use, and the keys of the installation that
//! are derived from them.
//!
//! A set is text, one key a line, so that an operator can see which keys a file holds
//! (the ids say nothing about the keys):
//!
//! ```text
//! quartermaster-root-keys v1
//! rk_cc2ibv3tqsvjy3uk old 2026-01-02T03:04:05Z 5f0e…
//! rk_m5xw633rmfzgk2lz current 2026-06-01T00:00:00Z 9b1c…
//! ```
//!
//! A line is: id, state, time of making, 32 bytes in lower-case hexadecimal. Lines that
//! begin with `#` are comments. The id is `rk_` and the base32 of the first 10 bytes of
//! `HKDF-SHA256(ikm = key, salt = "quartermaster", info = fields("quartermaster/vault/v1",
//! "root-key-id", ""))` (see [`crate::capsule`] for `fields`), so a line that was damaged
//! is noticed before the key is used.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use domain::clock::{Clock, Entropy};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::key::{KEY_LENGTH, Key, fields};

/// Length of a root key id: `rk_` and 16 characters of base32.
pub(crate) const ROOT_KEY_ID_LENGTH: usize = 19;

const FIRST_LINE: &str = "quartermaster-root-keys v1";

const COMMENT: &str = "\
# The root keys of a Quartermaster vault. Whoever holds this file and the database can
# read every secret; without this file nobody can, ever again. Keep a copy of it apart
# from the copies of the database. `quartermaster vault` writes it; do not edit.
";

/// Which part a root key plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootKeyState {
    /// It opens what it once wrapped, and wraps nothing new.
    Old,
    /// It wraps what is new.
    Current,
    /// The next rotation makes it current; until then it only opens.
    Prepared,
}

impl RootKeyState {
    /// The word for it in files and listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Current => "current",
            Self::Prepared => "prepared",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Old, Self::Current, Self::Prepared]
            .into_iter()
            .find(|state| state.name() == word)
    }
}

/// What a keyed hash is for. One key is never used for two purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashPurpose {
    /// A client's `Idempotency-Key`, which may hold what should not be stored.
    IdempotencyKey,
    /// What a request said, which may hold a provider's key.
    IdempotencyFingerprint,
}

impl HashPurpose {
    const fn label(self) -> &'static str {
        match self {
            Self::IdempotencyKey => "idempotency-key",
            Self::IdempotencyFingerprint => "idempotency-fingerprint",
        }
    }
}

/// The key that everything in the vault hangs from.
pub struct RootKey {
    id: String,
    created_at: Timestamp,
    key: Key,
}

impl RootKey {
    /// Makes a key.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn generate(clock: &dyn Clock, entropy: &dyn Entropy) -> Result<Self, VaultError> {
        Self::new(Key::random(entropy), clock.now())
    }

    fn new(key: Key, created_at: Timestamp) -> Result<Self, VaultError> {
        let derived = key.derive(b"quartermaster", "root-key-id", "")?;
        let (bits, _) = derived.expose().split_at(10);
        let id = format!("rk_{}", BASE32_NOPAD.encode(bits).to_ascii_lowercase());
        Ok(Self {
            id,
            created_at,
            key,
        })
    }

    /// Its name, which says nothing about the key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it was made.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn keyed_hash(
        &self,
        purpose: HashPurpose,
        data: &[u8],
    ) -> Result<[u8; 32], VaultError> {
        let key = self
            .key
            .derive(b"quartermaster", "keyed-hash", purpose.label())?;
        Ok(key.authenticate(data))
    }
}

/// Root keys with their states; exactly one is current. Cheap to clone.
#[derive(Clone)]
pub struct RootKeySet {
    keys: Vec<(RootKeyState, Arc<RootKey>)>,
    current: usize,
}

impl RootKeySet {
    /// A set of one key.
    #[must_use]
    pub fn of(key: RootKey) -> Self {
        Self {
            keys: vec![(RootKeyState::Current, Arc::new(key))],
            current: 0,
        }
    }

    /// Reads the text of a set.
    ///
    /// # Errors
    /// Says what is wrong in which line, and never what the line holds.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty());
        if lines.next().is_none_or(|(_, line)| line != FIRST_LINE) {
            return Err(format!("the first line is not `{FIRST_LINE}`"));
        }
        let mut keys: Vec<(RootKeyState, Arc<RootKey>)> = Vec::new();
        for (number, line) in lines {
            let (state, key) = parse_line(line).map_err(|why| format!("line {number}: {why}"))?;
            if keys.iter().any(|(_, other)| other.id == key.id) {
                return Err(format!("line {number}: the key {} stands twice", key.id));
            }
            keys.push((state, Arc::new(key)));
        }
        let mut current = (0..)
            .zip(&keys)
            .filter(|(_, (state, _))| *state == RootKeyState::Current);
        match (current.next(), current.next()) {
            (Some((current, _)), None) => Ok(Self { keys, current }),
            (None, _) => Err("no key is marked `current`".to_owned()),
            (Some(_), Some(_)) => Err("more than one key is marked `current`".to_owned()),
        }
    }

    /// The text of the set.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        // Long enough from the start: a string that grows leaves a copy behind.
        let capacity = COMMENT.len() + FIRST_LINE.len() + 2 + self.keys.len() * 192;
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        text.push_str(COMMENT);
        text.push_str(FIRST_LINE);
        text.push('\n');
        for (state, key) in &self.keys {
            let hexadecimal = Zeroizing::new(HEXLOWER.encode(key.key.expose()));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{} {} {:.0} {}",
                key.id,
                state.name(),
                key.created_at,
                hexadecimal.as_str()
            );
        }
        text
    }

    /// The key that wraps what is new.
    #[must_use]
    pub fn current(&self) -> &RootKey {
        // `current` is an index into `keys` from the day the set is made; see `parse`.
        &self.keys[self.current].1
    }

    /// The key of this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&RootKey> {
        self.iter().map(|(_, key)| key).find(|key| key.id == id)
    }

    /// All keys, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (RootKeyState, &RootKey)> {
        self.keys.iter().map(|(state, key)| (*state, key.as_ref()))
    }

    /// Adds a key for the next rotation to make current.
    pub(crate) fn prepare(&mut self, key: RootKey) {
        self.keys.push((RootKeyState::Prepared, Arc::new(key)));
    }

    /// The key that waits for the next rotation, if one does.
    #[must_use]
    pub fn prepared(&self) -> Option<&RootKey> {
        self.iter()
            .find(|(state, _)| *state == RootKeyState::Prepared)
            .map(|(_, key)| key)
    }

    /// Makes the prepared key the current one, and the current one old. Says whether one
    /// was prepared.
    pub(crate) fn promote(&mut self) -> bool {
        let Some(next) = self
            .keys
            .iter()
            .position(|(state, _)| *state == RootKeyState::Prepared)
        else {
            return false;
        };
        self.keys[self.current].0 = RootKeyState::Old;
        self.keys[next].0 = RootKeyState::Current;
        self.current = next;
        true
    }

    /// Makes the prepared key the current one if it is among the root keys `in_use`: then
    /// it was rotated in on another machine, and this copy of the file is behind. Says
    /// whether it was.
    pub(crate) fn catch_up<'a>(&mut self, in_use: impl IntoIterator<Item = &'a str>) -> bool {
        let is_behind = self
            .prepared()
            .is_some_and(|prepared| in_use.into_iter().any(|id| id == prepared.id));
        is_behind && self.promote()
    }

    /// Takes an old key out of the set.
    pub(crate) fn remove_old(&mut self, id: &str) {
        let current = self.current().id.clone();
        self.keys
            .retain(|(state, key)| *state != RootKeyState::Old || key.id != id);
        self.current = self
            .keys
            .iter()
            .position(|(_, key)| key.id == current)
            .unwrap_or_default();
    }
}

fn parse_line(line: &str) -> Result<(RootKeyState, RootKey), &'static str> {
    let mut words = line.split(' ');
    let (Some(id), Some(state), Some(created_at), Some(hexadecimal), None) = (
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ) else {
        return Err("a key is four words: id, state, time, key");
    };
    let state = RootKeyState::parse(state).ok_or("the state is not old, current or prepared")?;
    let created_at = created_at
        .parse()
        .map_err(|_| "the time is not an RFC 3339 time")?;
    let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
    if hexadecimal.len() != 2 * KEY_LENGTH {
        return Err("the key is not 64 hexadecimal digits");
    }
    HEXLOWER
        .decode_mut(hexadecimal.as_bytes(), bytes.as_mut_slice())
        .map_err(|_| "the key is not 64 hexadecimal digits")?;
    let key = RootKey::new(Key::from_bytes(bytes), created_at)
        .map_err(|_| "the cryptographic library failed")?;
    verify_slices_are_equal(key.id.as_bytes(), id.as_bytes())
        .map_err(|_| "the key is not the one that its id names: the line was changed or damaged")?;
    Ok((state, key))
}

/// What a keyed hash is taken of, when it has several parts: joined so that no other
/// list of parts gives the same bytes.
#[must_use]
pub fn join_fields(parts: &[&[u8]]) -> Vec<u8> {
    fields(parts)
}

#[cfg(test)]
mod tests;
