//! What was used within the last 60 seconds, second by second.
//!
//! A token bucket of the size of a minute's limit lets through twice the limit in its
//! first minute, and one of a smaller size refuses bursts that are within the limit.
//! Counting what falls into the last 60 seconds does neither, and it can be corrected
//! when a call turns out to have used more or less than was reserved for it. It takes
//! half a kibibyte.

/// The length of the window in seconds.
pub(super) const SECONDS: u64 = 60;
const SLOTS: usize = 60;

/// A sum over the last 60 seconds.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// What was used in the second `n` lies in slot `n % 60`.
    slots: [u64; SLOTS],
    /// The latest second that was looked at.
    now: u64,
    total: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            slots: [0; SLOTS],
            now: 0,
            total: 0,
        }
    }
}

impl Window {
    /// Goes on to the second `now`. Time does not go back.
    pub(super) fn advance(&mut self, now: u64) {
        let passed = now.saturating_sub(self.now).min(SECONDS);
        for back in 0..passed {
            let slot = &mut self.slots[slot_of(now - back)];
            self.total -= *slot;
            *slot = 0;
        }
        self.now = self.now.max(now);
    }

    /// All of it.
    pub(super) const fn used(&self) -> u64 {
        self.total
    }

    /// Uses `amount` now.
    pub(super) fn add(&mut self, amount: u64) {
        let slot = &mut self.slots[slot_of(self.now)];
        let before = *slot;
        // A sum that cannot be said is larger than any limit.
        *slot = slot.saturating_add(amount.min(u64::MAX - self.total));
        self.total += *slot - before;
    }

    /// What was reserved in `second` turned out to be something else. What has left the
    /// window meanwhile is past.
    pub(super) fn correct(&mut self, second: u64, reserved: u64, used: u64) {
        if self.now.saturating_sub(second) >= SECONDS {
            return;
        }
        let slot = &mut self.slots[slot_of(second)];
        let others = slot.saturating_sub(reserved);
        self.total -= *slot - others;
        *slot = others;
        let room = u64::MAX - self.total;
        let added = used.min(room);
        *slot += added.min(u64::MAX - *slot);
        self.total += *slot - others;
    }

    /// In how many seconds no more than `most` is used, if nothing is added.
    pub(super) fn falls_to(&self, most: u64) -> u64 {
        let mut left = self.total;
        // The oldest second leaves the window first.
        for age in (0..SECONDS).rev() {
            if left <= most {
                return SECONDS - 1 - age;
            }
            if let Some(second) = self.now.checked_sub(age) {
                left -= self.slots[slot_of(second)];
            }
        }
        SECONDS
    }
}

fn slot_of(second: u64) -> usize {
    usize::try_from(second % SECONDS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_older_than_a_minute_counts_no_more() {
        let mut window = Window::default();
        window.advance(100);
        window.add(3);
        window.advance(130);
        window.add(4);
        window.advance(159);
        assert_eq!(window.used(), 7);
        assert_eq!(window.falls_to(7), 0);
        assert_eq!(window.falls_to(4), 1);
        assert_eq!(window.falls_to(0), 31);
        window.advance(160);
        assert_eq!(window.used(), 4);
        window.correct(130, 4, 9);
        assert_eq!(window.used(), 9);
        window.correct(100, 3, 50);
        assert_eq!(window.used(), 9, "past");
        window.advance(10_000);
        assert_eq!(window.used(), 0);
    }

    #[test]
    fn sums_beyond_all_limits_do_not_overflow() {
        let mut window = Window::default();
        window.add(u64::MAX);
        window.advance(1);
        window.add(u64::MAX);
        assert_eq!(window.used(), u64::MAX);
        window.correct(0, u64::MAX, 5);
        window.correct(1, 0, u64::MAX);
        window.advance(60);
        window.advance(61);
        assert_eq!(window.used(), 0);
    }

    proptest! {
        #[test]
        fn it_is_the_sum_of_the_log(
            steps in prop::collection::vec((0..40_u64, 0..1000_u64, prop::option::of((any::<prop::sample::Index>(), 0..1000_u64))), 1..100)
        ) {
            let mut window = Window::default();
            let mut log: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (passed, amount, correction) in steps {
                now += passed;
                window.advance(now);
                window.add(amount);
                log.push((now, amount));
                if let Some((index, used)) = correction {
                    let index = index.index(log.len());
                    let (second, reserved) = &mut log[index];
                    window.correct(*second, *reserved, used);
                    if now - *second < SECONDS {
                        *reserved = used;
                    }
                }
                let within = |at: u64| -> u64 {
                    let last = log.iter().filter(|(second, _)| at - second < SECONDS);
                    last.map(|(_, amount)| amount).sum()
                };
                prop_assert_eq!(window.used(), within(now));
                for most in [0, amount, window.used()] {
                    let expected = (0..).find(|wait| within(now + wait) <= most).unwrap();
                    prop_assert_eq!(window.falls_to(most), expected);
                }
            }
        }
    }
}
