//! Idempotency keys: at most one execution, and the same answer again.
//!
//! A claim is the first statement of the transaction that does the work, and the
//! answer its last, so that work, answer and claim become durable together or not
//! at all. There is no lease and nothing to clean up after a crash.

use domain::id::OrganizationId;
use jiff::Timestamp;

use crate::error::StoreError;
use crate::{Database, WriteTransaction};

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
    let _ = (database, claim);
    unimplemented!()
}

/// Claims a key. Waits for another transaction that holds the same key.
///
/// # Errors
/// [`StoreError::Busy`] when that other transaction does not end in time.
pub async fn claim(
    transaction: &mut WriteTransaction,
    claim: &Claim,
) -> Result<Claimed, StoreError> {
    let _ = (transaction, claim);
    unimplemented!()
}

/// Stores the answer of a claim that was [`Claimed::First`].
pub async fn complete(
    transaction: &mut WriteTransaction,
    claim: &Claim,
    answer: &StoredAnswer,
) -> Result<(), StoreError> {
    let _ = (transaction, claim, answer);
    unimplemented!()
}

/// Deletes answers stored before `before`; returns how many.
pub async fn reap(database: &Database, before: Timestamp) -> Result<u64, StoreError> {
    let _ = (database, before);
    unimplemented!()
}
