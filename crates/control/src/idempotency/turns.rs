//! One request at a time for each idempotency key, within this process.
//!
//! The database would make duplicates wait as well, but each would hold a connection
//! meanwhile: 200 repetitions of one slow request would leave none to anybody else. So
//! one duplicate may wait here, without a connection; further ones are told at once to
//! come back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::OrganizationId;
use tokio::sync::watch;

/// How long a duplicate waits for the first.
const PATIENCE: Duration = Duration::from_secs(5);

/// Duplicates of one organisation that wait at once, at most.
const MAXIMUM_WAITERS: usize = 16;

/// An idempotency key, as its keyed hash.
pub(crate) type TurnKey = (OrganizationId, [u8; 32]);

/// Who is running and who waits.
#[derive(Default)]
pub(crate) struct Turns(Mutex<Table>);

#[derive(Default)]
struct Table {
    running: HashMap<TurnKey, Running>,
    waiters: HashMap<OrganizationId, usize>,
    /// Tells one turn of a key from the next.
    next_number: u64,
}

struct Running {
    number: u64,
    /// Closed when the turn ends.
    ends: watch::Sender<()>,
    has_waiter: bool,
}

/// The right to run. Ends when dropped, whatever became of the request.
pub(crate) struct Turn<'turns> {
    turns: &'turns Turns,
    key: TurnKey,
}

/// The one place in the queue behind a turn. Given back when dropped.
struct Place<'turns> {
    turns: &'turns Turns,
    key: TurnKey,
    number: u64,
    end: watch::Receiver<()>,
}

enum Entered<'turns> {
    Turn(Turn<'turns>),
    Place(Place<'turns>),
    Full,
}

impl Turns {
    /// Takes the turn for `key`, after waiting where one is running and nobody waits yet.
    /// None where the caller is to come back later.
    pub(crate) async fn take(&self, key: TurnKey) -> Option<Turn<'_>> {
        match self.enter(key) {
            Entered::Turn(turn) => return Some(turn),
            Entered::Full => return None,
            Entered::Place(mut place) => {
                // Nothing is ever sent: an error is the end of the turn.
                let ended = tokio::time::timeout(PATIENCE, place.end.changed()).await;
                ended.ok()?.err()?;
            }
        }
        match self.enter(key) {
            Entered::Turn(turn) => Some(turn),
            Entered::Place(_) | Entered::Full => None,
        }
    }

    fn enter(&self, key: TurnKey) -> Entered<'_> {
        let mut table = self.lock();
        let waiting = table.waiters.get(&key.0).copied().unwrap_or_default();
        let Some(running) = table.running.get_mut(&key) else {
            table.begin(key);
            return Entered::Turn(Turn { turns: self, key });
        };
        if running.has_waiter || waiting >= MAXIMUM_WAITERS {
            return Entered::Full;
        }
        running.has_waiter = true;
        let place = Place {
            turns: self,
            key,
            number: running.number,
            end: running.ends.subscribe(),
        };
        *table.waiters.entry(key.0).or_default() += 1;
        Entered::Place(place)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn begin(&mut self, key: TurnKey) {
        let (ends, _) = watch::channel(());
        let running = Running {
            number: self.next_number,
            ends,
            has_waiter: false,
        };
        self.next_number += 1;
        self.running.insert(key, running);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut table = self.turns.lock();
        if let Some(count) = table.waiters.get_mut(&self.key.0) {
            *count -= 1;
            if *count == 0 {
                table.waiters.remove(&self.key.0);
            }
        }
        if let Some(running) = table.running.get_mut(&self.key)
            && running.number == self.number
        {
            running.has_waiter = false;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().running.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;

    fn key(organization: u128, key: u8) -> TurnKey {
        (OrganizationId(Uuid::from_u128(organization)), [key; 32])
    }

    #[tokio::test(start_paused = true)]
    async fn one_runs_one_waits_and_the_others_are_sent_away() {
        let turns = Turns::default();
        let first = turns.take(key(1, 1)).await.unwrap();
        let second = turns.take(key(1, 1));
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        assert!(turns.take(key(1, 1)).await.is_none());
        assert!(turns.take(key(1, 2)).await.is_some());
        assert!(turns.take(key(2, 1)).await.is_some());
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_and_nothing_is_left_behind() {
        let turns = Turns::default();
        let first = turns.take(key(1, 1)).await.unwrap();
        assert!(turns.take(key(1, 1)).await.is_none());
        drop(first);
        assert!(turns.lock().running.is_empty());
        assert!(turns.lock().waiters.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_organisation_cannot_fill_the_queue() {
        let turns = Arc::new(Turns::default());
        let mut running = Vec::new();
        for number in 0..=MAXIMUM_WAITERS as u8 {
            running.push(turns.take(key(1, number)).await.unwrap());
        }
        let mut waiting: Vec<_> = (0..MAXIMUM_WAITERS as u8)
            .map(|number| Box::pin(turns.take(key(1, number))))
            .collect();
        for one in &mut waiting {
            assert!(futures::poll!(one).is_pending());
        }
        assert!(turns.take(key(1, MAXIMUM_WAITERS as u8)).await.is_none());
        drop(waiting);
        assert!(turns.lock().waiters.is_empty());
    }
}
