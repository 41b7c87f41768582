//! A bounded queue between calls and the database.
//!
//! A call puts its record into the queue and goes on; it never waits, and a queue that is
//! full costs the record and not the call. One task empties the queue in batches. While
//! the database is away the batch at hand is tried again and the queue fills: up to its
//! bound nothing is lost. A process that is killed loses what came since the last batch,
//! so at most what [`RecorderSettings::flush_every`] and one transaction take.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::usage::Attempt;
use gateway::limit::budgets::Spending;
use gateway::meter::{AttemptRecord, UsageSink};
use gateway::snapshot::Snapshot;
use store::{Database, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::metrics::UsageMetrics;
use super::row::row;
use super::spent::Spent;

/// The largest batch.
const BATCH: usize = 1000;

/// Between two tries to store a batch.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a batch is tried that the database refuses although it can be reached.
const REFUSALS: u32 = 3;

/// How long a batch is tried once calls are over: the process is about to end.
const LAST_TRIES: Duration = Duration::from_secs(2);

/// What the operator decides.
#[derive(Clone, Copy, Debug)]
pub struct RecorderSettings {
    /// How many records wait for the database at most (`usage.queued_attempts`).
    pub queue: usize,
    /// How long a record waits for others to share a transaction with
    /// (`usage.flush_seconds`).
    pub flush_every: Duration,
}

/// Takes the gateway's records.
pub struct Recorder {
    sender: mpsc::Sender<AttemptRecord>,
    metrics: UsageMetrics,
}

impl UsageSink for Recorder {
    fn record(&self, record: AttemptRecord) {
        if self.sender.try_send(record).is_ok() {
            self.metrics.queued.inc();
        } else {
            self.metrics.dropped_full.inc();
        }
    }
}

/// Both ends of the queue. The second is to be run until every call has been recorded.
#[must_use]
pub fn new(
    database: Database,
    settings: RecorderSettings,
    metrics: UsageMetrics,
    (spending, snapshot): (Arc<Spending>, Arc<ArcSwap<Snapshot>>),
) -> (Arc<Recorder>, Writer) {
    let (sender, receiver) = mpsc::channel(settings.queue.max(1));
    let writer = Writer {
        receiver,
        spent: Spent::new(database.clone(), spending, snapshot),
        database,
        flush_every: settings.flush_every,
        metrics: metrics.clone(),
    };
    (Arc::new(Recorder { sender, metrics }), writer)
}

/// Stores what was recorded.
pub struct Writer {
    receiver: mpsc::Receiver<AttemptRecord>,
    database: Database,
    flush_every: Duration,
    metrics: UsageMetrics,
    spent: Spent,
}

/// Whether a batch is in the database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stored,
    Lost,
}

impl Writer {
    /// Reads what was spent before this process began.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn seed(&mut self) -> Result<(), StoreError> {
        self.spent.read().await
    }

    /// Stores until `calls_are_over`, and then what is left. What was spent is read here
    /// too, never while a batch is being stored.
    pub async fn run(mut self, calls_are_over: CancellationToken) {
        while let Some(batch) = self.next_batch(&calls_are_over).await {
            // What is lost stays counted as spent on this node.
            if self.store(&batch, &calls_are_over).await == Fate::Stored {
                self.spent.is_stored(&batch);
            }
            self.metrics.queued.dec_by(batch.len() as i64);
            self.spent.read_when_due().await;
        }
    }

    /// What was recorded in one interval; none once the last call has been recorded. Records
    /// are taken out together and not one by one, so that the task wakes once a batch.
    async fn next_batch(&mut self, calls_are_over: &CancellationToken) -> Option<Vec<Attempt>> {
        let mut records = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                _ = self.receiver.recv_many(&mut records, BATCH) => break,
                () = calls_are_over.cancelled() => break self.receiver.close(),
                () = sleep_until(self.spent.next()) => self.spent.read_when_due().await,
            }
        }
        tokio::select! {
            () = sleep(self.flush_every), if records.len() < BATCH => {}
            () = calls_are_over.cancelled() => self.receiver.close(),
            () = std::future::ready(()), if records.len() == BATCH => {}
        }
        while records.len() < BATCH
            && let Ok(record) = self.receiver.try_recv()
        {
            records.push(record);
        }
        let is_over = records.is_empty() && self.receiver.is_closed();
        (!is_over).then(|| records.into_iter().map(row).collect())
    }

    /// Stores a batch, however long the database is away.
    async fn store(&self, batch: &[Attempt], calls_are_over: &CancellationToken) -> Fate {
        let mut refusals = 0;
        let mut last_try = None;
        loop {
            let error = match store::usage::record::record(&self.database, batch).await {
                Ok(()) => {
                    self.metrics.stored.inc_by(batch.len() as u64);
                    return Fate::Stored;
                }
                Err(error) => error,
            };
            if !matches!(error, StoreError::Unavailable(_) | StoreError::Busy) {
                refusals += 1;
                if refusals == REFUSALS {
                    tracing::error!(%error, count = batch.len(), "usage is lost: the database refuses it");
                    self.metrics.dropped_refused.inc_by(batch.len() as u64);
                    return Fate::Lost;
                }
            }
            if calls_are_over.is_cancelled() {
                let until = *last_try.get_or_insert_with(|| Instant::now() + LAST_TRIES);
                if Instant::now() >= until {
                    tracing::error!(%error, count = batch.len(), "usage is lost: the process ends");
                    self.metrics.dropped_at_end.inc_by(batch.len() as u64);
                    return Fate::Lost;
                }
            }
            tracing::warn!(%error, count = batch.len(), "usage cannot be stored now; it waits");
            sleep(PAUSE).await;
        }
    }
}
