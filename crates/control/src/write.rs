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

use std::future::Future;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use domain::api_key::Scope;
use domain::audit::{Actor, AuditEvent};
use domain::clock::{random, time_ordered_id};
use domain::id::{Alias, AuditEventId};
use domain::secret::Secret;
use jiff::Timestamp;
use serde_json::Value;
use store::changes::Change;
use store::idempotency::{Claimed, RETENTION};
use store::sealed::SealedSecretRow;
use store::{StoreError, WriteTransaction};
use vault::{Binding, Deposit, SealedSecret};

use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::idempotency::{self, Claims};
use crate::state::ControlState;

/// How often a write begins anew when what it prepared for has changed meanwhile.
const MAXIMUM_TRIES: usize = 5;

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

/// Before the transaction.
pub(crate) struct Preparation<'write> {
    pub(crate) state: &'write ControlState,
    pub(crate) call: &'write Call,
    pub(crate) now: Timestamp,
    /// Secrets that an external vault holds already, to be taken back on failure.
    external: Vec<Alias>,
}

/// A secret in the vault, of which nothing refers to it yet.
pub(crate) struct Deposited {
    pub(crate) alias: Alias,
    sealed: Option<SealedSecret>,
}

/// Within the transaction.
pub(crate) struct WriteContext<'write> {
    pub(crate) transaction: &'write mut WriteTransaction,
    pub(crate) state: &'write ControlState,
    pub(crate) call: &'write Call,
    pub(crate) now: Timestamp,
}

/// Answers a request to write.
pub(crate) async fn write<O: Operation>(state: ControlState, request: Request) -> Response {
    let result = answer::<O>(&state, request).await;
    state.metrics().count_write(O::ACTION, result.is_ok());
    result.into_response()
}

async fn answer<O: Operation>(state: &ControlState, request: Request) -> Result<Answer, ApiError> {
    let call = Call::read(state, request, O::BODY, O::SCOPE).await?;
    let operation = O::read(&call)?;
    let Some(claims) = Claims::of(state, &call, state.now())? else {
        return execute(state, &call, &operation, None).await;
    };
    // Held until the answer is durable.
    let turn = state.turns().take(claims.turn_key()).await;
    let Some(_turn) = turn else {
        return Err(idempotency::in_progress());
    };
    match claims.find(state).await? {
        None | Some(Claimed::First) => execute(state, &call, &operation, Some(&claims)).await,
        Some(earlier) => answer_again(state, &call, earlier).await,
    }
}

async fn execute<O: Operation>(
    state: &ControlState,
    call: &Call,
    operation: &O,
    claims: Option<&Claims>,
) -> Result<Answer, ApiError> {
    for _ in 0..MAXIMUM_TRIES {
        let mut preparation = Preparation {
            state,
            call,
            now: state.now(),
            external: Vec::new(),
        };
        let result = attempt(&mut preparation, operation, claims).await;
        match result {
            Ok(Attempted::Done(answer)) => return Ok(answer),
            Ok(Attempted::Before(earlier)) => {
                preparation.take_back().await;
                return answer_again(state, call, earlier).await;
            }
            Ok(Attempted::Stale) => preparation.take_back().await,
            Err(error) => {
                preparation.take_back().await;
                return done_meanwhile(state, call, claims)
                    .await
                    .unwrap_or(Err(error));
            }
        }
    }
    Err(ApiError::unavailable(
        "Others keep changing the same thing; try again",
    ))
}

/// Another node may have done the same request since this one was looked up, so that now
/// it can only fail: a DELETE finds nothing, a PATCH finds a revision too new.
async fn done_meanwhile(
    state: &ControlState,
    call: &Call,
    claims: Option<&Claims>,
) -> Option<Result<Answer, ApiError>> {
    let earlier = claims?.find(state).await.ok()??;
    Some(answer_again(state, call, earlier).await)
}

enum Attempted {
    Done(Answer),
    Stale,
    /// Another node did it first.
    Before(Claimed),
}

async fn attempt<O: Operation>(
    preparation: &mut Preparation<'_>,
    operation: &O,
    claims: Option<&Claims>,
) -> Result<Attempted, ApiError> {
    let prepared = operation.prepare(preparation).await?;
    let mut transaction = preparation.state.database().write().await?;
    if let Some(claims) = claims {
        match store::idempotency::claim(&mut transaction, claims.current()).await {
            Ok(Claimed::First) => {}
            Ok(earlier) => return Ok(Attempted::Before(earlier)),
            Err(StoreError::Busy) => return Err(idempotency::in_progress()),
            Err(error) => return Err(error.into()),
        }
    }
    let mut context = WriteContext {
        transaction: &mut transaction,
        state: preparation.state,
        call: preparation.call,
        now: preparation.now,
    };
    let Outcome::Done(done) = operation.run(prepared, &mut context).await? else {
        return Ok(Attempted::Stale);
    };
    let answer = context.conclude(O::ACTION, *done, claims).await?;
    transaction.commit().await?;
    Ok(Attempted::Done(answer))
}

async fn answer_again(
    state: &ControlState,
    call: &Call,
    earlier: Claimed,
) -> Result<Answer, ApiError> {
    match earlier {
        Claimed::Done(stored) => {
            idempotency::replay(state, call.caller.organization_id, stored).await
        }
        Claimed::Mismatch => Err(idempotency::mismatch()),
        // A claim without an answer is never committed.
        Claimed::First => Err(ApiError::internal()),
    }
}

impl Preparation<'_> {
    /// A new random alias.
    pub(crate) fn new_alias(&self) -> Alias {
        Alias::from_random(random(self.state.entropy()))
    }

    /// Gives a secret to the vault. [`WriteContext::keep`] makes it last.
    pub(crate) async fn deposit(
        &mut self,
        binding: &Binding,
        secret: &Secret,
    ) -> Result<Deposited, ApiError> {
        let alias = binding.alias.clone();
        let sealed = match self.state.vault().put(binding, secret).await? {
            Deposit::Row(sealed) => Some(sealed),
            Deposit::External => {
                self.external.push(alias.clone());
                None
            }
        };
        Ok(Deposited { alias, sealed })
    }

    /// Destroys what an external vault was given for nothing.
    async fn take_back(self) {
        for alias in &self.external {
            if let Err(error) = self.state.vault().delete(alias).await {
                tracing::error!(error = %error, alias = %alias, "a secret is left that nothing refers to");
            }
        }
    }
}

impl WriteContext<'_> {
    /// Writes a deposited secret beside the row that names its alias.
    pub(crate) async fn keep(&mut self, deposited: &Deposited) -> Result<(), ApiError> {
        let Some(sealed) = &deposited.sealed else {
            return Ok(());
        };
        let row = SealedSecretRow {
            alias: sealed.alias.clone(),
            version: sealed.version,
            organization_id: sealed.organization_id,
            blob: sealed.blob.clone(),
        };
        store::sealed::insert_secret(self.transaction, &row).await?;
        Ok(())
    }

    /// Has the secret under `alias` destroyed at `due`, after this has been committed.
    pub(crate) async fn destroy(&mut self, alias: &Alias, due: Timestamp) -> Result<(), ApiError> {
        store::outbox::schedule_destruction(self.transaction, alias, due).await?;
        Ok(())
    }

    /// What every write leaves behind beside its rows.
    async fn conclude(
        &mut self,
        action: &'static str,
        done: Done,
        claims: Option<&Claims>,
    ) -> Result<Answer, ApiError> {
        let event = self.audit_event(action, done.audited);
        store::audit::append(self.transaction, &event).await?;
        store::changes::record(self.transaction, done.change).await?;
        let Some(claims) = claims else {
            return Ok(done.answer);
        };
        if let Some(deposited) = &done.sealed_answer {
            self.keep(deposited).await?;
            self.destroy(&deposited.alias, self.now + RETENTION).await?;
        }
        let alias = done.sealed_answer.as_ref().map(|it| &it.alias);
        let stored = idempotency::to_stored(&done.answer, alias);
        store::idempotency::complete(self.transaction, claims.current(), &stored).await?;
        Ok(idempotency::completed(done.answer))
    }

    fn audit_event(&self, action: &'static str, audited: Audited) -> AuditEvent {
        AuditEvent {
            id: AuditEventId(time_ordered_id(self.state.clock(), self.state.entropy())),
            organization_id: Some(self.call.caller.organization_id),
            at: self.now,
            actor: Actor::ApiKey {
                id: self.call.caller.api_key_id,
            },
            action: action.to_owned(),
            resource_id: audited.resource_id,
            before: audited.before,
            after: audited.after,
            request_id: self.call.request_id.clone(),
        }
    }
}
