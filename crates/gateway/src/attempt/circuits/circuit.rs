//! One circuit breaker, as a pure state machine: time comes in as an argument.
//!
//! ```text
//!            5 failures in a row within 30 s,
//!            or a refused credential                    the pause is over
//!   Closed ─────────────────────────────────► Open ─────────────────────► Probing
//!     ▲  ▲                                    ▲  ▲                         │ │ │
//!     │  └── the rest is over ── Open(429) ───┘  ├── failed: pause doubled ┘ │ │
//!     │                                          └── cancelled: at once ─────┘ │
//!     └────────────────────────── it answered ─────────────────────────────────┘
//! ```
//!
//! Each change begins a new generation. The outcome of an attempt that was let through
//! in an older one comes late and says nothing about now.

use std::time::Duration;

use providers::error::ErrorKind;
use tokio::time::Instant;

/// So many failures in a row open it,
pub(super) const FAILURES: usize = 5;
/// if the first of them is no older than this.
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// From the opening to the first probe; doubled by every probe that fails,
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// up to this. Also the longest that a rate limit makes a target rest.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// A probe that has no outcome for so long does not keep others from probing.
pub(super) const PROBE_PATIENCE: Duration = Duration::from_secs(30);
/// What clients are told to wait while a probe is under way.
const WHILE_PROBING: Duration = Duration::from_secs(2);

/// Why attempts are not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It failed again and again, last in this way.
    Failing(ErrorKind),
    /// It refused the credential.
    Refused,
    /// It asked us to wait.
    RateLimited,
}

impl Reason {
    /// A stable name for logs and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Failing(_) => "failing",
            Self::Refused => "credential_refused",
            Self::RateLimited => "rate_limited",
        }
    }

    /// How it failed last.
    pub(crate) const fn kind(self) -> ErrorKind {
        match self {
            Self::Failing(kind) => kind,
            Self::Refused => ErrorKind::Authentication,
            Self::RateLimited => ErrorKind::RateLimit,
        }
    }
}

/// What an attempt says about the circuit that let it through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It answers.
    Alive,
    /// It does not: no connection, too late, or a failure of its own.
    Failed(ErrorKind),
    /// It refuses the credential.
    Refused,
    /// It wants to be left alone for this long.
    RateLimited(Duration),
    /// Neither good nor bad; of a probe it is not good enough.
    Unclear,
    /// Nobody waited for the outcome.
    Cancelled,
}

/// Lets one attempt through, and says later which state that was in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ticket {
    generation: u64,
    is_probe: bool,
}

impl Ticket {
    /// Whether the attempt finds out if the circuit may close.
    pub(super) const fn is_probe(self) -> bool {
        self.is_probe
    }
}

/// An attempt is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Why.
    pub(crate) reason: Reason,
    /// When trying again makes sense.
    pub(crate) wait: Duration,
}

/// The states as people see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything is let through.
    Closed,
    /// Nothing is.
    Open(Reason),
    /// One attempt is under way to find out.
    Probing(Reason),
}

impl Phase {
    /// A stable name for metrics; none for what is not counted.
    pub(crate) const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Closed => None,
            Self::Open(Reason::RateLimited) => Some("resting"),
            Self::Open(_) => Some("open"),
            Self::Probing(_) => Some("probing"),
        }
    }
}

/// The breaker of one origin and credential, or of one model there.
#[derive(Clone, Debug, Default)]
pub(super) struct Circuit {
    generation: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// The latest failures in a row, oldest first.
    Closed([Option<Instant>; FAILURES]),
    /// Until then nothing is let through, then one attempt.
    Open {
        reason: Reason,
        pause: Duration,
        until: Instant,
    },
    /// That one is under way.
    Probing {
        reason: Reason,
        pause: Duration,
        since: Instant,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed([None; FAILURES])
    }
}

impl Circuit {
    pub(super) const fn phase(&self) -> Phase {
        match self.state {
            State::Closed(_) => Phase::Closed,
            State::Open { reason, .. } => Phase::Open(reason),
            State::Probing { reason, .. } => Phase::Probing(reason),
        }
    }

    /// Whether it remembers nothing that a new one would not know.
    pub(super) fn is_fresh(&self) -> bool {
        matches!(self.state, State::Closed([.., None]))
    }

    /// Asks to let one attempt through.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Ticket, Refusal> {
        match self.state {
            State::Closed(_) => Ok(self.ticket()),
            State::Open { reason, until, .. } if now < until => Err(Refusal {
                reason,
                wait: until.duration_since(now),
            }),
            // Who asked us to wait has said when to come back, and to all of us.
            State::Open {
                reason: Reason::RateLimited,
                ..
            } => {
                self.close();
                Ok(self.ticket())
            }
            State::Open { reason, pause, .. } => Ok(self.probe(reason, pause, now)),
            State::Probing {
                reason,
                pause,
                since,
            } if now.duration_since(since) >= PROBE_PATIENCE => Ok(self.probe(reason, pause, now)),
            State::Probing { reason, .. } => Err(Refusal {
                reason,
                wait: WHILE_PROBING,
            }),
        }
    }

    /// Takes the outcome of an attempt.
    pub(super) fn record(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) {
        if ticket.generation != self.generation {
            return;
        }
        match &mut self.state {
            State::Closed(failures) => {
                if verdict == Verdict::Alive {
                    *failures = [None; FAILURES];
                } else if let Some((reason, pause)) = opened_by(verdict, failures, now) {
                    self.open(reason, pause, now);
                }
            }
            State::Open { reason, pause, .. } | State::Probing { reason, pause, .. } => {
                let (reason, doubled) = (*reason, (*pause * 2).min(LONGEST_PAUSE));
                match verdict {
                    Verdict::Alive => self.close(),
                    Verdict::Failed(kind) => self.open(Reason::Failing(kind), doubled, now),
                    Verdict::Refused => self.open(Reason::Refused, doubled, now),
                    Verdict::RateLimited(wait) => {
                        self.open(Reason::RateLimited, wait.min(LONGEST_PAUSE), now);
                    }
                    Verdict::Unclear => self.open(reason, doubled, now),
                    Verdict::Cancelled => {
                        let pause = *pause;
                        // The place is free, and another probe under way still counts.
                        self.state = State::Open {
                            reason,
                            pause,
                            until: now,
                        };
                    }
                }
            }
        }
    }

    /// Closes it on word from elsewhere that the target works.
    pub(super) fn close(&mut self) {
        self.generation += 1;
        self.state = State::default();
    }

    fn open(&mut self, reason: Reason, pause: Duration, now: Instant) {
        self.generation += 1;
        self.state = State::Open {
            reason,
            pause,
            until: now + pause,
        };
    }

    const fn ticket(&self) -> Ticket {
        Ticket {
            generation: self.generation,
            is_probe: false,
        }
    }

    const fn probe(&mut self, reason: Reason, pause: Duration, since: Instant) -> Ticket {
        self.state = State::Probing {
            reason,
            pause,
            since,
        };
        Ticket {
            generation: self.generation,
            is_probe: true,
        }
    }
}

/// Whether a closed circuit opens: why, and for how long.
fn opened_by(
    verdict: Verdict,
    failures: &mut [Option<Instant>; FAILURES],
    now: Instant,
) -> Option<(Reason, Duration)> {
    match verdict {
        Verdict::Failed(kind) => {
            failures.rotate_left(1);
            failures[FAILURES - 1] = Some(now);
            let first = failures[0]?;
            let is_recent = now.duration_since(first) <= WINDOW;
            is_recent.then_some((Reason::Failing(kind), FIRST_PAUSE))
        }
        Verdict::Refused => Some((Reason::Refused, FIRST_PAUSE)),
        Verdict::RateLimited(wait) if wait.is_zero() => None,
        Verdict::RateLimited(wait) => Some((Reason::RateLimited, wait.min(LONGEST_PAUSE))),
        Verdict::Alive | Verdict::Unclear | Verdict::Cancelled => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Verdict = Verdict::Failed(ErrorKind::Server);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn rate_limited(wait: u64) -> Verdict {
        Verdict::RateLimited(seconds(wait))
    }

    /// What happens in a script: an attempt is asked for and its outcome comes at once.
    enum Event {
        /// It must be let through.
        Through(Verdict),
        /// It must be refused, to come back after so many seconds.
        Skip(u64),
    }

    #[test]
    fn scripts_go_as_the_rules_say() {
        use Event::{Skip, Through};
        use Verdict::{Alive, Cancelled, Refused, Unclear};
        let five = |spacing: u64| (0..5).map(move |number| (number * spacing, Through(FAILED)));
        let opened = |rest: Vec<(u64, Event)>| five(1).chain(rest).collect::<Vec<_>>();
        // Second, and what happens then.
        let table: Vec<(&str, Vec<(u64, Event)>)> = vec![
            (
                "five failures in a row open it, and the first probe comes 15 s later",
                opened(vec![
                    (4, Skip(15)),
                    (10, Skip(9)),
                    (18, Skip(1)),
                    (19, Through(Alive)),
                    (19, Through(Alive)),
                ]),
            ),
            (
                "four do not",
                five(1)
                    .take(4)
                    .chain([(4, Through(Alive)), (5, Through(FAILED))])
                    .collect(),
            ),
            (
                "a success breaks the row",
                five(1)
                    .take(4)
                    .chain([(4, Through(Alive))])
                    .chain((5..9).map(|second| (second, Through(FAILED))))
                    .chain([(9, Through(Alive))])
                    .collect(),
            ),
            (
                "what is neither breaks no row and makes none",
                five(1)
                    .take(4)
                    .chain([(4, Through(Cancelled)), (4, Through(Unclear))])
                    .chain([(4, Through(FAILED)), (4, Skip(15))])
                    .collect(),
            ),
            ("within 30 s", five(7).chain([(28, Skip(15))]).collect()),
            (
                "not over 32 s",
                five(8).chain([(32, Through(Alive))]).collect(),
            ),
            (
                "a failed probe doubles the pause, up to two minutes",
                opened(vec![
                    (19, Through(FAILED)),
                    (19, Skip(30)),
                    (49, Through(FAILED)),
                    (49, Skip(60)),
                    (109, Through(Unclear)),
                    (109, Skip(120)),
                    (229, Through(FAILED)),
                    (229, Skip(120)),
                    (349, Through(Alive)),
                    (349, Through(FAILED)),
                    (349, Through(Alive)),
                ]),
            ),
            (
                "a cancelled probe makes room for the next at once",
                opened(vec![
                    (19, Through(Cancelled)),
                    (19, Through(Cancelled)),
                    (20, Through(FAILED)),
                    (20, Skip(30)),
                ]),
            ),
            (
                "a refused credential opens it at once",
                vec![
                    (0, Through(Refused)),
                    (0, Skip(15)),
                    (15, Through(Refused)),
                    (15, Skip(30)),
                    (45, Through(Alive)),
                    (45, Through(Alive)),
                ],
            ),
            (
                "a rate limit makes it rest for as long as asked, and then all may come",
                vec![
                    (0, Through(rate_limited(7))),
                    (3, Skip(4)),
                    (7, Through(Alive)),
                    (7, Through(rate_limited(3600))),
                    (7, Skip(120)),
                    (127, Through(rate_limited(0))),
                    (127, Through(Alive)),
                ],
            ),
        ];
        for (rule, script) in table {
            let start = Instant::now();
            let mut circuit = Circuit::default();
            for (second, event) in script {
                let now = start + seconds(second);
                let admitted = circuit.admit(now);
                match (event, admitted) {
                    (Event::Through(verdict), Ok(ticket)) => circuit.record(ticket, verdict, now),
                    (Event::Skip(wait), Err(refusal)) => {
                        assert_eq!(refusal.wait, seconds(wait), "{rule}: at {second} s");
                    }
                    (_, admitted) => panic!("{rule}: at {second} s: {admitted:?}"),
                }
            }
        }
    }

    #[test]
    fn only_one_probe_goes_at_a_time_unless_it_takes_long() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        let ticket = circuit.admit(now).unwrap();
        circuit.record(ticket, Verdict::Refused, now);
        let now = now + FIRST_PAUSE;
        let first = circuit.admit(now).unwrap();
        assert!(first.is_probe());
        assert_eq!(circuit.phase(), Phase::Probing(Reason::Refused));
        assert_eq!(circuit.admit(now).unwrap_err().wait, WHILE_PROBING);
        let now = now + PROBE_PATIENCE;
        let second = circuit.admit(now).unwrap();
        assert!(circuit.admit(now).is_err());
        // The slow one succeeds after all, and the other one's failure is no news.
        circuit.record(first, Verdict::Alive, now);
        assert_eq!(circuit.phase(), Phase::Closed);
        circuit.record(second, Verdict::Refused, now);
        assert_eq!(circuit.phase(), Phase::Closed);
    }

    #[test]
    fn what_was_let_through_before_it_opened_comes_late() {
        let now = Instant::now();
        for verdict in [Verdict::Alive, FAILED, Verdict::Refused, rate_limited(60)] {
            let mut circuit = Circuit::default();
            let early = circuit.admit(now).unwrap();
            circuit.record(early, Verdict::Refused, now);
            circuit.record(early, verdict, now + seconds(5));
            assert_eq!(circuit.phase(), Phase::Open(Reason::Refused));
            assert_eq!(
                circuit.admit(now + seconds(5)).unwrap_err().wait,
                seconds(10)
            );
        }
    }

    /// The rules written down once more, without any cleverness: everything that ever
    /// happened is kept and read again for each question.
    #[derive(Default)]
    struct Model {
        /// Outcomes since the last change, by second, true for alive.
        outcomes: Vec<(u64, bool)>,
        /// Openings in a row: second and pause.
        openings: Vec<(u64, u64, bool)>,
        probe_began: Option<u64>,
        freed: bool,
        era: u64,
    }

    impl Model {
        fn admit(&mut self, now: u64) -> Option<(u64, bool)> {
            let Some(&(opened, pause, is_rest)) = self.openings.last() else {
                return Some((self.era, false));
            };
            if let Some(began) = self.probe_began {
                if now < began + PROBE_PATIENCE.as_secs() {
                    return None;
                }
            } else if !self.freed && now < opened + pause {
                return None;
            }
            if is_rest {
                self.close();
                return Some((self.era, false));
            }
            self.probe_began = Some(now);
            self.freed = false;
            Some((self.era, true))
        }

        fn record(&mut self, era: u64, verdict: Verdict, now: u64) {
            if era != self.era {
                return;
            }
            let pause = match self.openings.last() {
                Some((_, pause, _)) => (pause * 2).min(120),
                None => 15,
            };
            let is_open = !self.openings.is_empty();
            match verdict {
                Verdict::Alive if is_open => self.close(),
                Verdict::Alive => self.outcomes.push((now, true)),
                Verdict::Refused => self.open(now, pause, false),
                Verdict::RateLimited(wait) if !wait.is_zero() => {
                    self.open(now, wait.as_secs().min(120), true);
                }
                Verdict::RateLimited(_) | Verdict::Unclear if !is_open => {}
                Verdict::RateLimited(_) => self.open(now, 0, true),
                Verdict::Cancelled if is_open => {
                    self.probe_began = None;
                    self.freed = true;
                }
                Verdict::Cancelled => {}
                Verdict::Failed(_) | Verdict::Unclear if is_open => self.open(now, pause, false),
                Verdict::Failed(_) | Verdict::Unclear => {
                    self.outcomes.push((now, false));
                    let last: Vec<_> = self.outcomes.iter().rev().take(5).collect();
                    let is_row = last.len() == 5 && last.iter().all(|(_, alive)| !alive);
                    if is_row && now - last[4].0 <= 30 {
                        self.open(now, pause, false);
                    }
                }
            }
        }

        fn open(&mut self, now: u64, pause: u64, is_rest: bool) {
            self.openings.push((now, pause, is_rest));
            self.probe_began = None;
            self.freed = false;
            self.era += 1;
        }

        fn close(&mut self) {
            *self = Self {
                era: self.era + 1,
                ..Self::default()
            };
        }
    }

    fn verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            2 => Just(Verdict::Alive),
            12 => Just(FAILED),
            1 => Just(Verdict::Refused),
            1 => (0..300_u64).prop_map(rate_limited),
            1 => Just(Verdict::Unclear),
            3 => Just(Verdict::Cancelled),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_the_naive_model_does(
            // Seconds that pass; then either an attempt is asked for, or one of those
            // under way ends.
            steps in prop::collection::vec((0..20_u64, prop::option::of((any::<prop::sample::Index>(), verdict()))), 1..200)
        ) {
            let start = Instant::now();
            let (mut circuit, mut model) = (Circuit::default(), Model::default());
            let mut under_way = Vec::new();
            let mut second = 0;
            for (passed, ending) in steps {
                second += passed;
                let now = start + seconds(second);
                match ending {
                    Some((index, verdict)) if !under_way.is_empty() => {
                        let (ticket, era) = under_way.swap_remove(index.index(under_way.len()));
                        circuit.record(ticket, verdict, now);
                        model.record(era, verdict, second);
                    }
                    _ => {
                        let expected = model.admit(second);
                        let ticket = circuit.admit(now).ok();
                        prop_assert_eq!(ticket.map(Ticket::is_probe), expected.map(|(_, probe)| probe));
                        if let (Some(ticket), Some((era, _))) = (ticket, expected) {
                            under_way.push((ticket, era));
                        }
                    }
                }
                prop_assert_eq!(circuit.phase() == Phase::Closed, model.openings.is_empty());
            }
        }
    }
}
