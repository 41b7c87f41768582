//! At most one execution for each `Idempotency-Key`, and the same answer again.
//!
//! * [`key`] reads the header, [`canonical`] says what a request says;
//! * [`turns`] lets one request at a time through for each key, in this process;
//! * [`Claims`] are what the database knows a request by: keyed hashes, since a body
//!   may hold a provider's key and customers put all kinds of things into keys;
//! * `store::idempotency` keeps claim and answer in the transaction that does the work,
//!   which is [`crate::write`]'s.
//!
//! Only successes are kept. A failure leaves nothing behind, so a repetition is tried
//! afresh: Cyberdesk's SDK repeats after a 503, and is not to be given it again for a day.

pub(crate) mod canonical;
pub(crate) mod key;
pub(crate) mod turns;

use domain::id::{Alias, OrganizationId};
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use store::idempotency::{Claim, Claimed, StoredAnswer};
use vault::root_key::HashPurpose;
use vault::{Binding, Purpose};

use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::call::Call;
use crate::idempotency::turns::TurnKey;
use crate::state::ControlState;

/// What became of the key: `completed`, `in_progress` or `mismatch`.
pub(crate) const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");

/// `true` on an answer that was given before.
pub(crate) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How the database knows a request: under the current hash key, and under older ones.
#[derive(Debug)]
pub(crate) struct Claims {
    current: Claim,
    older: Vec<Claim>,
}

impl Claims {
    /// The claims of a request that carries an idempotency key.
    pub(crate) fn of(
        state: &ControlState,
        call: &Call,
        meaning: &str,
        at: Timestamp,
    ) -> Result<Option<Self>, ApiError> {
        let Some(key) = call.idempotency_key() else {
            return Ok(None);
        };
        let root_keys = state.root_keys();
        let said = canonical::request(call, meaning);
        let hashed = root_keys.keyed_hashes(HashPurpose::IdempotencyKey, key.as_bytes())?;
        let mut claims = Vec::with_capacity(hashed.len());
        for (hash_key_id, key_hash) in hashed {
            let purpose = HashPurpose::IdempotencyFingerprint;
            let fingerprint = root_keys.keyed_hash_under(&hash_key_id, purpose, &said)?;
            claims.push(Claim {
                organization_id: call.caller.organization_id,
                key_hash,
                fingerprint,
                hash_key_id,
                at,
            });
        }
        let mut claims = claims.into_iter();
        let current = claims.next().ok_or_else(ApiError::internal)?;
        let older = claims.collect();
        Ok(Some(Self { current, older }))
    }

    /// What is claimed in the transaction that does the work.
    pub(crate) const fn current(&self) -> &Claim {
        &self.current
    }

    pub(crate) const fn turn_key(&self) -> TurnKey {
        (self.current.organization_id, self.current.key_hash)
    }

    /// What an earlier execution left, under whichever hash key.
    pub(crate) async fn find(&self, state: &ControlState) -> Result<Option<Claimed>, ApiError> {
        for claim in std::iter::once(&self.current).chain(&self.older) {
            let found = store::idempotency::find(state.database(), claim).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// The answer as it is kept beside the work: as it is, or as a pointer to the vault
/// where it shows a new secret.
pub(crate) fn to_stored(answer: &Answer, sealed_under: Option<&Alias>) -> StoredAnswer {
    let headers = answer
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    StoredAnswer {
        status: answer.status.as_u16(),
        headers,
        body: sealed_under.map_or_else(
            || answer.body.to_vec(),
            |alias| alias.as_str().as_bytes().to_vec(),
        ),
        is_sealed: sealed_under.is_some(),
    }
}

/// The answer of the first execution, byte for byte.
pub(crate) async fn replay(
    state: &ControlState,
    organization_id: OrganizationId,
    stored: StoredAnswer,
) -> Result<Answer, ApiError> {
    let body = if stored.is_sealed {
        open(state, organization_id, &stored.body).await?
    } else {
        stored.body
    };
    let headers = stored.headers.into_iter().filter_map(|(name, value)| {
        Some((
            HeaderName::try_from(name).ok()?,
            HeaderValue::try_from(value).ok()?,
        ))
    });
    state.metrics().replays.inc();
    let answer = Answer {
        status: StatusCode::from_u16(stored.status).map_err(|_| ApiError::internal())?,
        headers: headers.collect(),
        body: body.into(),
    };
    Ok(completed(answer).with_header(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true")))
}

async fn open(
    state: &ControlState,
    organization_id: OrganizationId,
    alias: &[u8],
) -> Result<Vec<u8>, ApiError> {
    let alias = std::str::from_utf8(alias)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(ApiError::internal)?;
    let secret = state.vault().get(&binding(organization_id, alias)).await?;
    Ok(secret.expose().as_bytes().to_vec())
}

/// What a sealed answer is bound to.
pub(crate) const fn binding(organization_id: OrganizationId, alias: Alias) -> Binding {
    Binding {
        organization_id: Some(organization_id),
        alias,
        version: 1,
        purpose: Purpose::IdempotentAnswer,
        provider: String::new(),
        allowed_origin: String::new(),
    }
}

/// Marks an answer as the one that is kept.
pub(crate) fn completed(answer: Answer) -> Answer {
    answer.with_header(IDEMPOTENCY_STATUS, HeaderValue::from_static("completed"))
}

/// The first request with the key still runs: come back with the same key.
pub(crate) fn in_progress() -> ApiError {
    ApiError::conflict("A request with this Idempotency-Key is still running")
        .with_header(IDEMPOTENCY_STATUS, HeaderValue::from_static("in_progress"))
        .with_header(RETRY_AFTER, HeaderValue::from_static("2"))
}

/// The key was used for another request. Final.
pub(crate) fn mismatch() -> ApiError {
    ApiError::conflict("This Idempotency-Key was used for another request")
        .with_header(IDEMPOTENCY_STATUS, HeaderValue::from_static("mismatch"))
}
