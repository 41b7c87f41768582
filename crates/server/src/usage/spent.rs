//! Keeps what was spent this month in step with the database, for budgets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::budget::Month;
use domain::clock::Clock;
use domain::usage::Attempt;
use gateway::limit::budgets::{Payer, Spending};
use gateway::snapshot::Snapshot;
use store::{Database, StoreError, usage::months};
use tokio::time::Instant;

use crate::clock::SystemClock;

/// How often the totals are read while there are budgets: what other nodes spent counts
/// here after so long at most.
const EVERY: Duration = Duration::from_secs(1);

/// Reads totals. Part of the task that stores usage, since what is stored and what is read
/// must not overlap.
pub(super) struct Spent {
    database: Database,
    spending: Arc<Spending>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// What was stored since totals were read last.
    stored: BTreeMap<(Month, Payer), i64>,
    next: Instant,
}

impl Spent {
    pub(super) fn new(
        database: Database,
        spending: Arc<Spending>,
        snapshot: Arc<ArcSwap<Snapshot>>,
    ) -> Self {
        Self {
            database,
            spending,
            snapshot,
            stored: BTreeMap::new(),
            next: Instant::now(),
        }
    }

    /// When totals are to be read again.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// A batch is in the database.
    pub(super) fn is_stored(&mut self, batch: &[Attempt]) {
        for row in batch {
            let Some(cost) = row.cost_micros else {
                continue;
            };
            let payer = Payer {
                organization_id: row.organization_id,
                api_key_id: row.api_key_id,
            };
            let key = (Month::of(row.called_at), payer);
            let sum = self.stored.entry(key).or_default();
            *sum = sum.saturating_add(cost);
        }
    }

    /// Reads totals, if it is time to. While the database is away, what this node spends is
    /// counted on top of what was read last.
    pub(super) async fn read_when_due(&mut self) {
        if self.next > Instant::now() {
            return;
        }
        self.next = Instant::now() + EVERY;
        if let Err(error) = self.read().await {
            tracing::debug!(%error, "what was spent cannot be read now");
        }
    }

    /// Reads totals now.
    pub(super) async fn read(&mut self) -> Result<(), StoreError> {
        let has_budgets = self.snapshot.load().has_budgets();
        if !has_budgets && self.stored.is_empty() {
            return Ok(());
        }
        let month = Month::of(SystemClock.now());
        let totals = if has_budgets {
            months::spent_under_budgets(&self.database, month).await?
        } else {
            Vec::new()
        };
        let totals = totals.into_iter().map(|spent| {
            let payer = Payer {
                organization_id: spent.organization_id,
                api_key_id: spent.api_key_id,
            };
            (payer, spent.cost_micros)
        });
        let stored = std::mem::take(&mut self.stored);
        let (stored, of_other_months) = stored.into_iter().partition(|((of, _), _)| *of == month)
            as (BTreeMap<_, _>, BTreeMap<_, _>);
        // Of a month that is over nobody asks; one that begins just now is asked next time.
        self.stored = of_other_months;
        self.stored.retain(|(of, _), _| *of > month);
        let stored = stored.into_iter().map(|((_, payer), cost)| (payer, cost));
        self.spending.refresh(month, totals, stored);
        Ok(())
    }
}
