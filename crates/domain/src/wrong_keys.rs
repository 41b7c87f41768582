//! Slows down whoever presents wrong keys again and again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Wrong keys of one address within one window at most.
const MAXIMUM_FAILURES: u32 = 100;

/// Seconds after which the count begins anew.
const WINDOW_SECONDS: i64 = 10;

/// Addresses remembered at most, so that an attacker with many cannot fill the memory.
const MAXIMUM_ADDRESSES: usize = 10_000;

/// Counts wrong keys by the address they came from.
///
/// Only a wrong key is answered with 429, and a good one never: behind one address
/// there may be many clients, of which one is misconfigured, and a key of 256 random
/// bits cannot be guessed however many tries there are.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<IpAddr, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Timestamp,
    failures: u32,
}

impl Throttle {
    /// Notes a wrong key. Says how many seconds to wait where there were too many.
    pub fn failure(&self, address: IpAddr, now: Timestamp) -> Option<i64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        if windows.len() >= MAXIMUM_ADDRESSES && !windows.contains_key(&address) {
            windows.retain(|_, window| remaining(*window, now) > 0);
            if windows.len() >= MAXIMUM_ADDRESSES {
                windows.clear();
            }
        }
        let fresh = Window {
            began: now,
            failures: 0,
        };
        let window = windows.entry(address).or_insert(fresh);
        if remaining(*window, now) <= 0 {
            *window = fresh;
        }
        window.failures = window.failures.saturating_add(1);
        (window.failures > MAXIMUM_FAILURES).then(|| remaining(*window, now))
    }
}

/// Seconds until the window ends. A clock that was set back ends it at once.
fn remaining(window: Window, now: Timestamp) -> i64 {
    let age = now.duration_since(window.began);
    if age < SignedDuration::ZERO {
        return 0;
    }
    WINDOW_SECONDS - age.as_secs()
}

/// One customer usually has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn one_address_is_slowed_down_and_others_are_not() {
        let throttle = Throttle::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..MAXIMUM_FAILURES {
            assert_eq!(throttle.failure(one, at(0)), None);
        }
        assert_eq!(throttle.failure(one, at(3)), Some(7));
        assert_eq!(throttle.failure("192.0.2.2".parse().unwrap(), at(3)), None);
        assert_eq!(throttle.failure(one, at(10)), None);
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let throttle = Throttle::default();
        for host in 0..=MAXIMUM_FAILURES {
            let address = IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(host)));
            let answer = throttle.failure(address, at(0));
            assert_eq!(answer.is_some(), host == MAXIMUM_FAILURES);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..3 * MAXIMUM_ADDRESSES as u32 {
            throttle.failure(IpAddr::V4(number.into()), at(0));
        }
        assert!(throttle.0.lock().unwrap().len() <= MAXIMUM_ADDRESSES);
    }
}
