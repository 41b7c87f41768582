//! The state of the vault, also of one that refuses to open.

use std::path::Path;

use jiff::Timestamp;

use crate::keyring::RootKeyring;
use crate::root_key::RootKeyState;
use crate::start::Stored;
use crate::{SealedStorage, VaultError, envelope};

/// What the vault holds and whether its root keys fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultStatus {
    /// Every root key that is in the file or that something stored needs.
    pub root_keys: Vec<RootKeyStatus>,
    /// How many sealed secrets there are.
    pub sealed_secrets: u64,
    /// Why the root key file cannot be used, if it cannot.
    pub root_key_file_error: Option<String>,
}

/// One root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKeyStatus {
    /// Its id.
    pub id: String,
    /// Its part, and when it was made; none when it is not in the file.
    pub in_file: Option<(RootKeyState, Timestamp)>,
    /// How many organisation keys it wraps.
    pub organization_keys: u64,
    /// Whether the stored canary opens.
    pub canary: CanaryState,
}

/// What a canary says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryState {
    /// The key is the right one.
    Opens,
    /// The key is another one than sealed the canary, or the canary was changed.
    DoesNotOpen,
    /// There is a canary, but the key to try it with is not in the file.
    Untried,
    /// None is stored; it is written at the next start or rotation.
    Absent,
}

impl VaultStatus {
    /// Whether everything that is stored can be opened with the keys in the file.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.root_key_file_error.is_none()
            && self.root_keys.iter().all(|key| {
                let is_needed = key.organization_keys > 0 || key.canary != CanaryState::Absent;
                key.canary != CanaryState::DoesNotOpen && (key.in_file.is_some() || !is_needed)
            })
    }

    /// Whether a rotation has begun and not finished.
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        self.root_keys.iter().any(|key| {
            matches!(key.in_file, Some((RootKeyState::Old, _))) && key.organization_keys > 0
        })
    }
}

/// Looks at the storage and the root key file, and changes neither.
///
/// # Errors
/// When the storage cannot be read. A bad root key file is not an error but part of the
/// answer.
pub async fn status(
    storage: &dyn SealedStorage,
    root_key_file: &Path,
) -> Result<VaultStatus, VaultError> {
    let stored = Stored::read(storage).await?;
    let (root_keys, root_key_file_error) = match RootKeyring::load(root_key_file) {
        Ok(root_keys) => (Some(root_keys), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let keys = root_keys.map(|root_keys| root_keys.keys());
    let mut ids: Vec<&str> = Vec::new();
    if let Some(keys) = &keys {
        ids.extend(keys.iter().map(|(_, key)| key.id()));
    }
    for id in stored.needed() {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let describe = |id: &str| {
        let key = keys
            .as_ref()
            .and_then(|keys| keys.iter().find(|(_, key)| key.id() == id));
        let canary = stored.canaries.iter().find(|(other, _)| other == id);
        RootKeyStatus {
            id: id.to_owned(),
            in_file: key.map(|(state, key)| (state, key.created_at())),
            organization_keys: stored
                .organization_keys
                .iter()
                .filter(|(other, _)| other == id)
                .map(|(_, count)| count)
                .sum(),
            canary: match (canary, key) {
                (None, _) => CanaryState::Absent,
                (Some(_), None) => CanaryState::Untried,
                (Some((_, blob)), Some((_, key))) if envelope::open_canary(key, blob).is_ok() => {
                    CanaryState::Opens
                }
                (Some(_), Some(_)) => CanaryState::DoesNotOpen,
            },
        }
    };
    Ok(VaultStatus {
        root_keys: ids.into_iter().map(describe).collect(),
        sealed_secrets: stored.secrets,
        root_key_file_error,
    })
}
