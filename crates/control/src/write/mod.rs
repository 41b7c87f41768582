//! Every write of the control plane, in one place.
//!
//! A write is an [`Operation`]: it reads its request, prepares what must not happen
//! inside a transaction, and runs. [`write`] does everything else, so that no operation
//! can forget it: caller and scope, the idempotency key, the transaction, the audit
//! event, the notice of the change, and the answer that is kept; all of it becomes
//! durable in one commit or not at all.
//!
//! The order matters. The claim of the key is the first statement of the transaction, so
//! that a duplicate on another node waits there instead of doing the work twice; and the
//! answer is the last, so that a claim without an answer is never seen by anybody.
//!
//! * [`drive`] runs an operation; [`context`] is what an operation works with;
//! * [`lines`] keeps writes to one row from getting in each other's way.

pub(crate) mod context;
pub(crate) mod drive;
pub(crate) mod lines;

use std::future::Future;

use domain::api_key::{Caller, Scope};
use serde_json::Value;
use store::changes::Change;

use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::write::context::{Deposited, Preparation, WriteContext};

/// One kind of write.
pub(crate) trait Operation: Sized + Send + Sync {
    /// `<resource>.<verb>`, for the audit trail.
    const ACTION: &'static str;
    /// What the caller's key must allow.
    const SCOPE: Scope;
    /// Whether it takes a body.
    const BODY: BodyRule;
    /// What [`Operation::prepare`] hands to [`Operation::run`].
    type Prepared: Send;

    /// Validates the request, without looking anything up; says all that is wrong at once.
    fn read(call: &Call) -> Result<Self, ApiError>;

    /// What the request means beyond its own words because of who sends it, or why its
    /// sender may not send it where [`Operation::SCOPE`] does not say so.
    ///
    /// An earlier answer is repeated after this and without [`Operation::prepare`]: a
    /// check that is made only there lets a weaker key see what a stronger one was
    /// answered. Under one idempotency key, requests that mean different things are
    /// different requests.
    fn meaning(&self, _caller: &Caller) -> Result<String, ApiError> {
        Ok(String::new())
    }

    /// Does what must not happen inside a transaction, which holds a connection and on
    /// SQLite the one write lock: looking at rows, handing secrets to the vault. May be
    /// done several times.
    fn prepare(
        &self,
        preparation: &mut Preparation<'_>,
    ) -> impl Future<Output = Result<Self::Prepared, ApiError>> + Send;

    /// Makes the change.
    fn run(
        &self,
        prepared: Self::Prepared,
        context: &mut WriteContext<'_>,
    ) -> impl Future<Output = Result<Outcome, ApiError>> + Send;
}

/// What became of [`Operation::run`].
pub(crate) enum Outcome {
    /// The change is made.
    Done(Box<Done>),
    /// What was prepared no longer fits; prepare again.
    Stale,
}

impl From<Done> for Outcome {
    fn from(done: Done) -> Self {
        Self::Done(Box::new(done))
    }
}

/// A change that was made.
pub(crate) struct Done {
    /// What the client gets.
    pub(crate) answer: Answer,
    /// The same answer in the vault, where it shows a new secret and a key was given.
    pub(crate) sealed_answer: Option<Deposited>,
    /// What the audit trail says of it.
    pub(crate) audited: Audited,
    /// Whose data every node is to read again.
    pub(crate) change: Change,
}

/// What changed, without secrets.
pub(crate) struct Audited {
    pub(crate) resource_id: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}
