//! What both planes stand on: database, vault, first key, system defaults, snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use domain::api_key::ApiKeyToken;
use store::Database;
use tokio::sync::watch;
use vault::backend::embedded::EmbeddedVault;

use crate::clock::{SystemClock, SystemEntropy};
use crate::platform_credentials::PlatformCredentials;
use crate::secrets::{SealedRows, Secrets};
use crate::settings::Settings;
use crate::snapshots::Snapshots;
use crate::usage::prices::Prices;
use crate::{bootstrap, database, system_defaults, vault_setup};

/// The opened foundation.
pub(super) struct Foundation {
    pub(super) database: Database,
    pub(super) vault: Arc<EmbeddedVault>,
    pub(super) snapshots: Arc<Snapshots>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) prices: Prices,
    /// Providers whose key the operator lends.
    pub(super) platform_providers: watch::Sender<BTreeSet<String>>,
    /// The first key, where this start made it.
    pub(super) first_key: Option<ApiKeyToken>,
}

impl Foundation {
    /// Opens everything, in this order: what needs no database is checked first, so that
    /// wrong settings change nothing; the root key is checked before anything is written;
    /// the snapshot comes last, so that it holds what the steps before wrote.
    pub(super) async fn lay(settings: &Settings) -> anyhow::Result<Self> {
        let defaults = system_defaults::wanted(settings)?;
        let platform = PlatformCredentials::load(settings)?;
        let keys = platform.keys();
        let platform_providers = watch::channel(keys.providers.clone()).0;
        let chosen_key = bootstrap::chosen_key()?;

        let database = database::open(settings).await?;
        let vault = Arc::new(vault_setup::open(settings, &database).await?);
        let first_key =
            bootstrap::ensure_key(&database, chosen_key, &SystemClock, &SystemEntropy).await?;
        system_defaults::synchronize(&database, &defaults, &SystemClock, &SystemEntropy)
            .await
            .context("the system model configurations cannot be stored")?;

        let sealed = Arc::new(SealedRows::default());
        let prices = Prices::built_in().context("the built-in prices")?;
        let snapshots =
            Snapshots::load(database.clone(), keys, Arc::clone(&sealed), prices.clone()).await?;
        Ok(Self {
            database,
            snapshots: Arc::new(snapshots),
            secrets: Arc::new(Secrets::new(Arc::clone(&vault), sealed, platform)),
            prices,
            vault,
            platform_providers,
            first_key,
        })
    }
}
