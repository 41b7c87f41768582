//! The file that the root keys lie in: made so that only its owner can read it, and
//! refused when that is no longer so.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use domain::clock::{self, Entropy};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::root_key::RootKeySet;

/// No set of root keys is longer; a longer file is something else.
const LENGTH_LIMIT: u64 = 64 * 1024;

/// Tells one state of the file from another without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64, u64, i64, i64, u64);

impl Fingerprint {
    fn of(metadata: &fs::Metadata) -> Self {
        Self(
            metadata.dev(),
            metadata.ino(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.size(),
        )
    }

    /// What stands under the path now, if anything does.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }
}

/// Reads and judges a root key file; none when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<(RootKeySet, Fingerprint)>, VaultError> {
    // Links are followed, since container platforms mount secrets as links: what is judged
    // is the file that was opened. Not blocking, or a named pipe in the file's place would
    // hang the start.
    let flags = OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return absent(path),
        Err(error) => return Err(failed("cannot be opened", path, &error)),
    };
    let metadata = file
        .metadata()
        .map_err(|error| failed("cannot be examined", path, &error))?;
    let effective_user = rustix::process::geteuid().as_raw();
    Posture::of(&metadata)
        .accept(effective_user)
        .map_err(|why| refused(path, &why.replace("{}", &path.display().to_string())))?;
    let mut text = Zeroizing::new(String::with_capacity(
        usize::try_from(metadata.size()).unwrap_or_default() + 1,
    ));
    Read::by_ref(&mut file)
        .take(LENGTH_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| failed("cannot be read", path, &error))?;
    let set = RootKeySet::parse(&text)
        .map_err(|why| refused(path, &format!("is not a root key file: {why}")))?;
    Ok(Some((set, Fingerprint::of(&metadata))))
}

/// A link that leads nowhere is a mistake, and no first start.
fn absent(path: &Path) -> Result<Option<(RootKeySet, Fingerprint)>, VaultError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(refused(
            path,
            "is a symbolic link to a file that is not there",
        )),
        Err(_) => Ok(None),
    }
}

/// Everything about a file that decides whether it may hold root keys.
struct Posture {
    is_regular: bool,
    permissions: u32,
    owner: u32,
    length: u64,
}

impl Posture {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            is_regular: metadata.is_file(),
            permissions: metadata.mode() & 0o7777,
            owner: metadata.uid(),
            length: metadata.size(),
        }
    }

    /// `{}` in a message stands for the path.
    fn accept(&self, effective_user: u32) -> Result<(), String> {
        if !self.is_regular {
            return Err("is not a regular file".to_owned());
        }
        if self.owner != effective_user && self.owner != 0 {
            return Err(format!(
                "belongs to user {}, who could change it; it must belong to user {effective_user}, \
                 whom this program runs as, or to root. Run `chown {effective_user} {{}}`",
                self.owner
            ));
        }
        // A file of root's that a service account reads has to be readable by a group, as
        // container platforms mount it.
        let is_lent = self.owner == 0 && effective_user != 0;
        let closed_to = if is_lent { 0o037 } else { 0o077 };
        if self.permissions & closed_to != 0 {
            return Err(format!(
                "can be reached by others (its mode is {:04o}). Run `chmod 600 {{}}`, and where \
                 others may have read it, rotate the root key",
                self.permissions
            ));
        }
        if self.length > LENGTH_LIMIT {
            return Err(format!("is longer than {LENGTH_LIMIT} bytes"));
        }
        Ok(())
    }
}

/// Writes a new root key file, readable by its owner only.
///
/// Never overwrites: when something stands under the path already, also something that
/// another process put there a moment ago, that is an error.
pub(crate) fn create(
    path: &Path,
    set: &RootKeySet,
    entropy: &dyn Entropy,
) -> Result<(), VaultError> {
    create_with(path, set.to_text().as_bytes(), entropy)
}

/// Like [`create`], for any content.
pub(crate) fn create_with(
    path: &Path,
    content: &[u8],
    entropy: &dyn Entropy,
) -> Result<(), VaultError> {
    let directory = directory_of(path);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| failed("cannot be made", directory, &error))?;
    let temporary = write_temporary(path, content, entropy)?;
    // A link, unlike a rename, fails where something stands already, and a reader
    // never sees half a file.
    let linked = fs::hard_link(&temporary, path);
    let removed = fs::remove_file(&temporary);
    linked.map_err(|error| failed("cannot be created", path, &error))?;
    removed.map_err(|error| failed("cannot be removed", &temporary, &error))?;
    sync(directory)
}

/// Replaces the root key file in one step: a reader sees the old or the new one.
/// The caller holds the [`lock`].
pub(crate) fn replace(
    path: &Path,
    set: &RootKeySet,
    entropy: &dyn Entropy,
) -> Result<(), VaultError> {
    // What a link leads to is replaced, not the link.
    let path = &fs::canonicalize(path).map_err(|error| failed("cannot be found", path, &error))?;
    clear_litter(path);
    let temporary = write_temporary(path, set.to_text().as_bytes(), entropy)?;
    if let Ok(metadata) = fs::metadata(path) {
        // A root that rotates the key of a service account leaves the file to it.
        let owner =
            std::os::unix::fs::chown(&temporary, Some(metadata.uid()), Some(metadata.gid()));
        owner.map_err(|error| failed("cannot be given to its owner", &temporary, &error))?;
    }
    fs::rename(&temporary, path).map_err(|error| failed("cannot be replaced", path, &error))?;
    sync(directory_of(path))
}

/// Holds off every other process that wants to change the file, until dropped.
pub(crate) fn lock(path: &Path) -> Result<File, VaultError> {
    // The directory is locked, since the file itself is replaced by another one; that of the
    // file, whatever links lead to it. Where there is no file yet, it is the path's own.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = directory_of(path);
    let handle =
        File::open(directory).map_err(|error| failed("cannot be opened", directory, &error))?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(fs::TryLockError::WouldBlock) => Err(VaultError::RootKey(format!(
            "another process is changing the root keys in {}; wait until it has finished",
            directory.display()
        ))),
        Err(fs::TryLockError::Error(error)) => Err(failed("cannot be locked", directory, &error)),
    }
}

fn write_temporary(
    path: &Path,
    content: &[u8],
    entropy: &dyn Entropy,
) -> Result<PathBuf, VaultError> {
    let unique = u64::from_be_bytes(clock::random(entropy));
    let temporary = path.with_added_extension(format!("{unique:016x}.new"));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|error: std::io::Error| {
        // Nothing is lost with it, and half a key helps nobody.
        let _ = fs::remove_file(&temporary);
        failed("cannot be written", &temporary, &error)
    })?;
    Ok(temporary)
}

/// Removes what a process that was killed between writing and renaming left: it holds
/// root keys.
fn clear_litter(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    let prefix = format!("{name}.");
    for entry in fs::read_dir(directory_of(path))
        .into_iter()
        .flatten()
        .flatten()
    {
        let other = entry.file_name();
        let is_litter = other
            .to_str()
            .is_some_and(|other| other.starts_with(&prefix) && other.ends_with(".new"));
        if is_litter && let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "a leftover copy of root keys stays");
        }
    }
}

fn sync(directory: &Path) -> Result<(), VaultError> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| failed("cannot be made durable", directory, &error))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn refused(path: &Path, why: &str) -> VaultError {
    VaultError::RootKey(format!("the root key file {} {why}", path.display()))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> VaultError {
    VaultError::RootKey(format!("{} {what}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posture() -> Posture {
        Posture {
            is_regular: true,
            permissions: 0o600,
            owner: 1000,
            length: 100,
        }
    }

    #[test]
    fn only_modes_that_keep_others_out_are_accepted() {
        for permissions in 0..=0o777 {
            let verdict = Posture {
                permissions,
                ..posture()
            }
            .accept(1000);
            assert_eq!(verdict.is_ok(), permissions % 0o100 == 0, "{permissions:o}");
        }
    }

    #[test]
    fn a_group_may_read_what_root_lends_to_a_service_account() {
        for permissions in 0..=0o777 {
            let lent = Posture {
                permissions,
                owner: 0,
                ..posture()
            };
            let verdict = lent.accept(1000);
            assert_eq!(verdict.is_ok(), permissions & 0o037 == 0, "{permissions:o}");
            let verdict = lent.accept(0);
            assert_eq!(verdict.is_ok(), permissions & 0o077 == 0, "{permissions:o}");
        }
    }

    #[test]
    fn only_the_user_and_root_may_own_it() {
        for (owner, effective_user, is_accepted) in [
            (1000, 1000, true),
            (0, 1000, true),
            (0, 0, true),
            (1001, 1000, false),
            (1000, 0, false),
        ] {
            let verdict = Posture { owner, ..posture() }.accept(effective_user);
            assert_eq!(verdict.is_ok(), is_accepted, "{owner} {effective_user}");
        }
    }

    #[test]
    fn only_a_regular_file_of_sane_length_is_accepted() {
        let irregular = Posture {
            is_regular: false,
            ..posture()
        };
        let long = Posture {
            length: LENGTH_LIMIT + 1,
            ..posture()
        };
        assert!(posture().accept(1000).is_ok());
        assert!(irregular.accept(1000).is_err());
        assert!(long.accept(1000).is_err());
    }
}
