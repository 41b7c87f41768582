//! How much of this process's memory request bodies may take, all together.
//!
//! A body is held until its call has an answer, since a retry sends it again. Each has a
//! bound of its own; without one on their sum, a few hundred connections of one client
//! would be enough to have the system end this process, and with it everybody's calls.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is counted, in bytes: a body takes room in pieces of this size.
const PIECE: usize = 64 * 1024;

/// The room for the bodies of all calls.
#[derive(Debug)]
pub(crate) struct BodyRoom(Arc<Semaphore>);

/// What one call has taken of the room. Given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Taken(Option<OwnedSemaphorePermit>);

impl BodyRoom {
    /// Room for this many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let pieces = (bytes / PIECE).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(pieces)))
    }

    /// Takes what a body of `bytes` needs beyond what it has. The first piece is free:
    /// ordinary calls go on where large ones have taken all the room. False where there
    /// is none left.
    pub(crate) fn extend(&self, taken: &mut Taken, bytes: usize) -> bool {
        let has = taken
            .0
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = (bytes / PIECE).saturating_sub(has);
        if missing == 0 {
            return true;
        }
        let Ok(missing) = u32::try_from(missing) else {
            return false;
        };
        let Ok(more) = Arc::clone(&self.0).try_acquire_many_owned(missing) else {
            return false;
        };
        match &mut taken.0 {
            Some(permit) => permit.merge(more),
            None => taken.0 = Some(more),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_in_pieces_and_given_back() {
        let room = BodyRoom::new(4 * PIECE);
        let (mut one, mut other) = (Taken::default(), Taken::default());
        assert!(room.extend(&mut one, 2 * PIECE));
        assert!(room.extend(&mut one, 2 * PIECE + 1), "no piece is begun");
        assert!(room.extend(&mut one, 3 * PIECE));
        assert!(!room.extend(&mut other, 2 * PIECE));
        assert!(room.extend(&mut other, PIECE - 1), "the first is free");
        drop(one);
        assert!(room.extend(&mut other, 4 * PIECE));
    }
}
