//! Writes to one thing queue up, within this process.
//!
//! A write looks at a row, prepares, and begins anew where the row has changed meanwhile.
//! When many write to one row at once, each of them spoils the tries of all others, and
//! some run out of tries; one after the other, they all get through at the first. Nodes
//! still meet in the database, where a few tries are enough for a few nodes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use domain::id::OrganizationId;
use tokio::sync::{Mutex as Line, OwnedMutexGuard};

/// What is written to: whose it is, and its id as the path spells it.
pub(crate) type Thing = (OrganizationId, String);

/// The queues that somebody stands in.
#[derive(Default)]
pub(crate) struct Lines(Mutex<HashMap<Thing, Weak<Line<()>>>>);

/// The head of a queue. Left when dropped.
pub(crate) struct Head<'lines> {
    lines: &'lines Lines,
    thing: Thing,
    line: Option<OwnedMutexGuard<()>>,
}

impl Lines {
    /// Waits until everybody who came earlier has left.
    pub(crate) async fn stand(&self, thing: Thing) -> Head<'_> {
        let line = self.line(&thing);
        // Before the wait, so that one that is given up cleans up as well.
        let mut head = Head {
            lines: self,
            thing,
            line: None,
        };
        head.line = Some(line.lock_owned().await);
        head
    }

    fn line(&self, thing: &Thing) -> Arc<Line<()>> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(thing).and_then(Weak::upgrade) {
            return line;
        }
        let line = Arc::new(Line::new(()));
        lines.insert(thing.clone(), Arc::downgrade(&line));
        line
    }
}

impl Drop for Head<'_> {
    fn drop(&mut self) {
        self.line = None;
        let mut lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever still waits holds the queue, and removes it when leaving.
        if lines
            .get(&self.thing)
            .is_some_and(|line| line.strong_count() == 0)
        {
            lines.remove(&self.thing);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn thing(name: &str) -> Thing {
        (OrganizationId(Uuid::from_u128(1)), name.to_owned())
    }

    #[tokio::test]
    async fn one_is_at_the_head_and_nothing_is_left_behind() {
        let lines = Lines::default();
        let first = lines.stand(thing("a")).await;
        let second = lines.stand(thing("a"));
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(lines.stand(thing("b")).await);
        drop(first);
        drop(second.await);
        assert!(lines.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_holds_up_nobody() {
        let lines = Lines::default();
        let first = lines.stand(thing("a")).await;
        let mut impatient = Box::pin(lines.stand(thing("a")));
        assert!(futures::poll!(&mut impatient).is_pending());
        drop(first);
        drop(impatient);
        assert!(lines.0.lock().unwrap().is_empty());
        drop(lines.stand(thing("a")).await);
        assert!(lines.0.lock().unwrap().is_empty());
    }
}
