//! How much API keys and organisations may call: requests and tokens a minute, and
//! calls at the same time. Exact on one node; each node counts for itself.
//!
//! A call reserves what it may use before it begins, so that a burst of parallel calls
//! is counted whole, and what it did use takes the place of that afterwards.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::{ApiKeyId, OrganizationId};
use domain::rate_limits::RateLimits;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::window::Window;

/// Organisations are spread over so many locks.
const SHARDS: usize = 64;
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Who calls, and what bounds both of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) organization_id: OrganizationId,
    pub(crate) organization: RateLimits,
    pub(crate) api_key_id: ApiKeyId,
    pub(crate) api_key: RateLimits,
}

/// What is used of all limits.
pub(crate) struct Rates {
    shards: Vec<Mutex<HashMap<OrganizationId, OfOrganization>>>,
    started: Instant,
}

#[derive(Default)]
struct OfOrganization {
    all: Used,
    by_key: HashMap<ApiKeyId, Used>,
}

#[derive(Default)]
struct Used {
    requests: Window,
    tokens: Window,
    running: u64,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    ApiKey,
    Organization,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Requests,
    Tokens,
    Concurrency,
}

impl What {
    /// As metrics call it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Concurrency => "concurrency",
        }
    }
}

/// How much of a limit is left: what clients are told in `X-RateLimit-*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) whose: Whose,
    pub(crate) what: What,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Seconds until all of it is free again, if nothing more is used.
    pub(crate) reset_seconds: u64,
}

/// A limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) standing: Standing,
    /// When the same call would be let through, if nothing more is used.
    pub(crate) wait: Duration,
}

/// A call that was let through. Dropped, it is under way no more.
pub(crate) struct Admission {
    rates: Arc<Rates>,
    bounds: Bounds,
    second: u64,
    reserved: u64,
    /// The limit that is nearest to being used up.
    pub(crate) standing: Option<Standing>,
}

impl Rates {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default)
                .take(SHARDS)
                .collect(),
            started: Instant::now(),
        }
    }

    /// Lets a call through that may use so many tokens, which are only
    /// estimated where there is a limit. A call that alone is larger than
    /// a limit of tokens goes when nothing else has used any.
    ///
    /// # Errors
    /// The first limit that it would exceed; then nothing is counted.
    pub(crate) fn admit(
        self: &Arc<Self>,
        bounds: Bounds,
        tokens: impl FnOnce() -> u64,
    ) -> Result<Option<Admission>, Exceeded> {
        if bounds.organization.is_unlimited() && bounds.api_key.is_unlimited() {
            return Ok(None);
        }
        let tokens = tokens();
        let second = self.started.elapsed().as_secs();
        let mut organizations = self.lock(bounds.organization_id);
        let both = organizations.entry(bounds.organization_id).or_default();
        let of_key = both.by_key.entry(bounds.api_key_id).or_default();
        let parts = [
            (Whose::ApiKey, of_key, bounds.api_key),
            (Whose::Organization, &mut both.all, bounds.organization),
        ];
        // Both are asked before anything is counted.
        let mut parts = parts.map(|(whose, used, limits)| {
            used.advance(second);
            (whose, used, limits)
        });
        for (whose, used, limits) in &parts {
            used.check(*whose, *limits, tokens)?;
        }
        for (_, used, _) in &mut parts {
            used.requests.add(1);
            used.tokens.add(tokens);
            used.running += 1;
        }
        let standings = parts
            .iter()
            .flat_map(|(whose, used, limits)| used.standings(*whose, *limits));
        let standing = standings.min_by(Standing::by_share_left);
        drop(organizations);
        Ok(Some(Admission {
            rates: Arc::clone(self),
            bounds,
            second,
            reserved: tokens,
            standing,
        }))
    }

    /// Forgets what has used nothing for a minute.
    pub(crate) fn sweep(&self) {
        let second = self.started.elapsed().as_secs();
        for shard in &self.shards {
            let mut organizations = shard.lock().unwrap_or_else(PoisonError::into_inner);
            organizations.retain(|_, organization| {
                organization.by_key.retain(|_, used| used.matters(second));
                organization.all.matters(second) || !organization.by_key.is_empty()
            });
        }
    }

    fn lock(&self, id: OrganizationId) -> MutexGuard<'_, HashMap<OrganizationId, OfOrganization>> {
        // The last bits of these ids are random.
        let number = usize::try_from(id.0.as_u128() % SHARDS as u128).unwrap_or_default();
        self.shards[number]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    /// How many tokens the call used.
    pub(crate) fn used(&mut self, tokens: u64) {
        let (second, reserved) = (self.second, self.reserved);
        self.reserved = tokens;
        self.both(|used| used.tokens.correct(second, reserved, tokens));
    }

    fn both(&self, mut change: impl FnMut(&mut Used)) {
        let now = self.rates.started.elapsed().as_secs();
        let mut organizations = self.rates.lock(self.bounds.organization_id);
        let Some(both) = organizations.get_mut(&self.bounds.organization_id) else {
            return;
        };
        let of_key = both.by_key.get_mut(&self.bounds.api_key_id);
        for used in of_key.into_iter().chain([&mut both.all]) {
            used.advance(now);
            change(used);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.both(|used| used.running = used.running.saturating_sub(1));
    }
}

impl Used {
    fn advance(&mut self, second: u64) {
        self.requests.advance(second);
        self.tokens.advance(second);
    }

    fn matters(&mut self, second: u64) -> bool {
        self.advance(second);
        self.running > 0 || self.requests.used() > 0 || self.tokens.used() > 0
    }

    fn check(&self, whose: Whose, limits: RateLimits, tokens: u64) -> Result<(), Exceeded> {
        let exceeded = |what, limit, wait: u64| {
            let standing = self.standing(whose, what, limit);
            let wait = Duration::from_secs(wait.max(1));
            Err(Exceeded { standing, wait })
        };
        if let Some(limit) = limits.concurrent_calls
            && self.running >= limit
        {
            return exceeded(What::Concurrency, limit, 1);
        }
        if let Some(limit) = limits.requests_per_minute
            && self.requests.used() >= limit
        {
            let wait = self.requests.falls_to(limit.saturating_sub(1));
            return exceeded(What::Requests, limit, wait);
        }
        if let Some(limit) = limits.tokens_per_minute
            && self.tokens.used() > 0
            && self.tokens.used().saturating_add(tokens) > limit
        {
            let wait = self.tokens.falls_to(limit.saturating_sub(tokens));
            return exceeded(What::Tokens, limit, wait);
        }
        Ok(())
    }

    fn standings(&self, whose: Whose, limits: RateLimits) -> impl Iterator<Item = Standing> {
        let of = |what, limit: Option<u64>| limit.map(|limit| self.standing(whose, what, limit));
        let requests = of(What::Requests, limits.requests_per_minute);
        let tokens = of(What::Tokens, limits.tokens_per_minute);
        requests.into_iter().chain(tokens)
    }

    fn standing(&self, whose: Whose, what: What, limit: u64) -> Standing {
        let (used, reset_seconds) = match what {
            What::Requests => (self.requests.used(), self.requests.falls_to(0)),
            What::Tokens => (self.tokens.used(), self.tokens.falls_to(0)),
            What::Concurrency => (self.running, 1),
        };
        Standing {
            whose,
            what,
            limit,
            remaining: limit.saturating_sub(used),
            reset_seconds,
        }
    }
}

impl Whose {
    /// A stable name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Organization => "organization",
        }
    }

    /// How a client is told.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::ApiKey => "this API key",
            Self::Organization => "your organization",
        }
    }
}

impl Standing {
    /// The limit's name.
    pub(crate) fn resource(&self) -> String {
        let whose = self.whose.as_str();
        let what = match self.what {
            What::Requests => "requests",
            What::Tokens => "tokens",
            What::Concurrency => "concurrent_calls",
        };
        format!("{whose}.{what}")
    }

    fn by_share_left(&self, other: &Self) -> std::cmp::Ordering {
        let share = |left: u64, limit: u64| u128::from(left) * u128::from(limit);
        share(self.remaining, other.limit).cmp(&share(other.remaining, self.limit))
    }
}

/// Forgets what is unused now and then.
pub(crate) async fn sweep_until(rates: Arc<Rates>, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = interval.tick() => rates.sweep(),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NONE: RateLimits = RateLimits {
        requests_per_minute: None,
        tokens_per_minute: None,
        concurrent_calls: None,
    };

    fn bounds(key: u128, organization: RateLimits, api_key: RateLimits) -> Bounds {
        Bounds {
            organization_id: OrganizationId(Uuid::from_u128(1)),
            organization,
            api_key_id: ApiKeyId(Uuid::from_u128(key)),
            api_key,
        }
    }

    fn requests(limit: u64) -> RateLimits {
        RateLimits {
            requests_per_minute: Some(limit),
            ..NONE
        }
    }

    fn tokens(limit: u64) -> RateLimits {
        RateLimits {
            tokens_per_minute: Some(limit),
            ..NONE
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_parallel_burst_gets_exactly_the_limit_and_the_next_minute_as_much() {
        let rates = Arc::new(Rates::new());
        for _ in 0..3 {
            let mut calls = tokio::task::JoinSet::new();
            for _ in 0..200 {
                let rates = Arc::clone(&rates);
                calls.spawn(
                    async move { rates.admit(bounds(1, NONE, requests(50)), || 10).is_ok() },
                );
            }
            let through = calls
                .join_all()
                .await
                .into_iter()
                .filter(|through| *through);
            assert_eq!(through.count(), 50);
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn both_limits_hold_and_who_is_refused_uses_nothing() {
        let rates = Arc::new(Rates::new());
        let of = |key| bounds(key, requests(3), requests(2));
        assert!(rates.admit(of(1), || 0).is_ok());
        let admission = rates
            .admit(of(1), || 0)
            .unwrap_or_default()
            .expect("limits");
        let standing = admission.standing.expect("a standing");
        assert_eq!((standing.whose, standing.remaining), (Whose::ApiKey, 0));
        tokio::time::advance(Duration::from_secs(20)).await;
        for _ in 0..5 {
            let refused = rates.admit(of(1), || 0).err().expect("the key's limit");
            assert_eq!(refused.standing.whose, Whose::ApiKey);
            assert_eq!(refused.wait, Duration::from_secs(40));
        }
        assert!(
            rates.admit(of(2), || 0).is_ok(),
            "refusals count for nothing"
        );
        let refused = rates
            .admit(of(2), || 0)
            .err()
            .expect("the organisation's limit");
        assert_eq!(refused.standing.whose, Whose::Organization);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_reserved_and_corrected() {
        let rates = Arc::new(Rates::new());
        let of = bounds(1, NONE, tokens(100));
        let mut first = rates.admit(of, || 60).unwrap_or_default().expect("limits");
        assert!(rates.admit(of, || 60).is_err());
        first.used(40);
        let mut second = rates
            .admit(of, || 60)
            .unwrap_or_default()
            .expect("room again");
        tokio::time::advance(Duration::from_secs(30)).await;
        second.used(500);
        let refused = rates.admit(of, || 1).err().expect("far beyond");
        assert_eq!(refused.wait, Duration::from_secs(30));
        assert_eq!(refused.standing.remaining, 0);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(rates.admit(of, || 1000).is_ok(), "alone, however large");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_under_way_are_bounded_and_forgotten_after_their_end() {
        let rates = Arc::new(Rates::new());
        let limits = RateLimits {
            concurrent_calls: Some(2),
            ..NONE
        };
        let of = bounds(1, NONE, limits);
        let calls: Vec<_> = (0..2).map(|_| rates.admit(of, || 1).ok()).collect();
        let refused = rates.admit(of, || 1).err().expect("two are under way");
        assert_eq!(refused.standing.what, What::Concurrency);
        tokio::time::advance(Duration::from_secs(61)).await;
        rates.sweep();
        assert!(rates.admit(of, || 1).is_err(), "they go on");
        drop(calls);
        assert!(rates.admit(of, || 1).is_ok());
        tokio::time::advance(Duration::from_secs(61)).await;
        rates.sweep();
        assert!(rates.lock(of.organization_id).is_empty());
    }
}
