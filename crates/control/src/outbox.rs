//! Destroys abandoned secrets, after the change that abandoned them has been committed.

use std::sync::Arc;
use std::time::Duration;

use domain::clock::Clock;
use store::{Database, StoreError};
use vault::VaultBackend;

use crate::metrics::Metrics;

/// Aliases taken at once.
const BATCH: u32 = 100;

/// How long to wait when there is nothing to do.
const PAUSE: Duration = Duration::from_secs(5);

/// How long to wait after a failure, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What the task works with.
pub struct Outbox {
    /// Where the aliases wait.
    pub database: Database,
    /// Where the secrets are.
    pub vault: Arc<dyn VaultBackend>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Metrics,
}

/// Destroys secrets for ever, as they become due. Whoever spawns it ends it by dropping
/// it; that is safe at any moment, since destroying a secret twice is harmless and its
/// alias is forgotten only afterwards.
pub async fn run(outbox: Outbox) {
    let mut failures = 0;
    loop {
        match outbox.sweep().await {
            Ok(Swept { failed: 0, full }) => {
                failures = 0;
                if full {
                    continue;
                }
            }
            Ok(Swept { failed, .. }) => {
                failures += 1;
                tracing::warn!(
                    failed,
                    "abandoned secrets could not be destroyed; trying again"
                );
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(error = %error, "the abandoned secrets cannot be listed; trying again");
            }
        }
        tokio::time::sleep(pause(failures)).await;
    }
}

/// What one sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Secrets that could not be destroyed.
    pub failed: u64,
    /// Whether there may be more.
    pub full: bool,
}

impl Outbox {
    /// Destroys what is due now.
    ///
    /// # Errors
    /// When the aliases cannot be read or forgotten; secrets that cannot be destroyed
    /// are counted instead, so that one does not hold up the others.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        let due = store::outbox::due(&self.database, self.clock.now(), BATCH).await?;
        let mut failed = 0;
        for alias in &due {
            match self.vault.delete(alias).await {
                Ok(()) => store::outbox::done(&self.database, alias).await?,
                Err(error) => {
                    failed += 1;
                    self.metrics.destructions_failed.inc();
                    tracing::debug!(error = %error, alias = %alias, "a secret could not be destroyed");
                }
            }
        }
        let pending = store::outbox::pending(&self.database).await?;
        self.metrics
            .secrets_to_destroy
            .set(i64::try_from(pending).unwrap_or(i64::MAX));
        let full = due.len() == BATCH as usize && failed == 0;
        Ok(Swept { failed, full })
    }
}

fn pause(failures: u32) -> Duration {
    let doubled = PAUSE.saturating_mul(2_u32.saturating_pow(failures.min(10)));
    if failures == 0 {
        PAUSE
    } else {
        doubled.min(LONGEST_PAUSE)
    }
}
