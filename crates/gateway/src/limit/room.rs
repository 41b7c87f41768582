//! How much of this process's memory request bodies may take, all together, and answers.
//!
//! A body is held until its call has an answer, since a retry sends it again; an answer
//! until it is whole. Each has a bound of its own; without one on their sum, a few hundred
//! connections of one client would be enough to have the system end this process, and
//! with it everybody's calls.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is counted, in bytes: room is taken in pieces of this size.
const PIECE: usize = 64 * 1024;

/// About what a JSON value takes in memory once a call is parsed and encoded anew, in
/// bytes: measured with lists of numbers, the worst of them.
const VALUE_BYTES: usize = 256;
/// So many values are free: ordinary calls have fewer.
const FREE_VALUES: usize = 1024;

/// About what the parsed form of so many JSON values takes beyond their text, in bytes.
pub(crate) const fn tree_bytes(values: usize) -> usize {
    values
        .saturating_sub(FREE_VALUES)
        .saturating_mul(VALUE_BYTES)
}

/// At most how many JSON values a text holds. Commas and brackets inside of strings are
/// counted too, which is quicker and errs to the safe side.
pub(crate) fn most_values(text: &[u8]) -> usize {
    let begins = |byte: &&u8| matches!(**byte, b',' | b'[' | b'{');
    text.iter().filter(begins).count()
}

/// The room that all calls share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

/// What one call has taken of the room. Given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Taken(Option<OwnedSemaphorePermit>);

impl Room {
    /// Room for this many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let pieces = (bytes / PIECE).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(pieces)))
    }

    /// Takes what `bytes` need beyond what the call has. The first piece is free:
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

impl Taken {
    /// Gives back what `bytes` do not need.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.0 {
            let extra = permit.num_permits().saturating_sub(bytes / PIECE);
            drop(permit.split(extra));
        }
    }

    /// Has `body` keep the room that it needs until it is sent.
    pub(crate) fn kept_by(mut self, body: Bytes) -> Bytes {
        self.shrink_to(body.len());
        let takes_none = |permit: &OwnedSemaphorePermit| permit.num_permits() == 0;
        if self.0.as_ref().is_none_or(takes_none) {
            return body;
        }
        Bytes::from_owner(Kept { body, _taken: self })
    }
}

/// A body with its room.
struct Kept {
    body: Bytes,
    _taken: Taken,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_in_pieces_and_given_back() {
        let room = Room::new(4 * PIECE);
        let (mut one, mut other) = (Taken::default(), Taken::default());
        assert!(room.extend(&mut one, 2 * PIECE));
        assert!(room.extend(&mut one, 2 * PIECE + 1), "no piece is begun");
        assert!(room.extend(&mut one, 3 * PIECE));
        assert!(!room.extend(&mut other, 2 * PIECE));
        assert!(room.extend(&mut other, PIECE - 1), "the first is free");
        drop(one);
        assert!(room.extend(&mut other, 4 * PIECE));
        other.shrink_to(PIECE);
        let mut third = Taken::default();
        assert!(room.extend(&mut third, 3 * PIECE));
        assert!(!room.extend(&mut third, 4 * PIECE));
        other.shrink_to(0);
        assert!(room.extend(&mut third, 4 * PIECE));
    }

    #[test]
    fn a_body_keeps_its_room_until_its_last_reader_has_gone() {
        let room = Room::new(4 * PIECE);
        let (mut one, mut other) = (Taken::default(), Taken::default());
        assert!(room.extend(&mut one, 4 * PIECE));
        let body = one.kept_by(Bytes::from(vec![b'x'; 2 * PIECE]));
        let reader = body.slice(..1);
        drop(body);
        assert!(room.extend(&mut other, 2 * PIECE));
        assert!(!room.extend(&mut other, 3 * PIECE));
        drop(reader);
        assert!(room.extend(&mut other, 4 * PIECE));
    }

    #[test]
    fn values_are_counted_and_a_few_are_free() {
        assert_eq!(most_values(br#"{"a":[1,2,{}],"b":"x"}"#), 6);
        assert_eq!(tree_bytes(FREE_VALUES), 0);
        assert_eq!(tree_bytes(FREE_VALUES + 2), 2 * VALUE_BYTES);
    }
}
