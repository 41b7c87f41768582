//! Follows one call from its first byte to the last of its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::agent_role::AgentRole;
use domain::api_key::Caller;
use domain::clock::{time_ordered_id, time_ordered_id_at};
use domain::id::CallId;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use providers::chat::WireFormat;
use providers::chat::usage::Usage;
use providers::pass_through::Envelope;
use uuid::Uuid;

use super::{AttemptRecord, CallEnd, KeyOwner, Outcome};
use crate::gateway::Gateway;
use crate::limit::Admitted;
use crate::limit::budgets::{Payer, Reached};
use crate::limit::rates::Standing;
use crate::metrics::FinishedCall;
use crate::snapshot::{Entry, KeySource, Route};
use crate::trace::{AttemptTrace, CallTrace, Recorder};

/// The status that a call is logged with when its client went away; nobody sees it.
const CLIENT_CLOSED: u16 = 499;
/// The longest request id or run id that is taken over from a client.
const LONGEST_ID: usize = 128;
/// How much of what a client sent as `model` is recorded, in characters.
const LONGEST_NAME: usize = 255;

/// The record of one call. Dropped before its end, it notes that the client went away.
pub(crate) struct CallMeter {
    gateway: Arc<Gateway>,
    dialect: WireFormat,
    call_id: CallId,
    called_at: Timestamp,
    request_id: String,
    run_id: Option<String>,
    model_asked: String,
    caller: Option<Arc<Caller>>,
    role: Option<AgentRole>,
    is_stream: bool,
    has_idempotency_key: bool,
    started: Instant,
    attempts: u32,
    attempt: Option<Attempt>,
    /// The attempt that ended last. It waits to learn whether the call ends with it.
    ended: Option<Box<AttemptRecord>>,
    entry: Option<Arc<Entry>>,
    usage: Option<Usage>,
    time_to_first_byte: Option<Duration>,
    trace: Option<Box<Recorder>>,
    has_ended: bool,
    admitted: Admitted,
}

struct Attempt {
    entry: Arc<Entry>,
    started_at: Timestamp,
    started: Instant,
    time_to_first_byte: Option<Duration>,
}

impl CallMeter {
    pub(crate) fn begin(gateway: &Arc<Gateway>, dialect: WireFormat, headers: &HeaderMap) -> Self {
        gateway.metrics.call_begins();
        let called_at = gateway.clock.now();
        let call_id = time_ordered_id_at(called_at, gateway.entropy.as_ref());
        Self {
            gateway: Arc::clone(gateway),
            dialect,
            call_id: CallId(call_id),
            called_at,
            request_id: client_request_id(headers).unwrap_or_else(|| call_id.to_string()),
            run_id: run_id(headers.get("x-run-id")),
            model_asked: String::new(),
            caller: None,
            role: None,
            is_stream: false,
            has_idempotency_key: headers.contains_key("idempotency-key"),
            started: Instant::now(),
            attempts: 0,
            attempt: None,
            ended: None,
            entry: None,
            usage: None,
            time_to_first_byte: None,
            trace: Recorder::begin(gateway, headers),
            has_ended: false,
            admitted: Admitted::default(),
        }
    }

    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Whether the client hopes that a repeated call is not made again.
    pub(crate) const fn has_idempotency_key(&self) -> bool {
        self.has_idempotency_key
    }

    /// Requests to providers that were begun.
    pub(crate) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The configuration that was tried last.
    pub(crate) const fn entry(&self) -> Option<&Arc<Entry>> {
        self.entry.as_ref()
    }

    pub(crate) fn caller_is(&mut self, caller: &Arc<Caller>) {
        self.caller = Some(Arc::clone(caller));
    }

    /// What lets the call through its limits, to be told what it used.
    pub(crate) fn admitted(&mut self, admitted: Admitted) {
        self.admitted = admitted;
    }

    /// The call asks for no answer, so that what was reserved for one is given back.
    pub(crate) fn takes_no_tokens(&mut self) {
        self.usage = Some(Usage::default());
    }

    /// How much is left of the limit that is nearest to being used up.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.admitted.rates.as_ref()?.standing
    }

    /// The soft bound of a budget that is reached.
    pub(crate) fn budget_warning(&self) -> Option<&Reached> {
        self.admitted.warning()
    }

    /// The agent role that the call belongs to.
    pub(crate) const fn role_is(&mut self, role: Option<AgentRole>) {
        self.role = role;
    }

    /// What the request asks for, as far as it is recorded.
    pub(crate) fn request_is(&mut self, envelope: &Envelope) {
        self.is_stream = envelope.stream();
        let listed = envelope.models().and_then(<[String]>::first);
        let asked = envelope.model().or(listed.map(String::as_str));
        self.model_asked = asked.map(shortened).unwrap_or_default();
    }

    /// What is called, where no request says so.
    pub(crate) fn model_is(&mut self, name: &str) {
        self.model_asked = shortened(name);
    }

    /// A part of the call that is no attempt has ended.
    pub(crate) fn stage_ends(&mut self, name: &'static str) {
        if let Some(trace) = &mut self.trace {
            trace.stage_ends(name);
        }
    }

    pub(crate) fn attempt_begins(&mut self, entry: &Arc<Entry>) {
        if let Some(trace) = &mut self.trace {
            trace.attempt_begins();
        }
        self.record(None);
        self.attempts += 1;
        self.entry = Some(Arc::clone(entry));
        self.attempt = Some(Attempt {
            entry: Arc::clone(entry),
            started_at: self.gateway.clock.now(),
            started: Instant::now(),
            time_to_first_byte: None,
        });
    }

    /// A provider is asked something that is no inference call: the answer says whom, and
    /// nothing is booked.
    pub(crate) fn asks(&mut self, entry: &Arc<Entry>) {
        self.attempts += 1;
        self.entry = Some(Arc::clone(entry));
    }

    /// The first content, or the whole answer, is there.
    pub(crate) fn content_comes(&mut self) {
        self.time_to_first_byte = Some(self.started.elapsed());
        if let Some(attempt) = &mut self.attempt {
            attempt.time_to_first_byte = Some(attempt.started.elapsed());
        }
    }

    /// An attempt is over; `status` is the provider's, where it answered.
    pub(crate) fn attempt_ends(
        &mut self,
        outcome: Outcome,
        usage: Option<Usage>,
        status: Option<u16>,
    ) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        self.usage = usage;
        let Ok(route) = attempt.entry.route() else {
            return;
        };
        let provider = route.target.provider.name.as_str();
        if let Some(trace) = &mut self.trace {
            trace.attempt_ends(|time| AttemptTrace {
                time,
                time_to_first_byte: attempt.time_to_first_byte,
                number: self.attempts,
                model_configuration_id: attempt.entry.configuration().id,
                revision: attempt.entry.configuration().revision,
                provider,
                model: route.target.model.clone(),
                origin: route.target.origin.clone(),
                outcome,
                usage,
            });
        }
        let metrics = &self.gateway.metrics;
        metrics.attempt_ends(route.metrics(metrics), outcome, usage);
        let Some(caller) = &self.caller else { return };
        let configuration = attempt.entry.configuration();
        let cost_micros = usage.and_then(|usage| self.gateway.cost(&route.target, usage));
        self.ended = Some(Box::new(AttemptRecord {
            call_id: self.call_id,
            called_at: self.called_at,
            request_id: self.request_id.clone(),
            organization_id: caller.organization_id,
            api_key_id: caller.api_key_id,
            run_id: self.run_id.clone(),
            role: self.role,
            dialect: self.dialect.as_str(),
            model_asked: self.model_asked.clone(),
            model_configuration_id: configuration.id,
            revision: configuration.revision,
            provider,
            protocol: route.target.protocol,
            model: route.target.model.clone(),
            model_answered: None,
            service_tier: None,
            key_owner: key_owner(&route.key),
            attempt: self.attempts,
            is_stream: self.is_stream,
            usage,
            cost_micros,
            outcome,
            status,
            started_at: attempt.started_at,
            duration: attempt.started.elapsed(),
            time_to_first_byte: attempt.time_to_first_byte,
            call: None,
        }));
    }

    /// Hands on the attempt that ended last, and whether the call ended with it.
    fn record(&mut self, call: Option<CallEnd>) {
        if let Some(ended) = self.ended.take() {
            if let Some(cost) = ended.cost_micros {
                let payer = Payer {
                    organization_id: ended.organization_id,
                    api_key_id: ended.api_key_id,
                };
                // Before the record goes away: it must not be stored before it is spent.
                self.gateway.spending.spend(payer, self.called_at, cost);
            }
            self.gateway.usage.record(AttemptRecord { call, ..*ended });
        }
    }

    /// The call is over: its metrics and its one line of log.
    pub(crate) fn call_ends(&mut self, status: u16, outcome: Outcome) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        self.settle(outcome);
        let duration = self.started.elapsed();
        let call = FinishedCall {
            dialect: self.dialect,
            outcome,
            duration,
            time_to_first_byte: self.time_to_first_byte,
        };
        let metrics = &self.gateway.metrics;
        let provider = self.route().map(|route| route.metrics(metrics));
        metrics.call_ends(&call, provider);
        self.log(status, outcome, duration);
        self.trace_ends(status, outcome, duration);
        self.record(Some(CallEnd {
            outcome,
            status,
            duration,
            time_to_first_byte: self.time_to_first_byte,
        }));
        // Only now: what the call cost takes the place of what was reserved for it.
        self.admitted.budget = None;
    }

    fn trace_ends(&mut self, status: u16, outcome: Outcome, duration: Duration) {
        let Some(trace) = self.trace.take() else {
            return;
        };
        let notes = trace.end();
        let caller = self.caller.as_ref();
        notes.sink.record(CallTrace {
            context: notes.context,
            started_at: notes.started_at,
            duration,
            dialect: self.dialect,
            request_id: self.request_id.clone(),
            run_id: self.run_id.clone(),
            caller: caller.map(|caller| (caller.organization_id, caller.api_key_id)),
            status,
            outcome,
            is_stream: self.is_stream,
            stages: notes.stages,
            attempts: notes.attempts,
        });
    }

    /// Tells the limits what the call took. Where nobody counted, what was reserved
    /// stands; of a call that failed nothing does.
    fn settle(&mut self, outcome: Outcome) {
        let Some(mut admission) = self.admitted.rates.take() else {
            return;
        };
        let has_failed = match outcome {
            Outcome::Success => false,
            Outcome::ClientClosed => self.attempts == 0,
            Outcome::Failed(_) | Outcome::Refused => true,
        };
        match self.usage {
            Some(usage) => admission.used(usage.input_tokens() + usage.output_tokens),
            None if has_failed => admission.used(0),
            None => {}
        }
    }

    fn route(&self) -> Option<&Route> {
        self.entry.as_ref()?.route().ok()
    }

    fn log(&self, status: u16, outcome: Outcome, duration: Duration) {
        let configuration = self.entry.as_ref().map(|entry| entry.configuration());
        let caller = self.caller.as_ref();
        let usage = self.usage;
        tracing::info!(
            request.id = %self.request_id,
            run.id = self.run_id,
            agent.role = self.role.map(AgentRole::as_str),
            trace.id = self.trace.as_ref().map(|trace| tracing::field::display(trace.trace_id())),
            organization.id = caller.map(|caller| tracing::field::display(caller.organization_id)),
            api_key.id = caller.map(|caller| tracing::field::display(caller.api_key_id)),
            dialect = self.dialect.as_str(),
            http.response.status_code = status,
            outcome = outcome.as_str(),
            model_configuration.id = configuration.map(|row| tracing::field::display(row.id)),
            model_configuration.revision = configuration.map(|row| row.revision),
            gen_ai.provider.name = self.route().map(|route| route.target.provider.name.as_str()),
            gen_ai.request.model = configuration.map(|row| row.settings.model.as_str()),
            gen_ai.usage.input_tokens = usage.map(|usage| usage.input_tokens()),
            gen_ai.usage.output_tokens = usage.map(|usage| usage.output_tokens),
            attempts = self.attempts,
            is_stream = self.is_stream,
            duration_ms = milliseconds(duration),
            time_to_first_byte_ms = self.time_to_first_byte.map(milliseconds),
            "call"
        );
    }
}

impl Drop for CallMeter {
    fn drop(&mut self) {
        self.attempt_ends(Outcome::ClientClosed, None, None);
        self.call_ends(CLIENT_CLOSED, Outcome::ClientClosed);
    }
}

const fn key_owner(key: &KeySource) -> KeyOwner {
    match key {
        KeySource::Own(_) => KeyOwner::Organization,
        KeySource::Slot(_) => KeyOwner::Slot,
        KeySource::Platform(_) => KeyOwner::Platform,
        KeySource::NotNeeded
        | KeySource::Unusable { .. }
        | KeySource::Unfit { .. }
        | KeySource::Missing => KeyOwner::Nobody,
    }
}

/// To the microsecond: what is finer is noise, and prints as `0.21176699999999998`.
fn milliseconds(duration: Duration) -> f64 {
    let microseconds = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(microseconds) / 1000.0
}

/// The id of a request: the client's, where it is one, else a new one.
pub(crate) fn request_id(gateway: &Gateway, headers: &HeaderMap) -> String {
    client_request_id(headers).unwrap_or_else(|| {
        time_ordered_id(gateway.clock.as_ref(), gateway.entropy.as_ref()).to_string()
    })
}

/// The id that the client gave the request.
fn client_request_id(headers: &HeaderMap) -> Option<String> {
    client_id(headers.get("x-request-id"))
}

/// The run that a client names. A UUID is written in one way, however it was spelled, so
/// that all its calls are found under it.
fn run_id(value: Option<&HeaderValue>) -> Option<String> {
    let text = client_id(value)?;
    Some(Uuid::try_parse(&text).map_or(text, |id| id.to_string()))
}

/// As much of a text as is worth keeping.
fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

/// An id that a client chose, if it is short and visible.
fn client_id(value: Option<&HeaderValue>) -> Option<String> {
    let text = value?.to_str().ok()?;
    let is_sane =
        (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_sane.then(|| text.to_owned())
}
