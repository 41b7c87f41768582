//! What may be spent in a month, by organisations and their API keys.
//!
//! What was spent is the sum of two: what the database has (of every node, as it was read
//! last) and what this node has spent that was not stored then. Whoever stores this node's
//! usage reads the totals too, one after the other, so that no cost is in both or in
//! neither; see [`Spending::refresh`].
//!
//! A call reserves the most that it may cost before it begins, and another is let through
//! only while less than the budget is spent and reserved. So a burst of parallel calls
//! spends more than the budget by at most what one of them costs. What other nodes have
//! reserved is not known here: across nodes it is one call for each.
//!
//! Models without a price cost nothing here; nobody knows what they cost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::budget::{Budget, Month};
use domain::id::{ApiKeyId, OrganizationId};
use jiff::Timestamp;

use super::rates::Whose;

/// Organisations are spread over so many locks.
const SHARDS: usize = 64;

/// Who pays for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payer {
    /// The organisation.
    pub organization_id: OrganizationId,
    /// The key that called.
    pub api_key_id: ApiKeyId,
}

/// What was spent this month.
#[derive(Debug)]
pub struct Spending {
    shards: Vec<Mutex<HashMap<OrganizationId, OfOrganization>>>,
}

#[derive(Debug, Default)]
struct OfOrganization {
    month: Month,
    all: Spent,
    by_key: HashMap<ApiKeyId, Spent>,
}

/// Micro-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spent {
    stored: i64,
    unstored: i64,
    reserved: i64,
    /// The soft bound was reached, and that was logged.
    is_known: bool,
}

/// Which of the two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Soft,
    Hard,
}

/// A bound that is reached: what clients are told in `X-Quartermaster-Budget`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) whose: Whose,
    pub(crate) bound: Bound,
    pub(crate) limit_micros: i64,
    pub(crate) spent_micros: i64,
    pub(crate) month: Month,
    /// When the next month begins.
    pub(crate) resets_at: Option<Timestamp>,
}

/// A call that a budget holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// All of it is spent.
    Spent(Reached),
    /// The calls that are under way may spend what is left; when they have ended, there may
    /// be some again.
    Reserved(Reached),
}

/// A call that was let through. Dropped, nothing is reserved for it any more.
#[derive(Debug)]
pub(crate) struct Reservation {
    spending: Arc<Spending>,
    payer: Payer,
    month: Month,
    micros: i64,
    /// The soft bound that is reached, and whether this call is the first to meet it.
    pub(crate) warning: Option<(Reached, IsNew)>,
}

/// Whether a bound is met for the first time in this month, on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IsNew(pub(crate) bool);

impl Default for Spending {
    fn default() -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS);
        Self {
            shards: shards.collect(),
        }
    }
}

impl Spending {
    /// Lets a call through under the budgets of its key and of its organisation; `most` is
    /// the most that it may cost, which is only asked where there is a hard bound.
    pub(crate) fn admit(
        self: &Arc<Self>,
        payer: Payer,
        (of_key, of_organization): (Budget, Budget),
        now: Timestamp,
        most: impl FnOnce() -> i64,
    ) -> Result<Option<Reservation>, Refusal> {
        if of_key.is_unlimited() && of_organization.is_unlimited() {
            return Ok(None);
        }
        let is_bounded = of_key.hard_micros.or(of_organization.hard_micros).is_some();
        let micros = if is_bounded { most().max(0) } else { 0 };
        let month = Month::of(now);
        let mut organizations = self.lock(payer.organization_id);
        let both = organizations.entry(payer.organization_id).or_default();
        both.advance(month);
        let key = both.by_key.entry(payer.api_key_id).or_default();
        let mut parts = [
            (Whose::ApiKey, key, of_key),
            (Whose::Organization, &mut both.all, of_organization),
        ];
        // Both are asked before anything is reserved.
        for (whose, spent, budget) in &parts {
            spent.check(*whose, *budget, now)?;
        }
        let mut warning = None;
        for (whose, spent, budget) in &mut parts {
            spent.reserved = spent.reserved.saturating_add(micros);
            if let Some(reached) = spent.soft(*whose, *budget, now) {
                let is_new = !std::mem::replace(&mut spent.is_known, true);
                warning.get_or_insert((reached, IsNew(is_new)));
            }
        }
        drop(organizations);
        Ok(Some(Reservation {
            spending: Arc::clone(self),
            payer,
            month,
            micros,
            warning,
        }))
    }

    /// A call that began at `called_at` cost something, which is not stored yet.
    pub(crate) fn spend(&self, payer: Payer, called_at: Timestamp, micros: i64) {
        let month = Month::of(called_at);
        let mut organizations = self.lock(payer.organization_id);
        let both = organizations.entry(payer.organization_id).or_default();
        both.advance(month);
        if both.month == month {
            let key = both.by_key.entry(payer.api_key_id).or_default();
            for spent in [key, &mut both.all] {
                spent.unstored = spent.unstored.saturating_add(micros);
            }
        }
    }

    /// Takes over what the database has of a month: the whole of it, by key, for all
    /// organisations that have a budget.
    ///
    /// `newly_stored` is what this node stored of that month since the last time. It must be
    /// in `totals`, and nothing of this node that is in `totals` may come later.
    pub fn refresh(
        &self,
        month: Month,
        totals: impl IntoIterator<Item = (Payer, i64)>,
        newly_stored: impl IntoIterator<Item = (Payer, i64)>,
    ) {
        let mut news = HashMap::<OrganizationId, HashMap<ApiKeyId, Spent>>::new();
        let mut of = |payer: Payer, change: &dyn Fn(&mut Spent)| {
            let keys = news.entry(payer.organization_id).or_default();
            change(keys.entry(payer.api_key_id).or_default());
        };
        for (payer, micros) in totals {
            of(payer, &|spent| spent.stored = micros);
        }
        for (payer, micros) in newly_stored {
            of(payer, &|spent| {
                spent.unstored = spent.unstored.saturating_sub(micros);
            });
        }
        for shard in &self.shards {
            let mut organizations = shard.lock().unwrap_or_else(PoisonError::into_inner);
            organizations.retain(|id, organization| {
                organization.take_in(month, news.remove(id).unwrap_or_default());
                organization.matters()
            });
        }
        for (id, keys) in news {
            let mut organizations = self.lock(id);
            organizations.entry(id).or_default().take_in(month, keys);
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

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut organizations = self.spending.lock(self.payer.organization_id);
        let Some(both) = organizations.get_mut(&self.payer.organization_id) else {
            return;
        };
        if both.month != self.month {
            return;
        }
        let key = both.by_key.get_mut(&self.payer.api_key_id);
        for spent in key.into_iter().chain([&mut both.all]) {
            spent.reserved = spent.reserved.saturating_sub(self.micros);
        }
    }
}

impl OfOrganization {
    /// A new month begins with nothing spent, whatever is still under way. Time does not go
    /// back.
    fn advance(&mut self, month: Month) {
        if self.month < month {
            *self = Self {
                month,
                ..Self::default()
            };
        }
    }

    fn take_in(&mut self, month: Month, news: HashMap<ApiKeyId, Spent>) {
        self.advance(month);
        if self.month != month {
            return;
        }
        for spent in self.by_key.values_mut() {
            spent.stored = 0;
        }
        for (id, new) in news {
            let spent = self.by_key.entry(id).or_default();
            spent.stored = new.stored;
            spent.unstored = spent.unstored.saturating_add(new.unstored);
        }
        self.by_key.retain(|_, spent| spent.matters());
        let sum = |part: fn(&Spent) -> i64| self.by_key.values().map(part).sum();
        self.all.stored = sum(|spent| spent.stored);
        self.all.unstored = sum(|spent| spent.unstored);
    }

    fn matters(&self) -> bool {
        self.all.matters() || !self.by_key.is_empty()
    }
}

impl Spent {
    fn matters(&self) -> bool {
        (self.stored, self.unstored, self.reserved) != (0, 0, 0)
    }

    const fn micros(&self) -> i64 {
        self.stored.saturating_add(self.unstored)
    }

    fn check(&self, whose: Whose, budget: Budget, now: Timestamp) -> Result<(), Refusal> {
        let Some(limit) = budget.hard_micros else {
            return Ok(());
        };
        let reached = self.reached(whose, Bound::Hard, limit, now);
        if self.micros() >= limit {
            Err(Refusal::Spent(reached))
        } else if self.micros().saturating_add(self.reserved) >= limit {
            Err(Refusal::Reserved(reached))
        } else {
            Ok(())
        }
    }

    fn soft(&self, whose: Whose, budget: Budget, now: Timestamp) -> Option<Reached> {
        let limit = budget.soft_micros?;
        (self.micros() >= limit).then(|| self.reached(whose, Bound::Soft, limit, now))
    }

    fn reached(&self, whose: Whose, bound: Bound, limit: i64, now: Timestamp) -> Reached {
        Reached {
            whose,
            bound,
            limit_micros: limit,
            spent_micros: self.micros(),
            month: Month::of(now),
            resets_at: Month::end_after(now),
        }
    }
}

impl Bound {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

impl Reached {
    /// The value of `X-Quartermaster-Budget`.
    pub(crate) fn header(&self) -> String {
        let resets = self.resets_at.map(|at| format!("; resets={at}"));
        format!(
            "{}; bound={}; limit_micros={}; spent_micros={}{}",
            self.whose.as_str(),
            self.bound.as_str(),
            self.limit_micros,
            self.spent_micros,
            resets.unwrap_or_default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const NONE: Budget = Budget {
        soft_micros: None,
        hard_micros: None,
    };

    fn payer(key: u128) -> Payer {
        Payer {
            organization_id: OrganizationId(Uuid::from_u128(1)),
            api_key_id: ApiKeyId(Uuid::from_u128(key)),
        }
    }

    fn hard(micros: i64) -> Budget {
        Budget {
            hard_micros: Some(micros),
            ..NONE
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        time("2026-11-24T12:00:00Z")
    }

    fn spent(spending: &Spending) -> i64 {
        spending.lock(payer(1).organization_id)[&payer(1).organization_id]
            .all
            .micros()
    }

    proptest! {
        /// Whatever the calls may cost and do cost, in whatever order they begin and end:
        /// what is spent in the end is less than the bound and the most that the dearest
        /// call may cost.
        #[test]
        fn a_burst_spends_too_much_by_one_call_at_most(
            bound in 1..5000_i64,
            calls in prop::collection::vec((0..1000_i64, 0..=100_i64, any::<bool>()), 1..80)
        ) {
            let spending = Arc::new(Spending::default());
            let mut under_way = std::collections::VecDeque::new();
            let end = |(reservation, cost): (Reservation, i64)| {
                spending.spend(payer(1), now(), cost);
                drop(reservation);
            };
            let dearest = calls.iter().map(|(most, ..)| *most).max().unwrap_or(0);
            for (most, share, ends_one) in calls {
                if ends_one && let Some(call) = under_way.pop_front() {
                    end(call);
                }
                let admitted = spending.admit(payer(1), (NONE, hard(bound)), now(), || most);
                if let Ok(reservation) = admitted {
                    under_way.push_back((reservation.unwrap(), most * share / 100));
                }
            }
            under_way.into_iter().for_each(end);
            let all = spending.lock(payer(1).organization_id)[&payer(1).organization_id].all;
            prop_assert_eq!(all.reserved, 0);
            prop_assert!(all.micros() < bound + dearest.max(1));
        }
    }

    #[test]
    fn a_call_alone_goes_however_dear_and_the_next_waits_for_it() {
        let spending = Arc::new(Spending::default());
        let admit = || spending.admit(payer(1), (hard(100), NONE), now(), || 5000);
        let first = admit().unwrap();
        let Err(Refusal::Reserved(reached)) = admit() else {
            panic!("what is left is reserved");
        };
        assert_eq!((reached.whose, reached.spent_micros), (Whose::ApiKey, 0));
        spending.spend(payer(1), now(), 40);
        drop(first);
        let second = admit().unwrap();
        spending.spend(payer(1), now(), 60);
        drop(second);
        let Err(Refusal::Spent(reached)) = admit() else {
            panic!("it is spent");
        };
        assert_eq!(
            reached.header(),
            "api_key; bound=hard; limit_micros=100; spent_micros=100; resets=2026-12-01T00:00:00Z"
        );
        assert!(
            spending
                .admit(payer(2), (hard(100), NONE), now(), || 1)
                .is_ok(),
            "another key has a budget of its own"
        );
        let both = (hard(100), hard(100));
        let Err(Refusal::Spent(reached)) = spending.admit(payer(2), both, now(), || 1) else {
            panic!("the organisation's is spent");
        };
        assert_eq!(reached.whose, Whose::Organization);
    }

    #[test]
    fn a_new_month_begins_with_nothing_spent_whatever_is_under_way() {
        let spending = Arc::new(Spending::default());
        let last = time("2026-11-30T23:59:59Z");
        let next = time("2026-12-01T00:00:00Z");
        let admit = |at| spending.admit(payer(1), (NONE, hard(100)), at, || 100);
        let under_way = admit(last).unwrap();
        assert!(admit(last).is_err());
        let of_next = admit(next).unwrap();
        // It cost its own month something, and gives nothing of the next one back.
        spending.spend(payer(1), last, 70);
        drop(under_way);
        assert!(matches!(admit(next), Err(Refusal::Reserved(_))));
        drop(of_next);
        assert_eq!(spent(&spending), 0);
        // A total of the month before that was read late changes nothing.
        spending.refresh(Month::of(last), [(payer(1), 70)], [(payer(1), 70)]);
        assert!(admit(next).is_ok());
    }

    #[test]
    fn what_is_stored_is_counted_once() {
        let spending = Arc::new(Spending::default());
        let month = Month::of(now());
        spending.spend(payer(1), now(), 10);
        spending.spend(payer(2), now(), 5);
        // Another node spent 100; of this one the first cost is stored.
        spending.refresh(month, [(payer(1), 110)], [(payer(1), 10)]);
        assert_eq!(spent(&spending), 115);
        spending.spend(payer(1), now(), 1);
        spending.refresh(
            month,
            [(payer(1), 111), (payer(2), 5)],
            [(payer(1), 1), (payer(2), 5)],
        );
        assert_eq!(spent(&spending), 116);
        // Without a budget nothing is read, and nothing is kept.
        spending.refresh(month, [], []);
        assert!(spending.lock(payer(1).organization_id).is_empty());
    }

    #[test]
    fn the_soft_bound_warns_and_is_new_once_a_month() {
        let spending = Arc::new(Spending::default());
        let soft = Budget {
            soft_micros: Some(10),
            ..NONE
        };
        let warning = |at| {
            let admitted = spending.admit(payer(1), (NONE, soft), at, || unreachable!());
            admitted
                .unwrap()
                .unwrap()
                .warning
                .map(|(_, is_new)| is_new.0)
        };
        assert_eq!(warning(now()), None);
        spending.spend(payer(1), now(), 10);
        assert_eq!(warning(now()), Some(true));
        assert_eq!(warning(now()), Some(false));
        assert_eq!(warning(time("2026-12-01T00:00:00Z")), None);
    }
}
