//! File descriptors: every connection takes one, and one more towards its provider.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors for everything that is no connection: database, files, ports.
const OTHERS: u64 = 256;

/// Raises this process's own limit as far as the system lets it, and says in the log
/// where that is too little for `connections`.
pub fn raise_limit(connections: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of file descriptors cannot be raised");
    }
    let needed = 2 * connections as u64 + OTHERS;
    if let Some(allowed) = getrlimit(Resource::Nofile).current
        && allowed < needed
    {
        tracing::warn!(
            descriptors.allowed = allowed,
            descriptors.needed = needed,
            "server.max_connections is more than the system's limit of file descriptors allows; \
             raise it (LimitNOFILE=, ulimit -n) or lower the setting"
        );
    }
}
