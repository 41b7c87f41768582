//! What an operation works with, before its transaction and within it.

use domain::audit::{Actor, AuditEvent};
use domain::clock::{random, time_ordered_id};
use domain::id::{Alias, AuditEventId};
use domain::secret::Secret;
use jiff::Timestamp;
use store::WriteTransaction;
use store::idempotency::RETENTION;
use store::sealed::SealedSecretRow;
use vault::{Binding, Deposit, SealedSecret};

use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::call::Call;
use crate::idempotency::{self, Claims};
use crate::state::ControlState;
use crate::write::{Audited, Done};

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

impl<'write> Preparation<'write> {
    pub(crate) fn new(state: &'write ControlState, call: &'write Call) -> Self {
        Self {
            state,
            call,
            now: state.now(),
            external: Vec::new(),
        }
    }

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

    /// Leaves what an external vault was given where it is. A commit that fails may have
    /// been made all the same, and a secret too many is better than one too few.
    pub(crate) fn keep(&mut self) {
        self.external.clear();
    }

    /// Destroys what an external vault was given for nothing.
    pub(crate) async fn take_back(self) {
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

    /// Notes a further change that this write made beside its own.
    pub(crate) async fn audit(
        &mut self,
        action: &'static str,
        audited: Audited,
    ) -> Result<(), ApiError> {
        let event = self.audit_event(action, audited);
        store::audit::append(self.transaction, &event).await?;
        Ok(())
    }

    /// What every write leaves behind beside its rows: its audit event, the notice of the
    /// change, and the answer that is kept.
    pub(crate) async fn conclude(
        &mut self,
        action: &'static str,
        done: Done,
        claims: Option<&Claims>,
    ) -> Result<Answer, ApiError> {
        self.audit(action, done.audited).await?;
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
