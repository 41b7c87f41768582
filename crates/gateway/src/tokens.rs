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
                let kept = self.lock().get(key).and_then(|slot| slot.usable(now));
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
        if slots.len() >= KEPT_AT_MOST && !slots.contains_key(key) {
            make_room(&mut slots, now);
        }
        let slot = slots.entry(key.clone()).or_default();
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
            if let Some(slot) = tokens.lock().get_mut(&key) {
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

/// Leaves out what no call would use; everything, if that is not enough.
fn make_room(slots: &mut HashMap<KeyReference, Slot>, now: Timestamp) {
    slots.retain(|_, slot| slot.usable(now).is_some());
    if slots.len() >= KEPT_AT_MOST {
        slots.clear();
    }
}

impl Slot {
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
        Ok(exchange::decode(
            response.status,
            &response.headers,
            &body,
            now,
        )?)
    }
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
