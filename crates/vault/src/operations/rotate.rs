//! Rotation of the root key, while servers run.
//!
//! The order of the steps makes every moment a safe one to be killed in; the next run
//! picks up where this one stopped:
//!
//! 1. The new key is written to the file, before anything is wrapped with it.
//! 2. Its canary is stored. A file with a key that no canary knows is fine.
//! 3. Organisation keys are wrapped anew, each with a compare-and-replace, so that two
//!    rotations at a time do no harm. The old key stays in the file and opens what is left.
//! 4. Retiring an old key takes its canary away first (after which the storage lets nothing
//!    new come under it), then the key out of the file. The other order could leave a
//!    canary whose key is gone, and no server would start.
//!
//! Secrets themselves are not touched: what is under an organisation key stays.

use std::path::Path;

use domain::clock::{Clock, Entropy};

use crate::keyring::RootKeyring;
use crate::root_key::{RootKey, RootKeySet, RootKeyState};
use crate::root_key_file;
use crate::start::Stored;
use crate::{SealedStorage, VaultError, WrappedOrganizationKey, envelope};

/// How many organisation keys are read at a time.
const BATCH: u32 = 100;

/// What a rotation works on.
pub struct Rotation<'a> {
    /// Where the organisation keys are.
    pub storage: &'a dyn SealedStorage,
    /// The root key file, which is replaced.
    pub root_key_file: &'a Path,
    /// Dates the new key.
    pub clock: &'a dyn Clock,
    /// Makes the new key.
    pub entropy: &'a dyn Entropy,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationReport {
    /// The root key that is current now.
    pub current: String,
    /// Whether an earlier rotation, cut short, was finished instead of a new one begun.
    pub is_resumed: bool,
    /// How many organisation keys were wrapped anew.
    pub rewrapped: u64,
    /// The organisation keys that do not open, by owner; they stay as they are, and keep
    /// their root key from being retired.
    pub damaged: Vec<String>,
}

impl Rotation<'_> {
    /// Adds a key to the file and uses it for nothing yet. Where servers run on several
    /// machines, each with its own copy of the file, copy the file to all of them now.
    /// Gives the id of the prepared key, also when one was prepared already.
    ///
    /// # Errors
    /// When the file and the storage do not fit, or the file cannot be replaced.
    pub async fn prepare(&self) -> Result<String, VaultError> {
        let _lock = root_key_file::lock(self.root_key_file)?;
        let (mut keys, _) = self.load().await?;
        if let Some(key) = keys.prepared() {
            return Ok(key.id().to_owned());
        }
        let key = RootKey::generate(self.clock, self.entropy)?;
        let id = key.id().to_owned();
        keys.prepare(key);
        root_key_file::replace(self.root_key_file, &keys, self.entropy)?;
        Ok(id)
    }

    /// Makes a new root key (or the prepared one) current and wraps every organisation key
    /// with it; or finishes a rotation that was cut short.
    ///
    /// # Errors
    /// When the file and the storage do not fit, or either cannot be written. Running it
    /// again goes on from there.
    pub async fn rotate(&self) -> Result<RotationReport, VaultError> {
        let _lock = root_key_file::lock(self.root_key_file)?;
        let (mut keys, stored) = self.load().await?;
        if is_unfinished(&keys, &stored) {
            let report = self.take_over(&keys, true).await?;
            // Where only damaged keys were left there was nothing to resume, and they must
            // not stand in the way of a new root key.
            if report.rewrapped > 0 || report.damaged.is_empty() {
                return Ok(report);
            }
        }
        if keys.prepared().is_none() {
            keys.prepare(RootKey::generate(self.clock, self.entropy)?);
        }
        keys.promote();
        root_key_file::replace(self.root_key_file, &keys, self.entropy)?;
        self.take_over(&keys, false).await
    }

    /// Stores the canary of the current key and wraps everything with it.
    async fn take_over(
        &self,
        keys: &RootKeySet,
        is_resumed: bool,
    ) -> Result<RotationReport, VaultError> {
        let current = keys.current();
        let canary = envelope::seal_canary(current, self.entropy)?;
        self.storage.insert_canary(current.id(), &canary).await?;
        let (rewrapped, damaged) = self.rewrap_all(keys).await?;
        Ok(RotationReport {
            current: current.id().to_owned(),
            is_resumed,
            rewrapped,
            damaged,
        })
    }

    /// Takes every old root key that wraps nothing any more out of the file. What was
    /// sealed under it in old backups is then out of reach for ever. Gives their ids.
    ///
    /// # Errors
    /// When an old key still wraps something; nothing more is retired then.
    pub async fn retire_old(&self) -> Result<Vec<String>, VaultError> {
        let _lock = root_key_file::lock(self.root_key_file)?;
        let (mut keys, _) = self.load().await?;
        let old: Vec<String> = keys
            .iter()
            .filter(|(state, _)| *state == RootKeyState::Old)
            .map(|(_, key)| key.id().to_owned())
            .collect();
        for id in &old {
            self.refuse_while_used(id).await?;
            self.storage.delete_canary(id).await?;
            if let Err(error) = self.refuse_while_used(id).await {
                self.restore_canary(&keys, id).await?;
                return Err(error);
            }
            keys.remove_old(id);
            root_key_file::replace(self.root_key_file, &keys, self.entropy)?;
        }
        Ok(old)
    }

    async fn load(&self) -> Result<(RootKeySet, Stored), VaultError> {
        let root_keys = RootKeyring::load(self.root_key_file)?;
        let stored = Stored::read(self.storage).await?;
        stored.check(&root_keys)?;
        let mut keys = RootKeySet::clone(&root_keys.keys());
        if keys.catch_up(stored.canaries.iter().map(|(id, _)| id.as_str())) {
            // Without this a file that is behind would rotate back to the key before.
            root_key_file::replace(self.root_key_file, &keys, self.entropy)?;
        }
        Ok((keys, stored))
    }

    /// Gives how many were wrapped anew, and the owners of those that do not open.
    async fn rewrap_all(&self, keys: &RootKeySet) -> Result<(u64, Vec<String>), VaultError> {
        let current = keys.current().id();
        let mut rewrapped = 0;
        let mut damaged = Vec::new();
        loop {
            // Damaged ones are read again every time, so a batch must reach past them.
            let limit = BATCH as usize + damaged.len();
            let batch = self
                .storage
                .organization_keys_not_under(current, u32::try_from(limit).unwrap_or(u32::MAX))
                .await?;
            damaged.clear();
            for row in &batch {
                match self.rewrap(keys, row) {
                    Ok(new) => {
                        let is_replaced = self.storage.replace_organization_key(row, &new).await?;
                        rewrapped += u64::from(is_replaced);
                    }
                    Err(VaultError::DoesNotOpen) => damaged.push(owner(row)),
                    Err(error) => return Err(error),
                }
            }
            // Servers may add keys under the old root key meanwhile, so only a pass that
            // finds nothing but damaged ones is the last.
            if batch.len() < limit && batch.len() == damaged.len() {
                return Ok((rewrapped, damaged));
            }
        }
    }

    fn rewrap(
        &self,
        keys: &RootKeySet,
        row: &WrappedOrganizationKey,
    ) -> Result<WrappedOrganizationKey, VaultError> {
        let old = keys
            .by_id(&row.root_key_id)
            .ok_or(VaultError::DoesNotOpen)?;
        let current = keys.current();
        let key = envelope::unwrap_organization_key(old, row.organization_id, &row.blob)?;
        Ok(WrappedOrganizationKey {
            organization_id: row.organization_id,
            root_key_id: current.id().to_owned(),
            blob: envelope::wrap_organization_key(
                current,
                row.organization_id,
                &key,
                self.entropy,
            )?,
        })
    }

    async fn refuse_while_used(&self, id: &str) -> Result<(), VaultError> {
        let usage = self.storage.organization_keys_by_root_key().await?;
        let count = usage
            .iter()
            .find(|(other, _)| other == id)
            .map_or(0, |(_, count)| *count);
        if count == 0 {
            return Ok(());
        }
        Err(VaultError::RootKey(format!(
            "the root key {id} still wraps {count} organisation keys; rotate again before it is \
             retired"
        )))
    }

    async fn restore_canary(&self, keys: &RootKeySet, id: &str) -> Result<(), VaultError> {
        let Some(key) = keys.by_id(id) else {
            return Ok(());
        };
        let canary = envelope::seal_canary(key, self.entropy)?;
        self.storage.insert_canary(id, &canary).await
    }
}

/// Whether the current key has not yet taken over everything.
fn is_unfinished(keys: &RootKeySet, stored: &Stored) -> bool {
    let current = keys.current().id();
    let has_canary = stored.canaries.iter().any(|(id, _)| id == current);
    let others = stored.organization_keys.iter().any(|(id, _)| id != current);
    others || !has_canary
}

fn owner(row: &WrappedOrganizationKey) -> String {
    row.organization_id
        .map_or_else(|| "the installation".to_owned(), |id| id.to_string())
}
