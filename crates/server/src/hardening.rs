//! What the process gives up at its start, so that its memory stays its own.
//!
//! This keeps keys off disks and out of crash reports, and other processes of the same
//! user out of this one's memory. It does not keep out root.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Turns off core dumps and, on Linux, `ptrace` and `/proc/<pid>/mem` for others than root.
///
/// # Errors
/// When the system refuses.
pub fn protect_memory() -> anyhow::Result<()> {
    // Both, since a kernel may pipe dumps to a program whatever the limit, and since the
    // limit still holds after a child process has been started.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).context("core dumps cannot be limited")?;
    close_memory()
}

#[cfg(target_os = "linux")]
fn close_memory() -> anyhow::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("core dumps cannot be turned off")
}

/// Other systems have no such switch; there the limit is all.
#[cfg(not(target_os = "linux"))]
fn close_memory() -> anyhow::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_leaves_no_core() {
        protect_memory().unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Core).maximum, Some(0));
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
    }
}
