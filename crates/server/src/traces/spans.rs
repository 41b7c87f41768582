//! A call's trace as spans, with the names of OpenTelemetry's conventions for generative AI
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/>). No text of a prompt or an answer
//! is in them.

use std::time::{Duration, SystemTime};

use gateway::meter::Outcome;
use gateway::trace::{AttemptTrace, CallTrace, Period, TraceContext};
use jiff::Timestamp;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use url::Url;

/// The call itself, its stages and its attempts.
pub(super) fn of_call(call: &CallTrace) -> Vec<SpanData> {
    let family = Family::of(call);
    let mut spans = Vec::with_capacity(1 + call.stages.len() + call.attempts.len());
    let whole = Period {
        from: Duration::ZERO,
        to: call.duration,
    };
    for stage in &call.stages {
        let kind = SpanKind::Internal;
        spans.push(family.child(spans.len(), stage.name.to_owned(), kind, stage.time));
    }
    for attempt in &call.attempts {
        let name = format!("chat {}", attempt.model);
        let mut span = family.child(spans.len(), name, SpanKind::Client, attempt.time);
        span.attributes = attempt_attributes(attempt);
        span.status = status(attempt.outcome);
        spans.push(span);
    }
    let name = format!("call {}", call.dialect.as_str());
    let mut span = family.span(family.call, name, SpanKind::Server, whole);
    if let Some(parent) = call.context.parent {
        span.parent_span_id = SpanId::from_bytes(parent.span_id.0);
        span.parent_span_is_remote = true;
    }
    span.attributes = call_attributes(call);
    span.status = status(call.outcome);
    spans.push(span);
    spans
}

/// What all spans of one call have in common.
struct Family {
    trace_id: TraceId,
    call: SpanId,
    began: SystemTime,
    scope: InstrumentationScope,
}

impl Family {
    fn of(call: &CallTrace) -> Self {
        let TraceContext {
            trace_id, span_id, ..
        } = call.context;
        Self {
            trace_id: TraceId::from_bytes(trace_id.0),
            call: SpanId::from_bytes(span_id.0),
            began: system_time(call.started_at),
            scope: InstrumentationScope::builder("quartermaster").build(),
        }
    }

    /// The `number`th child of the call. Its id follows from the call's, which is random.
    fn child(&self, number: usize, name: String, kind: SpanKind, time: Period) -> SpanData {
        let offset = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let id = u64::from_be_bytes(self.call.to_bytes()).wrapping_add(offset);
        let mut span = self.span(SpanId::from_bytes(id.to_be_bytes()), name, kind, time);
        span.parent_span_id = self.call;
        span
    }

    fn span(&self, id: SpanId, name: String, kind: SpanKind, time: Period) -> SpanData {
        let state = TraceState::default();
        SpanData {
            span_context: SpanContext::new(self.trace_id, id, TraceFlags::SAMPLED, false, state),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: kind,
            name: name.into(),
            start_time: self.began + time.from,
            end_time: self.began + time.to,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

fn call_attributes(call: &CallTrace) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("http.request.method", "POST"),
        KeyValue::new("http.response.status_code", i64::from(call.status)),
        KeyValue::new("quartermaster.request.id", call.request_id.clone()),
        KeyValue::new("quartermaster.dialect", call.dialect.as_str()),
        KeyValue::new("quartermaster.attempts", number(call.attempts.len() as u64)),
        KeyValue::new("quartermaster.is_stream", call.is_stream),
    ];
    let caller = call.caller;
    let ids = [
        ("quartermaster.run.id", call.run_id.clone()),
        (
            "quartermaster.organization.id",
            caller.map(|(id, _)| id.to_string()),
        ),
        (
            "quartermaster.api_key.id",
            caller.map(|(_, id)| id.to_string()),
        ),
    ];
    for (name, id) in ids {
        attributes.extend(id.map(|id| KeyValue::new(name, id)));
    }
    attributes.extend(error_type(call.outcome));
    attributes
}

fn attempt_attributes(attempt: &AttemptTrace) -> Vec<KeyValue> {
    let id = attempt.model_configuration_id.to_string();
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.provider.name", provider_name(attempt.provider)),
        KeyValue::new("gen_ai.request.model", attempt.model.clone()),
        KeyValue::new("quartermaster.attempt.number", i64::from(attempt.number)),
        KeyValue::new("quartermaster.model_configuration.id", id),
        KeyValue::new(
            "quartermaster.model_configuration.revision",
            attempt.revision,
        ),
    ];
    if let Ok(url) = Url::parse(attempt.origin.as_str()) {
        let host = url.host_str().map(ToOwned::to_owned);
        attributes.extend(host.map(|host| KeyValue::new("server.address", host)));
        let port = url.port_or_known_default();
        attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
    }
    if let Some(first) = attempt.time_to_first_byte {
        let name = "gen_ai.response.time_to_first_chunk";
        attributes.push(KeyValue::new(name, first.as_secs_f64()));
    }
    if let Some(usage) = attempt.usage {
        let written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens;
        for (name, tokens) in [
            ("gen_ai.usage.input_tokens", usage.input_tokens()),
            ("gen_ai.usage.output_tokens", usage.output_tokens),
            (
                "gen_ai.usage.cache_read.input_tokens",
                usage.cache_read_tokens,
            ),
            ("gen_ai.usage.cache_creation.input_tokens", written),
            (
                "gen_ai.usage.reasoning.output_tokens",
                usage.reasoning_tokens,
            ),
        ] {
            attributes.push(KeyValue::new(name, number(tokens)));
        }
    }
    attributes.extend(error_type(attempt.outcome));
    attributes
}

fn error_type(outcome: Outcome) -> Option<KeyValue> {
    (outcome != Outcome::Success).then(|| KeyValue::new("error.type", outcome.as_str()))
}

fn status(outcome: Outcome) -> Status {
    match outcome {
        Outcome::Success => Status::Unset,
        failed => Status::error(failed.as_str()),
    }
}

/// The conventions name some providers otherwise than LangChain does.
fn provider_name(provider: &'static str) -> &'static str {
    match provider {
        "azure_openai" => "azure.ai.openai",
        "azure_ai" => "azure.ai.inference",
        "google_genai" => "gcp.gemini",
        "google_vertexai" | "google_anthropic_vertex" => "gcp.vertex_ai",
        "ibm" => "ibm.watsonx.ai",
        "mistralai" => "mistral_ai",
        "xai" => "x_ai",
        other if other.contains("bedrock") => "aws.bedrock",
        other => other,
    }
}

/// Calls of before 1970 are those of a clock that is wrong.
fn system_time(at: Timestamp) -> SystemTime {
    let since_epoch = u64::try_from(at.as_microsecond()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_micros(since_epoch)
}

fn number(count: u64) -> Value {
    Value::I64(i64::try_from(count).unwrap_or(i64::MAX))
}
