//! The configurations of one owner, found by id and by name.

use std::collections::HashMap;
use std::sync::Arc;

use domain::id::ModelConfigurationId;
use domain::model_configuration::ModelConfiguration;

use super::{Entry, PlatformKeys, Slots};

/// One owner's configurations: an organisation's own, or the system defaults.
#[derive(Default)]
pub struct Configurations {
    in_order: Vec<Arc<Entry>>,
    by_id: HashMap<ModelConfigurationId, Arc<Entry>>,
    by_name: HashMap<String, Arc<Entry>>,
}

impl Configurations {
    pub(super) fn new(
        rows: Vec<ModelConfiguration>,
        platform: &PlatformKeys,
        slots: &Slots,
    ) -> Self {
        let mut configurations = Self::default();
        for row in rows {
            let entry = Arc::new(Entry::new(row, platform, slots));
            let row = &entry.configuration;
            configurations.by_id.insert(row.id, Arc::clone(&entry));
            if !row.settings.is_archived {
                let name = row.settings.name.clone();
                configurations.by_name.insert(name, Arc::clone(&entry));
            }
            configurations.in_order.push(entry);
        }
        configurations
    }

    /// The row with this id, archived or not.
    #[must_use]
    pub fn by_id(&self, id: ModelConfigurationId) -> Option<&Arc<Entry>> {
        self.by_id.get(&id)
    }

    /// The unarchived row with exactly this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Entry>> {
        self.by_name.get(name)
    }

    /// All rows, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.in_order.iter()
    }

    /// The rows that can be selected by name, oldest first.
    pub fn named(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.in_order
            .iter()
            .filter(|entry| !entry.configuration.settings.is_archived)
    }
}
