//! What runs beside the requests, until shutdown.

use std::sync::Arc;
use std::time::Duration;

use control::outbox::{self, Outbox};
use domain::clock::Clock;
use jiff::SignedDuration;
use store::{Database, StoreError};

use super::Runtime;
use super::foundation::Foundation;
use crate::clock::SystemClock;
use crate::secrets::Secrets;
use crate::settings::Settings;

/// How long answers are kept for replays: longer than the day that clients are promised.
const IDEMPOTENT_ANSWERS_KEPT: Duration = Duration::from_secs(48 * 3600);

const REAP_EVERY: Duration = Duration::from_secs(600);

const REAP_USAGE_EVERY: Duration = Duration::from_secs(3600);

/// How often opened secrets that are past their time are overwritten.
const FORGET_EVERY: Duration = Duration::from_secs(30);

/// Begins them all.
pub(super) fn begin(
    runtime: &Runtime,
    settings: &Settings,
    foundation: &Foundation,
    metrics: control::metrics::Metrics,
) {
    let outbox = Outbox {
        database: foundation.database.clone(),
        vault: Arc::clone(&foundation.vault) as _,
        clock: Arc::new(SystemClock),
        metrics,
    };
    let snapshots = Arc::clone(&foundation.snapshots);
    until_shutdown(runtime, async move { snapshots.follow().await });
    until_shutdown(runtime, outbox::run(outbox));
    until_shutdown(
        runtime,
        reap_idempotent_answers(foundation.database.clone()),
    );
    until_shutdown(runtime, forget_secrets(Arc::clone(&foundation.secrets)));
    if settings.usage.retention_days > 0 {
        let kept = SignedDuration::from_hours(24 * i64::from(settings.usage.retention_days));
        until_shutdown(runtime, reap_usage(foundation.database.clone(), kept));
    }
}

fn until_shutdown(runtime: &Runtime, task: impl Future<Output = ()> + Send + 'static) {
    let shutdown = runtime.shutdown.clone();
    runtime.tasks.spawn(async move {
        shutdown.run_until_cancelled(task).await;
    });
}

async fn forget_secrets(secrets: Arc<Secrets>) {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        secrets.forget_expired();
    }
}

async fn reap_idempotent_answers(database: Database) {
    loop {
        tokio::time::sleep(REAP_EVERY).await;
        let before = SystemClock.now() - IDEMPOTENT_ANSWERS_KEPT;
        match store::idempotency::reap(&database, before).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old idempotent answers deleted"),
            Err(error) => tracing::debug!(%error, "old idempotent answers cannot be deleted now"),
        }
    }
}

/// Deletes the calls that are older than the operator wants to keep.
async fn reap_usage(database: Database, kept: SignedDuration) {
    loop {
        match reap_usage_once(&database, kept).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old attempts deleted"),
            Err(error) => tracing::debug!(%error, "old attempts cannot be deleted now"),
        }
        tokio::time::sleep(REAP_USAGE_EVERY).await;
    }
}

async fn reap_usage_once(database: &Database, kept: SignedDuration) -> Result<u64, StoreError> {
    let before = SystemClock.now() - kept;
    let mut count = 0;
    for organization in store::organizations::list(database).await? {
        count += store::usage::upkeep::reap(database, organization.id, before).await?;
    }
    Ok(count)
}
