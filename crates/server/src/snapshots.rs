//! Keeps the gateway's snapshot in step with the database.
//!
//! The change feed says what changed, here or on another node; only that is read
//! again. Sealed secrets are kept in memory too, so that calls go on while the
//! database is away.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::id::OrganizationId;
use domain::model_configuration::ReadConfiguration;
use gateway::snapshot::{
    InstallationRows, OrganizationRows, PlatformKeys, Snapshot, SnapshotBuilder, SystemRows,
};
use store::changes::{self, Change, ChangeFeed, News};
use store::{
    Database, StoreError, agent_roles, api_keys, budgets, model_configurations,
    provider_credentials, rate_limits, sealed,
};
use tokio::sync::watch;

use crate::secrets::SealedRows;
use crate::usage::prices::Prices;

/// Between two tries to read what changed.
const PAUSE: Duration = Duration::from_millis(200);

/// The snapshot and what keeps it fresh.
pub struct Snapshots {
    database: Database,
    snapshot: Arc<ArcSwap<Snapshot>>,
    sealed: Arc<SealedRows>,
    prices: Prices,
    /// What the operator has keys for.
    platform: watch::Sender<PlatformKeys>,
    /// The revision that snapshot and sealed rows are at.
    revision: watch::Sender<i64>,
}

impl Snapshots {
    /// Reads everything.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn load(
        database: Database,
        platform: PlatformKeys,
        sealed: Arc<SealedRows>,
        prices: Prices,
    ) -> Result<Self, StoreError> {
        let empty = Snapshot::empty(platform.clone());
        let snapshots = Self {
            database,
            snapshot: Arc::new(ArcSwap::from_pointee(empty)),
            sealed,
            prices,
            platform: watch::channel(platform).0,
            revision: watch::channel(0).0,
        };
        // The revision is read first: what is committed meanwhile is read twice, never missed.
        let revision = changes::current_revision(&snapshots.database).await?;
        snapshots.read_everything(revision).await?;
        Ok(snapshots)
    }

    /// What the gateway reads.
    #[must_use]
    pub const fn current(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.snapshot
    }

    /// Follows the change feed for ever. It survives any outage of the database.
    pub async fn follow(&self) {
        let mut feed = ChangeFeed::after(&self.database, *self.revision.borrow());
        let mut platform = self.platform.subscribe();
        loop {
            let news = tokio::select! {
                news = feed.next() => news,
                // Every route may have another key now.
                _ = platform.changed() => News::Everything {
                    revision: *self.revision.borrow(),
                },
            };
            while let Err(error) = self.take_in(&news).await {
                tracing::debug!(%error, "what changed cannot be read yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Says that the operator has keys for other things now; [`Self::follow`] does the rest.
    pub fn replace_platform(&self, platform: PlatformKeys) {
        self.platform.send_if_modified(|present| {
            let is_other = *present != platform;
            *present = platform;
            is_other
        });
    }

    /// Waits until everything that is committed now is in the snapshot, at most `limit`.
    /// Whoever has written something calls this before answering, so that a client can
    /// use at once what it was told exists.
    pub async fn catch_up(&self, limit: Duration) {
        let caught_up = async {
            let committed = changes::current_revision(&self.database).await?;
            let mut revision = self.revision.subscribe();
            let _ = revision.wait_for(|revision| *revision >= committed).await;
            Ok::<_, StoreError>(())
        };
        match tokio::time::timeout(limit, caught_up).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cannot catch up"),
            Err(_) => tracing::debug!("catching up takes too long"),
        }
    }

    async fn take_in(&self, news: &News) -> Result<(), StoreError> {
        match news {
            News::Everything { revision } => self.read_everything(*revision).await,
            News::Changes { revision, changes } => {
                for change in changes {
                    match change {
                        Change::Organization(id) => self.read_organization(*revision, *id).await?,
                        Change::SystemDefaults => {
                            self.prices.read(&self.database).await?;
                            self.read_system_defaults(*revision).await?;
                        }
                    }
                }
                self.revision.send_replace(*revision);
                Ok(())
            }
        }
    }

    async fn read_everything(&self, revision: i64) -> Result<(), StoreError> {
        let secrets = sealed::all_secrets(&self.database).await?;
        let keys = sealed::all_organization_keys(&self.database).await?;
        let api_keys = api_keys::list_active(&self.database).await?;
        let roles = agent_roles::list_everything(&self.database).await?;
        let rows = InstallationRows {
            api_keys,
            configurations: Vec::new(),
            roles: roles
                .into_iter()
                .map(|it| (it.organization_id, it.role, it.model_configuration_id))
                .collect(),
            credentials: provider_credentials::list_everything(&self.database).await?,
            rate_limits: rate_limits::list_everything(&self.database).await?,
            budgets: budgets::list_everything(&self.database).await?,
        };
        let mut builder = SnapshotBuilder::new(self.platform.borrow().clone(), rows);
        let mut configurations = model_configurations::everything(&self.database);
        while let Some(page) = configurations.next_page().await? {
            say_unreadable(&page);
            builder.add(page);
        }
        self.prices.read(&self.database).await?;
        self.sealed.replace_all(secrets, keys);
        self.snapshot.store(Arc::new(builder.finish(revision)));
        self.revision.send_replace(revision);
        Ok(())
    }

    /// Secrets come before the rows that point to them, so that no call finds a
    /// configuration whose secret is not there yet.
    async fn read_organization(&self, revision: i64, id: OrganizationId) -> Result<(), StoreError> {
        let secrets = sealed::secrets_of(&self.database, Some(id)).await?;
        let key = sealed::organization_key(&self.database, Some(id)).await?;
        let api_keys = api_keys::list_active_of(&self.database, id).await?;
        let roles = agent_roles::of(&self.database, Some(id)).await?;
        let credentials = provider_credentials::list(&self.database, id).await?;
        let rate_limits = rate_limits::of(&self.database, id).await?;
        let budgets = budgets::list(&self.database, id).await?;
        let configurations = model_configurations::list_owned(&self.database, Some(id)).await?;
        say_unreadable(&configurations);
        self.sealed.replace(Some(id), secrets, key);
        let rows = OrganizationRows {
            api_keys,
            configurations,
            roles,
            credentials,
            rate_limits,
            budgets: budgets.into_iter().collect(),
        };
        let next = self.snapshot.load().with_organization(revision, id, rows);
        self.snapshot.store(Arc::new(next));
        Ok(())
    }

    async fn read_system_defaults(&self, revision: i64) -> Result<(), StoreError> {
        let configurations = model_configurations::list_owned(&self.database, None).await?;
        say_unreadable(&configurations);
        let rows = SystemRows {
            configurations,
            roles: agent_roles::of(&self.database, None).await?,
        };
        let next = self.snapshot.load().with_system(revision, rows);
        self.snapshot.store(Arc::new(next));
        Ok(())
    }
}

/// A damaged row will not mend itself, and what others change, a revoked key above all,
/// must not wait for it: it stays in the snapshot as one that cannot be called.
fn say_unreadable(rows: &[ReadConfiguration]) {
    for row in rows.iter().filter_map(|row| row.as_ref().err()) {
        tracing::error!(
            model_configuration.id = %row.id,
            organization.id = row.organization_id.map(tracing::field::display),
            "a model configuration cannot be read, and is not called"
        );
    }
}
