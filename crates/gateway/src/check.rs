//! One minimal live call, for whoever wants to know whether a configuration works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::api_key::Caller;
use domain::id::ModelConfigurationId;
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::provider_credential::{CredentialStatus, ProviderCredential};
use http::{HeaderMap, StatusCode};
use providers::chat::WireFormat;
use providers::chat::call::{ChatCall, Message, Role, Sampling};
use providers::chat::part::Content;
use providers::error::ErrorKind;
use uuid::Uuid;

use crate::attempt::{
    Call, Content as Answered, Failed, Prepared, Received, exchange, forget_refused_token, prepare,
};
use crate::error::CallError;
use crate::gateway::Gateway;
use crate::limit::admit;
use crate::meter::{CallMeter, Outcome};
use crate::resolve::Plan;
use crate::snapshot::{Entry, PlatformKeys, Slots};

/// The longest a check takes.
const CHECK_LIMIT: Duration = Duration::from_secs(60);
/// Some models refuse a smaller bound.
const CHECK_OUTPUT_TOKENS: i64 = 16;

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Whether the model answered.
    pub is_ok: bool,
    /// How long it took.
    pub latency: Duration,
    /// Whether it failed because of the key: missing, not to be opened, or refused.
    pub is_auth_error: bool,
    /// What went wrong, scrubbed of secrets.
    pub error: Option<String>,
}

impl Gateway {
    /// Calls the model of a configuration once, with one short message and without
    /// retries, whatever the circuit breakers say; success closes them. It is a call of
    /// `caller`: limits and budgets hold for it, and it is recorded. The row need not be
    /// in the snapshot yet.
    pub async fn check(
        self: &Arc<Self>,
        caller: &Caller,
        configuration: &ModelConfiguration,
    ) -> Check {
        let snapshot = self.snapshot.load_full();
        let slots = snapshot.slots(caller.organization_id);
        let entry = Entry::new(configuration, snapshot.platform(), &slots);
        self.check_entry(caller, entry).await
    }

    /// The same for settings that are paid for with `credential`, whatever its status is.
    /// Settings that would be paid for otherwise are not called. It is recorded under the
    /// nil identifier, since no configuration is called.
    pub async fn check_credential(
        self: &Arc<Self>,
        caller: &Caller,
        credential: &ProviderCredential,
        settings: &ModelSettings,
    ) -> Check {
        let trusted = ProviderCredential {
            status: CredentialStatus::Active,
            ..credential.clone()
        };
        let configuration = ModelConfiguration {
            id: ModelConfigurationId(Uuid::nil()),
            organization_id: Some(credential.organization_id),
            revision: 1,
            settings: settings.clone(),
            api_key_alias: None,
            created_at: credential.created_at,
            updated_at: credential.updated_at,
        };
        let slots = Slots::of(&[trusted]);
        let entry = Entry::new(&configuration, &PlatformKeys::default(), &slots);
        self.check_entry(caller, entry).await
    }

    async fn check_entry(self: &Arc<Self>, caller: &Caller, entry: Entry) -> Check {
        let call = Call::canonical_only(smallest_call());
        let mut meter = CallMeter::begin(self, call.dialect, &HeaderMap::new());
        meter.caller_is(&Arc::new(caller.clone()));
        meter.model_is(entry.name());
        let entry = Arc::new(entry);
        let plan = Plan {
            targets: vec![Arc::clone(&entry)],
            role: None,
            deadline: tokio::time::Instant::now() + CHECK_LIMIT,
        };
        let started = Instant::now();
        let tried = self
            .try_once(caller, (&entry, &plan), &call, &mut meter)
            .await;
        let failure = tried.err();
        let (status, outcome) = failure
            .as_ref()
            .map_or((StatusCode::OK, Outcome::Success), |(error, _)| {
                (error.status, error.outcome)
            });
        meter.call_ends(status.as_u16(), outcome);
        Check {
            is_ok: failure.is_none(),
            latency: started.elapsed(),
            is_auth_error: failure.as_ref().is_some_and(|(_, is_auth)| *is_auth),
            error: failure.map(|(error, _)| error.message),
        }
    }

    /// Fails with the error and whether it is the key's fault.
    async fn try_once(
        &self,
        caller: &Caller,
        (entry, plan): (&Arc<Entry>, &Plan),
        call: &Call,
        meter: &mut CallMeter,
    ) -> Result<(), (CallError, bool)> {
        let organization_id = caller.organization_id;
        let prepared = prepare(self, call, organization_id, entry).await;
        let mut prepared = prepared.map_err(|error| {
            let is_auth = is_about_the_key(&error);
            (error, is_auth)
        })?;
        prepared.idle = prepared.idle.min(CHECK_LIMIT);
        // Only now, so that what would not be called anyway uses nothing up.
        let snapshot = self.snapshot.load_full();
        let admitted =
            admit(self, &snapshot, caller, call, plan).map_err(|error| (error, false))?;
        meter.admitted(admitted);
        let mut tried = self.send(call, &mut prepared, (entry, plan), meter).await;
        if let Err(failed) = &tried
            && forget_refused_token(self, &prepared, failed)
        {
            tried = self.send(call, &mut prepared, (entry, plan), meter).await;
        }
        match tried {
            Ok(()) => {
                let key = prepared.circuit_key(organization_id);
                self.circuits.works(&key, entry);
                Ok(())
            }
            Err(failed) => Err(judge(&failed, &prepared)),
        }
    }

    /// One request, with its record.
    async fn send(
        &self,
        call: &Call,
        prepared: &mut Prepared<'_>,
        (entry, plan): (&Arc<Entry>, &Plan),
        meter: &mut CallMeter,
    ) -> Result<(), Failed> {
        meter.attempt_begins(entry);
        match exchange(self, call, prepared, plan.deadline).await {
            Ok(Received { content, .. }) => {
                meter.content_comes();
                let usage = match content {
                    Answered::Whole { usage, .. } => usage,
                    Answered::Stream(_) => None,
                };
                meter.attempt_ends(Outcome::Success, usage, Some(StatusCode::OK.as_u16()));
                Ok(())
            }
            Err(failed) => {
                let (error, _) = judge(&failed, prepared);
                meter.attempt_ends(error.outcome, None, failed.status());
                Err(failed)
            }
        }
    }
}

fn is_about_the_key(error: &CallError) -> bool {
    matches!(
        error.code.as_str(),
        "provider_credential_missing" | "provider_credential_invalid" | "secret_unavailable"
    )
}

fn judge(failed: &Failed, prepared: &Prepared<'_>) -> (CallError, bool) {
    match failed {
        Failed::NotSent(reason) => (CallError::egress(reason.clone()), false),
        Failed::NoRoom => (CallError::no_room_for_answer(), false),
        Failed::Provider(error) => {
            let is_auth = error.kind == ErrorKind::Authentication;
            (CallError::provider(error, &prepared.scrubber()), is_auth)
        }
    }
}

fn smallest_call() -> ChatCall {
    ChatCall {
        dialect: WireFormat::OpenAiChat,
        messages: vec![Message::new(Role::User, Content::bare("Say OK."))],
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        response_format: None,
        sampling: Sampling {
            max_tokens: Some(CHECK_OUTPUT_TOKENS),
            ..Sampling::default()
        },
        reasoning: None,
        stream: false,
        stream_usage: None,
        extra: providers::chat::Extra::new(),
    }
}
