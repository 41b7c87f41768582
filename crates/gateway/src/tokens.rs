//! Access tokens that credentials have been exchanged for, kept until shortly before
//! they expire.
//!
//! However many calls need a token at once, one request is made for it: all wait for the
//! same future, which any of them drives on, so that it outlives none of them and a
//! client that goes away ends nobody else's wait. Nothing is fetched ahead of need. A
//! token is replaced while it still holds, and used on where its replacement fails.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::clock::Clock;
use domain::id::OrganizationId;
use domain::secret::Secret;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use jiff::{SignedDuration, Timestamp};
use providers::auth::Credential;
use providers::auth::exchange::{self, Exchange};
use providers::catalog::Provider;
use providers::error::{ErrorKind, ProviderError};
use tokio::time::Instant;

use crate::attempt::Failed;
use crate::limit::Limits;
use crate::scrub::Scrubber;
use crate::secrets::KeyReference;
use crate::upstream::{Partition, PoolKey, Timing, Upstream};

/// A token is replaced this long before it expires, or at the last quarter of its life.
const REFRESH_BEFORE: SignedDuration = SignedDuration::from_mins(5);
/// A token is not used this shortly before it expires: a call takes a while to arrive.
const UNUSED_BEFORE: SignedDuration = SignedDuration::from_secs(10);
/// How long a refusal is remembered, so that calls do not ask over and over.
const REFUSED_FOR: SignedDuration = SignedDuration::from_secs(5);
/// More than any answer with a token has, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;
/// How many credentials' tokens are kept.
const KEPT_AT_MOST: usize = 10_000;
/// How many of them are one organisation's. It can make as many credentials as it likes.
const KEPT_PER_ORGANIZATION: usize = 500;

type Fetching = Shared<BoxFuture<'static, Result<Kept, Failed>>>;

/// A credential with its access token.
#[derive(Clone)]
struct Kept {
    credential: Arc<Credential>,
    refresh_at: Timestamp,
    unused_at: Timestamp,
}

/// What is known for one credential.
#[derive(Default)]
struct Slot {
    /// The operator's key that all this is about. It may be read anew under the same
    /// reference; any other reference is to one secret for good.
    lent: Option<Arc<Credential>>,
    kept: Option<Kept>,
    /// The request that is under way, while somebody waits for it.
    fetching: Option<WeakShared<BoxFuture<'static, Result<Kept, Failed>>>>,
    /// The last refusal, and until when it is remembered.
    refused: Option<(ProviderError, Timestamp)>,
}

/// Every token that is kept.
#[derive(Default)]
pub(crate) struct Tokens {
    slots: Mutex<HashMap<KeyReference, Slot>>,
}

/// What fetching a token takes.
pub(crate) struct Fetch<'a> {
    pub(crate) upstream: &'a Arc<Upstream>,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) limits: &'a Limits,
    pub(crate) provider: &'static Provider,
    pub(crate) credential: &'a Arc<Credential>,
    /// Who else may use the connection.
    pub(crate) partition: &'a Partition,
}

/// A credential with an access token.
pub(crate) struct Authorized {
    pub(crate) credential: Arc<Credential>,
    /// Whether the token was there before it was asked for, so that it may have been
    /// revoked since.
    pub(crate) was_kept: bool,
}

/// What to do for a token.
enum Way {
    Use(Arc<Credential>),
    Wait(Fetching),
    Refuse(ProviderError),
}

impl Tokens {
    /// The credential with a token that holds.
    ///
    /// # Errors
    /// When there is none and none can be fetched.
    pub(crate) async fn get(
        self: &Arc<Self>,
        key: &KeyReference,
        fetch: &Fetch<'_>,
    ) -> Result<Authorized, Failed> {
        let fetching = match self.way(key, fetch) {
            Way::Use(credential) => {
                return Ok(Authorized {
                    credential,
                    was_kept: true,
                });
            }
            Way::Refuse(error) => return Err(error.into()),
            Way::Wait(fetching) => fetching,
        };
        match fetching.await {
            Ok(kept) => Ok(Authorized {
                credential: kept.credential,
                was_kept: false,
            }),
            Err(failed) => {
                let now = fetch.clock.now();
                let slots = self.lock();
                let slot = slots
                    .get(key)
                    .filter(|slot| slot.is_about(fetch.credential));
                let kept = slot.and_then(|slot| slot.usable(now));
                drop(slots);
                kept.ok_or(failed).map(|credential| Authorized {
                    credential,
                    was_kept: true,
                })
            }
        }
    }

    /// Drops a token that its provider no longer takes; another one stays.
    pub(crate) fn forget(&self, key: &KeyReference, credential: &Arc<Credential>) {
        if let Some(slot) = self.lock().get_mut(key)
            && let Some(kept) = &slot.kept
            && Arc::ptr_eq(&kept.credential, credential)
        {
            slot.kept = None;
        }
    }

    fn way(self: &Arc<Self>, key: &KeyReference, fetch: &Fetch<'_>) -> Way {
        let now = fetch.clock.now();
        let mut slots = self.lock();
        if !slots.contains_key(key) {
            make_room(&mut slots, owner_of(key), now);
        }
        let slot = slots.entry(key.clone()).or_default();
        if owner_of(key).is_none() && slot.lent.is_none() || !slot.is_about(fetch.credential) {
            *slot = Slot::of_lent(fetch.credential);
        }
        if let Some(kept) = &slot.kept
            && now < kept.refresh_at
        {
            return Way::Use(Arc::clone(&kept.credential));
        }
        let under_way = slot.fetching.as_ref().and_then(WeakShared::upgrade);
        match (under_way, slot.usable(now), &slot.refused) {
            // Somebody else replaces it, or cannot for now: it still holds.
            (Some(_), Some(credential), _) => Way::Use(credential),
            (Some(fetching), None, _) => Way::Wait(fetching),
            (None, usable, Some((error, until))) if now < *until => {
                usable.map_or_else(|| Way::Refuse(error.clone()), Way::Use)
            }
            (None, _, _) => {
                let fetching = self.fetching(key, fetch);
                slot.fetching = fetching.downgrade();
                Way::Wait(fetching)
            }
        }
    }

    fn fetching(self: &Arc<Self>, key: &KeyReference, fetch: &Fetch<'_>) -> Fetching {
        let (tokens, key) = (Arc::clone(self), key.clone());
        let fetcher = Fetcher {
            upstream: Arc::clone(fetch.upstream),
            clock: Arc::clone(fetch.clock),
            limits: fetch.limits.clone(),
            provider: fetch.provider,
            credential: Arc::clone(fetch.credential),
            partition: fetch.partition.clone(),
        };
        let fetched = async move {
            let result = fetcher.fetch().await;
            let now = fetcher.clock.now();
            if let Some(slot) = tokens.lock().get_mut(&key)
                && slot.is_about(&fetcher.credential)
            {
                slot.take(&result, now);
            }
            result
        };
        fetched.boxed().shared()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyReference, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose credential it is; none for the operator's.
const fn owner_of(key: &KeyReference) -> Option<OrganizationId> {
    match key {
        KeyReference::Own {
            organization_id, ..
        }
        | KeyReference::Slot {
            organization_id, ..
        } => Some(*organization_id),
        KeyReference::SystemDefault { .. } | KeyReference::Platform { .. } => None,
    }
}

/// Makes room for one more of `owner`'s: leaves out what no call would use and, if that is
/// not enough, what expires first. Others lose nothing as long as there is room for all.
fn make_room(
    slots: &mut HashMap<KeyReference, Slot>,
    owner: Option<OrganizationId>,
    now: Timestamp,
) {
    if kept_of(slots, owner) >= KEPT_PER_ORGANIZATION {
        slots.retain(|key, slot| owner_of(key) != owner || slot.usable(now).is_some());
        if kept_of(slots, owner) >= KEPT_PER_ORGANIZATION {
            drop_first(slots, owner);
        }
    }
    if slots.len() >= KEPT_AT_MOST {
        slots.retain(|_, slot| slot.usable(now).is_some());
        if slots.len() >= KEPT_AT_MOST {
            let largest = largest(slots);
            drop_first(slots, largest);
        }
    }
}

fn kept_of(slots: &HashMap<KeyReference, Slot>, owner: Option<OrganizationId>) -> usize {
    slots.keys().filter(|key| owner_of(key) == owner).count()
}

/// Who has the most.
fn largest(slots: &HashMap<KeyReference, Slot>) -> Option<OrganizationId> {
    let mut counts = HashMap::<_, usize>::new();
    for key in slots.keys() {
        *counts.entry(owner_of(key)).or_default() += 1;
    }
    let largest = counts.into_iter().max_by_key(|(_, count)| *count);
    largest.and_then(|(owner, _)| owner)
}

/// Drops the token of `owner`'s that expires first.
fn drop_first(slots: &mut HashMap<KeyReference, Slot>, owner: Option<OrganizationId>) {
    let own = slots.iter().filter(|(key, _)| owner_of(key) == owner);
    let first = own.min_by_key(|(_, slot)| slot.kept.as_ref().map(|kept| kept.unused_at));
    if let Some(key) = first.map(|(key, _)| key.clone()) {
        slots.remove(&key);
    }
}

impl Slot {
    fn of_lent(credential: &Arc<Credential>) -> Self {
        Self {
            lent: Some(Arc::clone(credential)),
            ..Self::default()
        }
    }

    /// Whether this is what it is about, and not a key that the operator had before.
    fn is_about(&self, credential: &Arc<Credential>) -> bool {
        let lent = self.lent.as_ref();
        lent.is_none_or(|lent| Arc::ptr_eq(lent, credential))
    }

    /// A token that holds still.
    fn usable(&self, now: Timestamp) -> Option<Arc<Credential>> {
        let kept = self.kept.as_ref().filter(|kept| now < kept.unused_at);
        kept.map(|kept| Arc::clone(&kept.credential))
    }

    fn take(&mut self, result: &Result<Kept, Failed>, now: Timestamp) {
        self.fetching = None;
        self.refused = None;
        match result {
            Ok(kept) => self.kept = Some(kept.clone()),
            Err(Failed::Provider(error)) if error.kind == ErrorKind::Authentication => {
                let until = now.checked_add(REFUSED_FOR).unwrap_or(now);
                self.refused = Some((error.clone(), until));
            }
            Err(_) => {}
        }
    }
}

impl Kept {
    fn new(credential: Credential, now: Timestamp, expires_at: Timestamp) -> Self {
        let lifetime = expires_at.duration_since(now);
        let before = |most: SignedDuration, part: i32| {
            let before = most.min(lifetime / part);
            expires_at.checked_sub(before).unwrap_or(expires_at)
        };
        Self {
            credential: Arc::new(credential),
            refresh_at: before(REFRESH_BEFORE, 4),
            unused_at: before(UNUSED_BEFORE, 10),
        }
    }
}

/// [`Fetch`], owned.
struct Fetcher {
    upstream: Arc<Upstream>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    provider: &'static Provider,
    credential: Arc<Credential>,
    partition: Partition,
}

impl Fetcher {
    async fn fetch(&self) -> Result<Kept, Failed> {
        let made = exchange::request(self.provider, &self.credential, self.clock.now());
        let exchange =
            made.map_err(|error| ProviderError::new(ErrorKind::Authentication, error.message))?;
        let token = self.send(exchange).await.map_err(in_words)?;
        let credential = self.credential.with_access_token(token.token);
        Ok(Kept::new(credential, self.clock.now(), token.expires_at))
    }

    async fn send(&self, exchange: Exchange) -> Result<exchange::AccessToken, Failed> {
        let pool_key = Arc::new(PoolKey {
            origin: exchange.origin,
            partition: self.partition.clone(),
        });
        let timing = Timing {
            connect: self.limits.connect,
            idle: self.limits.token,
            deadline: Instant::now() + self.limits.token,
        };
        let sent = self.upstream.send(&exchange.request, &pool_key, timing);
        let mut response = sent.await?;
        let (body, _) = response.body.collect_up_to(ANSWER_BYTES).await?;
        let now = self.clock.now();
        let token = exchange::decode(response.status, &response.headers, &body, now);
        // The credential's own fields are taken out where the error is shown.
        let scrubber = Scrubber::new(exchange.assertion.as_ref().map(Secret::expose));
        Ok(token.map_err(|error| scrubbed(error, &scrubber))?)
    }
}

/// The error without what was made from the credential for this one request.
fn scrubbed(mut error: ProviderError, scrubber: &Scrubber) -> ProviderError {
    error.message = scrubber.scrub(&error.message);
    error.code = error.code.map(|code| scrubber.scrub(&code));
    error
}

/// Says that it was not the model's own host that failed.
fn in_words(failed: Failed) -> Failed {
    match failed {
        Failed::NotSent(reason) => Failed::NotSent(format!("for an access token: {reason}")),
        Failed::Provider(mut error) if error.kind != ErrorKind::Authentication => {
            error.message = format!("for an access token: {}", error.message);
            Failed::Provider(error)
        }
        refused @ (Failed::Provider(_) | Failed::NoRoom) => refused,
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Alias;
    use providers::catalog;
    use uuid::Uuid;

    use super::*;

    /// A full set: `count` tokens of an organisation, the first of which expires first.
    fn fill(slots: &mut HashMap<KeyReference, Slot>, organization: u128, count: usize) {
        let provider = catalog::provider("openai").unwrap();
        let secret = Secret::new("sk-of-the-tests-0123456789".to_owned());
        let credential = Credential::parse(provider, &secret).unwrap();
        for number in 0..count {
            let expires_at = Timestamp::from_second(3600 + i64::try_from(number).unwrap());
            let kept = Kept::new(
                credential.clone(),
                Timestamp::UNIX_EPOCH,
                expires_at.unwrap(),
            );
            let slot = Slot {
                kept: Some(kept),
                ..Slot::default()
            };
            slots.insert(key(organization, number), slot);
        }
    }

    fn key(organization: u128, number: usize) -> KeyReference {
        KeyReference::Slot {
            organization_id: OrganizationId(Uuid::from_u128(organization)),
            alias: Alias::from_random((number as u128).to_be_bytes()),
            slot: "openai",
            provider: "openai",
        }
    }

    #[test]
    fn an_organization_makes_room_among_its_own_tokens() {
        let mut slots = HashMap::new();
        fill(&mut slots, 1, KEPT_PER_ORGANIZATION);
        fill(&mut slots, 2, 3);
        make_room(&mut slots, owner_of(&key(1, 0)), Timestamp::UNIX_EPOCH);
        assert_eq!(slots.len(), KEPT_PER_ORGANIZATION + 2);
        assert!(!slots.contains_key(&key(1, 0)), "it expires first");
        // Its tokens that hold no more go first.
        fill(&mut slots, 1, KEPT_PER_ORGANIZATION);
        let late = Timestamp::from_second(3600).unwrap();
        make_room(&mut slots, owner_of(&key(1, 0)), late);
        assert_eq!(kept_of(&slots, owner_of(&key(2, 0))), 3);
        assert!(!slots.contains_key(&key(1, 10)));
    }

    #[test]
    fn when_all_is_full_whoever_has_most_gives_way() {
        let mut slots = HashMap::new();
        let full = KEPT_AT_MOST / KEPT_PER_ORGANIZATION;
        for organization in 1..full as u128 {
            fill(&mut slots, organization, KEPT_PER_ORGANIZATION - 1);
        }
        let rest = KEPT_AT_MOST - slots.len() - 1;
        fill(&mut slots, 100, 1);
        fill(&mut slots, 101, rest - 1);
        fill(&mut slots, 102, 1);
        assert_eq!(slots.len(), KEPT_AT_MOST);
        make_room(&mut slots, owner_of(&key(200, 0)), Timestamp::UNIX_EPOCH);
        assert_eq!(slots.len(), KEPT_AT_MOST - 1);
        assert!(slots.contains_key(&key(100, 0)) && slots.contains_key(&key(102, 0)));
        assert!(!slots.contains_key(&key(101, 0)), "it had the most");
    }
}
