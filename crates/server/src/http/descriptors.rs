//! File descriptors: every connection takes one, and one more towards its provider.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors for everything that is no connection: database, files, ports.
const OTHERS: u64 = 256;

/// Raises this process's own limit as far as the system lets it, and gives how many of
/// the `wanted` connections it has descriptors for. Far fewer are said in the log: to answer
/// 503 beyond them is better than to fail wherever the next descriptor is needed.
pub fn affordable(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of file descriptors cannot be raised");
    }
    let Some(allowed) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let connections = wanted.min(fitting(allowed));
    if is_far_below(connections, wanted) {
        tracing::warn!(
            descriptors.allowed = allowed,
            connections.wanted = wanted,
            connections.allowed = connections,
            "the system's limit of file descriptors allows fewer connections than \
             server.max_connections; raise it (LimitNOFILE=, ulimit -n) for more"
        );
    } else if connections < wanted {
        tracing::debug!(
            descriptors.allowed = allowed,
            connections.allowed = connections,
            "the system's limit of file descriptors allows nearly server.max_connections"
        );
    }
    connections
}

/// A little fewer is what most systems allow, and nobody's concern.
const fn is_far_below(connections: usize, wanted: usize) -> bool {
    connections < wanted / 2
}

/// How many connections `descriptors` suffice for; always some.
fn fitting(descriptors: u64) -> usize {
    let fitting = descriptors.saturating_sub(OTHERS) / 2;
    usize::try_from(fitting).unwrap_or(usize::MAX).max(16)
}

#[cfg(test)]
mod tests {
    use super::{fitting, is_far_below};

    #[test]
    fn a_connection_takes_two_descriptors_beside_the_process_s_own() {
        assert_eq!(fitting(20_256), 10_000);
        assert_eq!(fitting(1024), 384);
        assert_eq!(fitting(64), 16);
    }

    #[test]
    fn only_much_less_than_was_asked_for_is_worth_a_warning() {
        assert!(!is_far_below(9872, 10_000));
        assert!(!is_far_below(5000, 10_000));
        assert!(is_far_below(4999, 10_000));
    }
}
