//! What a stream holds back takes room that all answers share.

use providers::framing::sse::MAX_EVENT_BYTES;

use crate::limit::room::{Room, Taken};

/// What a stream may hold back.
pub(crate) struct Bounds {
    /// The most of it, in bytes.
    pub(crate) bytes: usize,
    /// The room of all answers.
    pub(crate) room: Room,
    /// What a piece takes of the room, in bytes.
    pub(crate) weigh: fn(&[u8]) -> usize,
}

/// What has come of a stream and cannot go on yet: the beginning of an event.
pub(super) struct Unfinished {
    room: Room,
    taken: Taken,
    bytes: usize,
}

impl Unfinished {
    /// Begins with what was held until the first content.
    pub(super) fn new(bounds: Bounds, taken: Taken) -> Self {
        Self {
            room: bounds.room,
            taken,
            bytes: 0,
        }
    }

    /// So much more has come. False where there is no room for it.
    pub(super) fn grows(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        // Events that say nothing leave nothing behind; no single one is larger.
        let held = self.bytes.min(MAX_EVENT_BYTES);
        self.room.extend(&mut self.taken, held)
    }

    /// So much of it is left; none where nobody knows.
    pub(super) fn is_now(&mut self, bytes: Option<usize>) {
        if let Some(bytes) = bytes {
            self.bytes = bytes;
            self.taken.shrink_to(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: usize = 1024 * 1024;

    #[test]
    fn an_event_takes_room_until_it_is_whole_and_never_more_than_its_bound() {
        let room = Room::new(48 * MEBIBYTE);
        let unfinished = || {
            let bounds = Bounds {
                bytes: MEBIBYTE,
                room: room.clone(),
                weigh: <[u8]>::len,
            };
            Unfinished::new(bounds, Taken::default())
        };
        let (mut one, mut other) = (unfinished(), unfinished());
        assert!((0..8).all(|_| one.grows(8 * MEBIBYTE)), "bounded");
        assert!(!other.grows(17 * MEBIBYTE));
        one.is_now(None);
        assert!(!other.grows(0));
        one.is_now(Some(100));
        assert!(other.grows(0));
        drop(other);
        assert!(one.grows(31 * MEBIBYTE));
    }
}
