//! Idempotency keys: at most one execution, and the same answer again.
//!
//! A claim is the first statement of the transaction that does the work, and the
//! answer its last, so that work, answer and claim become durable together or not
//! at all. There is no lease and nothing to clean up after a crash.

use domain::id::OrganizationId;
use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;

use crate::database::Statement;
use crate::error::StoreError;
use crate::row::{Read as _, json, unreadable};
use crate::{Database, WriteTransaction};

/// How long an answer is kept for replay. Twice what clients are promised, so that a clock
/// that is set forward by a day breaks no promise.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(48);

/// A request that wants to be done at most once.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Keys of different organisations are independent.
    pub organization_id: OrganizationId,
    /// Keyed hash of the client's `Idempotency-Key`.
    pub key_hash: [u8; 32],
    /// Keyed hash of everything the request says.
    pub fingerprint: [u8; 32],
    /// Which hash key made both.
    pub hash_key_id: String,
    /// Now.
    pub at: Timestamp,
}

/// The answer of the first execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers to replay, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte; or sealed, see `is_sealed`.
    pub body: Vec<u8>,
    /// Whether `body` is a blob of the vault's, since it shows a new key.
    pub is_sealed: bool,
}

/// What became of a claim.
#[derive(Clone, Debug)]
pub enum Claimed {
    /// Nobody did it yet: do it now, in this transaction.
    First,
    /// It was done, and this was the answer.
    Done(StoredAnswer),
    /// The key was used for another request.
    Mismatch,
}

/// What an earlier execution of the same claim left, without claiming anything.
pub async fn find(database: &Database, claim: &Claim) -> Result<Option<Claimed>, StoreError> {
    let rows = database.fetch(select(claim)).await?;
    rows.first().map(|row| read(row, claim)).transpose()
}

/// Claims a key. Waits for another transaction that holds the same key. It must be the
/// first statement of the transaction, so that nothing is done twice before it is known.
///
/// # Errors
/// [`StoreError::Busy`] when that other transaction does not end in time.
pub async fn claim(
    transaction: &mut WriteTransaction,
    claim: &Claim,
) -> Result<Claimed, StoreError> {
    transaction.execute(delete_expired(claim)).await?;
    if transaction.execute(insert(claim)).await? == 1 {
        transaction.expect_answer();
        return Ok(Claimed::First);
    }
    // The insert waited until the row that it met was committed, so this statement sees it.
    let rows = transaction.fetch(select(claim)).await?;
    // Where it does not, the row was deleted by age in between: the client tries again.
    let row = rows.first().ok_or(StoreError::Busy)?;
    read(row, claim)
}

/// Stores the answer of a claim that was [`Claimed::First`].
pub async fn complete(
    transaction: &mut WriteTransaction,
    claim: &Claim,
    answer: &StoredAnswer,
) -> Result<(), StoreError> {
    if !transaction.is_claimed() {
        return Err(StoreError::Database(
            "an answer to nothing claimed".to_owned(),
        ));
    }
    let statement = sqlx::query(
        "UPDATE idempotency_claims SET status = $3, headers = $4, body = $5, is_sealed = $6
         WHERE organization_id = $1 AND key_hash = $2",
    )
    .bind(claim.organization_id.to_string())
    .bind(claim.key_hash.as_slice())
    .bind(i64::from(answer.status))
    .bind(json(&answer.headers)?)
    .bind(answer.body.as_slice())
    .bind(i64::from(answer.is_sealed));
    transaction.execute(statement).await?;
    transaction.answered();
    Ok(())
}

/// How many claims are remembered whose hashes this key made. While there are any, they
/// can be found with that key alone.
pub async fn claims_under(database: &Database, hash_key_id: &str) -> Result<u64, StoreError> {
    let statement =
        sqlx::query("SELECT COUNT(*) AS claims FROM idempotency_claims WHERE hash_key_id = $1")
            .bind(hash_key_id.to_owned());
    let rows = database.fetch(statement).await?;
    let claims: i64 = rows.first().map_or(Ok(0), |row| row.value("claims"))?;
    Ok(claims.unsigned_abs())
}

/// Deletes answers stored before `before`; returns how many. The caller passes the time
/// now less [`RETENTION`].
pub async fn reap(database: &Database, before: Timestamp) -> Result<u64, StoreError> {
    let statement = sqlx::query("DELETE FROM idempotency_claims WHERE claimed_at < $1")
        .bind(before.as_microsecond());
    database.execute(statement).await
}

fn insert(claim: &Claim) -> Statement {
    sqlx::query(
        "INSERT INTO idempotency_claims
             (organization_id, key_hash, fingerprint, hash_key_id, claimed_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(claim.organization_id.to_string())
    .bind(claim.key_hash.as_slice())
    .bind(claim.fingerprint.as_slice())
    .bind(claim.hash_key_id.as_str())
    .bind(claim.at.as_microsecond())
}

/// A key is free again once its answer is old, whether or not the reaper has come by.
fn delete_expired(claim: &Claim) -> Statement {
    sqlx::query(
        "DELETE FROM idempotency_claims
         WHERE organization_id = $1 AND key_hash = $2 AND claimed_at < $3",
    )
    .bind(claim.organization_id.to_string())
    .bind(claim.key_hash.as_slice())
    .bind(expiry(claim).as_microsecond())
}

fn select(claim: &Claim) -> Statement {
    sqlx::query(
        "SELECT fingerprint, hash_key_id, status, headers, body, is_sealed
         FROM idempotency_claims
         WHERE organization_id = $1 AND key_hash = $2 AND claimed_at >= $3",
    )
    .bind(claim.organization_id.to_string())
    .bind(claim.key_hash.as_slice())
    .bind(expiry(claim).as_microsecond())
}

/// Answers to older claims are as good as gone.
fn expiry(claim: &Claim) -> Timestamp {
    claim.at.checked_sub(RETENTION).unwrap_or(Timestamp::MIN)
}

fn read(row: &AnyRow, claim: &Claim) -> Result<Claimed, StoreError> {
    let fingerprint: [u8; 32] = row.bytes("fingerprint")?;
    let hash_key_id: String = row.value("hash_key_id")?;
    if fingerprint != claim.fingerprint || hash_key_id != claim.hash_key_id {
        return Ok(Claimed::Mismatch);
    }
    let status: i64 = row.value("status")?;
    let is_sealed: i64 = row.value("is_sealed")?;
    Ok(Claimed::Done(StoredAnswer {
        status: u16::try_from(status).map_err(|_| unreadable("status"))?,
        headers: row.document("headers")?,
        body: row.value("body")?,
        is_sealed: is_sealed != 0,
    }))
}
