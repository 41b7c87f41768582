//! The configurations of one owner, found by id and by name.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use domain::id::ModelConfigurationId;
use domain::model_configuration::ReadConfiguration;
use hashbrown::HashTable;
use jiff::Timestamp;

use super::Entry;
use super::entry::Circumstances;

/// One owner's configurations: an organisation's own, or the system defaults.
///
/// The tables hold places in `in_order`, and no name or id a second time.
#[derive(Default)]
pub struct Configurations {
    in_order: Box<[Arc<Entry>]>,
    by_id: HashTable<u32>,
    by_name: HashTable<u32>,
    hasher: RandomState,
}

/// The configurations of one owner as they come in.
pub(super) struct Unordered {
    circumstances: Arc<Circumstances>,
    entries: Vec<(Timestamp, Arc<Entry>)>,
}

impl Unordered {
    pub(super) const fn new(circumstances: Arc<Circumstances>) -> Self {
        Self {
            circumstances,
            entries: Vec::new(),
        }
    }

    /// One that cannot be read stays, so that nothing else is called in its place: it is
    /// found, and the caller is told what is wrong.
    pub(super) fn push(&mut self, row: ReadConfiguration) {
        let circumstances = Arc::clone(&self.circumstances);
        self.entries.push(match row {
            Ok(row) => (row.created_at, Arc::new(Entry::packed(&row, circumstances))),
            Err(row) => (
                Timestamp::MAX,
                Arc::new(Entry::unreadable(&row, circumstances)),
            ),
        });
    }

    pub(super) fn extend(&mut self, rows: Vec<ReadConfiguration>) {
        self.entries.reserve_exact(rows.len());
        for row in rows {
            self.push(row);
        }
    }

    /// Oldest first.
    pub(super) fn finish(mut self) -> Configurations {
        self.entries
            .sort_by_key(|(created_at, entry)| (*created_at, entry.id()));
        let entries = self.entries.into_iter().map(|(_, entry)| entry);
        Configurations::new(entries.collect())
    }
}

impl Configurations {
    fn new(in_order: Box<[Arc<Entry>]>) -> Self {
        let hasher = RandomState::new();
        let mut by_id = HashTable::with_capacity(in_order.len());
        let mut by_name = HashTable::with_capacity(in_order.len());
        for (place, entry) in (0_u32..).zip(&in_order) {
            let rehash = |place: &u32| hasher.hash_one(in_order[*place as usize].id());
            by_id.insert_unique(hasher.hash_one(entry.id()), place, rehash);
            if !entry.is_archived() {
                let rehash = |place: &u32| hasher.hash_one(in_order[*place as usize].name());
                by_name.insert_unique(hasher.hash_one(entry.name()), place, rehash);
            }
        }
        Self {
            in_order,
            by_id,
            by_name,
            hasher,
        }
    }

    /// The row with this id, archived or not.
    #[must_use]
    pub fn by_id(&self, id: ModelConfigurationId) -> Option<&Arc<Entry>> {
        let hash = self.hasher.hash_one(id);
        let place = self.by_id.find(hash, |place| self.at(*place).id() == id)?;
        Some(self.at(*place))
    }

    /// The unarchived row with exactly this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Entry>> {
        let hash = self.hasher.hash_one(name);
        let is_it = |place: &u32| self.at(*place).name() == name;
        Some(self.at(*self.by_name.find(hash, is_it)?))
    }

    fn at(&self, place: u32) -> &Arc<Entry> {
        &self.in_order[place as usize]
    }

    /// All rows, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.in_order.iter()
    }

    /// The rows that can be selected by name, oldest first.
    pub fn named(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.in_order.iter().filter(|entry| !entry.is_archived())
    }
}
