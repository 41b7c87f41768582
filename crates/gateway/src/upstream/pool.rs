//! Idle connections, kept apart so that no two tenants ever share one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::id::{Alias, ModelConfigurationId, OrganizationId};
use providers::target::Origin;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connect::Connection;
use super::http1::Http1;
use super::http2::Http2;

/// Which connections a call may use: same origin, same credential, and, where
/// the credential is not the operator's, same tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub(crate) origin: Origin,
    pub(crate) partition: Partition,
}

/// Who shares connections to an origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Partition {
    /// Calls with this secret, which belongs to one organisation.
    Secret(Alias),
    /// Calls with the operator's key for the provider of this name.
    Platform(&'static str),
    /// Calls with the key that the operator gave to one system default.
    SystemDefault(ModelConfigurationId),
    /// Calls of one organisation without any credential.
    Tenant(OrganizationId),
}

/// How long a connection may lie idle. Most servers close theirs after a minute or later.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// How often the sweeper looks.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How many HTTP/1.1 connections lie idle per key.
const IDLE_PER_KEY: usize = 128;

#[derive(Default)]
struct Slot {
    idle: Vec<(Instant, Box<Http1>)>,
    shared: Vec<(Instant, Http2)>,
}

#[derive(Default)]
pub(super) struct Pool {
    slots: Mutex<HashMap<Arc<PoolKey>, Slot>>,
}

impl Pool {
    /// A connection that is still open, the most recently used first.
    pub(super) fn take(&self, key: &PoolKey) -> Option<Connection> {
        loop {
            let mut idle = {
                let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
                let slot = slots.get_mut(key)?;
                let free = slot.shared.iter_mut().find(|(_, http2)| http2.has_room());
                if let Some((used, http2)) = free {
                    *used = Instant::now();
                    return Some(Connection::Http2(http2.clone()));
                }
                slot.idle.pop()?.1
            };
            if idle.is_reusable() {
                return Some(Connection::Http1(idle));
            }
        }
    }

    /// Keeps an HTTP/1.1 connection whose answer has been read to its end.
    pub(super) fn keep(&self, key: Arc<PoolKey>, connection: Box<Http1>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(key).or_default();
        if slot.idle.len() < IDLE_PER_KEY {
            slot.idle.push((Instant::now(), connection));
        }
    }

    /// Lets further calls share an HTTP/2 connection.
    pub(super) fn share(&self, key: &Arc<PoolKey>, connection: &Http2) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(Arc::clone(key)).or_default();
        slot.shared.push((Instant::now(), connection.clone()));
    }

    fn sweep(&self) {
        let now = Instant::now();
        let is_fresh = |used: &Instant| now.duration_since(*used) < IDLE_TIMEOUT;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| {
            slot.idle.retain(|(used, _)| is_fresh(used));
            slot.shared.retain(|(used, http2)| {
                !http2.is_closed() && (is_fresh(used) || !http2.is_unused())
            });
            !slot.idle.is_empty() || !slot.shared.is_empty()
        });
    }

    fn clear(&self) {
        self.slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// Closes connections that lie idle for long, and all of them at shutdown.
pub(super) async fn sweep_until(pool: Arc<Pool>, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = interval.tick() => pool.sweep(),
        }
    }
    pool.clear();
}
