//! Transactions that write.

use std::pin::pin;

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::changes::{self, Change};
use crate::database::{Database, Statement, no_answer};
use crate::engine::{Engine, LOCK_WAIT};
use crate::error::StoreError;

/// One transaction that writes. Dropped without [`WriteTransaction::commit`], nothing happened.
///
/// After any error it can only be dropped: PostgreSQL refuses everything that follows,
/// and answers `COMMIT` with a rollback that looks like success.
pub struct WriteTransaction {
    // Declared before the permit, so that SQLite's lock is given back before the next
    // writer of this process asks for it.
    transaction: Transaction<'static, Any>,
    _permit: OwnedSemaphorePermit,
    database: Database,
    changes: Vec<Change>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may be committed.
    Sound,
    /// An idempotency key is claimed and waits for its answer.
    Claimed,
    /// A statement failed, or was abandoned before its answer.
    Failed,
}

impl WriteTransaction {
    pub(crate) async fn begin(database: &Database) -> Result<Self, StoreError> {
        let shared = &database.0;
        let turn = timeout(LOCK_WAIT, shared.writers.clone().acquire_owned()).await;
        let permit = turn
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Unavailable("the database is closed".to_owned()))?;
        let limit = match shared.engine {
            // Another process may hold the lock, for which SQLite itself waits.
            Engine::Sqlite => LOCK_WAIT + shared.timeout,
            Engine::Postgres => shared.timeout,
        };
        let begun = timeout(limit, shared.pool.begin_with(shared.engine.begin())).await;
        Ok(Self {
            transaction: begun.map_err(|_| no_answer())??,
            _permit: permit,
            database: database.clone(),
            changes: Vec::new(),
            state: State::Sound,
        })
    }

    /// Makes everything in it durable and tells other nodes what changed.
    ///
    /// # Errors
    /// When it is unknown or certain that nothing was written.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        match self.state {
            State::Sound => {}
            State::Claimed => {
                return Err(StoreError::Database(
                    "an idempotency key was claimed and not answered".to_owned(),
                ));
            }
            State::Failed => return Err(has_failed()),
        }
        let revision = changes::number(&mut self).await?;
        let limit = self.database.0.timeout;
        let committed = timeout(limit, self.transaction.commit()).await;
        committed.map_err(|_| no_answer())??;
        if let Some(revision) = revision {
            // Commits of this process may pass one another on their way here.
            self.database.0.committed.send_if_modified(|last| {
                let is_newer = revision > *last;
                *last = revision.max(*last);
                is_newer
            });
        }
        Ok(())
    }

    pub(crate) fn engine(&self) -> Engine {
        self.database.0.engine
    }

    /// What changed so far, each once.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(crate) fn note(&mut self, change: Change) {
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    pub(crate) fn is_claimed(&self) -> bool {
        self.state == State::Claimed
    }

    /// From now on it needs an answer before it can be committed.
    pub(crate) fn expect_answer(&mut self) {
        self.state = State::Claimed;
    }

    pub(crate) fn answered(&mut self) {
        self.state = State::Sound;
    }

    /// Runs one statement; returns how many rows it touched.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let before = self.start_statement()?;
        let running = statement.execute(&mut *self.transaction);
        let outcome = patiently(&self.database, running).await?;
        self.state = before;
        Ok(outcome.rows_affected())
    }

    /// Reads all rows of one statement.
    pub(crate) async fn fetch(&mut self, statement: Statement) -> Result<Vec<AnyRow>, StoreError> {
        let before = self.start_statement()?;
        let running = statement.fetch_all(&mut *self.transaction);
        let rows = patiently(&self.database, running).await?;
        self.state = before;
        Ok(rows)
    }

    /// Until the statement has succeeded, the transaction counts as failed: so it does
    /// when the caller's future is dropped half-way.
    fn start_statement(&mut self) -> Result<State, StoreError> {
        let before = std::mem::replace(&mut self.state, State::Failed);
        if before == State::Failed {
            return Err(has_failed());
        }
        Ok(before)
    }
}

fn has_failed() -> StoreError {
    StoreError::Database("a statement of this transaction failed before".to_owned())
}

/// Waits for a statement, longer than for a read, since it may wait for a lock; but no
/// longer than the database shows signs of life.
async fn patiently<T>(
    database: &Database,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    let mut statement = pin!(statement);
    let deadline = Instant::now() + LOCK_WAIT + database.0.timeout;
    let half = database.0.timeout / 2;
    while Instant::now() < deadline {
        let round = (Instant::now() + half).min(deadline);
        if let Ok(outcome) = timeout_at(round, &mut statement).await {
            return Ok(outcome?);
        }
        // Only a server can hang without the machine itself hanging.
        if database.0.engine == Engine::Postgres && !database.is_alive(half).await {
            break;
        }
    }
    Err(no_answer())
}
