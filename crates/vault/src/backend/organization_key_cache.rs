//! Unwrapped organisation keys, a bounded number of them, overwritten when dropped.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::id::OrganizationId;

use crate::envelope::{OrganizationKey, OrganizationKeyId};

/// More organisations than this are served too, each at the price of an unwrapping
/// (some ten microseconds) now and then.
const CAPACITY: usize = 4096;

type Name = (Option<OrganizationId>, OrganizationKeyId);

#[derive(Default)]
pub(crate) struct OrganizationKeyCache {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    keys: HashMap<Name, Arc<OrganizationKey>>,
    /// Oldest first. The one that goes is the one that came first: simple, and good
    /// enough where a miss costs microseconds.
    order: VecDeque<Name>,
}

impl OrganizationKeyCache {
    pub(crate) fn get(
        &self,
        organization_id: Option<OrganizationId>,
        id: OrganizationKeyId,
    ) -> Option<Arc<OrganizationKey>> {
        self.lock().keys.get(&(organization_id, id)).cloned()
    }

    pub(crate) fn insert(
        &self,
        organization_id: Option<OrganizationId>,
        key: Arc<OrganizationKey>,
    ) {
        let name = (organization_id, key.id);
        let mut entries = self.lock();
        if entries.keys.insert(name, key).is_some() {
            return;
        }
        entries.order.push_back(name);
        if entries.order.len() > CAPACITY
            && let Some(oldest) = entries.order.pop_front()
        {
            entries.keys.remove(&oldest);
        }
    }

    pub(crate) fn forget(&self, organization_id: Option<OrganizationId>) {
        let mut entries = self.lock();
        entries
            .keys
            .retain(|(owner, _), _| *owner != organization_id);
        entries.order.retain(|(owner, _)| *owner != organization_id);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Whoever panicked while holding the lock left whole entries behind.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::clock::Entropy;

    struct Counting(std::sync::atomic::AtomicU64);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            let count = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            for (target, byte) in bytes.iter_mut().zip(count.to_be_bytes().iter().cycle()) {
                *target = *byte;
            }
        }
    }

    #[test]
    fn it_never_grows_past_its_capacity_and_forgets_on_request() {
        let cache = OrganizationKeyCache::default();
        let entropy = Counting(0.into());
        let keys: Vec<_> = (0..CAPACITY + 10)
            .map(|_| Arc::new(OrganizationKey::random(&entropy)))
            .collect();
        for key in &keys {
            cache.insert(None, Arc::clone(key));
        }
        assert_eq!(cache.lock().keys.len(), CAPACITY);
        assert_eq!(cache.lock().order.len(), CAPACITY);
        assert!(cache.get(None, keys[9].id).is_none());
        assert!(cache.get(None, keys[10].id).is_some());
        cache.forget(None);
        assert_eq!(cache.lock().keys.len(), 0);
        assert_eq!(Arc::strong_count(&keys[10]), 1);
    }
}
