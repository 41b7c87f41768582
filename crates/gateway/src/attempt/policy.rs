//! What to do after a failure, as a pure function.

use std::time::Duration;

use providers::error::ErrorKind;

/// The shortest backoff's bound; it doubles with every try.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// The longest backoff's bound.
const BACKOFF_MOST: Duration = Duration::from_secs(8);

/// How a try failed, as far as policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing was sent: no credential, or the guard or the translation refused. The
    /// same target would refuse again, another may not.
    NotSent,
    /// There was no room here for its answer. A fallback's may be smaller; another try
    /// would only take the room from other calls.
    NoRoom,
    /// The provider, or the way to it, failed.
    Provider {
        /// What kind of failure.
        kind: ErrorKind,
        /// How long the provider asks us to wait.
        retry_after: Option<Duration>,
    },
}

/// What went before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct History {
    /// Tries on this target so far, the failed one included.
    pub(crate) tries: u32,
    /// What is left of the call's time.
    pub(crate) time_left: Duration,
    /// Whether the plan has a further target.
    pub(crate) has_fallback: bool,
    /// A random number from 0 up to, not including, 1.
    pub(crate) jitter: f64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Try the same target again, after a pause.
    Retry {
        /// How long to wait.
        after: Duration,
    },
    /// Go to the next target.
    Fallback,
    /// Tell the client.
    GiveUp,
}

/// Decides from the kind of the failure, never from its words.
///
/// A request that is wrong would be wrong at the next provider too. A refused
/// credential, a used-up quota or an unknown model will not change by waiting. All
/// other failures are tried again, 1 + `max_retries` times in all.
pub(crate) fn next_step(failure: Failure, history: &History, max_retries: u32) -> Step {
    let otherwise = if history.has_fallback && !history.time_left.is_zero() {
        Step::Fallback
    } else {
        Step::GiveUp
    };
    let Failure::Provider { kind, retry_after } = failure else {
        return otherwise;
    };
    if kind == ErrorKind::InvalidRequest {
        return Step::GiveUp;
    }
    if !kind.is_retryable() || history.tries > max_retries {
        return otherwise;
    }
    let after = retry_after.unwrap_or_else(|| backoff(history));
    // A target that rests for long is left for one that does not, and a wait that
    // outlasts the call is not begun.
    let rests_for_long = history.has_fallback && after > BACKOFF_MOST;
    if rests_for_long || after >= history.time_left {
        return otherwise;
    }
    Step::Retry { after }
}

/// Full jitter: anything up to a bound that doubles with every try.
fn backoff(history: &History) -> Duration {
    let doublings = history.tries.saturating_sub(1).min(8);
    let bound = (BACKOFF_FIRST * 2_u32.pow(doublings)).min(BACKOFF_MOST);
    bound.mul_f64(history.jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: History = History {
        tries: 1,
        time_left: Duration::from_secs(3600),
        has_fallback: false,
        jitter: 0.5,
    };

    fn provider(kind: ErrorKind) -> Failure {
        Failure::Provider {
            kind,
            retry_after: None,
        }
    }

    fn retry(milliseconds: u64) -> Step {
        Step::Retry {
            after: Duration::from_millis(milliseconds),
        }
    }

    #[test]
    fn every_kind_has_its_step() {
        use ErrorKind::{
            Authentication, Conflict, Connect, Connection, InvalidRequest, Malformed,
            ModelNotFound, Overloaded, Quota, RateLimit, Server, Timeout,
        };
        // Kind; with retries left; retries used up and a fallback there; neither.
        let table = [
            (InvalidRequest, Step::GiveUp, Step::GiveUp, Step::GiveUp),
            (Authentication, Step::Fallback, Step::Fallback, Step::GiveUp),
            (Quota, Step::Fallback, Step::Fallback, Step::GiveUp),
            (ModelNotFound, Step::Fallback, Step::Fallback, Step::GiveUp),
            (RateLimit, retry(250), Step::Fallback, Step::GiveUp),
            (Overloaded, retry(250), Step::Fallback, Step::GiveUp),
            (Server, retry(250), Step::Fallback, Step::GiveUp),
            (Connect, retry(250), Step::Fallback, Step::GiveUp),
            (Connection, retry(250), Step::Fallback, Step::GiveUp),
            (Timeout, retry(250), Step::Fallback, Step::GiveUp),
            (Conflict, retry(250), Step::Fallback, Step::GiveUp),
            (Malformed, retry(250), Step::Fallback, Step::GiveUp),
        ];
        for (kind, retries_left, used_up, alone) in table {
            let with_fallback = History {
                has_fallback: true,
                ..HISTORY
            };
            assert_eq!(
                next_step(provider(kind), &with_fallback, 2),
                retries_left,
                "{kind:?}"
            );
            assert_eq!(
                next_step(provider(kind), &with_fallback, 0),
                used_up,
                "{kind:?}"
            );
            assert_eq!(next_step(provider(kind), &HISTORY, 0), alone, "{kind:?}");
        }
    }

    #[test]
    fn what_was_not_sent_falls_back_at_once() {
        let with_fallback = History {
            has_fallback: true,
            ..HISTORY
        };
        assert_eq!(
            next_step(Failure::NotSent, &with_fallback, 9),
            Step::Fallback
        );
        assert_eq!(next_step(Failure::NotSent, &HISTORY, 9), Step::GiveUp);
    }

    #[test]
    fn backoff_doubles_up_to_eight_seconds_and_retries_end() {
        let bounds = [500, 1000, 2000, 4000, 8000, 8000, 8000];
        for (tries, bound) in (1..).zip(bounds) {
            for (jitter, share) in [(0.0, 0), (0.5, bound / 2), (1.0, bound)] {
                let history = History {
                    tries,
                    jitter,
                    ..HISTORY
                };
                assert_eq!(
                    next_step(provider(ErrorKind::Server), &history, 7),
                    retry(share)
                );
            }
        }
        let used_up = History {
            tries: 8,
            ..HISTORY
        };
        assert_eq!(
            next_step(provider(ErrorKind::Server), &used_up, 7),
            Step::GiveUp
        );
    }

    #[test]
    fn retry_after_is_honoured_within_the_call_s_time() {
        let limited = |seconds| Failure::Provider {
            kind: ErrorKind::RateLimit,
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(next_step(limited(3), &HISTORY, 2), retry(3000));
        assert_eq!(next_step(limited(90), &HISTORY, 2), retry(90_000));
        assert_eq!(next_step(limited(3600), &HISTORY, 2), Step::GiveUp);
        let with_fallback = History {
            has_fallback: true,
            ..HISTORY
        };
        assert_eq!(next_step(limited(3), &with_fallback, 2), retry(3000));
        assert_eq!(next_step(limited(90), &with_fallback, 2), Step::Fallback);
        let no_time = History {
            time_left: Duration::ZERO,
            ..with_fallback
        };
        assert_eq!(next_step(limited(0), &no_time, 2), Step::GiveUp);
    }
}
