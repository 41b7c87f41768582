//! One minimal live call, for whoever wants to know whether a configuration works.

use std::time::{Duration, Instant};

use domain::id::{ModelConfigurationId, OrganizationId};
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::provider_credential::{CredentialStatus, ProviderCredential};
use providers::chat::WireFormat;
use providers::chat::call::{ChatCall, Message, Role, Sampling};
use providers::chat::part::Content;
use providers::error::ErrorKind;

use crate::attempt::{Call, Failed, exchange, forget_refused_token, prepare};
use crate::error::CallError;
use crate::gateway::Gateway;
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
    /// retries, as `organization_id`, whatever the circuit breakers say; success closes
    /// them. The row need not be in the snapshot yet.
    pub async fn check(
        &self,
        organization_id: OrganizationId,
        configuration: &ModelConfiguration,
    ) -> Check {
        let snapshot = self.snapshot.load_full();
        let slots = snapshot.slots(organization_id);
        let entry = Entry::new(configuration, snapshot.platform(), &slots);
        self.check_entry(organization_id, &entry).await
    }

    /// The same for settings that are paid for with `credential`, whatever its status is.
    /// Settings that would be paid for otherwise are not called.
    pub async fn check_credential(
        &self,
        credential: &ProviderCredential,
        settings: &ModelSettings,
    ) -> Check {
        let trusted = ProviderCredential {
            status: CredentialStatus::Active,
            ..credential.clone()
        };
        let configuration = ModelConfiguration {
            // There is no such row, and nobody looks for it.
            id: ModelConfigurationId(credential.organization_id.0),
            organization_id: Some(credential.organization_id),
            revision: 1,
            settings: settings.clone(),
            api_key_alias: None,
            created_at: credential.created_at,
            updated_at: credential.updated_at,
        };
        let slots = Slots::of(&[trusted]);
        let entry = Entry::new(&configuration, &PlatformKeys::default(), &slots);
        self.check_entry(credential.organization_id, &entry).await
    }

    async fn check_entry(&self, organization_id: OrganizationId, entry: &Entry) -> Check {
        let call = Call::canonical_only(smallest_call());
        let started = Instant::now();
        let failure = self.try_once(organization_id, entry, &call).await.err();
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
        organization_id: OrganizationId,
        entry: &Entry,
        call: &Call,
    ) -> Result<(), (CallError, bool)> {
        let mut prepared = prepare(self, call, organization_id, entry)
            .await
            .map_err(|error| {
                let is_auth = matches!(
                    error.code.as_str(),
                    "provider_credential_missing"
                        | "provider_credential_invalid"
                        | "secret_unavailable"
                );
                (error, is_auth)
            })?;
        prepared.idle = prepared.idle.min(CHECK_LIMIT);
        let deadline = tokio::time::Instant::now() + CHECK_LIMIT;
        let mut tried = exchange(self, call, &mut prepared, deadline).await;
        if let Err(failed) = &tried
            && forget_refused_token(self, &prepared, failed)
        {
            tried = exchange(self, call, &mut prepared, deadline).await;
        }
        match tried {
            Ok(_) => {
                let key = prepared.circuit_key(organization_id);
                self.circuits.works(&key, entry);
                Ok(())
            }
            Err(Failed::NotSent(reason)) => Err((CallError::egress(reason), false)),
            Err(Failed::Provider(error)) => {
                let is_auth = error.kind == ErrorKind::Authentication;
                Err((CallError::provider(&error, &prepared.scrubber()), is_auth))
            }
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
