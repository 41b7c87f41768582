//! Settings that may change while the server runs: the operator's keys, the system defaults
//! and their roles.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use gateway::Gateway;
use store::Database;
use tokio::sync::watch;

use super::foundation::Foundation;
use crate::clock::{SystemClock, SystemEntropy};
use crate::platform_credentials::PlatformCredentials;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::snapshots::Snapshots;
use crate::system_defaults;

/// What takes them in.
#[derive(Clone)]
pub struct Reload {
    database: Database,
    secrets: Arc<Secrets>,
    snapshots: Arc<Snapshots>,
    gateway: Arc<Gateway>,
    platform_providers: watch::Sender<BTreeSet<String>>,
}

impl Reload {
    pub(super) fn of(foundation: &Foundation, gateway: &Arc<Gateway>) -> Self {
        Self {
            database: foundation.database.clone(),
            secrets: Arc::clone(&foundation.secrets),
            snapshots: Arc::clone(&foundation.snapshots),
            gateway: Arc::clone(gateway),
            platform_providers: foundation.platform_providers.clone(),
        }
    }

    /// Takes in settings that were read again. All of it is checked before any of it is used.
    ///
    /// # Errors
    /// When they cannot be used, or the database cannot be written; everything stays as it
    /// was then.
    pub async fn take_in(&self, settings: &Settings) -> anyhow::Result<()> {
        let wanted = system_defaults::wanted(settings)?;
        let platform = PlatformCredentials::load(settings)?;
        system_defaults::synchronize(&self.database, &wanted, &SystemClock, &SystemEntropy)
            .await
            .context("the system model configurations cannot be stored")?;
        let keys = platform.keys();
        // The keys come before the routes that need them.
        self.secrets.replace_platform(platform);
        self.platform_providers.send_replace(keys.providers.clone());
        self.snapshots.replace_platform(keys);
        self.gateway.operator_keys_changed();
        Ok(())
    }
}
